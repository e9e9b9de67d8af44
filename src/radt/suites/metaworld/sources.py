"""Where the learning histories of Meta-World come from: those of environments that a user has registered, and a search."""

from radt.suites.gymnasium.sources import collect

__all__ = ["collect"]
