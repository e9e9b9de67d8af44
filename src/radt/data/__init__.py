"""Learning histories: their format on disk and the three sources that they come from."""
