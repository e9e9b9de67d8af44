"""Procgen: 16 video games whose levels are drawn by a seed, seen as images (package procgen-mirror)."""
