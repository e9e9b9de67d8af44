"""Pre-train the Decision Transformer, baseline and encoder: `python -m radt.stages.pretrain --help`."""

from __future__ import annotations

from radt import seeding
from radt.models import store
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.models import Training
from radt.settings.parsing import parse
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop, ranks


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    pretrain: Training


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    given = job.arguments(__doc__).parse_args(argv)
    selection = parse(Selection, given.settings)
    experiment, training = selection.experiment, selection.pretrain
    suite = experiment_spec(experiment)
    device = loop.prepare_training(training.optimization)
    data = job.read_data(given.trajectories, suite)
    seeding.seed_torch(given.seed, "dt weights")
    model = store.dt(suite.spec, training, statistics=data.statistics).to(device)
    window, stride = training.model.span(experiment), training.model.stride(experiment)
    share = ranks.share(training.optimization.batch_size)

    def batch_loss(update: int) -> loop.Loss:
        random = share.generator(given.seed, "dt windows", update)
        _, steps = data.episodes.sample(random, len(share), window, stride, training.start_probability)
        steps = steps.to(device)
        with loop.autocast(training.optimization, device):
            outputs, _ = model(steps)
        return loop.action_loss(model.head, outputs, steps)

    job.train_and_save("dt", given, selection, training, experiment, model, batch_loss, {"trajectories": data.sha256})
    return 0


if __name__ == "__main__":
    run(main)
