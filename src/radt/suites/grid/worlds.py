"""The tasks of an experiment in any world: environments, optimum, optimal actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radt.suites.grid.darkroom import DarkRoomVectorEnv
from radt.suites.grid.engine import GridVectorEnv, best_actions
from radt.suites.grid.keydoor import KeyDoorVectorEnv
from radt.suites.grid.mazerunner import MazeRunnerVectorEnv
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals, keys, maze_seeds


def make(experiment: GridExperiment, tasks: NDArray[np.int64]) -> GridVectorEnv:
    """The environments of `tasks` [n] (distinct ids)."""
    if experiment.world == "mazerunner":
        return MazeRunnerVectorEnv(maze_seeds(experiment)[tasks], experiment.horizon)
    doors = goals(experiment)[tasks]
    if experiment.world == "darkroom":
        return DarkRoomVectorEnv(experiment.width, experiment.height, experiment.horizon, doors)
    return KeyDoorVectorEnv(experiment.width, experiment.height, experiment.horizon, keys(experiment)[tasks], doors)


def descriptions(experiment: GridExperiment) -> list[dict[str, object]]:
    """The parameters of each task: goal (x, y); key and door (x, y); or the seed of the maze."""
    if experiment.world == "mazerunner":
        return [{"seed": seed} for seed in maze_seeds(experiment).tolist()]
    if experiment.world == "darkroom":
        return [{"goal": goal} for goal in goals(experiment).tolist()]
    return [{"key": key, "door": door} for key, door in zip(keys(experiment).tolist(), goals(experiment).tolist(), strict=True)]


def optimum(experiment: GridExperiment) -> NDArray[np.int64]:
    """Best possible return [tasks] of an episode of every task.

    In a room, a goal `d` steps away (at least one) pays at steps d to horizon - 1, because the last step never pays; a key pays
    once on the way to its door. In a maze it is the number of goals that the shortest way reaches in time.
    """
    if experiment.world == "mazerunner":
        return _played(make(experiment, np.arange(experiment.num_tasks)))
    doors = goals(experiment)
    if experiment.world == "darkroom":
        return _paid(experiment, doors.sum(axis=1))
    to_key = keys(experiment).sum(axis=1)
    to_door = to_key + np.abs(doors - keys(experiment)).sum(axis=1)
    best: NDArray[np.int64] = _paid(experiment, to_door) + (np.maximum(to_key, 1) < experiment.horizon)
    return best


def _paid(experiment: GridExperiment, distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of paid steps [tasks] on a cell that is `distance` [tasks] steps away."""
    paid: NDArray[np.int64] = np.maximum(experiment.horizon - np.maximum(distance, 1), 0)
    return paid


def _played(env: GridVectorEnv) -> NDArray[np.int64]:
    """Return [n] of one episode of optimal actions."""
    actions, rows = optimal_actions(env), np.arange(env.num_envs)
    total, running = np.zeros(env.num_envs), np.ones(env.num_envs, np.bool_)
    env.reset()
    for _ in range(env.horizon):
        _, reward, terminated, _, _ = env.step(actions[rows, env.state])
        total += reward * running
        running &= ~terminated
    return total.round().astype(np.int64)


def optimal_actions(env: GridVectorEnv) -> NDArray[np.uint8]:
    """An optimal action [n, S] in every true state of every environment."""
    chosen: NDArray[np.uint8] = best_actions(env.tables)[env.rows]
    return chosen
