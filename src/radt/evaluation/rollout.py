"""In-context evaluation of one trained model: many tasks at once, weights frozen (paper, Section 4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radt import seeding
from radt.data.episodes import EpisodeBuffer
from radt.errors import RadtError
from radt.evaluation.agents import Agent
from radt.models.actions import choose
from radt.settings.evaluation import Evaluate, Protocol
from radt.spaces import Counts, Spec
from radt.suites.base import Suite, VectorEnv


class Target:
    """Target return-to-go [B], by the rule of a protocol; rewards of the episode so far are subtracted.

    `fixed` (published): drawn for each episode from N(target_mean, target_std), rounded. `from_memory` (not in the paper): while
    no episode has returned more than `target_found`, uniform in `target_low`, so that the agent explores like a poor learner;
    then the best return so far plus `target_margin`, at most `target_mean` (`target_margin: null`: `target_mean`). `none`: zeros.

    Where rewards are counts, `from_memory` raises the target at the first reward, within its episode. Where a goal pays in every
    remaining step, the target is at most one for each remaining step, as in the histories.
    """

    def __init__(self, protocol: Protocol, settings: Evaluate, spec: Spec, tasks: int):
        self.rule, self.settings, self.horizon = protocol.target_return, settings, spec.horizon
        self.counts = isinstance(spec.rewards, Counts)
        self.by_time = isinstance(spec.rewards, Counts) and spec.rewards.by_time
        self.found = torch.zeros(tasks, dtype=torch.bool)
        self.wanted, self.received = torch.zeros(tasks), torch.zeros(tasks)
        self.best = torch.full((tasks,), -torch.inf)

    def begin(self, random: np.random.Generator) -> None:
        """Draw the target of a new episode."""
        settings, count = self.settings, len(self.wanted)
        self.received = torch.zeros(count)
        if self.rule == "fixed":
            self.wanted = torch.from_numpy(random.normal(settings.target_mean, settings.target_std, count).round()).float()
        elif self.rule == "from_memory":
            low = torch.from_numpy(random.uniform(*settings.target_low, count)).float()
            self.wanted = torch.where(self.found, self._raised(self.best), low)

    def receive(self, time: int, reward: Tensor) -> None:
        """Subtract the reward [B] of step `time` from the target."""
        if self.rule == "none":
            return
        self.wanted = self.wanted - reward
        self.received = self.received + reward
        if self.rule == "from_memory" and self.counts:
            first = (reward > 0) & ~self.found
            gone = torch.full_like(self.received, time + 1) if self.by_time else self.received
            self.wanted = torch.where(first, (self._raised(self.received) - gone).clamp_min(0.0), self.wanted)
            self.found |= first
            if self.by_time:
                self.wanted = self.wanted.clamp_max(self.horizon - time - 1)

    def finish(self) -> None:
        """Take in the return of the episode that has ended."""
        self.best = torch.maximum(self.best, self.received)
        if not self.counts:
            least = self.settings.target_found
            self.found |= self.received > (-torch.inf if least is None else least)

    def _raised(self, best: Tensor) -> Tensor:
        """Target return [B] of the next episode, for a best return so far of `best` [B]."""
        most, margin = self.settings.target_mean, self.settings.target_margin
        return torch.full_like(best, most) if margin is None else (best + margin).clamp_max(most)


def reached(told: dict[str, Any]) -> Tensor | None:
    """Whether the step of each environment [B] reached the goal, by the infos `told` of `VectorEnv.step`; None where they do not
    report it.

    For an episode that ended with the step, Gymnasium reports it in `final_info`.
    """
    final, ended = told.get("final_info", {}), told.get("_final_info", False)
    parts = [
        np.asarray(part["success"], np.bool_) & part["_success"] & own
        for part, own in ((told, np.logical_not(ended)), (final, ended))
        if "success" in part
    ]
    return torch.from_numpy(np.logical_or.reduce(parts)) if parts else None


def environment_seed(seed: int, episode: int) -> int:
    """Seed for `reset` before an episode, from the seed of the evaluation and the number of the episode."""
    return int(seeding.generator(seed, "environment", episode).integers(2**31))


class Player:
    """An agent with its episode buffer, stepped by evaluations and by `radt.agent`."""

    def __init__(self, agent: Agent, history: EpisodeBuffer, protocol: Protocol, settings: Evaluate, seed: int):
        self.agent, self.history, self.protocol, self.seed = agent, history, protocol, seed
        self.target = Target(protocol, settings, history.spec, history.tasks)
        self.time = 0
        """Step of the current episode whose action is chosen next."""

    @torch.inference_mode()
    def begin(self) -> None:
        """Start an episode of all tasks."""
        self.time = 0
        self.target.begin(seeding.generator(self.seed, "target return", self.history.episode))
        self.agent.begin()

    @torch.inference_mode()
    def act(self, observation: NDArray[Any]) -> NDArray[np.int64]:
        """Codes [B, A] of the actions for stored observations [B, *shape].

        Raises `RadtError` when a logit is not finite.
        """
        history = self.history
        history.observe(self.time, torch.from_numpy(observation), self.target.wanted)
        step = history.episode * history.horizon + self.time
        logits = self.agent.logits(self.time)
        if not math.isfinite(logits.sum()):
            raise RadtError(
                f"the network gives logits that are not finite numbers at step {self.time} of episode {history.episode + 1}:"
                " train it again with a lower learning_rate"
            )
        random = seeding.generator(self.seed, "actions", step)
        self.action = choose(logits, history.spec.actions, self.protocol.actions, self.protocol.temperature, random)
        return self.action.numpy()

    @torch.inference_mode()
    def receive(self, reward: NDArray[Any], ended: NDArray[np.bool_], success: Tensor | None = None) -> bool:
        """Take in the result of the action: rewards [B], which episodes `ended` [B] and which reached the goal [B].

        Returns:
            Whether all episodes have ended; then they are in the memory.
        """
        history = self.history
        history.succeed(success)
        lived = torch.from_numpy(reward).float() * history.running
        history.act(self.time, self.action, lived, torch.from_numpy(ended))
        self.target.receive(self.time, lived)
        self.time += 1
        over = self.time == history.horizon or not bool(history.running.any())
        if over:
            self._finish()
        return over

    def cut(self) -> None:
        """End the episode of all tasks after the last step whose reward was received; an episode without steps is dropped."""
        if self.time:
            self.history.lengths[self.history.running, self.history.episode] = self.time
            self._finish()

    @torch.inference_mode()
    def _finish(self) -> None:
        """Tell target, buffer and agent that the episode is over."""
        self.time = 0
        self.history.finish()
        self.target.finish()
        self.agent.finish()


def in_context(
    agent: Agent,
    history: EpisodeBuffer,
    suite: Suite,
    env: VectorEnv,
    protocol: Protocol,
    settings: Evaluate,
    seed: int,
) -> NDArray[np.float32]:
    """Returns [B, episodes] of the tasks [B] of an environment of `suite`, played in one batch; whether episodes succeeded is in
    `history.success`.
    """
    player = Player(agent, history, protocol, settings, seed)
    for episode in range(settings.episodes):
        seen, _ = env.reset(seed=environment_seed(seed, episode))
        player.begin()
        over = False
        while not over:
            seen, reward, terminated, truncated, told = env.step(suite.done(player.act(suite.seen(seen))))
            over = player.receive(reward, terminated | truncated, reached(told))
    return history.totals.numpy()
