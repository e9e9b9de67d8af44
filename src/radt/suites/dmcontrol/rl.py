"""Learning histories of one task of DMControl, by Stable-Baselines3, a search for a hidden target, or an expert."""

from __future__ import annotations

from radt.data.trajectories import Shard
from radt.settings.sources import Trajectories as Settings
from radt.suites import robots
from radt.suites.dmcontrol.settings import DmcontrolExperiment
from radt.suites.dmcontrol.suite import suite_of


def learn_task(experiment: DmcontrolExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`."""
    return robots.learn_task(suite_of(experiment), settings, task)
