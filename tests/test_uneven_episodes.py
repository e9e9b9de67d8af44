"""Contexts of training windows in episodes of 1 to 14 steps, some of which end within a window."""

import numpy as np
import pytest
import torch

from contexts import CHUNK, EACH, EMBED, HORIZON, TASKS, asking, chance, settings
from helpers import MODEL, ROOM
from radt.data.trajectories import Shard, Trajectories
from radt.data.windows import Episodes
from radt.encoders.dt import embed_all
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import embed_episodes, state_outputs, window_start
from radt.retrieval.context import TrainingContexts
from radt.retrieval.index import ChunkIndex
from radt.suites import suite_of


@pytest.fixture(scope="module")
def ragged():
    """Episodes of 1 to 14 steps, read by a network whose window is 8: more than one block."""
    room = ROOM.model_copy(update={"horizon": 14})
    random = np.random.default_rng(4)
    lengths = random.integers(1, 15, TASKS * EACH)
    lengths[:2] = 14, 13
    rows = int(lengths.sum())
    shard = Shard(
        np.stack([random.integers(0, n, rows) for n in (ROOM.height, ROOM.width)], 1).astype(np.uint8),
        random.integers(0, 5, (rows, 1)).astype(np.uint8),
        random.integers(0, 2, rows).astype(np.float32),
        np.concatenate([[0], lengths.cumsum()]),
        np.repeat(np.arange(TASKS), EACH).astype(np.int32),
        np.zeros(TASKS * EACH, np.int32),
    )
    torch.manual_seed(0)
    encoder = DecisionTransformer(MODEL, suite_of(room).spec, True, HORIZON).eval().requires_grad_(False)
    episodes = Episodes(Trajectories([shard], {}, suite_of(room).spec))
    embed = EMBED.model_copy(update={"query_stride": 2})
    found = embed_all(encoder, episodes, embed, 14)
    index = ChunkIndex(found["keys"].numpy(), found["episode"], found["anchor"])
    return encoder, episodes, index, embed, found["queries"].numpy()


def test_episodes_of_all_lengths_have_the_keys_of_each_alone_in_order(ragged):
    encoder, episodes, _, embed, stored = ragged
    found = embed_all(encoder, episodes, embed.model_copy(update={"batch_size": 3}), 14)
    place = 0
    for number in range(len(episodes.first)):
        keys, anchor = embed_episodes(
            encoder, embed.chunk_length, episodes.columns, episodes.first[[number]], episodes.length[[number]]
        )
        count = anchor.shape[1]
        own = slice(place, place + count)
        assert found["episode"][own].tolist() == [number] * count and found["anchor"][own].tolist() == anchor[0].tolist()
        torch.testing.assert_close(found["keys"][own], keys[0], rtol=1e-4, atol=1e-5)
        place += count
    assert place == len(found["keys"])
    np.testing.assert_allclose(found["queries"], stored, rtol=1e-4, atol=1e-5)


def test_short_windows_pick_the_queries_of_their_steps(ragged):
    encoder, episodes, index, embed, stored = ragged
    contexts = TrainingContexts(asking(encoder), index, episodes, settings(pool="earlier"), embed, stored)
    episode, steps = episodes.sample(np.random.default_rng(0), 200, 4, 2)
    vectors, last = contexts.queries(steps, episode, chance)
    assert vectors.shape[:2] == (200, 2) and last[0].tolist() == [0, 2]
    assert len(set(steps.time[:, 0].tolist())) > 4
    for row in range(0, 200, 9):
        for segment in range(2):
            if not steps.mask[row, 2 * segment]:
                continue
            step, first = int(steps.time[row, 2 * segment]), episodes.first[episode[row]][None]
            outputs = []
            for at in range(max(0, step + 1 - CHUNK), step + 1):
                begin = window_start(at, HORIZON)
                seen = episodes.columns.windows(first, first + begin, first + at + 1, at + 1 - begin)
                outputs.append(state_outputs(encoder, seen)[0, -1])
            expected = torch.nn.functional.normalize(torch.stack(outputs).mean(0), dim=-1)
            torch.testing.assert_close(vectors[row, segment], expected, rtol=1e-4, atol=1e-5)
    assert contexts(steps, episode, chance).mask.shape == (200, 2, 2 * 2 * CHUNK)


def test_a_last_window_that_reaches_over_the_horizon_has_queries(ragged):
    """Episodes of 14 steps in windows of 8 that begin every 4: the last begins at step 8 and has room for 16."""
    encoder, episodes, index, embed, stored = ragged
    contexts = TrainingContexts(asking(encoder), index, episodes, settings(pool="earlier"), embed, stored)
    episode = torch.tensor([0])
    first = episodes.first[episode]
    steps = episodes.columns.windows(first, first + 8, first + 14, 8)
    vectors, _ = contexts.queries(steps, episode, chance)
    assert torch.equal(vectors[0, :3], torch.from_numpy(stored[0, 4:7]))
    assert contexts(steps, episode, chance).mask.shape == (1, 4, 2 * 2 * CHUNK)


@pytest.mark.parametrize("pool", ["task", "uniform"])
def test_pools_without_a_search_draw_random_chunks_of_other_episodes(ragged, pool):
    encoder, episodes, index, embed, stored = ragged
    contexts = TrainingContexts(asking(encoder), index, episodes, settings(pool=pool), embed, stored)
    owner = torch.arange(TASKS * EACH).repeat(20)
    everything = torch.full_like(owner, TASKS * EACH)
    chunk, found = contexts.random_chunks(owner, everything, np.random.default_rng(0), 3)
    assert chunk.shape == found.shape == (len(owner), 3, 2) and found.all()
    drawn = index.episode[chunk].flatten(1)
    assert (drawn != owner[:, None]).all()
    tasks = episodes.task[drawn]
    if pool == "task":
        assert torch.equal(tasks, episodes.task[owner][:, None].expand_as(tasks))
    else:
        expected = torch.bincount(episodes.task[index.episode]) / len(index.episode)
        torch.testing.assert_close(torch.bincount(tasks.flatten()) / tasks.numel(), expected, rtol=0.0, atol=0.04)
    for one in range(TASKS * EACH):
        own = set(chunk[owner == one].flatten().tolist())
        task = (
            episodes.task[index.episode] == episodes.task[one]
            if pool == "task"
            else torch.ones(len(index.episode), dtype=torch.bool)
        )
        assert own <= set(torch.nonzero(task & (index.episode != one))[:, 0].tolist())
    episode, steps = episodes.sample(np.random.default_rng(0), 12, 4, 2)
    read = contexts(steps, episode, chance)
    assert read.mask.shape == (12, 2, 2 * 2 * CHUNK) and read.mask.any(-1).all()


def test_contexts_of_short_windows_are_of_the_past(ragged):
    """Changing what comes after a segment's first step changes neither its query nor its context."""
    encoder, episodes, index, embed, _ = ragged
    shard_columns = episodes.columns._columns
    observation, action, reward = (np.array(column) for column in shard_columns[0])
    first, contexts = int(episodes.first[1]), []
    for cut in (14, 9):
        changed = action.copy()
        changed[first + cut : first + 13] = (changed[first + cut : first + 13] + 1) % 5
        task = episodes.task.numpy().astype(np.int32)
        shard = Shard(observation, changed, reward, episodes._start, task, np.zeros_like(task))
        other = Episodes(Trajectories([shard], {}, episodes.columns.spec))
        queries = embed_all(encoder, other, embed, 14)["queries"].numpy()
        finder = TrainingContexts(asking(encoder), index, other, settings(pool="all"), embed, queries)
        start = other.first[[1]]
        window = other.columns.windows(start, start + 6, start + 13, 8)
        contexts.append((queries[1], finder(window, torch.tensor([1]), chance)))
    (before, old), (after, new) = contexts
    np.testing.assert_array_equal(before[:5], after[:5])  # queries after steps 0, 2, 4, 6, 8
    assert not np.array_equal(before[5], after[5])
    for name in vars(old):
        assert torch.equal(getattr(old, name)[:, :2], getattr(new, name)[:, :2]), name
