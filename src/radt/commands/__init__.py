"""Commands of `python -m radt` that check, record and redraw results; plan and status are in `radt.pipeline`."""
