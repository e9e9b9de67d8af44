"""Sub-trajectories: their vectors, the search over them, and the ranking of what was found."""
