"""Pre-train the Decision Transformer, baseline and encoder: `python -m radt.stages.pretrain --help`."""

from __future__ import annotations

from torch import Tensor

from radt import seeding
from radt.models import store
from radt.settings import Experiment, Section, Training, parse
from radt.stages import run
from radt.training import job, loop


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: Experiment
    pretrain: Training


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    given = job.arguments(__doc__).parse_args(argv)
    selection = parse(Selection, given.settings)
    room, training = selection.experiment, selection.pretrain
    loop.prepare(training.optimization.device)
    data = job.read_data(given.trajectories, room)
    seeding.seed_torch(given.seed, "dt weights")
    model = store.dt(room, training).to(training.optimization.device)
    window = training.model.span(room)

    def batch_loss(update: int) -> tuple[Tensor, Tensor]:
        random = seeding.generator(given.seed, "dt windows", update)
        _, steps = data.episodes.sample(
            random, training.optimization.batch_size, window, training.model.stride(room), training.opening
        )
        steps = steps.to(training.optimization.device)
        with loop.autocast(training.optimization):
            logits, _ = model(steps)
        return loop.action_loss(logits, steps)

    job.finish("dt", given, selection, training, room, model, batch_loss, {"trajectories": data.sha256})
    return 0


if __name__ == "__main__":
    run(main)
