"""DMControl: robots simulated by MuJoCo, of the package dm-control (extra `dmcontrol`)."""
