"""Sub-trajectories: their vectors, nearest-neighbour search, and re-ranking."""

DECIMALS = 6
"""Scores are rounded to this many decimals; ties go to the lower id."""
