"""Contexts of training windows and the memory of evaluation against brute-force twins."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from contexts import CHUNK, EACH, EMBED, HORIZON, TASKS, asking, chance, settings
from helpers import MODEL, ROOM, SPEC
from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Shard, Trajectories
from radt.data.windows import Episodes
from radt.encoders.dt import embed_all
from radt.errors import RadtError
from radt.evaluation.memory import OnlineMemory
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import embed_episodes, state_outputs, window_means
from radt.retrieval.context import TrainingContexts
from radt.retrieval.index import ChunkIndex
from radt.settings.evaluation import Memory
from radt.suites import suite_of


def trajectories(observations, actions, rewards):
    task = np.repeat(np.arange(TASKS), EACH).astype(np.int32)
    shard = Shard(
        observations.astype(np.uint8), actions, rewards, np.arange(0, len(actions) + 1, HORIZON), task, np.zeros_like(task)
    )
    return Trajectories([shard], {}, SPEC)


@pytest.fixture(scope="module")
def world():
    random = np.random.default_rng(3)
    rows = TASKS * EACH * HORIZON
    data = trajectories(
        np.stack([random.integers(0, n, rows) for n in (ROOM.height, ROOM.width)], 1),
        random.integers(0, 5, (rows, 1)).astype(np.uint8),
        random.integers(0, 2, rows).astype(np.float32),
    )
    torch.manual_seed(0)
    encoder = DecisionTransformer(MODEL, suite_of(ROOM).spec, True, HORIZON).eval().requires_grad_(False)
    episodes = Episodes(data)
    found = embed_all(encoder, episodes, EMBED, HORIZON)
    return encoder, episodes, ChunkIndex(found["keys"].numpy(), found["episode"], found["anchor"])


def scaled(values):
    low, high = min(values), max(values)
    return [(v - low) / (high - low) if high > low else 1.0 for v in values]


def flat(episodes):
    """All steps, one after the other."""
    steps = episodes.columns.windows(episodes.first, episodes.first, episodes.first + episodes.length, HORIZON)
    return steps.map(lambda values: values.flatten(0, 1))


def chunk_reward(episodes, episode, anchor):
    first = int(episodes.first[episode])
    stop = min(HORIZON, anchor + CHUNK)
    return float(flat(episodes).reward[first + max(0, stop - 2 * CHUNK) : first + stop].sum())


def twin(world, limits, query, owner, memory):
    """Chunks that a reader of the paper would pick, by sorting lists."""
    _, episodes, index = world
    task = episodes.task.tolist()
    everything = range(len(index.keys))
    pool = everything if limits.pool == "all" else [i for i in everything if task[index.episode[i]] == task[owner]]
    similarity = {i: round(float(np.dot(index.keys[i].astype(np.float64), query.astype(np.float64))), 6) for i in pool}
    pool = [i for i in pool if index.episode[i] < memory]
    nearest = sorted(pool, key=lambda i: (-similarity[i], i))[: limits.k_search]
    allowed = [i for i in nearest if similarity[i] <= limits.max_similarity and index.episode[i] != owner]
    kept = allowed[: limits.k_rerank]
    if not kept:
        return []
    returns = scaled([flat(episodes).returns[episodes.first[index.episode[i]]].item() for i in kept])
    rewards = scaled([chunk_reward(episodes, index.episode[i], int(index.anchor[i])) for i in kept])
    near = scaled([similarity[i] for i in kept])
    score = {
        i: limits.weight_similarity * near[n]
        + limits.weight_return * returns[n]
        + limits.weight_reward * rewards[n]
        + limits.weight_task * (task[index.episode[i]] == task[owner])
        for n, i in enumerate(kept)
    }
    return sorted(kept, key=lambda i: -score[i])[: limits.k_context], score


@pytest.mark.parametrize("engine", ["torch", "faiss"])
@pytest.mark.parametrize("pool", ["all", "earlier"])
def test_ranking_agrees_with_a_brute_force_twin(world, pool, engine):
    encoder, episodes, index = world
    limits = settings(pool=pool, engine=engine)
    contexts = TrainingContexts(asking(encoder), index, episodes, limits, EMBED, embedded(encoder, episodes))
    random = np.random.default_rng(0)
    queries = random.normal(size=(40, index.keys.shape[1])).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    queries[:10] = index.keys[:10]  # these are above the cut-off
    owner = torch.from_numpy(random.integers(0, TASKS * EACH, 20))
    memory = contexts.memory(owner, random)
    chunk, found = (x.flatten(0, 1) for x in contexts.rank(torch.from_numpy(queries).unflatten(0, (20, 2)), owner, memory))
    for row in range(40):
        expected = twin(world, limits, queries[row], int(owner[row // 2]), int(memory[row // 2]))
        if not expected:
            assert not found[row].any()
            continue
        got = chunk[row][found[row]].tolist()
        picks, score = expected
        assert len(got) == len(picks)
        assert [score[i] for i in got] == pytest.approx([score[i] for i in picks], abs=1e-4)


@pytest.mark.guarantee
def test_g9_memories_are_of_any_age_but_never_empty_or_of_the_future(world):
    encoder, episodes, index = world
    contexts = TrainingContexts(asking(encoder), index, episodes, settings(pool="earlier"), EMBED, embedded(encoder, episodes))
    last = torch.full((500,), 2 * EACH - 1)
    memory = contexts.memory(last, np.random.default_rng(0))
    assert set(memory.tolist()) == set(range(EACH + 1, 2 * EACH))
    assert contexts.memory(torch.tensor([EACH, EACH + 1]), np.random.default_rng(0)).tolist() == [EACH, EACH + 1]
    everything = TrainingContexts(asking(encoder), index, episodes, settings(), EMBED, embedded(encoder, episodes))
    assert set(everything.memory(last, np.random.default_rng(0)).tolist()) == {TASKS * EACH}


def embedded(encoder, episodes):
    return embed_all(encoder, episodes, EMBED, HORIZON)["queries"].numpy()


def test_stored_queries_are_those_of_the_windows(world):
    encoder, episodes, _ = world
    queries = torch.from_numpy(embedded(encoder, episodes))
    _, steps = episodes.sample(np.random.default_rng(0), 4, HORIZON)
    chosen = torch.tensor([0, 7, 12, 17])
    rows = episodes.first[chosen]
    steps = episodes.columns.windows(rows, rows, rows + HORIZON, HORIZON)
    outputs = state_outputs(encoder, steps)
    for segment, stop in enumerate((1, 5)):  # after the first step of each segment of 4
        direct = outputs[:, max(0, stop - CHUNK) : stop].mean(1)
        torch.testing.assert_close(queries[chosen, segment], torch.nn.functional.normalize(direct, dim=-1))


@pytest.mark.guarantee
def test_g9_a_context_is_found_from_what_came_before_it(world):
    """What an episode does after a query changes neither the query nor what is found; what it did before changes the query."""
    encoder, episodes, index = world
    owner = 7
    contexts, queries = [], []
    for changed_from in (HORIZON, 5, 3):
        steps = flat(episodes)
        actions = steps.action.numpy().astype(np.uint8)
        rows = slice(owner * HORIZON + changed_from, (owner + 1) * HORIZON)
        actions[rows] = (actions[rows] + 1) % 5
        changed = Episodes(trajectories(steps.observation.numpy(), actions, steps.reward.numpy()))
        queries.append(torch.from_numpy(embedded(encoder, changed))[owner])
        finder = TrainingContexts(asking(encoder), index, changed, settings(pool="earlier"), EMBED, embedded(encoder, changed))
        first = changed.first[[owner]]
        window = changed.columns.windows(first, first, first + HORIZON, HORIZON)
        contexts.append(finder(window, torch.tensor([owner]), chance))
    torch.testing.assert_close(queries[0], queries[1], rtol=0, atol=0)
    assert all(torch.equal(getattr(contexts[0], name), getattr(contexts[1], name)) for name in vars(contexts[0]))
    assert torch.equal(queries[0][0], queries[2][0]) and not torch.equal(queries[0][1], queries[2][1])


def test_windows_find_their_contexts_with_stored_and_with_own_queries(world):
    encoder, episodes, index = world
    random = np.random.default_rng(0)
    chosen, steps = episodes.sample(random, 6, HORIZON)
    stored = TrainingContexts(asking(encoder), index, episodes, settings(), EMBED, embedded(encoder, episodes))
    assert stored(steps, chosen, chance).mask.shape == (6, 2, 2 * 2 * CHUNK)
    vectors, last = stored.queries(steps, chosen, chance)
    assert torch.equal(vectors, torch.from_numpy(embedded(encoder, episodes))[chosen]) and last.tolist() == [[0, 4]] * 6
    with pytest.raises(RadtError, match=r"embed\.query_stride"):
        TrainingContexts(asking(encoder), index, episodes, settings(), EMBED)
    own = TrainingContexts(asking(encoder), index, episodes, settings(scope="window"), EMBED)
    vectors, last = own.queries(steps, chosen, chance)
    direct = window_means(state_outputs(encoder, steps), steps.mask.float(), torch.full((6, 1), HORIZON), CHUNK)
    torch.testing.assert_close(vectors, direct)
    assert last.tolist() == [[HORIZON - 1]] * 6
    dropped = TrainingContexts(asking(encoder), index, episodes, settings(scope="window", query_dropout=0.5), EMBED)
    assert not torch.equal(dropped.queries(steps, chosen, chance)[0], vectors)


def test_early_queries_get_a_random_chunk_of_their_task(world):
    encoder, episodes, index = world
    contexts = TrainingContexts(asking(encoder), index, episodes, settings(random_before=10), EMBED, embedded(encoder, episodes))
    owner = torch.arange(TASKS * EACH)
    everything, early = torch.full_like(owner, TASKS * EACH), episodes.first_of_task[episodes.task[owner]] + 2
    for memory in (everything, early):
        chunks, found = (x.flatten(1) for x in contexts.random_chunks(owner, memory, np.random.default_rng(0), 3))
        drawn = index.episode[chunks]
        assert found.all()
        assert torch.equal(episodes.task[drawn], episodes.task[owner][:, None].expand(-1, 3 * 2))
        assert (drawn != owner[:, None]).all() and (drawn < memory[:, None]).all()
    nothing = contexts.random_chunks(owner, episodes.first_of_task[episodes.task[owner]], np.random.default_rng(0), 3)
    assert not nothing[1].any()


def test_the_online_memory_agrees_with_a_brute_force_twin(world):
    encoder, episodes, _ = world
    history = EpisodeBuffer(TASKS, EACH, SPEC)
    weights = Memory(k_rerank=7, weight_similarity=1.0, weight_return=1.0, weight_reward=0.5, query_stride=1)
    memory = OnlineMemory(partial(embed_episodes, encoder, CHUNK), history, weights, CHUNK, 1)
    assert not memory.ready
    steps = flat(episodes)
    for number in range(EACH):
        rows = episodes.first.reshape(TASKS, EACH)[:, number]
        for time in range(HORIZON):
            history.observe(time, steps.observation[rows + time].to(torch.uint8), torch.full((TASKS,), 5.0))
            history.act(time, steps.action[rows + time], steps.reward[rows + time], torch.zeros(TASKS, dtype=torch.bool))
        history.finish()
        memory.add(number)
    torch.testing.assert_close(history.columns.returns, steps.returns)
    keys, _ = embed_episodes(encoder, CHUNK, episodes.columns, episodes.first, episodes.length)
    torch.testing.assert_close(memory.keys.flatten(0, 1), keys.flatten(0, 1))
    queries = torch.nn.functional.normalize(torch.randn(TASKS, MODEL.width, generator=torch.Generator().manual_seed(0)), dim=-1)
    chosen = memory.rank(queries).chunk[:, 0].tolist()
    per_episode = HORIZON // CHUNK
    for task in range(TASKS):
        own = memory.keys[task] @ queries[task]
        kept = sorted(range(len(own)), key=lambda i, own=own: (-own[i].item(), i))[:7]
        near = scaled([own[i].item() for i in kept])
        returns = scaled([history.totals[task, i // per_episode].item() for i in kept])
        rewards = scaled([chunk_reward(episodes, task * EACH + i // per_episode, (i % per_episode + 1) * CHUNK) for i in kept])
        score = {i: near[n] + returns[n] + 0.5 * rewards[n] for n, i in enumerate(kept)}
        assert score[chosen[task]] == pytest.approx(max(score.values()), abs=1e-4)


def test_memories_and_pools_stay_within_the_history_of_the_window(world):
    encoder, episodes, index = world
    own = copy.copy(episodes)
    own.first_of_history = torch.arange(TASKS * EACH) // 2 * 2
    contexts = TrainingContexts(asking(encoder), index, own, settings(pool="earlier"), EMBED, embedded(encoder, episodes))
    owner = torch.arange(TASKS * EACH)
    memory = contexts.memory(owner, np.random.default_rng(0))
    assert ((own.first_of_history < memory) | (owner == own.first_of_history)).all() and (memory <= owner).all()
    first, stop = contexts.pool(owner, owner)
    held = [set(index.episode[begin:end].tolist()) for begin, end in zip(first, stop, strict=True)]
    assert held == [set(range(int(begin), int(episode))) for begin, episode in zip(own.first_of_history, owner, strict=True)]
