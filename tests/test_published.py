"""Published files of Key-Door and MazeRunner: made from the worlds step by step, with the published engine's oddities."""

import json

import numpy as np
import pytest

from histories import save_published, trajectories_stage
from radt.data import trajectories
from radt.data.trajectories import join
from radt.errors import RadtError
from radt.suites import suite_of
from radt.suites.grid import published
from radt.suites.grid.darkroom import DarkRoomVectorEnv
from radt.suites.grid.keydoor import KeyDoorVectorEnv
from radt.suites.grid.mazerunner import MazeRunnerVectorEnv
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals, keys, maze_seeds, permuted_cells

KEYDOOR = GridExperiment(world="keydoor", width=4, height=3, horizon=20, num_tasks=8, num_held_out=2, num_validation=1)
MAZE = GridExperiment(world="mazerunner", width=15, height=15, horizon=400, num_tasks=5, num_held_out=2, num_validation=0)
EPISODES = 12


def play(env, seed, episodes=EPISODES, step_bonus=0.0):
    """Random episodes of the one task of `env`: observations, actions, rewards and dones, as the environment gives them."""
    random, rows = np.random.default_rng(seed), []
    observation, _ = env.reset()
    while sum(row[3] for row in rows) < episodes:
        action = random.integers(0, 5)
        after, reward, terminated, truncated, _ = env.step(np.array([action]))
        rows.append((observation[0], action, reward[0] + step_bonus * truncated[0], float(terminated[0] | truncated[0])))
        observation = after
    return [np.array(column) for column in zip(*rows, strict=True)]


def keydoor_env(task, key_stays=False, swapped=False):
    cells = [keys(KEYDOOR)[[task]], goals(KEYDOOR)[[task]]]
    return KeyDoorVectorEnv(4, 3, 20, *(cells[::-1] if swapped else cells), key_stays)


def keydoor_name(task, door_first=False):
    pair = [keys(KEYDOOR)[task].tolist(), goals(KEYDOOR)[task].tolist()]
    first, second = pair[::-1] if door_first else pair
    return f"[0,0]_[{first[0]},{first[1]}]_[{second[0]},{second[1]}].npz"


@pytest.fixture
def keydoor(tmp_path):
    """A file of every training task, named key first or door first in turn, with the published defect in tasks 3 and 4."""
    for task in range(5):
        save_published(tmp_path / keydoor_name(task, task % 2 == 1), *play(keydoor_env(task, task >= 3), task))
    return tmp_path


@pytest.fixture
def mazes(tmp_path):
    """A file of every training maze, in which a time limit adds 0.3 to the reward."""
    for task, seed in enumerate(maze_seeds(MAZE)[:3].tolist()):
        save_published(tmp_path / f"{seed}.npz", *play(MazeRunnerVectorEnv([seed]), task, step_bonus=0.3))
    return tmp_path


def change(path, name, **arrays):
    """Replace columns of a file and put it at another name."""
    with np.load(path) as file:
        np.savez_compressed(path.parent / name, **(dict(file) | arrays))


def test_no_two_published_tasks_share_a_name():
    for width, height, tasks in ((10, 10, 100), (20, 20, 100), (40, 20, 100)):
        experiment = GridExperiment(
            world="keydoor", width=width, height=height, horizon=9, num_tasks=tasks, num_held_out=20, num_validation=0
        )
        names = [name for options in published.file_names(experiment).values() for name in options]
        assert len(set(names)) == len(names)


def test_keydoor_in_both_orders_of_names_and_with_the_defect(keydoor):
    shards = list(published.convert(keydoor, KEYDOOR))
    for task, shard in enumerate(shards):
        observations, actions, rewards, _ = play(keydoor_env(task, task >= 3), task)
        np.testing.assert_array_equal(shard.observations, observations)
        np.testing.assert_array_equal(shard.actions[:, 0], actions)
        np.testing.assert_array_equal(shard.rewards, rewards)
        assert shard.episode_task.tolist() == [task] * EPISODES
        assert np.diff(shard.episode_start).tolist() == [20] * EPISODES
    assert published.key_stays([join(shards[:2]), join(shards[2:])], KEYDOOR) == [3, 4]
    assert sorted(published.checksums(keydoor, KEYDOOR)) == sorted(path.name for path in keydoor.iterdir())


@pytest.mark.parametrize("key_stays", [False, True])
def test_file_whose_key_and_door_are_exchanged_is_refused(keydoor, key_stays):
    save_published(keydoor / keydoor_name(2), *play(keydoor_env(2, key_stays, swapped=True), 2))
    with pytest.raises(RadtError, match=r"pays \d at step \d+ of episode \d+, where {'key': .* does not: it belongs to another"):
        list(published.convert(keydoor, KEYDOOR))


def test_of_two_files_the_one_that_fits_is_taken(keydoor):
    expected = list(published.convert(keydoor, KEYDOOR))
    for door_first in (False, True):  # whichever name is free
        path = keydoor / keydoor_name(1, door_first)
        if not path.exists():
            save_published(path, *play(keydoor_env(1, swapped=True), 1))
    np.testing.assert_array_equal(join(list(published.convert(keydoor, KEYDOOR))).rewards, join(expected).rewards)


def test_reward_that_no_key_explains_is_refused(keydoor):
    path = keydoor / keydoor_name(4)
    with np.load(path) as file:
        rewards = file["rewards"].copy()
    rewards[np.flatnonzero(rewards[:, 0])[-1]] = 0
    change(path, path.name, rewards=rewards)
    with pytest.raises(RadtError, match="pays"):
        list(published.convert(keydoor, KEYDOOR))


def test_missing_pair_names_both(keydoor):
    (keydoor / keydoor_name(0)).unlink()
    with pytest.raises(RadtError, match=r"lacks 1 of 5 files, first '.*' or '.*'"):
        published.checksums(keydoor, KEYDOOR)


def test_goal_on_the_start_cell_begins_anywhere(tmp_path):
    """There NetHack starts the agent at a random cell; nowhere else may an episode begin elsewhere."""
    cells = permuted_cells(4, 3).tolist()
    task = cells.index([0, 0])
    room = GridExperiment(world="darkroom", width=4, height=3, horizon=6, num_tasks=12, num_held_out=11 - task, num_validation=0)
    names = [name for (name,) in published.file_names(room).values()]
    for number, name in enumerate(names):
        save_published(tmp_path / name, *play(DarkRoomVectorEnv(4, 3, 6, [cells[number]]), number))
    seen = np.array([[2, 3], [2, 3], [1, 3], [0, 3], [0, 2], [0, 1]])
    elsewhere = seen, np.array([4, 0, 0, 3, 3, 3]), np.zeros(6), np.eye(6)[5]
    save_published(tmp_path / names[task], *elsewhere)
    assert list(published.convert(tmp_path, room))[task].observations.tolist() == seen.tolist()
    save_published(tmp_path / names[task - 1], *elsewhere)
    with pytest.raises(RadtError, match="does not begin at the start"):
        list(published.convert(tmp_path, room))


def test_maze_rewards_are_restored_at_a_time_limit(mazes):
    lengths = []
    for task, (seed, shard) in enumerate(zip(maze_seeds(MAZE).tolist(), published.convert(mazes, MAZE), strict=False)):
        observations, actions, rewards, dones = play(MazeRunnerVectorEnv([seed]), task)
        np.testing.assert_array_equal(shard.observations, (observations * 15).round())
        np.testing.assert_array_equal(shard.actions[:, 0], actions)
        np.testing.assert_array_equal(shard.rewards, rewards)
        np.testing.assert_array_equal(shard.episode_start[1:], np.flatnonzero(dones) + 1)
        lengths += np.diff(shard.episode_start).tolist()
    assert max(lengths) == 400 and min(lengths) < 400


def test_maze_file_of_another_seed_is_refused(mazes):
    seeds = maze_seeds(MAZE).tolist()
    (mazes / f"{seeds[0]}.npz").write_bytes((mazes / f"{seeds[1]}.npz").read_bytes())
    with pytest.raises(RadtError, match=r"does not begin at the start|is not where its actions lead"):
        list(published.convert(mazes, MAZE))


@pytest.mark.parametrize("last", [False, True])
def test_maze_reward_elsewhere_than_at_a_time_limit_is_refused(mazes, last):
    path = mazes / f"{maze_seeds(MAZE)[0]}.npz"
    with np.load(path) as file:
        rewards, ends = file["rewards"].copy(), np.flatnonzero(file["dones"])
    lengths = np.diff(np.concatenate([[-1], ends]))
    rewards[ends[lengths < 400][0] if last else ends[lengths == 400][0] - 1] += 0.3
    change(path, path.name, rewards=rewards)
    with pytest.raises(RadtError, match=r"pays [01].3 at step"):
        list(published.convert(mazes, MAZE))


def test_maze_episode_that_ends_without_its_last_goal_is_refused(mazes):
    path = mazes / f"{maze_seeds(MAZE)[0]}.npz"
    columns = play(MazeRunnerVectorEnv([int(maze_seeds(MAZE)[0])]), 0, 2)
    columns = [column[:30] for column in columns]
    columns[3][-1] = 1.0
    save_published(path, *columns)
    with pytest.raises(
        RadtError, match="an episode of 30 steps, but the horizon is 400 and only the last goal of a maze ends one"
    ):
        list(published.convert(mazes, MAZE))


def test_observations_of_a_maze_are_fifteenths(mazes):
    path = mazes / f"{maze_seeds(MAZE)[0]}.npz"
    with np.load(path) as file:
        observations = file["observations"] + np.float32(0.02)
    change(path, path.name, observations=observations)
    with pytest.raises(RadtError, match="observations that are not whole numbers below"):
        list(published.convert(mazes, MAZE))


def test_stage_imports_and_tells_of_keys_that_stay(tmp_path, keydoor, generate):
    done = trajectories_stage(tmp_path / "out", KEYDOOR, generate, "import", import_folder=str(keydoor))
    assert done.returncode == 0, done.stderr
    assert "the key stays taken in 2 of the histories" in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["steps"] == 5 * EPISODES * 20
    assert len(trajectories.read(tmp_path / "out", suite_of(KEYDOOR)).shards) == 1
