"""In-context rollouts and the statistics of their returns."""
