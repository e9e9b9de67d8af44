"""Several processes train what one trains: the same data exactly, the same gradients but for rounding, one set of files."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import training_in_ranks
from project import ROOT, environment, programs
from radt import artifacts, seeding
from radt.data.steps import Steps
from radt.data.transitions import Transitions
from radt.errors import RadtError
from radt.interruption import STATUS
from radt.training import loop, ranks, torchrun
from stages import Chain, configuration


@pytest.mark.parametrize("batch", [4, 7, 64])
def test_shares_are_the_batch_and_as_equal_as_can_be(batch):
    for count in (1, 2, 3, 4):
        shares = [ranks.Share(batch, number, count) for number in range(count)]
        assert [row for share in shares for row in range(batch)[share.rows]] == list(range(batch))
        sizes = {len(share) for share in shares}
        assert max(sizes) - min(sizes) <= 1


def test_a_share_draws_its_rows_of_what_one_process_draws():
    whole = seeding.generator(1, "windows", 5)
    drawn = [whole.integers(3, 1000, 7), whole.random((7, 3)), whole.random(7, np.float32), whole.random((7, 2, 2))]
    for number in range(3):
        share = ranks.Share(7, number, 3)
        rows, random = len(share), share.generator(1, "windows", 5)
        own = [random.integers(3, 1000, rows), random.random((rows, 3)), random.random(rows, np.float32)]
        for part, expected in zip([*own, random.random((rows, 2, 2))], drawn, strict=True):
            np.testing.assert_array_equal(part, expected[share.rows])
            assert part.dtype == expected.dtype


VARIANTS = {
    "pretrain": {"model": {"tokens": "interleaved", "window": 5}},
    "ad": {},
    "dpt": {},
    "radt": {"context_dropout": 0.5},
    "radt published": {"retrieval": {"scope": "window", "query_dropout": 0.5, "random_before": 6, "pool": "all"}},
    "radt random": {"retrieval": {"pool": "uniform"}},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranks_see_the_data_of_one_process(chain, monkeypatch, variant):
    """All tensors that three updates of a stage put on the device, of all ranks one after the other."""
    stage, config = variant.split()[0], configuration()
    section = config[{"pretrain": "pretrain", "radt": "train_retrieval"}.get(stage, f"train_{stage}")]
    for key, values in VARIANTS[variant].items():
        section[key] = {**section[key], **values} if isinstance(values, dict) else values
    section["optimization"]["batch_size"] = 7

    def seen(number, count):
        found = []
        for kind in (Steps, Transitions):
            monkeypatch.setattr(kind, "to", lambda batch, device: found.append(vars(batch)) or batch)
        monkeypatch.setattr(ranks, "share", lambda batch: ranks.Share(batch, number, count))
        monkeypatch.setattr(loop, "train", lambda *given: [given[3](update) for update in range(3)] and "")
        getattr(Chain(chain.root, config), stage)(output=f"seen_{stage}")
        return found

    whole, shares = seen(0, 1), [seen(number, 3) for number in range(3)]
    assert len(whole) >= 3
    for batch, *parts in zip(whole, *shares, strict=True):
        for name, tensor in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), tensor, err_msg=name)


@pytest.fixture(scope="module")
def alone(chain):
    """The trainings of `training_in_ranks` in one process."""
    trained = training_in_ranks.chain(chain.root, 1)
    for stage in training_in_ranks.STAGES:
        getattr(trained, stage)(output=f"{stage}_1")
    return chain.root


@pytest.mark.parametrize("count", [2, 3, 4])
def test_ranks_train_what_one_process_trains(alone, count):
    """Weights after 12 updates in float32 within 1e-5 of those of one process, metrics to their last digit; a training that one
    rank was asked to end goes on to the same bytes."""
    python = [f"{programs()}/python", "-m"]
    command = [*python, "radt.training.torchrun", str(count), *python, "training_in_ranks", str(alone)]
    variables = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environment(ROOT, **variables), capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    ends = {f"rank {number}: {STATUS}" for number in range(1, count)}
    assert {*done.stderr.splitlines()} == {*ends, "rank 0: interrupted at update 5 of 12; run again: goes on from update 5"}
    for stage in training_in_ranks.STAGES:
        folders = [alone / f"{stage}_{number}" for number in (count, 1)]
        tensors, expected = (artifacts.read_tensors(folder / "model.safetensors") for folder in folders)
        for name, array in expected.items():
            np.testing.assert_allclose(tensors[name], array, atol=1e-5, err_msg=f"{stage} {name}")
        metrics, known = (pd.read_csv(folder / "metrics.csv").drop(columns="cpu_seconds") for folder in folders)
        pd.testing.assert_frame_equal(metrics, known, atol=1.1e-4, rtol=0)
        assert artifacts.read_json(folders[0] / "config.json")["training"]["optimization"]["ranks"] == count
    again, first = (artifacts.sha256(alone / f"{name}_{count}/model.safetensors") for name in ("resumed", "pretrain"))
    assert again == first


def test_a_number_of_ranks_that_is_not_there_is_refused(chain):
    config = configuration()
    config["train_dpt"]["optimization"]["ranks"] = 2
    with pytest.raises(RadtError, match=r"`ranks` is 2, but the number of processes that train is 1: put .*torchrun 2` before"):
        Chain(chain.root, config).dpt(output="refused")
    assert not (chain.root / "refused").exists()


def test_the_cause_of_failed_ranks_comes_last(chain):
    """All find no data; one of them says so, at the end."""
    config = configuration()
    config["train_dpt"]["optimization"]["ranks"] = 2
    run = Chain(Path(chain.root) / "nowhere", config)
    python = [f"{programs()}/python", "-m"]
    stage = [*python, "radt.stages.train", "--method", "dpt", *run.common("train_dpt"), *run.training("refused")]
    command = [*python, "radt.training.torchrun", "2", *stage]
    done = subprocess.run(command, env=environment(ROOT), capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1] == f"error: {run.root}/trajectories/manifest.json is missing: run the stage that writes it"
    )


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([(0, STATUS, ""), (1, -15, ""), (2, -10, "")], None),
        ([(0, ranks.LOST, ""), (1, -9, ""), (2, ranks.LOST, "")], "error: rank 1 was killed by SIGKILL"),
        ([(0, ranks.LOST, ""), (1, 1, "error: rank 1: no memory"), (2, -15, "")], "error: rank 1: no memory"),
        ([(0, ranks.LOST, ""), (1, ranks.LOST, "")], f"error: rank 0 ended with status {ranks.LOST}"),
    ],
    ids=["interrupted", "killed", "failed", "lost"],
)
def test_the_cause_is_that_of_the_rank_that_failed_and_not_of_those_that_followed(tmp_path, ended, expected):
    failures = []
    for number, status, message in ended:
        file = tmp_path / f"{number}.json"
        if message:
            artifacts.write_json(file, {"message": message, "timestamp": 1})
        failures.append(torchrun.ProcessFailure(number, 1, status, str(file)))
    assert torchrun.cause(failures) == expected
