"""Search, de-duplication, ranking and chunks against brute force."""

import warnings
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import DEVICES, GPU, MODEL, ROOM
from radt.data.episodes import EpisodeBuffer
from radt.data.windows import Columns, ShardColumns
from radt.evaluation.memory import OnlineMemory
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval import index, search
from radt.retrieval.chunks import contexts, embed_episodes, window_means, window_start
from radt.retrieval.engines import TorchEngine
from radt.retrieval.index import distinct
from radt.retrieval.ranking import best, keep_nearest, min_max
from radt.retrieval.search import DECIMALS, Search
from radt.settings.evaluation import Memory
from radt.suites import suite_of

ENGINES = [("faiss", "cpu"), ("torch", "cpu"), pytest.param("torch", "cuda", marks=GPU)]


def unit(count, width, seed):
    keys = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return keys / np.linalg.norm(keys, axis=1, keepdims=True)


@pytest.mark.parametrize(("engine", "device"), ENGINES)
@pytest.mark.guarantee
def test_g5_search_equals_brute_force_with_ties(engine, device):
    keys = unit(300, 8, 0)
    keys[100:140] = keys[7]  # forty identical keys: the order among them is that of their ids
    queries = np.concatenate([unit(20, 8, 1), keys[7:8]])
    scores, ids = Search(keys, engine, device).nearest(queries, 20)
    exact = (queries.astype(np.float64) @ keys.astype(np.float64).T).round(DECIMALS)
    expected = np.stack([sorted(range(300), key=lambda i, row=row: (-row[i], i))[:20] for row in exact])
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(exact, expected, 1), atol=1e-6)


@pytest.mark.parametrize(("engine", "device"), ENGINES)
@pytest.mark.parametrize(("first", "stop"), [(0, 300), (20, 90), (5, 8), (7, 7)])
def test_search_in_a_range_equals_brute_force(engine, device, first, stop):
    keys, queries = unit(300, 8, 0), unit(20, 8, 1)
    scores, ids = Search(keys, engine, device).nearest_within(queries, 20, np.full(20, first), np.full(20, stop))
    found = min(20, stop - first)
    assert (scores[:, :found] > -np.inf).all() and (scores[:, found:] == -np.inf).all() and not ids[:, found:].any()
    exact = (queries.astype(np.float64) @ keys.astype(np.float64).T).round(DECIMALS)
    expected = [sorted(range(first, stop), key=lambda i, row=row: (-row[i], i))[:20] for row in exact]
    np.testing.assert_array_equal(ids[:, :found], np.array(expected, np.int64).reshape(20, -1))


def brute_force(keys, queries, count):
    exact = (queries.astype(np.float64) @ keys.astype(np.float64).T).round(DECIMALS)
    return np.lexsort((np.broadcast_to(np.arange(len(keys)), exact.shape), -exact), axis=-1)[:, :count]


@pytest.mark.parametrize(("engine", "device"), ENGINES)
@pytest.mark.guarantee
def test_g5_many_keys_with_duplicates_on_both_sides_of_every_block(engine, device, monkeypatch):
    """Several stripes of several blocks, a last block that is not full, near-duplicates around a few centres, and exact ties."""
    monkeypatch.setattr(TorchEngine, "BLOCK", 512)
    monkeypatch.setattr(TorchEngine, "QUERIES", 32)
    keys = np.repeat(unit(60, 16, 0), 60, axis=0) + np.random.default_rng(1).normal(0, 1e-4, (3600, 16)).astype(np.float32)
    keys = (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float32)[np.random.default_rng(2).permutation(3600)]
    keys[[1, 511, 512, 1023, 1024, 1700, 3599]] = keys[0]
    queries = np.concatenate([keys[:40], unit(40, 16, 3), 5 * unit(1, 16, 4), np.zeros((1, 16), np.float32)])
    for count in (1, 7, 100):
        np.testing.assert_array_equal(Search(keys, engine, device).nearest(queries, count)[1], brute_force(keys, queries, count))
    _, ids = Search(keys, engine, device).nearest_within(queries, 50, np.full(len(queries), 300), np.full(len(queries), 3300))
    np.testing.assert_array_equal(ids, brute_force(keys[300:3300], queries, 50) + 300)


def to_tf32(values):
    """Numbers as the tensor cores of a GPU read them: 10 bits of the mantissa, rounded."""
    return ((values.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("device", DEVICES)
def test_ids_are_the_same_where_a_training_lets_a_gpu_round_products(device, monkeypatch):
    """Thousands of keys that differ by less than TF32 tells. On a CPU its rounding is put in place of the product, under the
    switch that the GPU obeys; with it alone, ids are others."""
    keys = unit(1, 16, 0) + 1e-3 * unit(5000, 16, 1)
    keys, queries = (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float32), unit(20, 16, 2)
    product, always = torch.mm, False

    def mm(left, right, out):
        rounded = always or torch.get_float32_matmul_precision() == "high"
        return product(*(map(to_tf32, (left.contiguous(), right.contiguous())) if rounded else (left, right)), out=out)

    if device == "cpu":
        monkeypatch.setattr(torch, "mm", mm)
    found = Search(keys, "torch", device)
    torch.set_float32_matmul_precision("high")
    try:
        np.testing.assert_array_equal(found.nearest(queries, 100)[1], brute_force(keys, queries, 100))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    always = True
    if device == "cpu":
        assert (found.nearest(queries, 100)[1] != brute_force(keys, queries, 100)).any()


@pytest.mark.parametrize("pairs", [1, 1000, 10**6])
@pytest.mark.parametrize("engine", ["faiss", "torch"])
def test_a_query_that_ties_with_every_key_costs_only_itself(engine, pairs, monkeypatch):
    """Its 3000 candidates may not become 3000 columns of every query: at most `PAIRS` keys are gathered at once."""
    monkeypatch.setattr(search, "PAIRS", pairs)
    gathered, einsum = [], np.einsum
    monkeypatch.setattr(
        np, "einsum", lambda text, keys, *rest, **named: gathered.append(len(keys)) or einsum(text, keys, *rest, **named)
    )
    keys, queries = unit(3000, 8, 0), unit(40, 8, 1)
    queries[17] = 0
    np.testing.assert_array_equal(Search(keys, engine).nearest(queries, 5)[1], brute_force(keys, queries, 5))
    assert 3000 < sum(gathered) < 6000 and max(gathered) <= pairs


def test_no_queries_and_no_keys():
    empty = np.zeros((0, 8), np.float32)
    assert [array.shape for array in Search(unit(5, 8, 0), "torch").nearest(empty, 3)] == [(0, 3)] * 2
    assert [array.shape for array in Search(unit(2000, 8, 0), "torch").nearest(empty, 3)] == [(0, 3)] * 2
    assert [array.shape for array in Search(empty, "torch").nearest(unit(4, 8, 0), 3)] == [(4, 0)] * 2


@pytest.mark.parametrize("engine", ["faiss", "torch"])
def test_an_index_on_disk_is_searched_where_it_is_mapped(engine, tmp_path, monkeypatch):
    """Pool `earlier` makes no engine, so nothing holds all keys; the engine that is made later works on read-only keys."""
    made = []
    monkeypatch.setitem(search.ENGINES, engine, lambda *given, make=search.ENGINES[engine]: made.append(1) or make(*given))
    keys, queries = unit(3000, 8, 0), unit(30, 8, 1)
    index.write(tmp_path, {"keys": keys, "episode": np.arange(3000) // 3, "anchor": 1 + np.arange(3000) % 3}, {})
    read = index.read(tmp_path)
    assert isinstance(read.keys, np.memmap) and not read.keys.flags.writeable
    assert torch.equal(read.episode, torch.arange(3000) // 3) and torch.equal(read.anchor, 1 + torch.arange(3000) % 3)
    found = Search(read.keys, engine)
    assert isinstance(found._keys.base, np.memmap)
    first, stop = np.arange(30) * 50, np.arange(30) * 50 + 900
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that are not writable
        ids = found.nearest_within(queries, 5, first, stop)[1]
        assert not made and "_longest" not in vars(found)
        for row in range(30):
            expected = brute_force(keys[first[row] : stop[row]], queries[row : row + 1], 5)[0] + first[row]
            np.testing.assert_array_equal(ids[row], expected)
        np.testing.assert_array_equal(found.nearest(queries, 5)[1], brute_force(keys, queries, 5))
        found.nearest(queries, 5)
        assert len(made) == 1
        Search(read.keys, engine, max_exact_keys=10).recall(queries, 5)
    assert len(made) == 1


@pytest.mark.parametrize("small", [0, 1024])
@pytest.mark.parametrize("engine", ["faiss", "torch"])
def test_ranges_of_their_own_equal_one_search_each(engine, small, monkeypatch):
    monkeypatch.setattr(search, "SMALL", small)
    keys, queries = unit(400, 8, 0), unit(30, 8, 1)
    keys[50:70] = keys[49]
    random = np.random.default_rng(0)
    first = random.integers(0, 400, 30)
    stop = (first + random.integers(0, 60, 30)).clip(max=400)
    first[:8], stop[:8] = first[0], stop[0]  # queries that share a range
    queries[5] = keys[49]
    scores, ids = Search(keys, engine).nearest_within(queries, 12, first, stop)
    assert scores.shape == ids.shape == (30, 12)
    for row, (begin, end) in enumerate(zip(first, stop, strict=True)):
        expected = brute_force(keys[begin:end], queries[row : row + 1], 12)[0] + begin
        assert ids[row][: len(expected)].tolist() == expected.tolist()
        np.testing.assert_allclose(scores[row][: len(expected)], keys[expected] @ queries[row], atol=1e-5)
        assert (scores[row][len(expected) :] == -np.inf).all() and (ids[row][len(expected) :] == 0).all()


@pytest.mark.guarantee
def test_g5_inverted_lists_take_over_and_tell_their_recall():
    keys, queries = unit(3000, 8, 0), unit(50, 8, 1)
    exact = Search(keys, "torch", max_exact_keys=3000)
    assert exact.exact and exact.recall(queries, 10) == 1.0
    wanted, recalls = exact.nearest(queries, 10)[1], []
    for nprobe in (1, 10, 1000):
        some = Search(keys, "torch", max_exact_keys=2999, nprobe=nprobe)
        scores, ids = some.nearest(queries, 10)
        found = [set(row[score > -np.inf]) for row, score in zip(ids, scores, strict=True)]
        recalls.append(some.recall(queries, 10))
        assert not some.exact
        assert recalls[-1] == pytest.approx(np.mean([len(set(a) & b) / 10 for a, b in zip(wanted, found, strict=True)]))
        ranges = np.full(50, 5), np.full(50, 2900)
        np.testing.assert_array_equal(some.nearest_within(queries, 10, *ranges)[1], brute_force(keys[5:2900], queries, 10) + 5)
    assert recalls[0] < recalls[1] < recalls[2] == 1.0
    np.testing.assert_array_equal(ids, wanted)


@pytest.mark.parametrize("nprobe", [1, 3])
def test_recall_counts_ties_as_found_and_leaves_out_the_query_itself(nprobe):
    keys = np.repeat(unit(500, 4, 0), 4, axis=0)  # each key four times: with 6 wanted, two of the next four are
    keys = keys[np.random.default_rng(1).permutation(len(keys))]
    some, own = Search(keys, "torch", max_exact_keys=10, nprobe=nprobe), np.arange(0, 2000, 25)
    queries, exact = keys[own], (keys[own].astype(np.float64) @ keys.astype(np.float64).T).round(DECIMALS)

    def expected(count, itself):
        scores, ids = some.nearest(queries, count + (itself is not None))
        hits = 0
        for row, products in enumerate(exact):
            others = [key for key in range(2000) if itself is None or key != itself[row]]
            least = sorted((products[key] for key in others), reverse=True)[count - 1]
            got = [key for key, score in zip(ids[row], scores[row], strict=True) if score > -np.inf and key in others][:count]
            hits += sum(products[key] >= least for key in got)
        return hits / count / len(queries)

    for count in (1, 6, 40):
        assert some.recall(queries, count) == pytest.approx(expected(count, None))
        assert some.recall(queries, count, own) == pytest.approx(expected(count, own))
    assert some.recall(queries, 40, own) < 1.0


def test_ties_with_a_higher_id_are_as_good():
    """Inverted lists that find only the higher ids of equal keys miss nothing."""
    keys = np.repeat(unit(2, 8, 0), 30, axis=0)
    some = Search(keys, "faiss", max_exact_keys=10)

    class Highest:
        def candidates(self, queries, count):
            return np.repeat(np.arange(len(queries)), count), np.tile(np.arange(30 - count, 30), len(queries))

    some._inverted = Highest()
    assert some.recall(keys[:1], 5) == 1.0 and some.recall(keys[:1], 5, np.array([2])) == 1.0
    assert some.recall(keys[30:31], 5) == 0.0
    assert some.recall(keys[28:29], 5, np.array([28])) == 1.0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_inverted_lists_of_hardly_any_keys(count):
    """Twice the square root of the number of keys is more than the keys."""
    keys, queries = unit(count, 8, 0), unit(4, 8, 1)
    some = Search(keys, "torch", max_exact_keys=0)
    assert not some.exact
    np.testing.assert_array_equal(some.nearest(queries, 5)[1], brute_force(keys, queries, 5))
    assert some.recall(queries, 5) == 1.0 and some.recall(keys, 5, np.arange(count)) == 1.0


def test_search_of_fewer_keys_than_asked_for_returns_all():
    keys = unit(5, 8, 0)
    assert Search(keys, "faiss").nearest(unit(3, 8, 1), 50)[1].shape == (3, 5)


def test_a_cluster_keeps_exactly_its_first_member():
    base = unit(6, 16, 0)
    keys = np.concatenate([base, base[[2, 2, 2, 4]] + 1e-4])
    keys = (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float32)
    same = np.zeros(10, np.int64)
    np.testing.assert_array_equal(distinct(keys, same, 0.98), np.arange(6))
    other_task = np.array([0] * 6 + [1] * 4)
    np.testing.assert_array_equal(distinct(keys, other_task, 0.98), [0, 1, 2, 3, 4, 5, 6, 9])
    np.testing.assert_array_equal(distinct(keys, same, 1.0), np.arange(10))


def test_distinct_keeps_a_cover():
    keys = unit(200, 3, 5)
    stay = distinct(keys, np.zeros(200, np.int64), 0.9)
    similar = keys @ keys[stay].T
    assert (similar.max(1) > 0.9 - 1e-6).all()
    np.fill_diagonal(among := keys[stay] @ keys[stay].T, 0)
    assert among.max() <= 0.9 + 1e-6


def test_ranking_against_loops():
    g = torch.Generator().manual_seed(0)
    scores, valid = torch.randint(0, 6, (30, 12), generator=g).float(), torch.rand(30, 12, generator=g) < 0.7
    valid[0] = False
    scaled, kept, (column, found) = min_max(scores, valid), keep_nearest(scores, valid, 4), best(scores, valid, 3)
    for row in range(30):
        live = [i for i in range(12) if valid[row, i]]
        order = sorted(live, key=lambda i, row=row: (-scores[row, i].item(), i))
        assert {i for i in range(12) if kept[row, i]} == set(order[:4])
        assert column[row][found[row]].tolist() == order[:3]
        low, high = (f((scores[row, i].item() for i in live), default=0) for f in (min, max))
        for i in live:
            assert scaled[row, i] == pytest.approx((scores[row, i].item() - low) / (high - low) if high > low else 1)


def columns(episodes=3, horizon=8):
    random = np.random.default_rng(0)
    rows = episodes * horizon
    reward = random.integers(0, 2, rows).astype(np.float32)
    start = np.arange(0, rows + 1, horizon)
    returns = torch.from_numpy(reward.reshape(episodes, horizon)[:, ::-1].cumsum(1)[:, ::-1].reshape(-1))
    observation = torch.from_numpy(np.stack([random.integers(0, n, rows) for n in (ROOM.height, ROOM.width)], 1).astype(np.uint8))
    action = torch.from_numpy(random.integers(0, 5, (rows, 1)).astype(np.uint8))
    rewards = torch.from_numpy(reward)
    received = returns.reshape(episodes, horizon)[:, :1] - returns.reshape(episodes, horizon)
    return Columns(observation, action, rewards, returns, received.flatten(), suite_of(ROOM).spec), torch.from_numpy(start[:-1])


def test_windows_do_not_cross_episodes():
    data, first = columns()
    steps = data.windows(first, first + 5, first + 8, 6)
    assert steps.mask.tolist() == [[True] * 3 + [False] * 3] * 3
    assert steps.time[0, :3].tolist() == [5, 6, 7]
    assert steps.action[1, :3].tolist() == data.action[13:16].tolist()
    assert steps.previous_action[1, :3].tolist() == data.action[12:15].tolist()
    begin = data.windows(first, first, first + 2, 2)
    assert begin.previous_action[:, 0].tolist() == [[5], [5], [5]] and begin.previous_reward[:, 0].tolist() == [0, 0, 0]


def test_context_is_around_the_anchor_and_within_the_episode():
    data, first = columns()
    for anchor, expected in ((2, range(0, 4)), (4, range(2, 6)), (7, range(4, 8)), (8, range(4, 8))):
        steps = contexts(data, first, torch.full((3,), 8), torch.full((3,), anchor), 2)
        assert steps.time[1][steps.mask[1]].tolist() == list(expected)
        assert steps.returns[1][steps.mask[1]].tolist() == data.returns[[8 + t for t in expected]].tolist()


def shown(rewards, anchor, chunk, values):
    """Steps that a value shows of an episode with these rewards: its two halves, written out once more."""
    length, paid = len(rewards), [step + 1 for step, reward in enumerate(rewards) if reward > 0]
    if values == "around" or not paid:
        last = min(anchor + chunk, length)
        return [*range(max(last - 2 * chunk, 0), last)]
    one, two = paid[0], paid[1] if len(paid) > 1 else min(paid[0] + chunk, length)
    return [*range(max(one - chunk, 0), one), *range(max(two - chunk, one), two)]


@pytest.mark.parametrize("values", ["around", "rewards"])
def test_values_lead_to_the_rewards(values):
    """Of random episodes of any length, in memory and read from shards."""
    random = np.random.default_rng(3)
    lengths = random.integers(1, ROOM.horizon + 1, 60)
    start = np.concatenate([[0], lengths.cumsum()])
    reward = (random.random(start[-1]) < random.choice([0.0, 0.2, 0.6], 60).repeat(lengths)).astype(np.float32)
    code = random.integers(0, 3, (start[-1], 2)).astype(np.uint8)
    action, nothing = random.integers(0, 5, (start[-1], 1)).astype(np.uint8), np.zeros(start[-1], np.float32)
    spec, first = suite_of(ROOM).spec, torch.from_numpy(start[:-1])
    parts = [slice(start[begin], start[end]) for begin, end in ((0, 25), (25, 26), (26, 60))]
    shards = [SimpleNamespace(observations=code[part], actions=action[part], rewards=reward[part]) for part in parts]
    sources = [Columns(*map(torch.from_numpy, (code, action, reward, nothing, nothing)), spec), ShardColumns(shards, start, spec)]
    for chunk in (1, 2, 3, 8):
        anchor = torch.from_numpy(random.integers(1, lengths + 1))
        for source in sources:
            steps = contexts(source, first, torch.from_numpy(lengths), anchor, chunk, values)
            assert steps.mask.shape == (60, 2 * chunk)
            for row, (begin, end) in enumerate(pairwise(start)):
                expected = shown(reward[begin:end], int(anchor[row]), chunk, values)
                assert steps.time[row][steps.mask[row]].tolist() == expected
                assert steps.reward[row][steps.mask[row]].tolist() == reward[begin:end][expected].tolist()
                assert steps.action[row][steps.mask[row]].tolist() == action[begin:end][expected].tolist()


def test_what_is_read_is_told_as_parts():
    """The memory tells the steps of its contexts, in one part where the halves follow each other."""
    encoder = DecisionTransformer(MODEL, suite_of(ROOM).spec, True, 8).eval()
    weights = Memory(k_rerank=50, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, query_stride=2)
    several = set()
    for values in ("around", "rewards"):
        random = torch.Generator().manual_seed(5)
        history = EpisodeBuffer(3, 4, suite_of(ROOM).spec)
        memory = OnlineMemory(partial(embed_episodes, encoder, 2), history, weights, 2, 2, values)
        for episode in range(3):
            for time in range(8):
                paid = (torch.rand(3, generator=random) < 0.3).float()
                history.observe(time, torch.zeros(3, 2, dtype=torch.uint8), torch.zeros(3))
                history.act(time, torch.zeros(3, 1), paid, torch.full((3,), time == 7))
            history.finish()
            memory.add(episode)
            query = torch.nn.functional.normalize(torch.randn(3, encoder.norm.weight.shape[0], generator=random), dim=1)
            context = memory.context(query)
            columns = [column.tolist() for column in memory.parts(memory.last)]
            for row, (numbers, begins, ends, *_, there) in enumerate(zip(*columns, strict=True)):
                parts = [one[:3] for one in zip(numbers, begins, ends, there, strict=True) if one[3]]
                assert all(end > begin for _, begin, end in parts)
                told = [step for _, begin, end in parts for step in range(begin, end)]
                assert told == context.time[row, 0][context.mask[row, 0]].tolist()
                several.add((values, len(parts)))
    assert {parts for values, parts in several if values == "around"} == {2} and {("rewards", 2), ("rewards", 4)} <= several


def test_window_means_against_loops():
    g = torch.Generator().manual_seed(0)
    outputs, weight = torch.randn(2, 8, 4, generator=g), (torch.rand(2, 8, generator=g) < 0.7).float()
    stop = torch.tensor([[1, 3, 8], [2, 4, 6]])
    got = window_means(outputs, weight, stop, 3)
    for b in range(2):
        for s, end in enumerate(stop[b].tolist()):
            chosen = [outputs[b, t] for t in range(max(0, end - 3), end) if weight[b, t]]
            mean = torch.stack(chosen).mean(0) if chosen else torch.zeros(4)
            torch.testing.assert_close(got[b, s], torch.nn.functional.normalize(mean, dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [8, 4])
def test_keys_equal_window_by_window(window):
    torch.manual_seed(0)
    encoder = DecisionTransformer(MODEL, suite_of(ROOM).spec, True, window).eval()
    data, first = columns()
    keys, anchor = embed_episodes(encoder, 2, data, first, torch.full((3,), 8))
    assert anchor.tolist() == [[2, 4, 6, 8]] * 3
    for r in range(3):
        outputs = []
        for time in range(8):
            begin = window_start(time, window)
            steps = data.windows(first[r : r + 1], first[r : r + 1] + begin, first[r : r + 1] + time + 1, time + 1 - begin)
            outputs.append(encoder(steps)[1][0, -1])
        for key, a in zip(keys[r], anchor[r].tolist(), strict=True):
            mean = torch.stack(outputs[a - 2 : a]).mean(0)
            torch.testing.assert_close(key, torch.nn.functional.normalize(mean, dim=0), rtol=1e-4, atol=1e-5)


def test_reading_alone_or_in_a_batch_is_the_same():
    torch.manual_seed(0)
    encoder = DecisionTransformer(MODEL, suite_of(ROOM).spec, True, 8).eval()
    data, first = columns()
    together = embed_episodes(encoder, 4, data, first, torch.full((3,), 8))[0]
    alone = torch.cat([embed_episodes(encoder, 4, data, first[i : i + 1], torch.full((1,), 8))[0] for i in range(3)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("time", "positions", "begin"),
    [(0, 4, 0), (3, 4, 0), (4, 4, 2), (5, 4, 2), (6, 4, 4), (99, 100, 0), (100, 100, 50), (399, 100, 300)],
)
def test_windows_begin_every_half_window(time, positions, begin):
    assert window_start(time, positions) == begin
