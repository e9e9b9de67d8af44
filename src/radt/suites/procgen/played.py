"""Learning histories of one level of Procgen, by learners that act in the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from radt.data.trajectories import Shard
from radt.suites.procgen.engine import Level

Act = Callable[[int, float, int], int]
"""An action code, from the number of the episode, the share of the horizon that has passed, and the expert's action."""


def played(
    level: Level, expert: Callable[[], int], learner: Callable[[int], Act], histories: int, episodes: int, task: int, horizon: int
) -> Shard:
    """The `histories` of a level, by one `learner` each. Labels are the actions of `expert`."""
    actions: list[int] = []
    frames, labels, rewards, starts, terminated = [], [], [], [0], []
    for history in range(histories):
        act = learner(history)
        for episode in range(episodes):
            level.reset()
            ended = False
            while not ended and len(actions) < starts[-1] + horizon:
                frames.append(level.frame.copy())
                labels.append(expert())
                actions.append(act(episode, (len(actions) - starts[-1]) / horizon, labels[-1]))
                reward, ended, _ = level.step(actions[-1])
                rewards.append(reward)
            starts.append(len(actions))
            terminated.append(ended)
    return Shard(
        np.stack(frames),
        np.array(actions, np.uint8)[:, None],
        np.array(rewards, np.float32),
        np.array(starts, np.int64),
        np.full(len(terminated), task, np.int32),
        np.repeat(np.arange(histories, dtype=np.int32), episodes),
        np.array(terminated, np.uint8),
        np.array(labels, np.uint8)[:, None],
    )
