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
    """Cross-entropy of the best action, for the queries of `contexts` contexts.

    Each query reads the first n transitions of its context; n is uniform from 0 on, so that every size of context is trained.
    """
    device = model.device
    task = random.integers(0, len(source.tasks), contexts)
    context, number = source.contexts(task, training.context, random)
    observation, received, action = (moved(part, device) for part in source.queries(task, training.queries, random))
    read = (random.random(action.shape[:2]) * (number.numpy() + 1)[:, None]).astype(np.int64)  # [B, Q]
    with loop.autocast(training.optimization, model.norm.weight.device.type):
        memory = model.encode(context.to(device), training.queries)
        outputs = model(observation, received, memory, moved(torch.from_numpy(read), device))  # [B, Q, O]
    loss, accuracy = model.head.loss(outputs.flatten(0, 1), action.flatten(0, 1))
    return loop.Loss(loss, accuracy, loss.new_tensor(read.size))
