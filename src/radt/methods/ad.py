"""Algorithm Distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.methods import Method, Theme
from radt.settings.models import TrainAd

if TYPE_CHECKING:
    from torch import Tensor

    from radt.data.steps import Steps
    from radt.data.windows import Episodes
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections
    from radt.training import job, loop


class Selection(Section):
    """The part of the configuration that its training reads."""

    experiment: AnyExperiment
    train_ad: TrainAd


def with_context(episodes: Episodes, episode: Tensor, steps: Steps, episode_gap: int, hidden: bool = False) -> Steps:
    """[B, 2 T] steps: the end of an earlier episode of the same history, then the [B, T] windows `steps` of `episode` [B].

    The context is `episode_gap` episodes older, or the first episode of the learning history. The first episode of a history has
    no context (as published). Times count from the start of each episode. `hidden`: `steps` come without their previous actions.
    """
    from radt.data.steps import concatenate

    window = steps.mask.shape[1]
    context = (episode - episode_gap).clamp(min=episodes.first_of_history[episode])
    first, length = episodes.first[context], episodes.length[context]
    before = episodes.columns.windows(first, first + (length - window).clamp_min(0), first + length, window)
    before = replace(before, mask=before.mask & (context != episode)[:, None])
    return concatenate([before, steps.without_actions(episodes.columns.spec.actions) if hidden else steps], 1)


def training(setup: job.Setup, selection: Selection) -> job.Learner:
    """Behaviour cloning on windows of an episode, with the end of an earlier episode as context."""
    from radt.models import store
    from radt.training import loop
    from radt.training.job import Learner

    chosen, episodes = selection.train_ad, setup.data.episodes
    setup.seed_weights("ad weights")
    model = store.ad(setup.suite.spec, chosen, setup.data.statistics).to(setup.device)
    window, stride = chosen.model.span(selection.experiment), chosen.model.stride(selection.experiment)
    among = episodes.best(chosen.best_share)

    def loss(update: int) -> loop.Loss:
        random = setup.random("ad windows", update)
        episode, steps = episodes.sample(random, len(setup.share), window, stride, chosen.start_probability, among)
        steps = with_context(episodes, episode, steps, chosen.episode_gap, chosen.model.past_actions == "hidden").to(setup.device)
        with loop.autocast(chosen.optimization, setup.device):
            outputs, _ = model(steps)
        return loop.action_loss(model.head, outputs, steps)

    return Learner(model, loss)


def work(s: Sections, _: str) -> Demand:
    """Updates x batch x steps of two windows."""
    from radt.pipeline.costs import trained

    length = 2 * s.train_ad.model.span(s.experiment)
    return trained(s, s.train_ad.model, s.train_ad.optimization, length, length)


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.agents.AdAgent`."""
    from radt.evaluation.agents import AdAgent
    from radt.models import store

    network, settings = store.read_ad(setup.weights(), setup.suite)
    return AdAgent(network.to(setup.device), settings.model, setup.history)


METHOD = Method(stage="train_ad", folder="train/ad", work=work)
THEME = Theme(2, "AD", ("#882255", "#AA4499"), (5.0, 1.6), "DvP")
