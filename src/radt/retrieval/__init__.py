"""Sub-trajectories: their vectors, the search over them, and the ranking of what was found."""

DECIMALS = 6
"""Scores that are equal after rounding to so many digits are ties; ties go to the lower id."""
