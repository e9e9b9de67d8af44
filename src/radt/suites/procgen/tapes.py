"""Learning histories of Procgen as tapes: actions, rewards, and a checksum in place of each frame.

The same actions give the same frames, so the engine plays them again from a tape. A frame takes 12 kB, its checksum 4 bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import ExperimentSpec, Shard
from radt.errors import RadtError
from radt.spaces import Codes
from radt.suites.procgen.engine import Level
from radt.suites.procgen.settings import ProcgenExperiment
from radt.suites.procgen.spec import spec_of


def described(experiment: ProcgenExperiment) -> ExperimentSpec:
    """The spec of tapes: an observation is a checksum of four bytes."""
    return ExperimentSpec(experiment, spec_of(experiment).model_copy(update={"observation": Codes(sizes=(256,) * 4)}))


def tape_of(history: Shard) -> Shard:
    """The tape of a history that holds frames."""
    return replace(history, observations=np.stack([_checksum(frame) for frame in history.observations]))


def play(tape: Shard, experiment: ProcgenExperiment) -> Shard:
    """The history of a tape of one level, with frames uint8 [N, 64, 64, 3].

    Raises `RadtError` when a frame or a reward is not the recorded one.
    """
    task = int(tape.episode_task[0])
    level, frames = Level(*experiment.level_of(task), experiment.mode), []
    for begin, end in pairwise(tape.episode_start.tolist()):
        level.reset()
        for step in range(begin, end):
            frames.append(level.frame.copy())
            same = (_checksum(level.frame) == tape.observations[step]).all()
            if level.step(int(tape.actions[step, 0]))[0] != tape.rewards[step] or not same:
                raise RadtError(
                    f"the history of task {task} shows or pays something else in step {step} when it is played again: delete the"
                    " output of the rl stage and run it again, on a machine of the same kind"
                )
    return replace(tape, observations=np.stack(frames))


def _checksum(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CRC-32 of a frame, uint8 [4]."""
    return np.frombuffer(zlib.crc32(frame.tobytes()).to_bytes(4, "little"), np.uint8)
