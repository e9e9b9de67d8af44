"""Agents without a network, on rooms whose best episode is known."""

import numpy as np
import pytest
import torch

from helpers import ROOM, SPEC
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.references import ExpertAgent, RandomAgent, RetrieveAgent
from radt.evaluation.rollout import in_context
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.suites import suite_of
from radt.suites.grid import worlds
from radt.suites.grid.settings import GridExperiment

MEMORY = Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=0.0, query_stride=1)
SETTINGS = Evaluate(
    episodes=4, splits=["train"], target_mean=1.0, target_std=0.0, target_low=(1.0, 2.0), memory=MEMORY, methods={}, device="cpu"
)
ROOMS = {
    "darkroom": GridExperiment(world="darkroom", width=4, height=5, horizon=14, num_tasks=10, num_held_out=2, num_validation=0),
    "keydoor": GridExperiment(world="keydoor", width=4, height=3, horizon=20, num_tasks=8, num_held_out=2, num_validation=0),
    "mazerunner": GridExperiment(
        world="mazerunner", width=15, height=15, horizon=120, num_tasks=6, num_held_out=2, num_validation=0
    ),
}


def play(env, history, choose):
    """One episode of all tasks with actions `choose(time)`; returns the actions [T, B]."""
    env.reset()
    taken = []
    for time in range(history.horizon):
        history.observe(time, torch.from_numpy(env.codes), torch.zeros(history.tasks))
        action = np.asarray(choose(time), np.int64)
        _, reward, terminated, truncated, _ = env.step(action)
        taken.append(np.where(history.running, action, -1))
        history.act(time, torch.from_numpy(action)[:, None], torch.from_numpy(reward), torch.from_numpy(terminated | truncated))
        if not history.running.any():
            break
    history.finish()
    return np.stack(taken)


@pytest.mark.parametrize("world", ROOMS)
def test_retrieve_repeats_an_optimal_episode_exactly(world):
    room = ROOMS[world]
    tasks = np.arange(room.num_tasks)
    env = worlds.make(room, tasks)
    best, random = worlds.optimal_actions(env), np.random.default_rng(0)
    history = EpisodeBuffer(room.num_tasks, 3, suite_of(room).spec)
    agent = RetrieveAgent(history, 0)

    def replay(time):
        return agent.logits(time).argmax(-1).numpy()

    agent.begin()
    play(env, history, lambda time: random.integers(0, 5, room.num_tasks))
    agent.finish()
    agent.begin()
    optimal = play(env, history, lambda time: best[tasks, env.state])
    agent.finish()
    agent.begin()
    repeated = play(env, history, replay)
    agent.finish()
    returns = history.totals.numpy()
    np.testing.assert_array_equal(returns[:, 1], worlds.optimum(room))
    np.testing.assert_array_equal(returns[:, 2], returns[:, 1])
    solved = returns[:, 1] > returns[:, 0]  # where the random episode is as good, nothing says which of the two is repeated
    assert solved.any()
    rewards = history.columns.reward.view(room.num_tasks, 3, -1)[:, 1].numpy()
    for task in np.flatnonzero(solved):  # what comes after the last reward is not repeated
        length = 1 + np.flatnonzero(rewards[task])[-1]
        np.testing.assert_array_equal(repeated[:length, task], optimal[:length, task])


def test_retrieve_leaves_loops_out_and_jumps_over_no_reward():
    """Key at (0, 1), door at (0, 0), loops before the key: the key is fetched by the short way."""
    history = EpisodeBuffer(1, 2, SPEC)
    places = [(0, 0), (1, 0), (0, 0), (0, 1), (0, 2), (0, 1), (0, 0), (0, 0)]
    actions = [2, 0, 1, 1, 3, 3, 4, 4]
    rewards = [0, 0, 0, 1, 0, 1, 1, 0]
    for time, (place, action, reward) in enumerate(zip(places, actions, rewards, strict=True)):
        history.observe(time, torch.tensor([place], dtype=torch.uint8), torch.zeros(1))
        history.act(time, torch.tensor([[action]]), torch.tensor([float(reward)]), torch.tensor([time == 7]))
    history.finish()
    agent = RetrieveAgent(history, 0)
    agent.begin()
    found = []
    for time, place in enumerate([(0, 0), (0, 1), (0, 2), (0, 1), (0, 0), (0, 0)]):
        history.observe(time, torch.tensor([place], dtype=torch.uint8), torch.zeros(1))
        found.append(int(agent.logits(time).argmax()))
        history.act(time, torch.tensor(found[-1:]), torch.zeros(1), torch.tensor([False]))
    assert found == [1, 1, 3, 3, 4, 4]


def test_retrieve_is_random_before_the_first_reward_and_never_worse_after_it():
    room = ROOMS["darkroom"]
    protocol = Protocol(model="retrieve", target_return="none", actions="greedy")
    tasks, settings = np.arange(room.num_tasks), SETTINGS.model_copy(update={"episodes": 30})

    def played(seed):
        history, suite = EpisodeBuffer(room.num_tasks, 30, suite_of(room).spec), suite_of(room)
        return history, in_context(RetrieveAgent(history, seed), history, suite, suite.make(tasks), protocol, settings, seed)

    history, returns = played(0)
    best = np.maximum.accumulate(returns, axis=1)
    np.testing.assert_array_equal(returns[:, 1:][best[:, :-1] > 0] >= best[:, :-1][best[:, :-1] > 0], True)
    assert (returns[:, -1] > 0).mean() > 0.5
    first = history.columns.action.view(room.num_tasks, 30, -1)[:, 0]
    assert len(first.unique()) == 5
    np.testing.assert_array_equal(played(0)[1], returns)
    assert (played(1)[1] != returns).any()


def test_a_suite_without_an_expert_is_refused():
    with pytest.raises(RadtError, match="the suite 'grid' has no expert: remove the method"):
        ExpertAgent(suite_of(ROOM), suite_of(ROOM).make(np.arange(2)), 0)


def test_random_agent_chooses_all_actions_alike():
    history = EpisodeBuffer(200, 1, suite_of(ROOM).spec)
    protocol = Protocol(model="random", target_return="none", actions="sample")
    room, settings = (
        ROOM.model_copy(update={"width": 20, "height": 20, "num_tasks": 210}),
        SETTINGS.model_copy(update={"episodes": 1}),
    )
    in_context(RandomAgent(history), history, suite_of(room), suite_of(room).make(np.arange(200)), protocol, settings, 0)
    share = torch.bincount(history.columns.action[:, 0].long(), minlength=5) / len(history.columns.action)
    torch.testing.assert_close(share, torch.full((5,), 0.2), atol=0.04, rtol=0.0)
