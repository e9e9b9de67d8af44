"""How DPT acts in context: it reads what its own finished episodes brought, and chooses each action from the present state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from radt import seeding
from radt.data.transitions import REWARDS, Transitions, cells, draw, kinds, phase
from radt.evaluation.agents import groups
from radt.evaluation.history import History
from radt.models.blocks import KeyValues
from radt.models.decision_pretrained import DecisionPretrainedTransformer
from radt.settings import Experiment
from radt.suites.grid.engine import ACTIONS


class DptAgent:
    """DPT: an `Agent` whose context is encoded once per episode; each step is one query that reads it.

    The first episode has no context, later ones up to `context` transitions of the finished episodes, chosen by `draw` as in
    training (ours; Lee et al. append whole episodes until the context is full): distinct ones, rewarded ones first, the rest
    uniformly at random from a generator of the seed and the episode.
    """

    def __init__(self, model: DecisionPretrainedTransformer, context: int, experiment: Experiment, history: History, seed: int):
        self.model, self.context, self.experiment, self.history, self.seed = model, context, experiment, history, seed
        self.row = np.full((history.tasks, experiment.phases * cells(experiment) * ACTIONS * REWARDS), -1, np.int64)
        """[B, kinds] row of the history where each transition was first made; -1: never."""
        self.memory: list[KeyValues] = []
        self.read = torch.zeros(history.tasks, 1, dtype=torch.long)

    def begin(self) -> None:
        """See `Agent`."""
        transitions, number = self.choose()
        transitions = transitions.to(self.model.device)
        parts = [self.model.encode(transitions[rows], 1) for rows in groups(self.history.tasks)]
        self.memory = [
            KeyValues(torch.cat([part.keys for part in block]), torch.cat([part.values for part in block]), block[0].length)
            for block in zip(*parts, strict=True)
        ]
        self.read = number[:, None].to(self.model.device)

    def choose(self) -> tuple[Transitions, Tensor]:
        """The context [B, C] of the current episode and how many transitions of it are real [B]; C is at least 1."""
        random = seeding.generator(self.seed, "dpt context", self.history.episode)
        kind, number = draw(self.row >= 0, self.context, random)
        kind = kind[:, : max(1, int(number.max()))]
        row = torch.from_numpy(np.take_along_axis(self.row, kind, axis=1).clip(0))
        columns = self.history.columns
        after = (row + 1).clamp_max(len(columns.action) - 1)
        episode = torch.div(row, self.history.horizon, rounding_mode="floor")
        last = row - episode * self.history.horizon == self.history.lengths.flatten()[episode] - 1
        transitions = Transitions(
            observation=columns.observation[row].long(),
            received=torch.from_numpy(phase(self.experiment, columns.received[row].numpy())),
            action=columns.action[row].long(),
            reward=columns.reward[row],
            following=columns.observation[after].long(),
            ended=last,
        )
        return transitions, torch.from_numpy(number)

    def logits(self, time: int) -> Tensor:
        """See `Agent`."""
        step = self.history.window(time, 1)
        received = torch.from_numpy(phase(self.experiment, step.received.numpy()))
        query = step.observation.to(self.model.device), received.to(self.model.device)
        logits: Tensor = self.model(*query, self.memory, self.read)
        return logits[:, -1].cpu()

    def finish(self) -> None:
        """See `Agent`. The last step of an episode counts only if it paid, as then the episode was over (as in training)."""
        history, columns, episode = self.history, self.history.columns, self.history.episode - 1
        length = history.lengths[:, episode].numpy()[:, None]
        row = history.first(episode).numpy()[:, None] + np.arange(history.horizon)
        parts = columns.observation, columns.received, columns.action, columns.reward
        observation, received, action, reward = (part.numpy()[row] for part in parts)
        kind = kinds(self.experiment, observation, received, action, reward)
        time = np.arange(history.horizon)
        counts = (time < length - 1) | ((time == length - 1) & (reward > 0))
        task = np.broadcast_to(np.arange(history.tasks)[:, None], kind.shape)
        task, kind, row = task[counts], kind[counts], row[counts]
        new = self.row[task, kind] < 0
        self.row[task[new], kind[new]] = row[new]
