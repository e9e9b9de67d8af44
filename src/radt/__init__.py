"""From nothing to the results of the Retrieval-Augmented Decision Transformer."""
