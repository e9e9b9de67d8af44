"""A tiny room for the tests of data, its learning histories in the published form, and a pipeline on one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import project
from helpers import GENERATE
from radt.settings import Experiment, Generate
from stages import Chain


@pytest.fixture
def room() -> Experiment:
    return Experiment(world="darkroom", width=4, height=3, horizon=8, tasks=12, held_out=3, validation=1)


@pytest.fixture
def generate() -> Generate:
    return GENERATE


@pytest.fixture
def published_folder(tmp_path: Path, room: Experiment, generate: Generate) -> Path:
    """Files of all training tasks as a replay buffer writes them, each with three steps of an unfinished episode at its end."""
    from radt.data.published import file_names
    from radt.data.qlearning import learn

    folder, histories = tmp_path / "published", learn(room, generate)
    folder.mkdir()
    length = generate.episodes * room.horizon
    for row, (name,) in enumerate(file_names(room).values()):
        steps = slice(row * length, (row + 1) * length)
        observations = np.concatenate([histories.observations[steps], histories.observations[:3]])
        rewards = np.concatenate([histories.rewards[steps], np.zeros(3, np.float32)])
        following = np.roll(observations, -1, axis=0)
        dones = np.zeros(length + 3, np.float32)
        dones[room.horizon - 1 : length : room.horizon] = 1
        np.savez_compressed(
            folder / name,
            observations=observations[:, None],
            next_observations=following[:, None],
            actions=np.concatenate([histories.actions[steps], np.zeros(3, np.uint8)]).astype(np.int64)[:, None, None],
            rewards=rewards[:, None],
            dones=dones[:, None],
        )
    return folder


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    made = Chain(tmp_path_factory.mktemp("chain"))
    for stage in (made.trajectories, made.pretrain, made.embed, made.index, made.radt, made.ad):
        assert stage() == 0
    return made


@pytest.fixture
def copied(chain, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(chain.root, tmp_path / "copy")
    return Chain(tmp_path / "copy")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A project with all results of its tiny Dark-Room, made by Snakemake on two cores, without a network where that is allowed.

    Tests must leave it as it is, and change a `copy` instead.
    """
    folder = project.copy_of_the_project(tmp_path_factory.mktemp("made") / "a project")
    status, text = project.run([*project.OFFLINE, "snakemake", "--cores", "2", "--", project.FIGURE], folder)
    assert status == 0, text
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """A copy of `made` that a test may change; its path and its times are new."""
    return Path(shutil.copytree(made, tmp_path / "copy"))
