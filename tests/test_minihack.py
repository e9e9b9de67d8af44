"""Dark-Room and Key-Door against the published engine: the same action tapes through MiniHack and through the table engine.

Runs where the extra `minihack` is installed. MiniHack needs about a millisecond a step, so a few goals of each room are tried.
"""

import numpy as np
import pytest

from bench.engines import minihack_room
from radt.suites.grid.darkroom import DarkRoomVectorEnv
from radt.suites.grid.keydoor import KeyDoorVectorEnv

minihack = pytest.importorskip("minihack", reason="needs the extra: pip install -e .[minihack]")

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


def keydoor_room(width: int, height: int, horizon: int, key: tuple[int, int], door: tuple[int, int]):
    """A skeleton key that is picked up by walking on it, and an open door; events that must come one after the other pay."""
    from minihack.reward_manager import SequentialRewardManager
    from nle import nethack

    level = minihack.LevelGenerator(w=width, h=height, lit=True)
    level.set_start_pos((0, 0))
    level.add_object("skeleton key", "(", place=key)
    level.add_door("open", place=door)
    reward = SequentialRewardManager()
    reward.add_location_event("key", reward=1, repeatable=False)
    reward.add_location_event("door", reward=1, repeatable=True)
    directions = nethack.CompassDirection
    env = minihack.MiniHackNavigation(
        des_file=level.get_des(),
        reward_manager=reward,
        actions=(directions.N, directions.E, directions.S, directions.W, nethack.MiscDirection.WAIT),
        observation_keys=["tty_cursor"],
        max_episode_steps=horizon,
        penalty_step=0.0,
        autopickup=True,
    )
    env.seed(core=1, disp=1, reseed=False)
    return env


def play(env, tape: np.ndarray, origin: tuple[int, int]):
    """Positions [T, 2] before every step, rewards [T] and ends [T] of a tape of whole episodes in MiniHack."""
    raw, _ = env.reset()
    seen, rewards, ends = [], [], []
    for action in tape:
        seen.append(raw["tty_cursor"] - np.array(origin))
        raw, reward, terminated, truncated, _ = env.step(int(action))
        rewards.append(reward)
        ends.append(terminated or truncated)
        if ends[-1]:
            raw, _ = env.reset()
    env.close()
    return np.array(seen), np.array(rewards), np.array(ends)


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


# width, height, horizon, origin, (key, door) pairs, episodes
KEY_ROOMS = [
    (10, 10, 100, (8, 34), [((8, 3), (2, 0)), ((3, 1), (8, 4)), ((0, 0), (1, 0)), ((0, 0), (7, 9))], 4),
    (20, 20, 400, (2, 30), [((3, 4), (16, 12))], 3),
]


def path(start: tuple[int, int], end: tuple[int, int]) -> list[int]:
    """Moves from cell to cell, first along the row."""
    x, y = end[0] - start[0], end[1] - start[1]
    return ([1] * x if x > 0 else [3] * -x) + ([2] * y if y > 0 else [0] * -y)


def key_tapes(rng: np.random.Generator, episodes: int, horizon: int, pairs) -> np.ndarray:
    """Actions [episodes, T, tasks]: straight to the door, to the key and the door, to the door again; otherwise random."""
    tapes = rng.integers(0, 5, (episodes, horizon, len(pairs)))
    for task, (key, door) in enumerate(pairs):
        for episode, moves in enumerate([path((0, 0), door), path((0, 0), key) + path(key, door), path((0, 0), door)]):
            tapes[episode, : len(moves), task] = moves
            tapes[episode, len(moves) : len(moves) + horizon // 4, task] = 4
    tapes[2, horizon - horizon // 8 :] = 4
    return tapes


def same_as_minihack(width, height, horizon, origin, pairs, tapes) -> np.ndarray:
    """Checks steps [T, tasks] of whole episodes; returns the rewards [T, tasks] of MiniHack."""
    keys, doors = zip(*pairs, strict=True)
    ours = KeyDoorVectorEnv(width, height, horizon, keys, doors, key_stays=True)
    seen, rewards, ends = [ours.reset()[0]], [], []
    for actions in tapes:
        observation, reward, terminated, truncated, _ = ours.step(actions)
        seen.append(observation)
        rewards.append(reward)
        ends.append(terminated | truncated)
    paid = []
    for task, (key, door) in enumerate(pairs):
        theirs = play(keydoor_room(width, height, horizon, key, door), tapes[:, task], origin)
        for name, value, expected in zip(("seen", "rewards", "ends"), (seen[:-1], rewards, ends), theirs, strict=True):
            different = np.flatnonzero((np.array(value)[:, task] != expected).reshape(len(tapes), -1).any(axis=1))
            assert not different.size, f"{name} of key {key}, door {door} differ at steps {different[:5]}"
        paid.append(theirs[1])
    return np.stack(paid, axis=1)


@pytest.mark.parametrize(("width", "height", "horizon", "origin", "pairs", "episodes"), KEY_ROOMS, ids=["10x10", "20x20"])
def test_keydoor_same_as_minihack(width, height, horizon, origin, pairs, episodes):
    tapes = key_tapes(np.random.default_rng(width), episodes, horizon, pairs)
    paid = same_as_minihack(width, height, horizon, origin, pairs, tapes.reshape(-1, len(pairs)))
    by_episode = paid.reshape(episodes, horizon, len(pairs)).sum(axis=1)
    assert (by_episode[1:3] >= horizon // 4).all()  # the door paid, in the third episode without looking for the key


def test_key_found_in_the_last_step_as_in_minihack():
    """It pays nothing and the next episode needs the key, in both; the second episode finds it."""
    stay = [4] * 97
    tape = [4] + stay + [4, 1] + [2, 0, 1] + stay + [2] + [4] * 99
    paid = same_as_minihack(10, 10, 100, (8, 34), [((1, 0), (0, 1))], np.array(tape)[:, None])
    assert np.flatnonzero(paid).tolist() == [102, *range(200, 299)]
