"""In-context evaluation: rollouts and the statistics of their returns."""
