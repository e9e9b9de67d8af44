"""Observations, actions and rewards of games of Procgen."""

from __future__ import annotations

from radt.spaces import Image, Numbers, Scaled, Spec
from radt.suites.procgen.engine import CHOICES, SIZE
from radt.suites.procgen.settings import ProcgenExperiment


def spec_of(experiment: ProcgenExperiment) -> Spec:
    """Frames or their encodings, and 15 actions."""
    frame = Image(height=SIZE, width=SIZE, channels=3)
    return Spec(
        observation=Numbers(size=experiment.encoded, half=True) if experiment.encoded else frame,
        actions=(CHOICES,),
        rewards=Scaled(scale=experiment.reward_scale),
        horizon=experiment.horizon,
    )
