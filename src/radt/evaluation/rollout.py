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


def target_returns(protocol: Protocol, settings: Evaluate, history: History, random: np.random.Generator) -> Tensor:
    """Return [B] that the agent is asked for in the current episode.

    `fixed`: N(target_mean, target_std), rounded, as published. `from_memory` (ours): while none of the task's episodes has
    returned more than `found_above`, uniform in `target_low`, so that the agent does what poor learners do: look elsewhere;
    afterwards `target_mean`. `none`: zeros, for models that do not read it.
    """
    if protocol.target_return == "none":
        return torch.zeros(history.tasks)
    high = np.round(random.normal(settings.target_mean, settings.target_std, history.tasks))
    if protocol.target_return == "fixed":
        return torch.from_numpy(high).float()
    low = torch.from_numpy(random.uniform(*settings.target_low, history.tasks)).float()
    found = (history.totals > settings.found_above).any(1)
    return torch.where(found, torch.full_like(low, settings.target_mean), low)


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
    for episode in range(settings.episodes):
        observation, _ = env.reset(seed=seed)
        wanted = target_returns(protocol, settings, history, seeding.generator(seed, "target return", episode))
        agent.begin()
        for time in range(experiment.horizon):
            history.observe(time, torch.from_numpy(observation), wanted)
            logits = agent.logits(time)
            step = episode * experiment.horizon + time
            action = choose(logits, protocol, seeding.generator(seed, "actions", step))
            observation, reward, *_ = env.step(action.numpy())
            history.act(time, action, torch.from_numpy(reward).float())
            wanted = wanted - torch.from_numpy(reward).float()
        history.finish()
        agent.finish()
    return history.totals.numpy()
