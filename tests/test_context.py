"""Contexts of training windows and the memory of evaluation against brute-force twins."""

import numpy as np
import pytest
import torch

from helpers import MODEL, ROOM
from radt.data.trajectories import Trajectories
from radt.data.windows import Episodes
from radt.evaluation.history import History
from radt.evaluation.memory import OnlineMemory
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import embed_episodes
from radt.retrieval.context import TrainingContexts
from radt.retrieval.index import ChunkIndex
from radt.settings import Memory, Retrieval

CHUNK, HORIZON, TASKS, EACH = 2, 8, 3, 6


def settings(**changes):
    values = {
        "engine": "torch", "scope": "segment", "every": 4, "pool": "all", "candidates": 30, "cutoff": 0.99, "keep": 9,
        "weight_similarity": 1.0, "weight_task": 1.0, "weight_return": 0.5, "weight_reward": 0.25, "query_dropout": 0.0,
        "random_before": 0, "chunks": 2,
    }  # fmt: skip
    return Retrieval(**{**values, **changes})


@pytest.fixture(scope="module")
def world():
    random = np.random.default_rng(3)
    rows = TASKS * EACH * HORIZON
    data = Trajectories(
        np.stack([random.integers(0, n, rows) for n in (ROOM.height, ROOM.width)], 1).astype(np.uint8),
        random.integers(0, 5, rows).astype(np.uint8),
        random.integers(0, 2, rows).astype(np.float32),
        np.arange(0, rows + 1, HORIZON),
        np.repeat(np.arange(TASKS), EACH).astype(np.int32),
        manifest={},
    )
    torch.manual_seed(0)
    encoder = DecisionTransformer(MODEL, ROOM, True, HORIZON).eval().requires_grad_(False)
    episodes = Episodes(data)
    keys, episode, anchor = embed_episodes(encoder, episodes.columns, episodes.first, episodes.length, CHUNK)
    return encoder, episodes, ChunkIndex(keys.numpy(), episode, anchor)


def chance(purpose):
    return np.random.default_rng(len(purpose))


def scaled(values):
    low, high = min(values), max(values)
    return [(v - low) / (high - low) if high > low else 1.0 for v in values]


def chunk_reward(episodes, episode, anchor):
    first = int(episodes.first[episode])
    return float(episodes.columns.reward[first + max(0, anchor - CHUNK) : first + min(HORIZON, anchor + CHUNK)].sum())


def twin(world, limits, query, owner, memory):
    """Chunks that a reader of the paper would pick, by sorting lists."""
    _, episodes, index = world
    task = episodes.task.tolist()
    everything = range(len(index.keys))
    pool = everything if limits.pool == "all" else [i for i in everything if task[index.episode[i]] == task[owner]]
    similarity = {i: round(float(np.dot(index.keys[i].astype(np.float64), query.astype(np.float64))), 6) for i in pool}
    pool = [i for i in pool if index.episode[i] < memory]
    nearest = sorted(pool, key=lambda i: (-similarity[i], i))[: limits.candidates]
    allowed = [i for i in nearest if similarity[i] <= limits.cutoff and index.episode[i] != owner]
    kept = allowed[: limits.keep]
    if not kept:
        return []
    returns = scaled([episodes.columns.returns[episodes.first[index.episode[i]]].item() for i in kept])
    rewards = scaled([chunk_reward(episodes, index.episode[i], int(index.anchor[i])) for i in kept])
    near = scaled([similarity[i] for i in kept])
    score = {
        i: limits.weight_similarity * near[n]
        + limits.weight_return * returns[n]
        + limits.weight_reward * rewards[n]
        + limits.weight_task * (task[index.episode[i]] == task[owner])
        for n, i in enumerate(kept)
    }
    return sorted(kept, key=lambda i: -score[i])[: limits.chunks], score


@pytest.mark.parametrize("engine", ["torch", "faiss"])
@pytest.mark.parametrize("pool", ["all", "earlier"])
def test_ranking_agrees_with_a_brute_force_twin(world, pool, engine):
    encoder, episodes, index = world
    limits = settings(pool=pool, engine=engine)
    contexts = TrainingContexts(encoder, index, episodes, limits, CHUNK)
    random = np.random.default_rng(0)
    queries = random.normal(size=(40, index.keys.shape[1])).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    queries[:10] = index.keys[:10]  # these are above the cut-off
    owner = torch.from_numpy(random.integers(0, TASKS * EACH, 40))
    memory = contexts.memory(owner, random)
    chunk, found = contexts.rank(torch.from_numpy(queries), owner, memory)
    for row in range(40):
        expected = twin(world, limits, queries[row], int(owner[row]), int(memory[row]))
        if not expected:
            assert not found[row].any()
            continue
        got = chunk[row][found[row]].tolist()
        picks, score = expected
        assert len(got) == len(picks)
        assert [score[i] for i in got] == pytest.approx([score[i] for i in picks], abs=1e-4)


def test_memories_are_of_any_age_but_never_of_the_future(world):
    encoder, episodes, index = world
    contexts = TrainingContexts(encoder, index, episodes, settings(pool="earlier"), CHUNK)
    last = torch.full((500,), 2 * EACH - 1)
    memory = contexts.memory(last, np.random.default_rng(0))
    assert set(memory.tolist()) == set(range(EACH, 2 * EACH))
    everything = TrainingContexts(encoder, index, episodes, settings(), CHUNK)
    assert set(everything.memory(last, np.random.default_rng(0)).tolist()) == {TASKS * EACH}


def test_a_context_is_found_from_what_came_before_it(world):
    encoder, episodes, index = world
    contexts = TrainingContexts(encoder, index, episodes, settings(), CHUNK)
    _, steps = episodes.sample(np.random.default_rng(0), 4, HORIZON)
    chosen = torch.tensor([0, 7, 12, 17])
    one = contexts(steps, chosen, chance)
    steps.action[:, 5:] = 0
    steps.reward[:, 5:] = 0
    steps.previous_action[:, 6:] = 0
    two = contexts(steps, chosen, chance)
    assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in vars(one))


def test_early_queries_get_a_random_chunk_of_their_task(world):
    encoder, episodes, index = world
    contexts = TrainingContexts(encoder, index, episodes, settings(random_before=10), CHUNK)
    owner = torch.arange(TASKS * EACH)
    everything, early = torch.full_like(owner, TASKS * EACH), episodes.first_of_task[episodes.task[owner]] + 2
    for memory in (everything, early):
        chunks, found = contexts.random_chunks(owner, memory, np.random.default_rng(0))
        drawn = index.episode[chunks]
        assert found.all()
        assert torch.equal(episodes.task[drawn], episodes.task[owner][:, None].expand(-1, 2))
        assert (drawn != owner[:, None]).all() and (drawn < memory[:, None]).all()
    nothing = contexts.random_chunks(owner, episodes.first_of_task[episodes.task[owner]], np.random.default_rng(0))
    assert not nothing[1].any()


def test_the_online_memory_agrees_with_a_brute_force_twin(world):
    encoder, episodes, _ = world
    history = History(TASKS, EACH, HORIZON)
    weights = Memory(keep=7, weight_similarity=1.0, weight_return=1.0, weight_reward=0.5, every=1)
    memory = OnlineMemory(encoder, history, weights, CHUNK, 1)
    assert memory.context(torch.zeros(TASKS, MODEL.width)) is None
    for number in range(EACH):
        rows = episodes.first.reshape(TASKS, EACH)[:, number]
        for time in range(HORIZON):
            history.observe(time, episodes.columns.observation[rows + time], torch.full((TASKS,), 5.0))
            history.act(time, episodes.columns.action[rows + time], episodes.columns.reward[rows + time])
        history.finish()
        memory.add(number)
    torch.testing.assert_close(history.columns.returns, episodes.columns.returns)
    keys, _, _ = embed_episodes(encoder, episodes.columns, episodes.first, episodes.length, CHUNK)
    torch.testing.assert_close(memory.keys.flatten(0, 1), keys)
    queries = torch.nn.functional.normalize(torch.randn(TASKS, MODEL.width, generator=torch.Generator().manual_seed(0)), dim=-1)
    chosen = memory.rank(queries)[:, 0].tolist()
    per_episode = HORIZON // CHUNK
    for task in range(TASKS):
        own = memory.keys[task] @ queries[task]
        kept = sorted(range(len(own)), key=lambda i, own=own: (-own[i].item(), i))[:7]
        near = scaled([own[i].item() for i in kept])
        returns = scaled([history.totals[task, i // per_episode].item() for i in kept])
        rewards = scaled([chunk_reward(episodes, task * EACH + i // per_episode, (i % per_episode + 1) * CHUNK) for i in kept])
        score = {i: near[n] + returns[n] + 0.5 * rewards[n] for n, i in enumerate(kept)}
        assert score[chosen[task]] == pytest.approx(max(score.values()), abs=1e-4)
