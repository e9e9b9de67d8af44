"""Levels of the game maze as finite tables, and the learning histories of Q-learners on them.

A maze has a few hundred states, each with its own frame. A breadth-first search finds them all: it restores states of the engine
and tells them apart by their frames. The grid worlds' engine and learner then play the table, which is much faster than the game.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from radt.data.trajectories import Shard
from radt.seeding import generator
from radt.settings.sources import Generate
from radt.suites.grid.engine import GridVectorEnv, Tables, best_actions
from radt.suites.grid.qlearning import QLearner, epsilon, play
from radt.suites.procgen.engine import Level
from radt.suites.procgen.settings import ProcgenExperiment

MOVES = np.array([1, 7, 3, 5, 4], np.uint8)
"""The engine's codes of left, right, down, up and waiting."""
BYTE = 256


@dataclass(frozen=True)
class Maze:
    """A level of S states, one for each frame, and a last state for the reached goal."""

    frames: NDArray[np.uint8]
    """[S, 64, 64, 3]; an episode begins with the first."""
    following: NDArray[np.int32]
    """[S + 1, 5] the state after each of `MOVES`."""
    reward: NDArray[np.float32]
    """[S + 1, 5] the reward of each of `MOVES`."""


def explore(level: Level) -> Maze:
    """All states that can be reached in a level, by breadth-first search."""
    level.reset()
    number, states, frames = {level.frame.tobytes(): 0}, [level.state()], [level.frame.copy()]
    leads: list[list[int]] = []
    rewards: list[list[float]] = []
    ahead = deque([0])
    while ahead:
        here = ahead.popleft()
        leads.append([])
        rewards.append([])
        for move in MOVES.tolist():
            level.restore(states[here])
            reward, ended, _ = level.step(move)
            key = level.frame.tobytes()
            if not ended and key not in number:
                number[key] = len(states)
                ahead.append(number[key])
                states.append(level.state())
                frames.append(level.frame.copy())
            leads[-1].append(-1 if ended else number[key])
            rewards[-1].append(reward)
    last = len(states)
    following = np.array([*leads, [last] * len(MOVES)], np.int32)
    return Maze(np.stack(frames), np.where(following < 0, last, following), np.array([*rewards, [0.0] * len(MOVES)], np.float32))


def tables_of(maze: Maze) -> Tables:
    """The level as a task of the grid worlds' engine. An observation is the number of the state, in two bytes."""
    states = len(maze.following)
    codes = np.stack(np.divmod(np.arange(states), BYTE), 1).astype(np.uint8)
    ends = np.zeros(maze.following.shape, np.bool_)
    ends[:-1] = maze.following[:-1] == states - 1
    return Tables(maze.following[None], maze.reward[None], ends[None], codes[None], np.zeros(1, np.int32))


def ways(level: Level) -> dict[bytes, int]:
    """The first move of a shortest path to the goal, by the bytes of each frame. The state of the level is restored."""
    kept = level.state()
    maze = explore(level)
    level.restore(kept)
    moves = MOVES[best_actions(tables_of(maze))[0]].tolist()
    return {frame.tobytes(): move for frame, move in zip(maze.frames, moves, strict=False)}


def histories(experiment: ProcgenExperiment, settings: Generate) -> Iterator[Shard]:
    """Learning histories in all training levels, one level after the other."""
    for task, split in enumerate(experiment.splits):
        if split == "train":
            level = Level(*experiment.level_of(task), experiment.mode)
            yield learned(explore(level), task, settings, experiment.horizon)


def learned(maze: Maze, task: int, settings: Generate, horizon: int) -> Shard:
    """The learning histories of one level, each by a new learner; all play at once. Labels follow the shortest path."""
    count, one = settings.histories, tables_of(maze)
    env = GridVectorEnv(one, np.zeros(count, np.int64), horizon, spaces.Box(0, 255, (2,), np.uint8))
    leads = np.broadcast_to(maze.following.astype(np.int64), (count, *maze.following.shape))
    learner = QLearner(leads, settings, generator(settings.seed, "preferences", task))
    played = []
    for episode in range(settings.episodes):
        random = generator(settings.seed, "q-learning", task * settings.episodes + episode)
        played.append(play(env, learner, epsilon(episode, settings), random))
        learner.replay(settings.sweeps)
    seen, actions, rewards, lengths = (np.stack(column, 1) for column in zip(*played, strict=True))  # [histories, episodes, ...]
    lived = np.arange(horizon) < lengths[..., None]
    state = seen[lived].astype(np.int64) @ np.array([BYTE, 1])
    return Shard(
        maze.frames[state],
        MOVES[actions[lived]][:, None],
        rewards[lived],
        np.concatenate([[0], lengths.reshape(-1).cumsum()]),
        np.full(lengths.size, task, np.int32),
        np.repeat(np.arange(count), settings.episodes).astype(np.int32),
        (np.where(lived, rewards, 0.0).sum(2) > 0).reshape(-1).astype(np.uint8),
        MOVES[best_actions(one)[0][state]][:, None],
    )
