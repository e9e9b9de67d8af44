"""In-context evaluation of one trained model: many tasks at once, weights frozen (paper, Section 4)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt import seeding
from radt.evaluation.agents import Agent
from radt.evaluation.history import History
from radt.settings import Evaluate, Experiment, Protocol
from radt.tasks.darkroom import DarkRoomVectorEnv
from radt.tasks.splits import goals


class Target:
    """Return-to-go [B] that the agent is asked for, by the rule of a protocol.

    `fixed`: N(target_mean, target_std), rounded, drawn per episode, less what was received (published). `from_memory` (ours): as
    long as none of a task's steps was rewarded, uniform in `target_low`, so that the agent does what poor learners do: look
    elsewhere; from the first reward on, also within the episode, what is left of `target_mean`. `none`: zeros.
    """

    def __init__(self, protocol: Protocol, settings: Evaluate, tasks: int):
        self.rule, self.settings = protocol.target_return, settings
        self.found = torch.zeros(tasks, dtype=torch.bool)
        self.wanted = torch.zeros(tasks)

    def begin(self, random: np.random.Generator) -> None:
        """Draw the target of a new episode."""
        settings, count = self.settings, len(self.wanted)
        if self.rule == "fixed":
            self.wanted = torch.from_numpy(random.normal(settings.target_mean, settings.target_std, count).round()).float()
        elif self.rule == "from_memory":
            low = torch.from_numpy(random.uniform(*settings.target_low, count)).float()
            self.wanted = torch.where(self.found, settings.target_mean, low)

    def receive(self, time: int, reward: Tensor) -> None:
        """Take the reward [B] of step `time` off the target."""
        if self.rule == "none":
            return
        self.wanted = self.wanted - reward
        if self.rule == "from_memory":
            first = (reward > 0) & ~self.found
            self.wanted = torch.where(first, max(self.settings.target_mean - time - 1, 0.0), self.wanted)
            self.found |= first


def choose(logits: Tensor, protocol: Protocol, random: np.random.Generator) -> Tensor:
    """Actions [B] from logits [B, A]: the best; or sampled from the softmax, of all or of those above the median.

    The published code calls the last `top_p: 0.5`; it keeps logits strictly above their 0.5 quantile.
    """
    if protocol.actions == "greedy":
        return logits.argmax(-1)
    if protocol.actions == "top_half":
        median = torch.quantile(logits, 0.5, dim=-1, keepdim=True)
        logits = logits.masked_fill(logits <= median, -torch.inf)
    noise = torch.from_numpy(random.gumbel(size=tuple(logits.shape))).float()
    return (logits + noise).argmax(-1)


@torch.inference_mode()
def in_context(
    agent: Agent,
    history: History,
    experiment: Experiment,
    tasks: NDArray[np.int64],
    protocol: Protocol,
    settings: Evaluate,
    seed: int,
) -> NDArray[np.float32]:
    """Returns [B, episodes] of `tasks` [B], played in one batch."""
    chosen = goals(experiment)[tasks]
    env = DarkRoomVectorEnv(experiment.width, experiment.height, experiment.horizon, chosen)
    target = Target(protocol, settings, len(tasks))
    for episode in range(settings.episodes):
        observation, _ = env.reset(seed=seed)
        target.begin(seeding.generator(seed, "target return", episode))
        agent.begin()
        for time in range(experiment.horizon):
            history.observe(time, torch.from_numpy(observation), target.wanted)
            step = episode * experiment.horizon + time
            action = choose(agent.logits(time), protocol, seeding.generator(seed, "actions", step))
            observation, reward, *_ = env.step(action.numpy())
            history.act(time, action, torch.from_numpy(reward))
            target.receive(time, torch.from_numpy(reward))
        history.finish()
        agent.finish()
    return history.totals.numpy()
