"""Guarantees (docs/guarantees.md) that are about stages: whole or absent (G1), same bytes (G2 to G4), causes (G7), damage (G8).

`RADT_TORTURE=1` (`make torture`) kills at every touch of the disk instead of some.
"""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import killing
import project
from project import FIGURE, OFFLINE, content, plain, run, snakemake, timeless
from radt import artifacts
from radt.commands import verify
from radt.errors import RadtError
from radt.pipeline import provenance

FULL = os.environ.get("RADT_TORTURE") == "1"
KNOWN = dict(line.split() for line in (Path(__file__).parent / "data.sha256").read_text(encoding="utf-8").splitlines())
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
STAGES = {
    "trajectories": "results/darkroom/trajectories/provenance.json",
    "pretrain": "results/darkroom/pretrain/seed42/provenance.json",
    "embed": "results/darkroom/embed/dt/provenance.json",
    "embed_language": "results/darkroom/embed/lm/provenance.json",
    "index": "results/darkroom/index/dt/provenance.json",
    "train_retrieval": "results/darkroom/train/radt/seed42/provenance.json",
    "train_ad": "results/darkroom/train/ad/seed42/provenance.json",
    "train_dpt": "results/darkroom/train/dpt/seed42/provenance.json",
    "evaluate": "results/darkroom/evaluate/radt/seed42.provenance.json",
    "figure": "results/darkroom/provenance.json",
}
"""A record of each stage of the figure."""
CHANGES = {
    "trajectories": ("trajectories", "generate", "seed"),
    "pretrain": ("pretrain", "optimization", "warmup"),
    "embed": ("embed", "query_stride"),
    "embed_language": ("embed", "query_stride"),
    "index": ("index", "max_similarity"),
    "train_retrieval": ("train_retrieval", "optimization", "warmup"),
    "train_ad": ("train_ad", "episode_gap"),
    "train_dpt": ("train_dpt", "optimization", "warmup"),
    "evaluate": ("evaluate", "target_mean"),
    "figure": ("figure", "bootstrap_seed"),
}
"""A setting that changes what a stage writes."""
OTHER = {"query_stride": 10, "max_similarity": 0.8, "episode_gap": 1, "target_mean": 3.0}


def other_settings(stage, arguments):
    """The command line of a job with another value of the setting in `CHANGES`."""
    place = arguments.index("--settings") + 1
    settings = json.loads(arguments[place])
    section, key = settings, CHANGES[stage]
    for name in key[:-1]:
        section = section[name]
    section[key[-1]] = OTHER.get(key[-1], 3)
    return [*arguments[:place], json.dumps(settings), *arguments[place + 1 :]]


def outputs(folder, record):
    """The artifact of a record, as its timeless content; a reader puts in place what a killed job left waiting."""
    path = folder / record
    if not path.exists():
        return None
    assert provenance.problems(path) == []
    return {name: timeless(path.with_name(name)) for name in provenance.read(path).outputs}


@pytest.mark.guarantee
@pytest.mark.parametrize("stage", STAGES)
def test_g1_a_stage_that_is_killed_leaves_the_old_artifact_or_the_new_one(copy, jobs, stage):
    """Killed at its first touch of the disk, its second, ... (in short: at one, and between its record and its first file)."""
    record = STAGES[stage]
    module, arguments = jobs[record]
    old = outputs(copy, record)
    arguments = other_settings(stage, arguments)
    reference = Path(shutil.copytree(copy, copy.parent / "reference"))
    status, text, touches, recorded = killing.run(reference, module, arguments)
    assert status == 0, text
    new = outputs(reference, record)
    assert old != new and touches > recorded > 6
    begun = Path(shutil.copytree(copy, copy.parent / "begun"))
    for limit in range(1, touches + 1) if FULL else (random.Random(stage).randrange(1, recorded), recorded + 1):
        shutil.rmtree(copy)
        shutil.copytree(begun, copy)  # each time from the same state: a training that goes on from a checkpoint writes less
        status, text, *_ = killing.run(copy, module, arguments, limit)
        assert status == -9, text
        assert outputs(copy, record) == (new if limit > recorded else old)
    status, text, *_ = killing.run(copy, module, arguments)
    assert status == 0 and outputs(copy, record) == new, text
    assert not list((copy / "results").rglob(".*provenance"))


@pytest.mark.guarantee
def test_g1_a_full_disk_keeps_the_old_artifact_and_says_so(copy, jobs):
    """On a real file system of 40 KB, in a mount namespace of its own."""
    module, arguments = jobs[STAGES["pretrain"]]
    arguments = other_settings("pretrain", arguments)
    folder = copy / "results/darkroom/pretrain/seed42"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    room = sum(-(-len(content) // 4096) * 4 for content in before.values()) + 12
    script = (
        'mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -a "$3"/. "$2" && shift 3 && "$@"; status=$?; ls -A "$0"; exit $status'
    )
    keep = shutil.copytree(folder, copy / "keep")
    command = [*NAMESPACE, "sh", "-c", script, str(folder), str(room), str(folder), str(keep)]
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
    status, text = plain([*command, "python", "-m", module, *arguments], copy)
    assert status == 1 and "error: no space left to write" in text, text
    assert sorted(text.strip().splitlines()[-len(before) :]) == sorted(before)


@pytest.mark.guarantee
def test_g1_a_disk_that_is_full_at_the_very_end_costs_no_training(copy, jobs):
    """Room for the model, but not for its record: the next run goes on from the checkpoint."""
    module, arguments = jobs[STAGES["pretrain"]]
    arguments = other_settings("pretrain", arguments)
    reference = Path(shutil.copytree(copy, copy.parent / "reference"))
    status, text, _, recorded = killing.run(reference, module, arguments)
    assert status == 0, text
    status, text, *_ = killing.run(copy, module, arguments, recorded - 2, errno.ENOSPC)
    assert status == 1 and "error: no space left to write" in text
    status, text, *_ = killing.run(copy, module, arguments)
    assert status == 0 and "going on from update" in text
    assert outputs(copy, STAGES["pretrain"]) == outputs(reference, STAGES["pretrain"])
    assert not (copy / "state/darkroom/pretrain/seed42").exists()


def test_read_only_results_are_named(copy, jobs):
    module, arguments = jobs[STAGES["figure"]]
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command = [*NAMESPACE, "sh", "-c", script, str(copy / "results/darkroom")]
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
    status, text = plain([*command, "python", "-m", module, *other_settings("figure", arguments)], copy)
    assert status == 1 and text.strip().startswith("error: no permission for results/darkroom/.provenance"), text


@pytest.mark.guarantee
@pytest.mark.parametrize("stage", ["pretrain", "train_retrieval", "train_ad", "train_dpt"])
def test_g2_a_training_that_is_killed_several_times_ends_in_the_same_bytes(copy, jobs, stage):
    record = STAGES[stage]
    module, arguments = jobs[record]
    place = arguments.index("--settings") + 1
    settings = json.loads(arguments[place])
    settings[stage]["optimization"] |= {"updates": 24, "checkpoint_every": 3}
    arguments[place] = json.dumps(settings)
    reference = Path(shutil.copytree(copy, copy.parent / "reference"))
    status, text, touches, _ = killing.run(reference, module, arguments)
    assert status == 0, text
    went_on, chance = 0, random.Random(stage)
    for _ in range(40 if FULL else 3):
        status, text, *_ = killing.run(copy, module, arguments, chance.randrange(5, touches // 2))
        went_on += "going on from update" in text
        if status == 0:
            break
    status, text, *_ = killing.run(copy, module, arguments)
    assert status == 0 and went_on, text
    assert outputs(copy, record) == outputs(reference, record)


@pytest.mark.guarantee
def test_g2_an_interrupted_workflow_ends_in_the_same_bytes(made, tmp_path):
    """Ctrl-C, then `kill -9` of Snakemake and all its jobs, then an unlock that asks nobody; then two evaluations, or all."""
    folder = Path(shutil.copytree(made, tmp_path / "interrupted", ignore=shutil.ignore_patterns("results", ".snakemake", "logs")))
    for number, awaited in ((signal.SIGINT, "trajectories/provenance.json"), (signal.SIGKILL, "index/dt/provenance.json")):
        interrupt(folder, number, folder / "results/darkroom" / awaited)
        assert not (folder / FIGURE).exists()
    status, text = snakemake("--cores", "2", "--", FIGURE, folder=folder)
    assert status == 1 and "It can be removed with the --unlock argument" in text
    status, text = run(["snakemake", "--unlock"], folder)
    assert status == 0, text
    targets = [FIGURE] if FULL else ["results/darkroom/evaluate/radt/seed42.csv", "results/darkroom/evaluate/ad/seed43.csv"]
    status, text = snakemake("--cores", "2", "--", *targets, folder=folder)
    assert status == 0, text
    assert same_as(made, folder, targets)


def same_as(made, folder, targets):
    """Whether what a part of the workflow made is what `made` has; all of it when the figure was a target.

    A killed job that no target needs was not run again: what it had not published yet lies in a hidden folder still.
    """
    there, known = content(folder), content(made)
    assert set(targets) <= there.keys() and len(there) > 20
    if FIGURE in targets:
        return there == known
    return {path: hashed for path, hashed in there.items() if "/." not in path}.items() <= known.items()


def interrupt(folder, number, awaited):
    """Start the workflow, and send a signal to all of it when a file is there, as a terminal does."""
    command = [f"{project.programs()}/snakemake", "--cores", "2", "--", FIGURE]  # it and its jobs start warm
    with (folder / "interrupted.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=project.environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a parent in the background may ignore Ctrl-C
        )
        while not awaited.exists():
            assert process.poll() is None, (folder / "interrupted.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, number)
        process.wait(timeout=120)


@pytest.mark.guarantee
def test_g3_the_number_of_cores_and_the_order_of_jobs_change_nothing(made, tmp_path):
    """One core, other jobs first, fresh processes; `made` had two cores. No workers load data."""
    folder = Path(shutil.copytree(made, tmp_path / "one core", ignore=shutil.ignore_patterns("results", ".snakemake", "logs")))
    targets = [f"results/darkroom/evaluate/{name}.csv" for name in ("dpt/seed43", "radt/seed43")]
    for target in [*targets, FIGURE] if FULL else targets:
        status, text = plain(["snakemake", "--cores", "1", "--", target], folder)
        assert status == 0, text
    assert same_as(made, folder, [FIGURE] if FULL else targets)


@pytest.mark.guarantee
def test_g4_data_are_the_same_bytes_on_every_machine(made):
    """The hash in the repository was computed on another machine than this, perhaps by another version of NumPy."""
    shards = artifacts.read_json(made / "results/darkroom/trajectories/manifest.json")["shards"]
    assert [shard["sha256"] for shard in shards] == [KNOWN["smoke"]]


@pytest.mark.guarantee
@pytest.mark.skipif(not FULL, reason="takes minutes: make torture")
@pytest.mark.parametrize("experiment", sorted(KNOWN.keys() - {"smoke"}))
def test_g4_data_of_every_experiment_are_the_same_bytes(experiment, tmp_path):
    folder = project.copy_of_the_project(tmp_path / "project")
    shutil.copy(project.ROOT / "config/config.yaml", folder / "config")
    status, text = snakemake("--cores", "1", "--", f"results/{experiment}/trajectories/manifest.json", folder=folder)
    assert status == 0, text
    shards = artifacts.read_json(folder / f"results/{experiment}/trajectories/manifest.json")["shards"]
    assert [shard["sha256"] for shard in shards] == [KNOWN[experiment]]


@pytest.mark.guarantee
@pytest.mark.parametrize("record", STAGES.values(), ids=STAGES)
def test_g7_a_stage_that_fails_exits_with_the_cause_and_leaves_everything(copy, jobs, record):
    module, arguments = jobs[record]
    before, place = content(copy), arguments.index("--settings") + 1
    settings = json.loads(arguments[place])
    wrong = [*arguments[:place], json.dumps({**settings, "unknown": 1}), *arguments[place + 1 :]]
    status, text, *_ = killing.run(copy, module, wrong)
    assert status == 1 and text.splitlines()[-1].startswith("error: ") and "unknown" in text
    if arguments[arguments.index("--inputs") + 1].startswith("results/"):
        used = copy / arguments[arguments.index("--inputs") + 1]
        kept = used.read_bytes()
        used.write_bytes(kept[:-1])
        status, text, *_ = killing.run(copy, module, arguments)
        assert status == 1 and text.splitlines()[-1].startswith(f"error: {used.relative_to(copy)} is damaged: delete ")
        used.write_bytes(kept)
    assert content(copy) == before


@pytest.mark.guarantee
def test_g8_damage_to_any_artifact_is_found_before_it_is_used(copy, monkeypatch):
    """A bit flipped in every file there is, a missing byte, a file of another seed, a whole folder of another seed."""
    monkeypatch.chdir(copy)
    assert verify.verify(Path("results")) == []
    records = sorted(Path("results").rglob("*provenance.json"))
    files = [record.with_name(name) for record in records for name in provenance.read(record).outputs]
    assert {*files, *records} == {path for path in Path("results").rglob("*") if path.is_file()}
    for path in files:
        kept = path.read_bytes()
        for damaged in (kept[:-1], kept[:40] + bytes([kept[40] ^ 4]) + kept[41:]):
            path.write_bytes(damaged)
            with pytest.raises(RadtError, match=f"{path} is damaged: delete .*provenance.json and run snakemake again"):
                provenance.check([path])
        path.write_bytes(kept)
    one, other = Path("results/darkroom/train/ad/seed42"), Path("results/darkroom/train/ad/seed43")
    shutil.copy(other / "model.safetensors", one)
    assert len(verify.verify(Path("results"))) == 1
    shutil.copytree(other, one, dirs_exist_ok=True)
    with pytest.raises(
        RadtError, match=r"seed42/provenance\.json is the record of results/darkroom/train/ad/seed43/provenance\.json"
    ):
        provenance.check([one / "model.safetensors"])


@pytest.mark.guarantee
def test_g8_an_artifact_made_from_another_version_of_its_input_is_found(copy, monkeypatch, jobs):
    """An older model, whole in itself, put where a newer one was."""
    record = STAGES["train_ad"]
    kept = Path(shutil.copytree((copy / record).parent, copy / "older"))
    module, arguments = jobs[record]
    assert killing.run(copy, module, other_settings("train_ad", arguments))[0] == 0
    monkeypatch.chdir(copy)
    faults = verify.verify(Path("results"))
    assert faults and all("has changed since: run snakemake" in fault for fault in faults)
    shutil.copytree(kept, (copy / record).parent, dirs_exist_ok=True)
    assert verify.verify(Path("results")) == []


@pytest.mark.guarantee
def test_g6_no_network_is_needed(made):
    """`made` was made where there is none, unless this machine does not allow to take it away."""
    if not OFFLINE:
        pytest.skip("network namespaces are not allowed here")
    connect = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    status, text = run(["python", "-m", "timeit", "--number", "1", "--repeat", "1", connect], made)
    assert status == 1 and str(errno.ENETUNREACH) in text
    assert (made / FIGURE).exists()
