"""Dark-Room against the published engine: the same action tapes through MiniHack and through `DarkRoomVectorEnv`.

Runs where the extra `minihack` is installed. MiniHack needs about a millisecond a step, so a few goals of each room are tried.
"""

import numpy as np
import pytest

from radt.bench.engines import minihack_room
from radt.tasks.darkroom import DarkRoomVectorEnv

pytest.importorskip("minihack", reason="needs the extra: pip install -e .[minihack]")

# width, height, horizon, origin (row, column) of the room on the screen, goals (x, y), episodes
ROOMS = [
    (10, 10, 100, (8, 34), [(2, 0), (0, 1), (9, 9), (3, 4)], 3),
    (20, 20, 400, (2, 30), [(16, 12)], 2),
    (40, 20, 800, (2, 20), [(29, 6)], 1),
]


def published_room(width: int, height: int, horizon: int, goal: tuple[int, int]):
    """The published level, the same in every run."""
    env = minihack_room(width, height, horizon, goal)
    env.seed(core=1, disp=1, reseed=False)
    return env


def tape(rng: np.random.Generator, horizon: int, goal: tuple[int, int], episode: int) -> np.ndarray:
    """A random path to the goal, staying there until random actions, and in the first episode until the end of all steps."""
    path = rng.permutation([1] * goal[0] + [2] * goal[1])
    actions = rng.integers(0, 5, horizon)
    actions[: len(path)] = path
    actions[len(path) : horizon if episode == 0 else horizon // 2] = 4
    return actions if episode % 3 < 2 else rng.integers(0, 5, horizon)


@pytest.mark.parametrize(("width", "height", "horizon", "origin", "goals", "episodes"), ROOMS, ids=["10x10", "20x20", "40x20"])
def test_same_as_minihack(width, height, horizon, origin, goals, episodes):
    rng = np.random.default_rng(width)
    ours = DarkRoomVectorEnv(width, height, horizon, goals)
    tapes = np.array([[tape(rng, horizon, goal, episode) for episode in range(episodes)] for goal in goals])
    observation, _ = ours.reset()
    seen, rewards, dones = [], [], []
    for actions in tapes.reshape(len(goals), -1).T:
        seen.append(observation)
        observation, reward, terminated, truncated, _ = ours.step(actions)
        rewards.append(reward)
        dones.append(terminated | truncated)
    shape = (episodes, horizon, len(goals))
    seen, rewards, dones = np.reshape(seen, (*shape, 2)), np.reshape(rewards, shape), np.reshape(dones, shape)

    for task, goal in enumerate(goals):
        theirs = published_room(width, height, horizon, goal)
        for episode in range(episodes):
            raw, _ = theirs.reset()
            for step, action in enumerate(tapes[task, episode]):
                where = f"goal {goal}, episode {episode}, step {step}"
                assert ((raw["tty_cursor"] - np.array(origin)) == seen[episode, step, task]).all(), where
                raw, reward, terminated, truncated, _ = theirs.step(int(action))
                assert reward == rewards[episode, step, task], where
                assert (terminated or truncated) == dones[episode, step, task], where
        theirs.close()
    distance = np.sum(goals, axis=1)
    assert (rewards[0].sum(axis=0) == horizon - distance).all()  # every goal was reached, and stayed on until the end
