"""What is seen, done and paid in games of Procgen."""

from __future__ import annotations

from radt.spaces import Image, Scaled, Spec
from radt.suites.procgen.engine import CHOICES, SIZE
from radt.suites.procgen.settings import ProcgenExperiment


def spec_of(experiment: ProcgenExperiment) -> Spec:
    """Frames, and one of 15 actions."""
    return Spec(
        observation=Image(height=SIZE, width=SIZE, channels=3),
        actions=(CHOICES,),
        rewards=Scaled(scale=experiment.reward_scale),
        horizon=experiment.horizon,
    )
