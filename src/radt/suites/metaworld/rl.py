"""Learning histories of one task of Meta-World, by Stable-Baselines3, a search for a hidden goal, or an expert."""

from __future__ import annotations

from radt.data.trajectories import Shard
from radt.settings.sources import Trajectories as Settings
from radt.suites import robots
from radt.suites.metaworld.settings import MetaworldExperiment
from radt.suites.metaworld.suite import suite_of


def learn_task(experiment: MetaworldExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`."""
    return robots.learn_task(suite_of(experiment), settings, task)
