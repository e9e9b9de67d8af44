"""One training loop and its checkpoints."""
