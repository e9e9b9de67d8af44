"""A tiny room for the tests of data, its learning histories in the published form, and a pipeline on one."""

import json
import os
import shutil
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # tests run beside each other

import numpy as np
import pytest
from filelock import FileLock

import project
from radt.settings.experiment import Experiment
from radt.settings.sources import Generate
from radt.suites.grid.settings import GridExperiment

FIRST = ("test_slurm", "test_ranks", "test_interruption", "test_dvc", "test_cluster_generic", "test_guarantees", "test_stages")
"""Files that take long; what is begun last must be short. While the first makes `made`, the next two need nothing of it."""
SPREAD = ("test_guarantees", "test_staleness", "test_workflow", "test_interruption", "test_stages", "test_plan", "test_minihack")
"""Files whose tests have no expensive set-up of their own, so that they need not run in one worker."""


def pytest_configure(config):
    """Workers share the process in which commands start."""
    if getattr(config.option, "numprocesses", None):
        project.programs()


def pytest_collection_modifyitems(items):
    """Long files first."""
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Several workers (`pytest -n 3`): most files are run by one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if Path(file).stem in SPREAD else file

    return ByFile(config, log)


@pytest.fixture
def room() -> Experiment:
    return GridExperiment(world="darkroom", width=4, height=3, horizon=8, num_tasks=12, num_held_out=3, num_validation=1)


@pytest.fixture
def generate() -> Generate:
    from helpers import GENERATE

    return GENERATE


@pytest.fixture
def published_folder(tmp_path: Path, room: Experiment, generate: Generate) -> Path:
    """Files of all training tasks as a replay buffer writes them, each with three steps of an unfinished episode at its end."""
    from radt.suites.grid.published import file_names
    from radt.suites.grid.qlearning import learn

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
            actions=np.concatenate([histories.actions[steps, 0], np.zeros(3, np.uint8)]).astype(np.int64)[:, None, None],
            rewards=rewards[:, None],
            dones=dones[:, None],
        )
    return folder


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    from stages import Chain

    made = Chain(tmp_path_factory.mktemp("chain"))
    for stage in (made.trajectories, made.pretrain, made.embed, made.index, made.radt, made.ad):
        assert stage() == 0
    return made


@pytest.fixture
def copied(chain, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(chain.root, tmp_path / "copy")
    return type(chain)(tmp_path / "copy")


@pytest.fixture(scope="session")
def common(tmp_path_factory):
    """A folder of all test workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def made(common):
    """A project with all results of its tiny Dark-Room, made by Snakemake on two cores, without a network where that is allowed.

    All test workers share it. Tests must leave it as it is, and change a `copy` instead.
    """
    folder = common / "made/a project"
    with FileLock(common / "made.lock"):
        if not (folder / project.FIGURE).exists():
            project.make(folder)
    return folder


@pytest.fixture(scope="session")
def everything(common):
    """What Snakemake prints of every job of all experiments and ablations of the configuration."""
    path = common / "everything.txt"
    with FileLock(common / "everything.lock"):
        if not path.exists():
            told = ("--printshellcmds", "--logger", "radt", "--logger-radt-file", str(path.with_suffix(".jsonl")))
            status, text = project.snakemake("--dry-run", "--forceall", *told, "--", "all", "ablations")
            assert status == 0, text
            path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def planned_jobs(everything, common):
    """The same jobs, as `snakemake_logger_plugin_radt` writes them."""
    return [json.loads(line) for line in (common / "everything.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def jobs(made):
    """By record: stage and arguments of every job of `made`."""
    return project.commands(made)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of `made` that a test may change; its path and its times are new."""
    return Path(shutil.copytree(made, tmp_path / "copy"))
