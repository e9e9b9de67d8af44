"""The loss of the Decision-Pretrained Transformer."""

from __future__ import annotations

import numpy as np
import torch

from radt.data.steps import moved
from radt.data.transitions import Experience
from radt.models.decision_pretrained import DecisionPretrainedTransformer
from radt.settings.models import TrainDpt
from radt.training import loop


def loss_of(
    model: DecisionPretrainedTransformer,
    source: Experience,
    training: TrainDpt,
    contexts: int,
    random: np.random.Generator,
) -> loop.Loss:
    """Cross-entropy of the best action, over so many contexts and their queries.

    Each query reads a beginning of its context whose length is uniform, so that an empty context and a growing one are trained.
    """
    device = model.device
    task = random.integers(0, len(source.tasks), contexts)
    context, number = source.contexts(task, training.context, random)
    observation, received, action = (moved(part, device) for part in source.queries(task, training.queries, random))
    read = (random.random(action.shape[:2]) * (number.numpy() + 1)[:, None]).astype(np.int64)
    with loop.autocast(training.optimization, model.norm.weight.device.type):
        memory = model.encode(context.to(device), training.queries)
        outputs = model(observation, received, memory, moved(torch.from_numpy(read), device))
    loss, accuracy = model.head.loss(outputs.flatten(0, 1), action.flatten(0, 1))
    return loop.Loss(loss, accuracy, loss.new_tensor(read.size))
