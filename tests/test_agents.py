"""Acting step by step against reading whole windows anew: logits, queries and memories."""

import numpy as np
import pytest
import torch

from helpers import MODEL, ROOM
from radt.evaluation.agents import AdAgent, DtAgent, RetrievalAgent
from radt.evaluation.history import History
from radt.evaluation.memory import OnlineMemory
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.retrieval.chunks import window_means
from radt.settings import Memory, Retrieval, TrainRetrieval

TASKS, EPISODES, CHUNK, EVERY = 3, 3, 2, 4


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


def test_queries_are_those_of_training_and_memories_start_empty():
    torch.manual_seed(0)
    history = History(TASKS, EPISODES, ROOM.horizon)
    encoder = DecisionTransformer(MODEL, ROOM, True, ROOM.horizon).eval().requires_grad_(False)
    model = RetrievalTransformer(MODEL, ROOM, "all", True, 2 * CHUNK).eval().requires_grad_(False)
    retrieval = Retrieval(
        engine="torch", scope="segment", every=EVERY, pool="earlier", candidates=9, cutoff=1.0, keep=5, weight_similarity=1.0,
        weight_task=0.0, weight_return=1.0, weight_reward=1.0, query_dropout=0.0, random_before=0, chunks=1,
    )  # fmt: skip
    settings = TrainRetrieval.model_construct(model=MODEL, retrieval=retrieval)
    weights = Memory(keep=5, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, every=EVERY)
    memory = OnlineMemory(encoder, history, weights, CHUNK, 1)
    agent = RetrievalAgent(model, settings, DtAgent(encoder, MODEL, history), memory, EVERY)

    def compare(time, logits):
        if time % EVERY:
            return
        steps = history.window(time, ROOM.horizon)
        stop = torch.full((TASKS, 1), time + 1)
        expected = window_means(encoder(steps)[1], steps.mask.float(), stop, CHUNK)[:, 0]
        torch.testing.assert_close(agent.query(), expected, rtol=1e-4, atol=1e-5)
        if history.episode == 0:
            assert agent.readings is None
            torch.testing.assert_close(logits[0], model(steps, None)[:, -1], rtol=1e-4, atol=1e-5)
        else:
            assert agent.readings is not None

    play(history, [agent], compare)
    assert len(memory.anchor) == EPISODES * ROOM.horizon // CHUNK
