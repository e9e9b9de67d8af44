"""Tapes of the learning histories of one level of Procgen, by an expert with some random actions or by Stable-Baselines3."""

from __future__ import annotations

from radt.data.trajectories import Shard
from radt.settings.sources import Expert
from radt.settings.sources import Trajectories as Settings
from radt.suites.gymnasium import rl
from radt.suites.procgen import planner, tapes
from radt.suites.procgen.engine import Level
from radt.suites.procgen.settings import ProcgenExperiment
from radt.suites.procgen.suite import suite_of


def learn_task(experiment: ProcgenExperiment, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`."""
    if isinstance(settings.learner, Expert):
        level = Level(*experiment.level_of(task), experiment.mode)
        return tapes.tape_of(planner.imitate(level, settings.learner, task, experiment.horizon))
    return tapes.tape_of(rl.learned(suite_of(experiment), settings, task))


stored = tapes.described
