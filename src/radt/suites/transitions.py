"""The data of DPT in each suite."""

from __future__ import annotations

from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Trajectories
from radt.data.transitions import Experience, Recollection, StepExperience, StepRecollection
from radt.settings.experiment import Experiment
from radt.suites import part


def experience(experiment: Experiment, data: Trajectories) -> Experience:
    """The training data of DPT: tables of the suite, else labels in the data; raises `RadtError` without either."""
    own = part(experiment, "experience")
    return own.experience(experiment, data) if own else StepExperience(data)


def recollection(experiment: Experiment, buffer: EpisodeBuffer) -> Recollection:
    """The context of DPT in evaluation: transitions of its own episodes."""
    own = part(experiment, "experience")
    return own.recollection(experiment, buffer) if own else StepRecollection(buffer)
