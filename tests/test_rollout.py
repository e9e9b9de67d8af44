"""Target returns, action choice, and an agent that must improve because its memory tells it where to go."""

import numpy as np
import pytest
import torch

from radt.data.episodes import EpisodeBuffer
from radt.evaluation.rollout import Target, choose, in_context
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.suites import suite_of
from radt.suites.grid import worlds
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.splits import goals
from radt.suites.grid.worlds import optimal_actions, optimum

DARK = GridExperiment(world="darkroom", width=10, height=10, horizon=100, num_tasks=100, num_held_out=20, num_validation=0)
DOOR = DARK.model_copy(update={"world": "keydoor"})
MAZE = GridExperiment(world="mazerunner", width=15, height=15, horizon=400, num_tasks=8, num_held_out=2, num_validation=0)
MEMORY = Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=0.0, query_stride=1)


def evaluate(**changes):
    values = {"episodes": 3, "splits": ["train"], "target_mean": 90.0, "target_std": 5.0, "target_low": (1.0, 24.0)}
    return Evaluate(**{**values, "memory": MEMORY, "methods": {}, "device": "cpu", **changes})


def protocol(target="fixed", actions="greedy", model="dt", temperature=1.0):
    return Protocol(model=model, target_return=target, actions=actions, temperature=temperature)


def test_fixed_target_is_normal_rounded_and_falls_with_the_reward():
    target = Target(protocol("fixed"), evaluate(), suite_of(DARK).spec, 20_000)
    target.begin(np.random.default_rng(0))
    assert torch.equal(target.wanted, target.wanted.round())
    assert target.wanted.mean() == pytest.approx(90, abs=0.2) and target.wanted.std() == pytest.approx(5, abs=0.2)
    before = target.wanted.clone()
    target.receive(0, torch.ones(20_000))
    assert torch.equal(target.wanted, before - 1)


def test_target_from_memory_is_low_until_something_is_rewarded():
    target = Target(protocol("from_memory", model="radt"), evaluate(), suite_of(DARK).spec, 3)
    target.begin(np.random.default_rng(0))
    assert ((target.wanted >= 1) & (target.wanted <= 24)).all()
    target.receive(39, torch.tensor([0.0, 1.0, 0.0]))
    assert target.wanted[1] == 50 and target.wanted[0] <= 24
    target.receive(40, torch.tensor([0.0, 1.0, 0.0]))
    assert target.wanted[1] == 49
    target.begin(np.random.default_rng(1))
    assert target.wanted[1] == 90 and target.wanted[0] <= 24 and target.wanted[2] <= 24
    target.receive(59, torch.zeros(3))
    assert target.wanted[1] == 40  # no more than one for each of the steps that are left
    target.receive(97, torch.zeros(3))
    assert (target.wanted <= 2).all()


def test_actions():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0]]).repeat(4000, 1)
    random = np.random.default_rng(0)
    assert (choose(logits, (5,), "greedy", 1.0, random) == 0).all()
    half = choose(logits, (5,), "top_half", 1.0, random)[:, 0].bincount(minlength=5) / 4000
    expected = torch.softmax(torch.tensor([3.0, 2.0]), 0)
    torch.testing.assert_close(half, torch.cat([expected, torch.zeros(3)]), atol=0.03, rtol=0)
    sampled = choose(logits, (5,), "sample", 1.0, random)[:, 0].bincount(minlength=5) / 4000
    torch.testing.assert_close(sampled, torch.softmax(logits[0], 0), atol=0.03, rtol=0)
    cold = choose(logits, (5,), "sample", 0.5, random)[:, 0].bincount(minlength=5) / 4000
    torch.testing.assert_close(cold, torch.softmax(2 * logits[0], 0), atol=0.03, rtol=0)


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
    room = GridExperiment(world="darkroom", width=4, height=3, horizon=16, num_tasks=12, num_held_out=2, num_validation=0)
    tasks = np.array([t for t in range(12) if tuple(goals(room)[t]) != (0, 0)])
    history = EpisodeBuffer(len(tasks), 3, suite_of(room).spec)
    suite = suite_of(room)
    returns = in_context(Explorer(history, room), history, suite, suite.make(tasks), protocol(), evaluate(), seed=0)
    np.testing.assert_array_equal(returns[:, 1], optimum(room)[tasks])
    np.testing.assert_array_equal(returns[:, 2], optimum(room)[tasks])
    assert (returns[:, 0] < returns[:, 1]).any()


def test_the_target_rises_with_the_key():
    target = Target(protocol("from_memory", model="radt"), evaluate(), suite_of(DOOR).spec, 3)
    target.begin(np.random.default_rng(0))
    low = target.wanted.clone()
    target.receive(9, torch.tensor([1.0, 2.0, 0.0]))
    assert target.found.tolist() == [True, True, False]
    assert target.wanted.tolist() == [80.0, 80.0, low[2].item()]
    target.receive(19, torch.tensor([1.0, 0.0, 0.0]))
    assert target.wanted.tolist() == [79.0, 80.0, low[2].item()]
    target.begin(np.random.default_rng(1))
    assert target.wanted[:2].tolist() == [90.0, 90.0] and target.wanted[2] <= evaluate().target_low[1]


def test_time_takes_nothing_from_the_goals_of_a_maze():
    target = Target(
        protocol("from_memory", model="radt"), evaluate(target_mean=3.0, target_low=(0.0, 0.5)), suite_of(MAZE).spec, 2
    )
    target.begin(np.random.default_rng(0))
    target.receive(250, torch.tensor([1.0, 0.0]))
    assert target.wanted[0] == 2 and target.wanted[1] <= 0.5
    target.receive(251, torch.tensor([1.0, 0.0]))
    assert target.wanted[0] == 1
    target.begin(np.random.default_rng(0))
    assert target.wanted[0] == 3


class Optimal:
    """Plays optimal actions of the true states; in every second episode it stands still."""

    def __init__(self, history, env):
        self.history, self.env, self.actions = history, env, torch.from_numpy(optimal_actions(env)).long()
        self.finished = []

    def begin(self):
        self.env.reset()

    def logits(self, time):
        still = self.history.episode % 2 == 1
        chosen = self.actions[torch.arange(self.history.tasks), torch.from_numpy(self.env.state)]
        chosen = torch.full_like(chosen, 4) if still else chosen
        seen = self.history.window(time, 1).observation[:, 0]
        assert torch.equal(seen, torch.from_numpy(self.env.codes).long())
        self.env.step(chosen.numpy())
        return torch.nn.functional.one_hot(chosen, 5).float()

    def finish(self):
        self.finished.append(self.history.lengths[:, self.history.episode - 1].clone())


@pytest.mark.parametrize("room", [DARK, DOOR, MAZE], ids=lambda room: room.world)
def test_episodes_end_where_the_world_ends_them(room):
    """In a maze, each task at its last goal; what a task does while others go on counts for nothing."""
    tasks = np.arange(min(room.num_tasks, 12))
    history = EpisodeBuffer(len(tasks), 3, suite_of(room).spec)
    agent = Optimal(history, worlds.make(room, tasks))
    returns = in_context(agent, history, suite_of(room), suite_of(room).make(tasks), protocol(), evaluate(), seed=0)
    np.testing.assert_array_equal(returns[:, 0], optimum(room)[tasks])
    np.testing.assert_array_equal(returns[:, 2], optimum(room)[tasks])
    lengths = history.lengths
    assert torch.equal(torch.stack(agent.finished, 1), lengths) and (lengths[:, 1] == room.horizon).all()
    if room is not MAZE:
        assert (lengths == room.horizon).all()
        return
    assert (returns[:, 1] == 0).all() and len(lengths[:, 0].unique()) > 3 and (lengths[:, 0] < room.horizon).all()
    reward = history.columns.reward.unflatten(0, (len(tasks), 3, room.horizon))
    for task in range(len(tasks)):
        assert reward[task, 0, lengths[task, 0] - 1] == 1 and not reward[task, 0, lengths[task, 0] :].any()
