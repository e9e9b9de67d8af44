"""Train Algorithm Distillation: `python -m radt.stages.train_ad --help`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from radt import seeding
from radt.data.steps import Steps, concatenate
from radt.data.windows import Episodes
from radt.models import store
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.models import TrainAd
from radt.settings.parsing import parse
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop, ranks


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    train_ad: TrainAd


def with_context(episodes: Episodes, episode: Tensor, steps: Steps, episode_gap: int) -> Steps:
    """[B, 2 T] steps: the end of an earlier episode of the same history, then the [B, T] windows `steps` of `episode` [B].

    The context is `episode_gap` episodes older, or the first of the learning history; the first episode of a history has none (as
    published). Times count from the start of each episode.
    """
    window = steps.mask.shape[1]
    context = torch.maximum(episode - episode_gap, episodes.first_of_history[episode])
    first, length = episodes.first[context], episodes.length[context]
    before = episodes.columns.windows(first, first + (length - window).clamp_min(0), first + length, window)
    before = replace(before, mask=before.mask & (context != episode)[:, None])
    return concatenate([before, steps], 1)


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    given = job.arguments(__doc__).parse_args(argv)
    selection = parse(Selection, given.settings)
    experiment, training = selection.experiment, selection.train_ad
    suite = experiment_spec(experiment)
    device = loop.prepare_training(training.optimization)
    data = job.read_data(given.trajectories, suite)
    seeding.seed_torch(given.seed, "ad weights")
    model = store.ad(suite.spec, training, data.statistics).to(device)
    window, stride = training.model.span(experiment), training.model.stride(experiment)
    share = ranks.share(training.optimization.batch_size)

    def batch_loss(update: int) -> loop.Loss:
        random = share.generator(given.seed, "ad windows", update)
        episode, steps = data.episodes.sample(random, len(share), window, stride, training.start_probability)
        steps = with_context(data.episodes, episode, steps, training.episode_gap).to(device)
        with loop.autocast(training.optimization, device):
            outputs, _ = model(steps)
        return loop.action_loss(model.head, outputs, steps)

    job.train_and_save("ad", given, selection, training, experiment, model, batch_loss, {"trajectories": data.sha256})
    return 0


if __name__ == "__main__":
    run(main)
