"""Acting step by step against reading whole windows anew, as published: logits, queries, memories and returns."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import MODEL, ROOM
from radt.bench import evaluation as bench
from radt.bench.harness import defaults
from radt.evaluation.agents import AdAgent, DtAgent, Queries
from radt.evaluation.history import History
from radt.evaluation.memory import GROUP
from radt.evaluation.rollout import in_context
from radt.models.blocks import attend
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import window_means
from radt.settings import Evaluate, Memory, Protocol

TASKS, EPISODES, CHUNK, EVERY = GROUP + 2, 4, 2, 4
MEMORY = Memory(keep=5, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, every=EVERY)
CHANGES = {"embed": {"chunk": CHUNK}, "evaluate": {"memory": MEMORY}}
CHANGES |= {name: {"model": MODEL} for name in ("pretrain", "train_retrieval", "train_ad")}
SETTINGS = defaults().model_copy(
    update={name: getattr(defaults(), name).model_copy(update=change) for name, change in CHANGES.items()}
)


def play(history, agents, collect):
    """Random actions and rewards; `collect` is called after the agents of each step."""
    random = np.random.default_rng(0)
    for _ in range(EPISODES):
        for agent in agents:
            agent.begin()
        for time in range(ROOM.horizon):
            place = np.stack([random.integers(0, n, TASKS) for n in (ROOM.height, ROOM.width)], 1)
            history.observe(
                time, torch.from_numpy(place.astype(np.uint8)), torch.from_numpy(random.integers(0, 8, TASKS)).float()
            )
            collect(time, [agent.logits(time) for agent in agents])
            action, reward = (torch.from_numpy(random.integers(0, n, TASKS)) for n in (5, 2))
            history.act(time, action, reward.float())
        history.finish()
        for agent in agents:
            agent.finish()


@pytest.mark.parametrize("kind", ["dt", "ad"])
def test_kept_and_anew_give_the_same_logits(kind):
    torch.manual_seed(0)
    history = History(TASKS, EPISODES, ROOM.horizon)
    model = DecisionTransformer(MODEL, ROOM, kind == "dt", ROOM.horizon * (1 if kind == "dt" else 2)).eval().requires_grad_(False)
    make = {"dt": DtAgent, "ad": AdAgent}[kind]
    kept, anew = make(model, MODEL, history), make(model, MODEL, history)
    assert kept.keep
    anew.keep = False

    def compare(time, logits):
        if kind == "dt" or history.episode:  # in the first episode AD stands in another place when it is kept
            torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)

    play(history, [kept, anew], compare)


@pytest.mark.parametrize("method", ["radt", "ad"])
def test_ours_and_published_give_the_same_logits(method):
    history = History(TASKS, EPISODES, ROOM.horizon)
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
        assert len(ours.memory.anchor) == EPISODES * ROOM.horizon // CHUNK
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
        history = History(len(of), EPISODES, ROOM.horizon)
        agent = bench.agents(method, ROOM, SETTINGS, history, published)
        in_context(agent, history, ROOM, of, protocol, evaluate, seed=0)
        return history.columns.action.unflatten(0, (len(of), -1))

    alone = torch.cat([actions(tasks[number : number + 1], True) for number in range(len(tasks))])
    together = actions(tasks, False)
    assert torch.equal(together, alone)
    assert len(together.unique()) > 1


def test_queries_are_those_of_training_whenever_they_are_asked():
    torch.manual_seed(0)
    history = History(TASKS, EPISODES, ROOM.horizon)
    encoder = DecisionTransformer(MODEL, ROOM, True, ROOM.horizon).eval().requires_grad_(False)
    often, seldom = Queries(encoder, MODEL, history, CHUNK), Queries(encoder, MODEL, history, CHUNK)

    def compare(time, logits):
        if time == 0:
            often.begin(), seldom.begin()
        steps = history.window(time, ROOM.horizon)
        stop = torch.full((TASKS, 1), time + 1)
        expected = window_means(encoder(steps)[1], steps.mask.float(), stop, CHUNK)[:, 0]
        torch.testing.assert_close(often.ask(time), expected, rtol=1e-4, atol=1e-5)
        if time % EVERY == 1:
            torch.testing.assert_close(seldom.ask(time), expected, rtol=1e-4, atol=1e-5)

    play(history, [], compare)


def test_the_first_episode_reads_no_context_and_later_ones_do():
    history = History(TASKS, EPISODES, ROOM.horizon)
    agent = bench.agents("radt", ROOM, SETTINGS, history, False)

    def compare(time, logits):
        assert (agent.readings is None) == (history.episode == 0)
        if not history.episode:
            steps = history.window(time, ROOM.horizon)
            torch.testing.assert_close(logits[0], agent.model(steps, None)[:, -1], rtol=1e-4, atol=1e-5)

    play(history, [agent], compare)


def test_steps_are_those_that_training_windows_gather():
    history = History(TASKS, EPISODES, ROOM.horizon)

    def compare(time, logits):
        for episode, begin, end in ((history.episode, 0, time + 1), (history.episode, max(time - 2, 0), time + 1), (0, 3, 8)):
            first = history.first(episode)
            expected = history.columns.windows(first, first + begin, first + end, end - begin)
            steps = history.steps(episode, begin, end)
            for name, value in vars(expected).items():
                assert getattr(steps, name).dtype == value.dtype and torch.equal(getattr(steps, name), value), name

    play(history, [], compare)
    assert not History(1, 1, 5).previous(3).mask.any()


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
