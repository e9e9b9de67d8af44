"""Steps to tokens, in the two forms of `Model.tokens`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radt.data.steps import ACTIONS, Steps
from radt.settings import Experiment, Model


class Embedding(nn.Module):
    """Token embeddings of steps.

    `interleaved` is the paper's form: tokens state, return-to-go, action, reward of a step follow each other (Algorithm
    Distillation has no return-to-go). `step` adds the embeddings of state, return-to-go, previous action and previous reward to
    one token: four times shorter sequences with the same information. Unlike the published code, which feeds raw coordinates
    to one linear layer, each coordinate also has a learned table.
    """

    def __init__(self, model: Model, experiment: Experiment, returns: bool, positions: int):
        super().__init__()
        self.form, self.bin = model.tokens, model.return_bin
        self.size = max(experiment.height, experiment.width)
        self.state = nn.Linear(2, model.width)
        self.coordinates = nn.Embedding(2 * self.size, model.width)
        self.returns = nn.Embedding(-(-experiment.horizon // model.return_bin), model.width) if returns else None
        self.action = nn.Embedding(ACTIONS + 1, model.width)
        self.reward = nn.Linear(1, model.width)
        self.time = nn.Embedding(experiment.horizon, model.width)
        self.tokens_per_step = 1 if self.form == "step" else 3 + returns
        self.position = nn.Embedding(positions * self.tokens_per_step, model.width)
        self.norm = nn.LayerNorm(model.width)
        self.dropout = nn.Dropout(model.dropout) if model.dropout else nn.Identity()
        self.action_token = 1 if self.form == "interleaved" and returns else 0

    def forward(self, steps: Steps, start: int = 0) -> Tensor:
        """[B, T] steps to [B, T * tokens_per_step, W]; `start` is the window position of the first step."""
        second = torch.tensor([0, self.size], device=steps.observation.device)
        state = self.state(steps.observation / self.size) + self.coordinates(steps.observation + second).sum(-2)
        parts = [state]
        if self.returns is not None:
            last = self.returns.num_embeddings - 1
            parts.append(self.returns((steps.returns.round().long() // self.bin).clamp(0, last)))
        if self.form == "step":
            parts += [self.action(steps.previous_action), self.reward(steps.previous_reward[..., None]), self.time(steps.time)]
            tokens = torch.stack(parts).sum(0)
        else:
            parts += [self.action(steps.action), self.reward(steps.reward[..., None])]
            tokens = (torch.stack(parts, -2) + self.time(steps.time)[..., None, :]).flatten(-3, -2)
        first = start * self.tokens_per_step
        embedded: Tensor = self.dropout(self.norm(tokens + self.position.weight[first : first + tokens.shape[-2]]))
        return embedded
