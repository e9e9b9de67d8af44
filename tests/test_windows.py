"""Windows of mapped shards against those of columns in memory, and how training windows are drawn."""

import numpy as np
import pytest
import torch

from helpers import SPEC
from radt.artifacts import read_tensors, write_tensors
from radt.data import windows
from radt.data.trajectories import Shard, Trajectories
from radt.data.windows import Columns, Episodes
from radt.methods.ad import with_context
from radt.retrieval.chunks import window_start
from radt.spaces import Codes

LENGTHS = [[3, 8, 1], [5, 8, 8, 2], [7]]  # episodes of three shards


def make(folder, lengths=LENGTHS, numbers=2):
    """Shards mapped from files, and the same steps as columns in memory; returns-to-go by loops."""
    random, shards = np.random.default_rng(0), []
    for number, episodes in enumerate(lengths):
        steps = sum(episodes)
        shard = Shard(
            random.integers(0, 9, (steps, numbers), np.uint8),
            random.integers(0, 5, (steps, 1), np.uint8),
            random.random(steps, np.float32),
            np.concatenate([[0], np.cumsum(episodes)]),
            np.full(len(episodes), number, np.int32),
            np.arange(len(episodes), dtype=np.int32) // 2,
        )
        write_tensors(folder / f"{number}.safetensors", {k: v for k, v in vars(shard).items() if v is not None})
        shards.append(Shard(**read_tensors(folder / f"{number}.safetensors")))
    spec = SPEC.model_copy(update={"observation": Codes(sizes=(9,) * numbers)})
    returns, received = [], []
    for shard in shards:
        for begin, end in zip(shard.episode_start[:-1], shard.episode_start[1:], strict=True):
            returns += [shard.rewards[step:end].astype(np.float64).sum() for step in range(begin, end)]
            received += [shard.rewards[begin:step].astype(np.float64).sum() for step in range(begin, end)]
    columns = [np.concatenate([getattr(shard, name) for shard in shards]) for name in ("observations", "actions", "rewards")]
    sums = (torch.tensor(values, dtype=torch.float32) for values in (returns, received))
    memory = Columns(*(torch.from_numpy(column) for column in columns), *sums, spec)
    return Episodes(Trajectories(shards, {}, spec)), memory


def assert_same(ours, expected):
    for name, values in vars(expected).items():
        got = getattr(ours, name)
        assert got.dtype == values.dtype and got.shape == values.shape, name
        if name in ("returns", "received"):  # sums of rewards that are no whole numbers
            torch.testing.assert_close(got, values, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(got, values), name


@pytest.mark.parametrize("length", [1, 3, 8, 11])
def test_every_window_of_every_shard(tmp_path, length):
    episodes, memory = make(tmp_path)
    table = [
        (first, first + start, first + stop)
        for first, steps in zip(episodes.first.tolist(), episodes.length.tolist(), strict=True)
        for start in range(steps)
        for stop in range(start, steps + 1)
    ]
    first, start, stop = torch.tensor(table).T
    assert_same(episodes.columns.windows(first, start, stop, length), memory.windows(first, start, stop, length))
    for one in range(0, len(first), 7):
        alone = first[one : one + 1], start[one : one + 1], stop[one : one + 1]
        assert_same(episodes.columns.windows(*alone, length), memory.windows(*alone, length))


def test_windows_keep_the_shape_of_their_rows(tmp_path):
    episodes, memory = make(tmp_path)
    first = episodes.first[:6].reshape(2, 3)
    stop = first + episodes.length[:6].reshape(2, 3)
    assert_same(episodes.columns.windows(first, first, stop, 4), memory.windows(first, first, stop, 4))
    none = torch.zeros(0, dtype=torch.long)
    assert episodes.columns.windows(none, none, none, 4).observation.shape == (0, 4, 2)


def test_the_table_of_episodes(tmp_path):
    episodes, memory = make(tmp_path)
    assert episodes.length.tolist() == [3, 8, 1, 5, 8, 8, 2, 7] and episodes.task.tolist() == [0] * 3 + [1] * 4 + [2]
    assert episodes.first_of_task.tolist() == [0, 3, 7] and episodes.last_of_task.tolist() == [2, 6, 7]
    assert episodes.history.tolist() == [0, 0, 1, 2, 2, 3, 3, 4]  # two episodes in each, counted anew in every task
    assert episodes.first_of_history.tolist() == [0, 0, 2, 3, 3, 5, 5, 7]
    torch.testing.assert_close(episodes.returns, memory.returns[episodes.first])


def test_opening_lets_go_of_every_shard(tmp_path, monkeypatch):
    """Once the returns are known, each mapped file is read at random."""
    seen = []
    monkeypatch.setattr(windows, "read_at_random", lambda array: seen.append(array))
    episodes, _ = make(tmp_path)
    assert [len(array) for array in seen] == [sum(lengths) for lengths in LENGTHS]
    assert all(isinstance(array, np.memmap) for array in seen) and len(episodes.returns) == 8


def test_windows_are_drawn_in_proportion_to_the_length(tmp_path):
    episodes, _ = make(tmp_path)
    drawn, steps = episodes.sample(np.random.default_rng(1), 4000, 5)
    share = torch.bincount(drawn) / len(drawn)
    torch.testing.assert_close(share, episodes.length / episodes.length.sum(), rtol=0.0, atol=0.03)
    short = episodes.length[drawn] <= 5
    assert torch.equal(steps.mask.sum(1)[short], episodes.length[drawn][short]) and (steps.time[short, 0] == 0).all()
    last = (steps.time * steps.mask).amax(1)[~short]
    assert set(last.tolist()) == set(range(8))  # windows end anywhere, on the last step, too


@pytest.mark.parametrize("share", [0.01, 0.5, 0.75, 1.0])
def test_windows_are_drawn_from_the_best_episodes_of_each_history(tmp_path, share):
    """Against a loop over histories: a share of their episodes, at least one, in proportion to their length."""
    episodes, _ = make(tmp_path, [[3, 8, 1, 4], [5, 8, 8, 2, 6], [7]])
    expected = set()  # of histories of two episodes, and of one
    for history in range(int(episodes.history.max()) + 1):
        own = sorted(torch.where(episodes.history == history)[0].tolist(), key=lambda number: -episodes.returns[number])
        expected |= set(own[: max(1, int(np.ceil(share * len(own))))])
    among = episodes.best(share)
    drawn, _ = episodes.sample(np.random.default_rng(1), 4000, 5, among=among)
    assert among.episodes.tolist() == sorted(expected) == sorted(set(drawn.tolist()))
    lengths = episodes.length[among.episodes]
    found = torch.bincount(drawn, minlength=len(episodes.length))[among.episodes] / 4000
    torch.testing.assert_close(found, lengths / lengths.sum(), atol=0.03, rtol=0.0)
    everything = episodes.sample(np.random.default_rng(1), 4000, 5)[0]
    assert torch.equal(drawn, everything) == (len(expected) == len(lengths) == len(episodes.length))


def test_observations_of_six_numbers(tmp_path):
    episodes, memory = make(tmp_path, numbers=6)
    first, stop = episodes.first, episodes.first + episodes.length
    assert_same(episodes.columns.windows(first, first, stop, 8), memory.windows(first, first, stop, 8))
    assert episodes.columns.windows(first, first, stop, 8).observation.shape == (8, 8, 6)


def test_what_was_received_lies_before_the_step(tmp_path):
    """Rewards from the step on, and those of the next episode, may change: `received` does not."""
    episodes, _ = make(tmp_path)
    rewards = [np.array(columns[2]) for columns in episodes.columns._columns]
    first, length = episodes.first[4], episodes.length[4]  # the second episode of 8 steps
    before = episodes.columns.windows(first[None], first[None] + 2, first[None] + length, 6)
    for cut in range(8):
        changed = [part.copy() for part in rewards]
        own = int(first) - sum(LENGTHS[0])
        changed[1][own + cut :] += 1
        columns = [(*old[:2], new) for old, new in zip(episodes.columns._columns, changed, strict=True)]
        other = make(tmp_path)[0]
        other.columns._columns = columns
        after = other.columns.windows(first[None], first[None] + 2, first[None] + length, 6)
        known = before.time[0] <= cut
        assert torch.equal(after.received[0, known], before.received[0, known])
        assert torch.equal(after.previous_reward[0, known], before.previous_reward[0, known])
        assert not (after.received[0, ~known] == before.received[0, ~known]).any()


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (6, 3), (2, 1), (8, 4)])
def test_windows_with_a_stride_are_those_of_evaluation(tmp_path, window, stride):
    """Each begins at a multiple of half a window, all of them occur, and every step stands in the one that evaluation has."""
    lengths = [[3, 8, 1], [5, 8, 7, 2], [6]]
    episodes, memory = make(tmp_path, lengths)
    drawn, steps = episodes.sample(np.random.default_rng(1), 6000, window, stride)
    begin = steps.time[:, 0]
    assert (begin % stride == 0).all() and (steps.mask.any(1)).all()
    for episode, length in enumerate(episodes.length.tolist()):
        own = drawn == episode
        expected = {window_start(time, window) for time in range(length)}
        assert set(begin[own].tolist()) == expected
        reached = begin[own] + steps.mask[own].sum(1)
        assert torch.equal(reached, (begin[own] + window).clamp_max(length))
        share = torch.bincount(begin[own] // stride) / own.sum()
        torch.testing.assert_close(share, torch.full_like(share, 1 / len(expected)), rtol=0.0, atol=0.08)
    first = episodes.first[drawn]
    expected = memory.windows(first, first + begin, first + begin + steps.mask.sum(1), window)
    assert_same(steps, expected)


@pytest.mark.parametrize("later", [1, 5])
def test_the_context_of_ad_is_of_the_same_history(tmp_path, later):
    """Histories have two episodes: the second reads the first, which reads nothing."""
    episodes, memory = make(tmp_path)
    chosen = torch.arange(8)
    steps = memory.windows(episodes.first, episodes.first, episodes.first + episodes.length, 8)
    context = with_context(episodes, chosen, steps, later)[:, :8]
    before = {1: 0, 4: 3, 6: 5}
    for episode in range(8):
        assert context.mask[episode].any() == (episode in before)
        if episode in before:
            first, length = episodes.first[[before[episode]]], episodes.length[[before[episode]]]
            assert_same(context[[episode]], memory.windows(first, first, first + length, 8))
    hidden = with_context(episodes, chosen, steps, later, hidden=True)
    assert (hidden[:, 8:].previous_action == torch.tensor(memory.spec.actions)).all() and torch.equal(
        hidden.action[:, 8:], steps.action
    )
    assert_same(hidden[:, :8], context)
