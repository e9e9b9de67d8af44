"""What a user asks of results: one module for each command of `python -m radt`."""
