"""The benchmarks without timing: order and medians, the JSON and its comparison, what is counted, what the peers compute."""

import json
import sys
from dataclasses import asdict, replace
from math import isclose
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import __main__ as bench
from bench import embedding, evaluation, harness, reading, search, startup, training
from helpers import DEVICES, MODEL, ROOM, random_steps
from radt import machine
from radt.encoders.dt import embed_all
from radt.errors import RadtError
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.search import Search
from radt.settings.retrieval import Embed
from radt.stages import run
from radt.suites import suite_of

ENTRY = harness.Measurement("engine", 30.0, 10.0, 3.0, "steps/s", 5, "a machine", "abc1234", "a peer", 2.0)


def test_ours_and_peer_alternate_after_a_warm_up_and_medians_are_compared():
    order, ours, peer = [], iter([999.0, 1.0, 50.0, 6.0]), iter([999.0, 4.0, 2.0, 0.5])
    result = harness.alternate(
        "name", "steps/s", "them", 2.5, lambda: order.append("A") or next(ours), lambda: order.append("B") or next(peer), runs=3
    )
    assert order == ["A", "B"] * 4
    assert (result.ours, result.peer, result.ratio) == (6.0, 2.0, 3.0)
    assert (result.name, result.unit, result.peer_name, result.target, result.runs) == ("name", "steps/s", "them", 2.5, 3)


def test_rotation_takes_turns():
    order = []
    rates = harness.rotate({name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}, runs=3)
    assert order == ["a", "b", "c"] * 4
    assert rates == {"a": 7.0, "b": 8.0, "c": 9.0}


def test_timed_counts_calls_until_the_time_is_over(monkeypatch):
    clock = iter([100.0, 100.0, 100.4, 100.8, 102.0])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    calls = []
    assert harness.timed(lambda: calls.append(1), 10.0, seconds=1.0) == 15.0  # 3 calls of 10 in 2 seconds
    assert len(calls) == 3


def test_timed_calls_once_at_least(monkeypatch):
    clock = iter([0.0, 0.0, 0.25])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    assert harness.timed(lambda: None, 1.0, seconds=0.0) == 4.0


def test_machine_tells_processor_instructions_cores_and_threads(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    core = "cpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Some Processor\nflags\t\t: fpu avx512f amx_bf16\n\n"
    info.write_text(core * 2, encoding="utf-8")
    monkeypatch.setattr(machine, "CPU_INFO", info)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    machine.machine.cache_clear()
    assert machine.machine() == "Some Processor 6-143 AVX512 AMX, 2 cores, 1 thread"
    machine.machine.cache_clear()
    assert bench.recorded_path("Some Processor 6-143 AVX512, 2 cores").name == "some-processor-6-143-avx512-2-cores.json"


def test_missing_peer_is_one_sentence():
    with pytest.raises(RadtError, match=r"^no_such_peer is not installed: run the benchmarks with `make bench`$"):
        harness.peer_package("no_such_peer")


class Fake:
    """A bench module that measures nothing."""

    def __init__(self, entries):
        self.entries = entries

    def measure(self, runs, device="cpu"):
        return [replace(entry, runs=runs) for entry in self.entries]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "MODULES", ("engines", "search"))
    monkeypatch.setattr(bench, "machine", lambda: "a machine")
    monkeypatch.setitem(sys.modules, "bench.engines", Fake([ENTRY]))
    monkeypatch.setitem(sys.modules, "bench.search", Fake([replace(ENTRY, name="search", target=None)]))
    return tmp_path


def test_all_modules_are_written_and_printed(fake, capsys):
    assert bench.main(["--runs", "2"]) == 0
    entries = json.loads((fake / "results" / "bench.json").read_text(encoding="utf-8"))
    assert entries == [asdict(replace(ENTRY, runs=2)), asdict(replace(ENTRY, name="search", target=None, runs=2))]
    assert {"name", "ours", "peer", "ratio", "unit", "runs", "machine", "commit"} <= set(entries[0])
    printed = capsys.readouterr().out
    assert "| engine | 30 steps/s | 10 | 3 | 2 | yes | a peer |" in printed
    assert "| search | 30 steps/s | 10 | 3 |  |  | a peer |" in printed
    assert bench.main(["--markdown"]) == 0
    assert "| engine | 30 steps/s | 10 | 3 | 2 | yes | a peer |" in capsys.readouterr().out
    assert not (fake / "docs").exists()


def test_a_missed_target_is_shown():
    assert "| 1.9 | 2 | **no** |" in bench.table([replace(ENTRY, ratio=1.9)])


def test_a_worse_ratio_is_reported_and_not_an_error(fake, capsys, monkeypatch):
    assert bench.main(["--keep"]) == 0
    assert "regression" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "bench.engines", Fake([replace(ENTRY, ratio=2.5)]))  # 17% less
    monkeypatch.setitem(sys.modules, "bench.search", Fake([replace(ENTRY, name="search", ratio=2.6)]))  # 13% less
    assert bench.main([]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "regression" in line]
    assert lines == ["regression: engine: ratio 2.5, was 3 at abc1234"]


def test_other_machines_are_not_compared(fake, capsys, monkeypatch):
    assert bench.main(["--keep"]) == 0
    monkeypatch.setattr(bench, "machine", lambda: "another machine")
    monkeypatch.setitem(sys.modules, "bench.engines", Fake([replace(ENTRY, ratio=1.0)]))
    assert bench.main([]) == 0
    assert "regression" not in capsys.readouterr().out


def test_recording_a_part_keeps_the_rest(fake):
    assert bench.main(["--keep"]) == 0
    assert bench.main(["--keep", "--only", "search", "--runs", "9"]) == 0
    recorded = json.loads((fake / "docs" / "bench" / "a-machine.json").read_text(encoding="utf-8"))
    assert [(entry["name"], entry["runs"]) for entry in recorded] == [("engine", 5), ("search", 9)]


def test_the_program_has_no_option_that_stages_take_for_themselves(fake, monkeypatch):
    """A stage's `--record` and `--inputs` are read before its own options."""
    monkeypatch.setattr(sys, "argv", ["bench", "--keep", "--only", "search"])
    with pytest.raises(SystemExit) as ended:
        run(bench.main)
    assert ended.value.code == 0 and (fake / "docs/bench/a-machine.json").is_file()


def test_measuring_a_part_keeps_the_rest_of_the_output(fake):
    def written():
        return [
            (entry["name"], entry["runs"]) for entry in json.loads((fake / "results" / "bench.json").read_text(encoding="utf-8"))
        ]

    bench.main(["--only", "search", "--runs", "1"])
    assert written() == [("search", 1)]
    bench.main(["--runs", "2"])
    bench.main(["--only", "engines", "--runs", "9"])
    assert written() == [("search", 2), ("engine", 9)]
    bench.main(["--runs", "3"])
    assert written() == [("engine", 3), ("search", 3)]


def test_a_foreign_output_is_known_before_anything_is_measured(fake, monkeypatch):
    (fake / "x.json").write_text("[1]", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "bench.engines", None)
    with pytest.raises(RadtError, match="holds no measurements of this version"):
        bench.main(["--only", "engines", "--output", "x.json"])


@pytest.mark.parametrize("content", ["[{}]", '[{"name": 1}]', "[1]"])
def test_foreign_file_is_one_sentence(fake, content):
    (fake / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(RadtError, match="holds no measurements of this version"):
        bench.main(["--markdown", "--output", "x.json"])


@pytest.mark.parametrize(
    ("only", "sentence"),
    [([], "--device cuda is for training and search: add --only training search"), (["--only", "search"], "torch finds no GPU")],
)
def test_a_gpu_is_refused_where_there_is_none_or_for_what_it_is_not_used(fake, monkeypatch, only, sentence):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RadtError, match=sentence):
        bench.main(["--device", "cuda", *only])
    assert not (fake / "results").exists()


def test_a_device_is_told_to_what_is_measured_on_it(fake, monkeypatch):
    monkeypatch.setattr(bench.loop, "prepare", lambda device: "cpu")
    told, measured = [], sys.modules["bench.search"].measure
    monkeypatch.setattr(sys.modules["bench.search"], "measure", lambda *given: told.append(given) or measured(*given), False)
    bench.main(["--runs", "2"])
    bench.main(["--runs", "2", "--device", "cuda", "--only", "search"])
    assert told == [(2, "cpu"), (2, "cuda")]


def test_runs_must_be_positive(fake):
    with pytest.raises(RadtError, match="--runs is 0"):
        bench.main(["--runs", "0"])


@pytest.mark.parametrize("tokens", ["step", "interleaved"])
def test_counted_operations_are_those_of_a_forward_pass(tokens):
    """PyTorch counts every product of the network; it has no causal half, so attention is halved by hand."""
    model = MODEL.model_copy(update={"tokens": tokens})
    network, batch = DecisionTransformer(model, suite_of(ROOM).spec, True, model.window), 3
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(random_steps(batch, model.window, 0))
    counts = counter.get_flop_counts()["DecisionTransformer"]
    embedding_flops = sum(counter.get_flop_counts()["DecisionTransformer.embedding"].values())
    length = model.window * network.embedding.tokens_per_step
    whole_attention = model.layers * batch * 4 * length * length * model.width
    needed = sum(counts.values()) - embedding_flops - whole_attention * (length - 1) / (2 * length)
    assert isclose(training.training_flops(model, batch), 3 * needed)


def test_random_batch_is_consistent():
    steps = training.random_batch(4, 7)
    assert torch.equal(steps.returns[:, :-1] - steps.returns[:, 1:], steps.reward[:, :-1])
    assert torch.equal(steps.previous_action[:, 1:], steps.action[:, :-1])
    assert (steps.previous_action[:, 0] == 5).all()
    assert steps.mask.all()


TINY = training.Size("tiny", width=16, layers=2, heads=2, window=6, batch=3, tokens="step", share=0.1)


@pytest.mark.parametrize("peer", [training.hugging_face, training.d3rlpy])
def test_peers_learn_in_an_update(peer, monkeypatch):
    """Their loss on the one batch falls, and it begins at that of a uniform guess."""
    pytest.importorskip(
        "transformers" if peer is training.hugging_face else "d3rlpy", reason="needs the environment of make bench"
    )
    losses = seen_losses(lambda: peer(TINY), monkeypatch)
    assert abs(losses[0] - torch.tensor(5.0).log()) < 0.4
    assert losses[-1] < 0.8 * losses[0]


def test_a_peer_in_bfloat16_computes_in_it(monkeypatch):
    """Its losses begin near those in float32, but not at them, and fall as far."""
    pytest.importorskip("transformers", reason="needs the development environment")
    exact, rounded = (
        seen_losses(lambda precision=precision: training.hugging_face(TINY, precision), monkeypatch)
        for precision in ("float32", "bfloat16")
    )
    assert exact[0] != rounded[0] and abs(exact[0] - rounded[0]) < 0.01
    assert rounded[-1] < 0.8 * rounded[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tokens", ["step", "interleaved"])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_ours_learns_in_an_update(tokens, precision, device, monkeypatch):
    losses = seen_losses(lambda: training.ours(TINY, tokens, precision, device), monkeypatch)
    assert abs(losses[0] - torch.tensor(5.0).log()) < 0.4
    assert losses[-1] < 0.8 * losses[0]


def seen_losses(make, monkeypatch):
    """Losses of 60 updates, seen where they are made."""
    torch.manual_seed(0)
    losses, updating = [], training.updating

    def spy(model, loss, settings):
        return updating(model, lambda: losses.append(loss()) or losses[-1], settings)

    monkeypatch.setattr(training, "updating", spy)
    update = make()
    for _ in range(60):
        update()
    return [float(value.detach()) for value in losses]


@pytest.mark.parametrize("batch", [1, 5])
def test_peers_of_the_embedding_make_the_same_vectors(tmp_path, room, generate, batch):
    torch.manual_seed(0)
    episodes = reading.histories(tmp_path, room, generate)
    encoder = DecisionTransformer(MODEL, suite_of(room).spec, True, room.horizon).eval()
    found = embed_all(
        encoder, episodes, Embed(chunk_length=3, query_stride=4, batch_size=4, aggregate="states", device="cpu"), room.horizon
    )
    alone = embedding.window_by_window(encoder, episodes, found["episode"], found["anchor"], 3, batch)
    torch.testing.assert_close(alone, found["keys"], rtol=1e-5, atol=1e-6)
    owner = torch.arange(len(episodes.first)).repeat_interleave(2)
    queries = embedding.window_by_window(encoder, episodes, owner, torch.tensor([1, 5]).repeat(len(episodes.first)), 3, batch)
    torch.testing.assert_close(queries.unflatten(0, (-1, 2)), found["queries"], rtol=1e-5, atol=1e-6)


@pytest.fixture
def quick(monkeypatch):
    """Every benchmark calls what it times only once."""
    for module in (embedding, search):
        monkeypatch.setattr(module, "timed", lambda function, count, seconds=0.0: harness.timed(function, count, 0.0))


def keys_of_tasks(count, tasks=10):
    """`count` keys of length 1 of each task, in order."""
    keys = np.random.default_rng(0).normal(size=(count * tasks, 8)).astype(np.float32)
    return keys / np.linalg.norm(keys, axis=1, keepdims=True), np.arange(tasks).repeat(count)


def test_peers_of_retrieval_find_in_each_range_what_ours_finds():
    keys, task = keys_of_tasks(300)
    queries, first, stop = search.batch(keys, task)
    windows = search.shared(first, stop)
    scores = Search(keys, "torch").nearest_within(queries, search.WANTED, first, stop)[0]
    flat = search.flat_ranges(queries, keys, windows)
    plain = search.topk_ranges(torch.from_numpy(queries), torch.from_numpy(keys), windows)
    seen = np.zeros(len(queries), int)
    for (rows, _), by_faiss, by_torch in zip(windows, flat, plain, strict=True):
        seen[rows] += 1
        for found in (by_faiss, by_torch.numpy()):
            np.testing.assert_allclose(found, scores[rows, : found.shape[1]], atol=1e-5)
            assert (scores[rows, found.shape[1] :] == -np.inf).all()
    np.testing.assert_array_equal(seen, stop > first)
    assert len(windows) > 20


def test_names_of_retrieval_do_not_depend_on_the_index(quick, monkeypatch):
    """Else a regression would not be seen; which index it was stands with the peer."""
    names = []
    for count in (40, 80):
        monkeypatch.setattr(search, "default_index", lambda count=count: (f"encoder {count}", *keys_of_tasks(count)))
        entries = search.measure(1)
        names.append([entry.name for entry in entries])
        assert all(f"{count * 10} keys of encoder {count}" in entry.peer_name for entry in entries)
        assert all(entry.ratio > 0 for entry in entries)
    assert names[0] == names[1] and len(set(names[0])) == 8


def test_an_index_is_made_where_no_run_left_one(tmp_path, room, generate, monkeypatch):
    settings = harness.defaults()
    small = settings.model_copy(
        update={
            "embed": settings.embed.model_copy(update={"chunk_length": 4, "query_stride": 4}),
        }
    )
    monkeypatch.setattr(search, "RESULTS", tmp_path / "nothing")
    monkeypatch.setattr(search, "defaults", lambda: small)
    monkeypatch.setattr(search, "generation", lambda: generate)
    monkeypatch.setattr(search, "darkroom", lambda: room)
    origin, keys, task = search.default_index()
    assert origin == "a fresh encoder" and keys.shape == (8 * 5 * 2, settings.pretrain.model.width)
    np.testing.assert_array_equal(task, np.arange(8).repeat(10))


def test_embedding_is_measured(quick, tmp_path, room, generate, monkeypatch):
    monkeypatch.setattr(embedding, "ROOM", room)
    settings = harness.defaults().embed.model_copy(update={"chunk_length": 4, "query_stride": 4})
    entries = embedding._measure(reading.histories(tmp_path, room, generate), settings, 1)
    assert [entry.target for entry in entries] == [20.0, 3.0] and all(entry.ratio > 0 for entry in entries)


@pytest.mark.parametrize("method", ["radt", "ad"])
def test_the_rate_of_an_evaluation_counts_the_steps_of_all_its_tasks(method, monkeypatch):
    """On a clock that stands at 0 and at 2 s; that both sides play the same is tested with the agents."""
    monkeypatch.setattr(evaluation, "EPISODES", 2)
    monkeypatch.setattr(evaluation, "darkroom", lambda: ROOM.model_copy(update={"horizon": 50}))
    monkeypatch.setattr(evaluation, "clock", SimpleNamespace(perf_counter=iter([0.0, 2.0] * 2).__next__))
    assert evaluation.rate(method, False) == ROOM.num_held_out * 2 * 50 / 2
    assert evaluation.rate(method, True) == 2 * 50 / 2


def test_a_stage_that_does_not_start_is_an_error():
    startup.start("radt.stages.figure", "--help")
    with pytest.raises(RadtError, match="no_such_stage --help` failed"):
        startup.start("radt.stages.no_such_stage", "--help")
