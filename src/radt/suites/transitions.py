"""The transitions that DPT reads, and what it learns from, in each suite."""

from __future__ import annotations

from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Trajectories
from radt.data.transitions import Experience, Recollection, StepExperience, StepRecollection
from radt.settings.experiments import Experiment, GridExperiment


def experience(experiment: Experiment, data: Trajectories) -> Experience:
    """What DPT is trained on: known tables, else the labels in the data; raises `RadtError` when there are none."""
    if isinstance(experiment, GridExperiment):
        from radt.suites.grid.experience import TableExperience

        return TableExperience(data, experiment)
    return StepExperience(data)


def recollection(experiment: Experiment, buffer: EpisodeBuffer) -> Recollection:
    """What DPT reads of the episodes that it has played."""
    if isinstance(experiment, GridExperiment):
        from radt.suites.grid.experience import DistinctTransitions

        return DistinctTransitions(buffer, experiment)
    return StepRecollection(buffer)
