"""The grid worlds of the paper."""
