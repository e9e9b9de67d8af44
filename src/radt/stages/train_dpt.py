"""Train the Decision-Pretrained Transformer: `python -m radt.stages.train_dpt --help`."""

from __future__ import annotations

import numpy as np
import torch

from radt import seeding
from radt.data import trajectories
from radt.data.steps import moved
from radt.data.transitions import Experience
from radt.models import store
from radt.models.decision_pretrained import DecisionPretrainedTransformer
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.models import TrainDpt
from radt.settings.parsing import parse
from radt.stages import run
from radt.suites import experiment_spec
from radt.suites.transitions import experience
from radt.training import job, loop, ranks


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    train_dpt: TrainDpt


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


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    given = job.arguments(__doc__).parse_args(argv)
    selection = parse(Selection, given.settings)
    experiment, training = selection.experiment, selection.train_dpt
    suite = experiment_spec(experiment)
    device = loop.prepare_training(training.optimization)
    data = trajectories.read(given.trajectories, suite)
    experienced = experience(experiment, data)
    seeding.seed_torch(given.seed, "dpt weights")
    model = store.dpt(suite.spec, training, data.statistics).to(device)
    share = ranks.share(training.optimization.batch_size)

    def batch_loss(update: int) -> loop.Loss:
        return loss_of(model, experienced, training, len(share), share.generator(given.seed, "dpt batches", update))

    inputs = {"trajectories": job.shards_digest(data)}
    job.train_and_save("dpt", given, selection, training, experiment, model, batch_loss, inputs)
    return 0


if __name__ == "__main__":
    run(main)
