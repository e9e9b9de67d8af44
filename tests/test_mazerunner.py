"""MazeRunner against the published vectors, a breadth-first search and a scalar rewrite of its rules."""

import subprocess
import sys
from collections import Counter, deque

import numpy as np
import pytest

from radt.suites.grid.engine import measure
from radt.suites.grid.mazerunner import MazeRunnerEnv, MazeRunnerVectorEnv, maze, vector_env
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import maze_seeds
from radt.suites.grid.worlds import optimum

EXPERIMENT = GridExperiment(
    world="mazerunner", width=15, height=15, horizon=400, num_tasks=119, num_held_out=20, num_validation=0
)
TRAINING, HELD_OUT = maze_seeds(EXPERIMENT)[:99].tolist(), list(range(300, 320))
SHORTEST = [33, 29, 23, 14, 41, 32, 12, 19, 51, 14, 21, 15, 9, 17, 24, 26, 24, 29, 26, 15]  # of the held-out mazes
STEPS = {0: (0, -1), 1: (-1, 0), 2: (0, 1), 3: (1, 0), 4: (0, 0)}
NONE = 4


def way(seed):
    """Actions of a shortest way from the start over all goals of a maze, by breadth-first search from one to the next."""
    walls, goals = maze(seed)
    actions, start = [], (13, 7)
    for goal in goals:
        before, queue = {start: None}, deque([start])
        while queue:
            cell = queue.popleft()
            for action in range(4):
                following = cell[0] + STEPS[action][0], cell[1] + STEPS[action][1]
                if not walls[following] and following not in before:
                    before[following] = cell, action
                    queue.append(following)
        leg, cell = [], goal
        while before[cell] is not None:
            cell, action = before[cell]
            leg.append(action)
        actions, start = actions + leg[::-1], goal
    return actions


def walk(actions):
    """Cells that actions lead to which no wall stops."""
    row, column, cells = 13, 7, []
    for action in actions:
        row, column = row + STEPS[action][0], column + STEPS[action][1]
        cells.append((row, column))
    return cells


def observation(walls, cell):
    """What is seen on a cell: position and free cells west, north, east and south, counted one by one."""
    free = []
    for action in range(4):
        row, column = cell
        row, column = row + STEPS[action][0], column + STEPS[action][1]
        count = 0
        while not walls[row, column]:
            count += 1
            row, column = row + STEPS[action][0], column + STEPS[action][1]
        free.append(count)
    return (np.array([*cell, *free]) / 15).astype(np.float32).tolist()


def test_published_vector():
    assert maze(300)[1] == ((7, 3), (1, 8))
    first, _ = MazeRunnerEnv(300).reset()
    assert first.dtype == np.float32 and first.tolist() == pytest.approx([0.8667, 0.4667, 0, 0.6667, 0, 0], abs=5e-5)


def test_shape_of_every_maze():
    for seed in TRAINING + HELD_OUT:
        walls, goals = maze(seed)
        assert walls[[0, -1]].all() and walls[:, [0, -1]].all()
        assert not walls[10, 1:14].any() and walls[11:14, [6, 8]].all() and not walls[11:14, 7].any()
        assert len(set(goals)) == len(goals) and (13, 7) not in goals and not any(walls[goal] for goal in goals)


def test_shortest_ways():
    lengths = [len(way(seed)) for seed in TRAINING + HELD_OUT]
    assert lengths[99:] == SHORTEST
    assert np.mean(lengths[:99]) == pytest.approx(25.1, abs=0.05) and np.mean(lengths[99:]) == pytest.approx(23.7, abs=0.05)
    assert max(lengths[:99]) == 60


def test_numbers_of_goals():
    assert Counter(len(maze(seed)[1]) for seed in TRAINING) == {1: 29, 2: 32, 3: 38}
    assert Counter(len(maze(seed)[1]) for seed in HELD_OUT) == {1: 6, 2: 8, 3: 6}
    assert optimum(EXPERIMENT).tolist() == [len(maze(seed)[1]) for seed in TRAINING + HELD_OUT]


def test_same_as_scalar_rules():
    """Random actions in all mazes, in every third after the way to all goals; several episodes, each task its own."""
    seeds, horizon, steps = TRAINING + HELD_OUT, 70, 200
    tape = np.random.default_rng(0).integers(0, 5, (steps, len(seeds)))
    for task in range(0, len(seeds), 3):
        actions = way(seeds[task])
        tape[: len(actions), task] = actions
    env = MazeRunnerVectorEnv(seeds, horizon)
    seen, _ = env.reset()
    results = [env.step(actions) for actions in tape]
    finished = 0
    for task, seed in enumerate(seeds):
        walls, goals = maze(seed)
        cell, reached, step = (13, 7), 0, 0
        assert seen[task].tolist() == observation(walls, cell)
        for action, (after, reward, terminated, truncated, infos) in zip(tape[:, task], results, strict=True):
            to = cell[0] + STEPS[action][0], cell[1] + STEPS[action][1]
            cell, step = cell if walls[to] else to, step + 1
            pays = cell == goals[reached]
            reached += pays
            ends = reached == len(goals)
            assert (reward[task], terminated[task], truncated[task]) == (pays, ends, not ends and step == horizon)
            if ends or step == horizon:
                finished += ends
                assert infos["_final_obs"][task] and infos["final_obs"][task].tolist() == observation(walls, cell)
                cell, reached, step = (13, 7), 0, 0
            else:
                assert "_final_obs" not in infos or not infos["_final_obs"][task]
            assert after[task].tolist() == observation(walls, cell)
    assert finished >= 40


def test_last_goal_ends_and_the_limit_cuts_off():
    actions = way(300)
    env = MazeRunnerEnv(300)
    env.reset()
    results = [env.step(action) for action in actions]
    assert [reward for _, reward, *_ in results if reward] == [1.0, 1.0] and results[-1][1] == 1.0
    assert [terminated for _, _, terminated, *_ in results] == [False] * 32 + [True]
    assert not any(truncated for *_, truncated, _ in results)
    env.reset()
    ends = [env.step(NONE)[2:4] for _ in range(400)]
    assert ends == [(False, False)] * 399 + [(False, True)]


def test_goals_count_in_order_only():
    """The first goal pays once; the second is a cell like any other before."""
    first, second = maze(300)[1]
    there = way(300)
    leg = next(n for n in range(len(there)) if walk(there[: n + 1])[-1] == first) + 1
    opposite = {0: 2, 1: 3, 2: 0, 3: 1}
    aside = opposite[there[leg - 1]]
    env = MazeRunnerEnv(300)
    env.reset()
    results = [env.step(action) for action in [*there[:leg], NONE, aside, opposite[aside]]]
    assert [reward for _, reward, *_ in results] == [0.0] * (leg - 1) + [1.0, 0.0, 0.0, 0.0]
    other = MazeRunnerVectorEnv([300])
    table, cells = other.tables, 225
    target = second[0] * 15 + second[1]
    arriving = np.argwhere(table.following[0, :cells] == target)  # the second goal, none reached: a cell like any other
    assert len(arriving) and not table.reward[0, arriving[:, 0], arriving[:, 1]].any()


def test_goal_in_the_very_last_step_pays_and_terminates():
    actions = way(312)
    env = MazeRunnerEnv(312, horizon=len(actions))
    env.reset()
    assert [env.step(action)[1:4] for action in actions][-1] == (1.0, True, False)
    short = MazeRunnerVectorEnv([312], horizon=len(actions) - 1)
    short.reset()
    assert [short.step([action])[3].item() for action in actions[:-1]] == [False] * (len(actions) - 2) + [True]


def test_every_task_starts_over_by_itself():
    """One maze is solved and begun again while the other goes on."""
    env = MazeRunnerVectorEnv([312, 300])
    env.reset()
    for action in way(312):
        _, _, terminated, truncated, infos = env.step([action, NONE])
    assert terminated.tolist() == [True, False] and not truncated.any() and infos["_final_obs"].tolist() == [True, False]
    assert env.state.tolist() == [13 * 15 + 7] * 2
    ends = [env.step([NONE, NONE])[3].tolist() for _ in range(400)]
    assert [step for step, end in enumerate(ends, 1) if end[1]] == [400 - 9] and [
        s for s, end in enumerate(ends, 1) if end[0]
    ] == [400]


def test_same_bytes_batched_alone_and_in_a_fresh_process():
    code = """if True:
        import hashlib, numpy as np
        from radt.suites.grid.mazerunner import MazeRunnerVectorEnv
        seeds = np.array([300, 7, 312, 300, 0, 121, 301, 1, 3, 306, 309, 319])
        tape = np.random.default_rng(1).integers(0, 5, (450, 12))
        def play(columns):
            env = MazeRunnerVectorEnv(seeds[columns], 120)
            steps = [env.reset(seed=3)[0]]
            for row in tape:
                steps += env.step(row[columns])[:4]
            return [b"".join(np.ascontiguousarray(step[k]).tobytes() for step in steps) for k in range(len(columns))]
        together = play(np.arange(12))
        assert together == [play(np.array([k]))[0] for k in range(12)]
        print(hashlib.sha256(b"".join(together)).hexdigest())
    """
    digests = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout for _ in range(2)
    }
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_walls_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        maze(300)[0][1, 1] = 0


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([-1], r"^seeds are \[-1\], allowed are integers \[n\] from 0 to 2\*\*32 - 1, n >= 1$"),
        ([2**32], "allowed are integers"),
        ([0.5], "allowed are integers"),
        ([[1]], "allowed are integers"),
        ([], "allowed are integers"),
    ],
)
def test_bad_seeds(seeds, message):
    with pytest.raises(ValueError, match=message):
        MazeRunnerVectorEnv(seeds)


def test_bad_input_otherwise():
    with pytest.raises(ValueError, match="one for each of the 2 environments"):
        vector_env(num_envs=2, seeds=[1])
    with pytest.raises(ValueError, match="horizon is 0, allowed is 1 or more"):
        MazeRunnerVectorEnv([1], horizon=0)
    env = MazeRunnerVectorEnv([1, 2])
    with pytest.raises(ValueError, match="call reset"):
        env.step([0, 0])
    env.reset()
    with pytest.raises(ValueError, match="range from 0 to 5"):
        env.step([0, 5])


def test_fast():
    assert measure(vector_env(num_envs=4096, seeds=np.arange(4096) % 119), steps=50) > 1e6
