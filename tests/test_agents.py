"""Acting step by step against reading whole windows anew, as published: logits, queries, memories and returns."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench import evaluation as bench
from bench.harness import defaults
from helpers import MODEL, ROOM
from radt.data.episodes import EpisodeBuffer
from radt.data.steps import concatenate
from radt.encoders.dt import DtQueryEncoder
from radt.evaluation.agents import AdAgent, DtAgent, RetrievalAgent
from radt.evaluation.memory import GROUP, OnlineMemory
from radt.evaluation.rollout import in_context
from radt.models.blocks import attend
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import anchors, embed_episodes, window_means, window_start
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.suites import suite_of
from radt.suites.grid.settings import GridExperiment

TASKS, EPISODES, CHUNK, EVERY = GROUP + 2, 4, 2, 4
MEMORY = Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, query_stride=EVERY)
CHANGES = {"embed": {"chunk_length": CHUNK}, "evaluate": {"memory": MEMORY}}
CHANGES |= {name: {"model": MODEL} for name in ("pretrain", "train_retrieval", "train_ad")}
SETTINGS = defaults().model_copy(
    update={name: getattr(defaults(), name).model_copy(update=change) for name, change in CHANGES.items()}
)


def play(history, agents, collect, lengths=None, room=ROOM):
    """Random actions and rewards; `collect` is called after the agents of each step. `lengths` [tasks, episodes] may be short."""
    random = np.random.default_rng(0)
    for _ in range(EPISODES):
        for agent in agents:
            agent.begin()
        for time in range(room.horizon):
            place = np.stack([random.integers(0, n, TASKS) for n in suite_of(room).spec.observation.sizes], 1)
            history.observe(
                time, torch.from_numpy(place.astype(np.uint8)), torch.from_numpy(random.integers(0, 8, TASKS)).float()
            )
            collect(time, [agent.logits(time) for agent in agents])
            action, reward = (torch.from_numpy(random.integers(0, n, TASKS)) for n in (5, 2))
            ended = torch.zeros(TASKS, dtype=torch.bool) if lengths is None else lengths[:, history.episode] == time + 1
            history.act(time, action[:, None], reward.float(), ended)
        history.finish()
        for agent in agents:
            agent.finish()


@pytest.mark.parametrize("kind", ["dt", "ad"])
def test_kept_and_anew_give_the_same_logits(kind):
    torch.manual_seed(0)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(ROOM).spec)
    model = (
        DecisionTransformer(MODEL, suite_of(ROOM).spec, kind == "dt", ROOM.horizon * (1 if kind == "dt" else 2))
        .eval()
        .requires_grad_(False)
    )
    make = {"dt": DtAgent, "ad": AdAgent}[kind]
    kept, anew = make(model, MODEL, history), make(model, MODEL, history)
    assert kept.cached
    anew.cached = False

    def compare(time, logits):
        if kind == "dt" or history.episode:  # in the first episode AD stands in another place when it is kept
            torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)

    play(history, [kept, anew], compare)


@pytest.mark.parametrize("method", ["radt", "ad"])
def test_ours_and_published_give_the_same_logits(method):
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(ROOM).spec)
    ours, published = (bench.agents(method, ROOM, SETTINGS, history, slow) for slow in (False, True))
    for agent in (ours, published):
        for parameter in agent.model.parameters():  # as initialised, contexts hardly change the logits
            parameter.data.mul_(1 if parameter.dim() < 2 else 3)
    spread = []

    def compare(time, logits):
        spread.append(logits[0].std())
        torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)

    play(history, [ours, published], compare)
    assert min(spread) > 0.01
    if method == "radt":
        assert ours.memory.anchor.shape[1] == EPISODES * ROOM.horizon // CHUNK
        torch.testing.assert_close(ours.memory.keys, published.memory.keys)


@pytest.mark.parametrize("method", ["radt", "ad"])
def test_a_batch_of_ours_plays_as_single_tasks_of_the_published_protocol(method):
    protocol = Protocol(model=method, target_return="fixed" if method == "radt" else "none", actions="greedy")
    evaluate = Evaluate(
        episodes=EPISODES, splits=["train"], target_mean=4.0, target_std=0.0, target_low=(1.0, 2.0), memory=MEMORY, methods={},
        device="cpu",
    )  # fmt: skip
    tasks = np.arange(6)

    def actions(of, published):
        history = EpisodeBuffer(len(of), EPISODES, suite_of(ROOM).spec)
        agent = bench.agents(method, ROOM, SETTINGS, history, published)
        in_context(agent, history, suite_of(ROOM), suite_of(ROOM).make(of), protocol, evaluate, seed=0)
        return history.columns.action.unflatten(0, (len(of), -1))

    alone = torch.cat([actions(tasks[number : number + 1], True) for number in range(len(tasks))])
    together = actions(tasks, False)
    assert torch.equal(together, alone)
    assert len(together.unique()) > 1


def test_queries_are_those_of_training_whenever_they_are_asked():
    torch.manual_seed(0)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(ROOM).spec)
    encoder = DecisionTransformer(MODEL, suite_of(ROOM).spec, True, ROOM.horizon).eval().requires_grad_(False)
    often, seldom = DtQueryEncoder(encoder, MODEL, history, CHUNK), DtQueryEncoder(encoder, MODEL, history, CHUNK)

    def compare(time, logits):
        if time == 0:
            often.begin(), seldom.begin()
        steps = history.window(time, ROOM.horizon)
        stop = torch.full((TASKS, 1), time + 1)
        expected = window_means(encoder(steps)[1], steps.mask.float(), stop, CHUNK)[:, 0]
        torch.testing.assert_close(often.query(time), expected, rtol=1e-4, atol=1e-5)
        if time % EVERY == 1:
            torch.testing.assert_close(seldom.query(time), expected, rtol=1e-4, atol=1e-5)

    play(history, [], compare)


def test_the_first_episode_reads_no_context_and_later_ones_do():
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(ROOM).spec)
    agent = bench.agents("radt", ROOM, SETTINGS, history, False)

    def compare(time, logits):
        assert (agent.context_kvs is None) == (history.episode == 0)
        if not history.episode:
            steps = history.window(time, ROOM.horizon)
            torch.testing.assert_close(logits[0], agent.model(steps, None)[:, -1], rtol=1e-4, atol=1e-5)

    play(history, [agent], compare)


def test_steps_are_those_that_training_windows_gather():
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(ROOM).spec)

    def compare(time, logits):
        for episode, begin, end in ((history.episode, 0, time + 1), (history.episode, max(time - 2, 0), time + 1), (0, 3, 8)):
            first = history.first(episode)
            expected = history.columns.windows(first, first + begin, first + end, end - begin)
            steps = history.steps(episode, begin, end)
            for name, value in vars(expected).items():
                assert getattr(steps, name).dtype == value.dtype and torch.equal(getattr(steps, name), value), name

    play(history, [], compare)
    assert not EpisodeBuffer(1, 1, suite_of(ROOM).spec).previous(3).mask.any()


@pytest.mark.parametrize("masked", [False, True])
def test_one_query_reads_as_the_fused_kernel_does(masked):
    g = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, 2, n, 8, generator=g) for n in (1, 7, 7))
    mask = torch.rand(3, 1, 1, 7, generator=g) < 0.5 if masked else None
    if mask is not None:
        mask[..., 0] = True
    expected = F.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attend(query, key, value, mask, 0.0, False), expected)
    apart = torch.zeros(3, 2, 9, 8)
    apart[:, :, :7] = key
    torch.testing.assert_close(attend(query, apart[:, :, :7], value, mask, 0.0, False), expected)


MAZE = GridExperiment(world="mazerunner", width=15, height=15, horizon=14, num_tasks=10, num_held_out=2, num_validation=0)
LENGTHS = torch.from_numpy(np.random.default_rng(5).integers(1, MAZE.horizon + 1, (TASKS, EPISODES)))
LENGTHS[0], LENGTHS[1] = MAZE.horizon, 1


def window_of(history, time, positions):
    """Steps that a network has at `time`, cut out of the columns."""
    first, begin = history.first(history.episode), window_start(time, positions)
    return history.columns.windows(first, first + begin, first + time + 1, time + 1 - begin)


def network(kind, positions, **changes):
    """Random weights, large enough that what is read matters."""
    torch.manual_seed(0)
    settings = MODEL.model_copy(update={"window": positions, **changes})
    if kind == "radt":
        model = RetrievalTransformer(settings, suite_of(MAZE).spec, "all", True, 2 * CHUNK)
    else:
        model = DecisionTransformer(settings, suite_of(MAZE).spec, kind == "dt", positions * (1 + (kind == "ad")))
    for parameter in model.parameters():
        parameter.data.mul_(1 if parameter.dim() < 2 else 3)
    return settings, model.eval().requires_grad_(False)


@pytest.mark.parametrize("window", [4, 8, 14])
def test_dt_in_blocks_equals_reading_its_window_anew(window):
    settings, model = network("dt", window)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    agent = DtAgent(model, settings, history)

    def compare(time, logits):
        torch.testing.assert_close(logits[0], model(window_of(history, time, window))[0][:, -1], rtol=1e-4, atol=1e-4)

    play(history, [agent], compare, LENGTHS, MAZE)


@pytest.mark.parametrize("window", [4, 8, 14])
def test_ad_in_blocks_equals_reading_both_episodes_anew(window):
    """The previous episode ends at another step for every task; what is padded is not read, as in training."""
    settings, model = network("ad", window)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    agent = AdAgent(model, settings, history)

    def compare(time, logits):
        steps = window_of(history, time, window)
        if history.episode:
            first, length = history.first(history.episode - 1), LENGTHS[:, history.episode - 1]
            before = history.columns.windows(first, first + (length - window).clamp_min(0), first + length, window)
            assert (before.mask.sum(1) == length.clamp_max(window)).all()
            steps = concatenate([before, steps], 1)
        torch.testing.assert_close(logits[0], model(steps)[0][:, -1], rtol=1e-4, atol=1e-4)

    play(history, [agent], compare, LENGTHS, MAZE)


def blank(steps):
    """Steps whose previous actions are "no action", the code after the last one."""
    return replace(steps, previous_action=torch.full_like(steps.previous_action, suite_of(MAZE).spec.actions[0]))


@pytest.mark.parametrize("kind", ["dt", "ad", "radt"])
def test_hidden_actions_are_those_of_the_current_episode_alone(kind):
    """A network of the same weights that sees all gets the current episode without actions, and finished episodes with them."""
    _, twin = network(kind, 8)
    hidden, model = network(kind, 8, past_actions="hidden")
    history, differs = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec), []
    agent = (AdAgent if kind == "ad" else DtAgent)(model, hidden, history)

    def compare(time, logits):
        steps = window_of(history, time, 8)
        if kind == "radt":
            expected = twin(blank(steps), twin.read(steps[:, None]))[:, -1]
            found = model(steps, model.read(steps[:, None]))[:, -1]
        else:
            before = history.previous(8)
            whole = [before] if kind == "ad" and history.episode else []
            expected = twin(concatenate([*whole, blank(steps)], 1))[0][:, -1]
            found = logits[0]
            differs.append((twin(concatenate([*map(blank, whole), blank(steps)], 1))[0][:, -1] - expected).abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)

    play(history, [agent] if kind != "radt" else [], compare, LENGTHS, MAZE)
    assert kind != "ad" or max(differs) > 0.005


@pytest.mark.parametrize(("window", "every"), [(4, 2), (8, 4), (8, 2), (14, 7)])
def test_radt_in_blocks_equals_reading_its_window_and_all_contexts_anew(window, every):
    """Each step has read the context of its own segment, also those of the half window that is read again."""
    _, model = network("radt", window)
    reading, encoder = network("dt", 6)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    memory = OnlineMemory(partial(embed_episodes, encoder, CHUNK), history, MEMORY, CHUNK, 1)
    agent = RetrievalAgent(model, True, DtQueryEncoder(encoder, reading, history, CHUNK), memory, every)
    seen, differs = {}, []

    def compare(time, logits):
        steps = window_of(history, time, window)
        if not history.episode:
            expected = model(steps, None)
        else:
            if time % every == 0:
                outputs = [encoder(window_of(history, step, 6))[1][:, -1] for step in range(max(0, time + 1 - CHUNK), time + 1)]
                query = F.normalize(torch.stack(outputs).mean(0), dim=-1)
                torch.testing.assert_close(
                    agent.query_encoder.outputs[:, -CHUNK:].mean(1), torch.stack(outputs).mean(0), rtol=1e-3, atol=1e-4
                )
                seen[time] = memory.context(query)
            begin = window_start(time, window)
            parts = [seen[step] for step in range(begin, time + 1, every)]
            short = len(parts) * every - steps.mask.shape[1]  # the present segment is read whole; what follows is not seen
            whole = concatenate([steps, *[steps[:, -1:]] * short], 1)
            expected = model(whole, model.read(concatenate(parts, 1)))[:, : steps.mask.shape[1]]
            differs.append((expected[:, -1] - model(steps, None)[:, -1]).abs().max())
        torch.testing.assert_close(logits[0], expected[:, -1], rtol=1e-3, atol=1e-3)

    play(history, [agent], compare, LENGTHS, MAZE)
    assert min(differs) > 0.005


def test_queries_over_long_episodes_are_those_of_the_windows():
    settings, encoder = network("dt", 4)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    often, seldom = DtQueryEncoder(encoder, settings, history, 5), DtQueryEncoder(encoder, settings, history, 5)

    def compare(time, logits):
        if time == 0:
            often.begin(), seldom.begin()
        outputs = [encoder(window_of(history, step, 4))[1][:, -1] for step in range(max(0, time - 4), time + 1)]
        expected = F.normalize(torch.stack(outputs).mean(0), dim=-1)
        torch.testing.assert_close(often.query(time), expected, rtol=1e-3, atol=1e-4)
        if time in (0, 9, 13):
            torch.testing.assert_close(seldom.query(time), expected, rtol=1e-3, atol=1e-4)

    play(history, [], compare, LENGTHS, MAZE)


def test_a_memory_of_episodes_of_different_lengths():
    """Keys, anchors, values and rewards of every task are those of the task alone, whatever the others do."""
    _, encoder = network("dt", 6)
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    memory = OnlineMemory(partial(embed_episodes, encoder, 3), history, MEMORY, 3, 2)
    play(history, [], lambda time, logits: None, LENGTHS, MAZE)
    for episode in range(EPISODES):
        memory.add(episode)
    assert torch.equal(history.lengths, LENGTHS)
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(torch.randn(TASKS, MODEL.width, generator=generator), dim=-1)
    ranked = memory.rank(queries)
    ids, found = ranked.chunk, ranked.found
    for task in range(TASKS):
        real = [
            (int(memory.episode[i]), int(memory.anchor[task, i])) for i in range(memory.anchor.shape[1]) if memory.anchor[task, i]
        ]
        expected = []
        for episode, length in enumerate(LENGTHS[task].tolist()):
            expected += [(episode, min(step, length)) for step in range(3, length + 3, 3)]
        assert real == expected
        for number in range(memory.anchor.shape[1]):
            episode, anchor = int(memory.episode[number]), int(memory.anchor[task, number])
            if not anchor:
                continue
            first, length = history.first(episode)[task : task + 1], LENGTHS[task, episode][None]
            alone = embed_episodes(encoder, 3, history.columns, first, length)
            column = alone[1][0].tolist().index(anchor)
            torch.testing.assert_close(memory.keys[task, number], alone[0][0, column], rtol=1e-4, atol=1e-5)
            stop = min(anchor + 3, int(length))
            rows = first[0] + torch.arange(max(0, stop - 6), stop)
            assert memory.reward[task, number] == history.columns.reward[rows].sum()
            assert memory.values(torch.full((TASKS, 1), number)).mask[task].sum() == len(rows)
        assert (memory.anchor[task][ids[task][found[task]]] > 0).all()
    assert found.all()


def test_anchors_end_with_the_episode():
    assert anchors(torch.tensor([8, 5, 6, 1, 3]), 3).tolist() == [[3, 6, 8], [3, 5, 0], [3, 6, 0], [1, 0, 0], [3, 0, 0]]


def test_returns_to_go_and_totals_stop_with_the_episode():
    """What a task does after its end counts for nothing, and finished episodes hold their true returns-to-go."""
    history = EpisodeBuffer(TASKS, EPISODES, suite_of(MAZE).spec)
    play(history, [], lambda time, logits: None, LENGTHS, MAZE)
    reward = history.columns.reward.unflatten(0, (TASKS, EPISODES, MAZE.horizon))
    for task in range(TASKS):
        for episode, length in enumerate(LENGTHS[task].tolist()):
            own = reward[task, episode]
            assert not own[length:].any() and history.totals[task, episode] == own.sum()
            first = history.first(episode)[task]
            expected = torch.stack([own[step:].sum() for step in range(length)])
            assert torch.equal(history.columns.returns[first : first + length], expected)
            expected = torch.stack([own[:step].sum() for step in range(length)])
            assert torch.equal(history.columns.received[first : first + length], expected)
