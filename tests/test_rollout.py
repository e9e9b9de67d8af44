"""Target returns, action choice, and an agent that must improve because its memory tells it where to go."""

import numpy as np
import pytest
import torch

from radt.evaluation.history import History
from radt.evaluation.rollout import Target, choose, in_context
from radt.settings import Evaluate, Experiment, Memory, Protocol
from radt.tasks.splits import goals, optimum

MEMORY = Memory(keep=5, weight_similarity=1.0, weight_return=1.0, weight_reward=0.0, every=1)


def evaluate(**changes):
    values = {"episodes": 3, "splits": ["train"], "target_mean": 90.0, "target_std": 5.0, "target_low": (1.0, 24.0)}
    return Evaluate(**{**values, "memory": MEMORY, "methods": {}, "device": "cpu", **changes})


def protocol(target="fixed", actions="greedy", model="dt"):
    return Protocol(model=model, target_return=target, actions=actions)


def test_fixed_target_is_normal_rounded_and_falls_with_the_reward():
    target = Target(protocol("fixed"), evaluate(), 20_000)
    target.begin(np.random.default_rng(0))
    assert torch.equal(target.wanted, target.wanted.round())
    assert target.wanted.mean() == pytest.approx(90, abs=0.2) and target.wanted.std() == pytest.approx(5, abs=0.2)
    before = target.wanted.clone()
    target.receive(0, torch.ones(20_000))
    assert torch.equal(target.wanted, before - 1)


def test_target_from_memory_is_low_until_something_is_rewarded():
    target = Target(protocol("from_memory", model="radt"), evaluate(), 3)
    target.begin(np.random.default_rng(0))
    assert ((target.wanted >= 1) & (target.wanted <= 24)).all()
    target.receive(39, torch.tensor([0.0, 1.0, 0.0]))
    assert target.wanted[1] == 50 and target.wanted[0] <= 24
    target.receive(40, torch.tensor([0.0, 1.0, 0.0]))
    assert target.wanted[1] == 49
    target.begin(np.random.default_rng(1))
    assert target.wanted[1] == 90 and target.wanted[0] <= 24 and target.wanted[2] <= 24


def test_actions():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0]]).repeat(4000, 1)
    random = np.random.default_rng(0)
    assert (choose(logits, protocol(actions="greedy"), random) == 0).all()
    half = choose(logits, protocol(actions="top_half"), random).bincount(minlength=5) / 4000
    expected = torch.softmax(torch.tensor([3.0, 2.0]), 0)
    torch.testing.assert_close(half, torch.cat([expected, torch.zeros(3)]), atol=0.03, rtol=0)
    sampled = choose(logits, protocol(actions="sample"), random).bincount(minlength=5) / 4000
    torch.testing.assert_close(sampled, torch.softmax(logits[0], 0), atol=0.03, rtol=0)


class Explorer:
    """Sweeps the room in the first episode; afterwards walks to where the history was rewarded."""

    def __init__(self, history, room):
        self.history, self.room = history, room
        path = [1] * (room.width - 1)
        for row in range(room.height - 1):
            path += [2] + [3 if row % 2 == 0 else 1] * (room.width - 1)
        self.path = path

    def begin(self):
        pass

    def finish(self):
        pass

    def logits(self, time):
        action = torch.full((self.history.tasks,), 4)
        if self.history.episode == 0:
            action[:] = self.path[time] if time < len(self.path) else 4
        else:
            rows = self.history.first(0)[:, None] + torch.arange(self.room.horizon)
            hit = self.history.columns.reward[rows].argmax(1)
            goal = self.history.columns.observation[self.history.first(0) + hit + 1].long()
            here = self.history.columns.observation[self.history.first(self.history.episode) + time].long()
            action = torch.where(here[:, 1] < goal[:, 1], 1, torch.where(here[:, 0] < goal[:, 0], 2, 4))
        return torch.nn.functional.one_hot(action, 5).float()


def test_an_agent_with_a_memory_reaches_the_optimum():
    room = Experiment(world="darkroom", width=4, height=3, horizon=16, tasks=12, held_out=2, validation=0)
    tasks = np.array([t for t in range(12) if tuple(goals(room)[t]) != (0, 0)])
    history = History(len(tasks), 3, room.horizon)
    returns = in_context(Explorer(history, room), history, room, tasks, protocol(), evaluate(), seed=0)
    np.testing.assert_array_equal(returns[:, 1], optimum(room)[tasks])
    np.testing.assert_array_equal(returns[:, 2], optimum(room)[tasks])
    assert (returns[:, 0] < returns[:, 1]).any()
