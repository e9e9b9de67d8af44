"""The transitions that DPT reads, and what it learns from, in each suite."""

from __future__ import annotations

from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Trajectories
from radt.data.transitions import Experience, Recollection, StepExperience, StepRecollection
from radt.settings.experiment import Experiment
from radt.suites import part


def experience(experiment: Experiment, data: Trajectories) -> Experience:
    """What DPT is trained on: known tables, else the labels in the data; raises `RadtError` when there are none."""
    own = part(experiment, "experience")
    return own.experience(experiment, data) if own else StepExperience(data)


def recollection(experiment: Experiment, buffer: EpisodeBuffer) -> Recollection:
    """What DPT reads of the episodes that it has played."""
    own = part(experiment, "experience")
    return own.recollection(experiment, buffer) if own else StepRecollection(buffer)
