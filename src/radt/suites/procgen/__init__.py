"""Procgen: 16 video games with levels generated from seeds, and images as observations (package procgen-mirror)."""
