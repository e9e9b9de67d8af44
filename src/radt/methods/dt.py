"""Decision Transformer: a baseline, and the encoder of RA-DT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.methods import Method, Theme
from radt.settings.models import Training

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections
    from radt.training import job, loop


class Selection(Section):
    """The part of the configuration that its training reads."""

    experiment: AnyExperiment
    pretrain: Training


def training(setup: job.Setup, selection: Selection) -> job.Learner:
    """Behaviour cloning on windows of an episode, conditioned on returns-to-go."""
    from radt.models import store
    from radt.training import loop
    from radt.training.job import Learner

    chosen = selection.pretrain
    setup.seed_weights("dt weights")
    model = store.dt(setup.suite.spec, chosen, statistics=setup.data.statistics).to(setup.device)
    window, stride = chosen.model.span(selection.experiment), chosen.model.stride(selection.experiment)
    among = setup.data.episodes.best(chosen.best_share)

    def loss(update: int) -> loop.Loss:
        random = setup.random("dt windows", update)
        _, steps = setup.data.episodes.sample(random, len(setup.share), window, stride, chosen.start_probability, among)
        steps = steps.to(setup.device)
        with loop.autocast(chosen.optimization, setup.device):
            outputs, _ = model(steps)
        return loop.action_loss(model.head, outputs, steps)

    return Learner(model, loss)


def work(s: Sections, _: str) -> Demand:
    """Updates x batch x steps of a window."""
    from radt.pipeline.costs import trained

    span = s.pretrain.model.span(s.experiment)
    return trained(s, s.pretrain.model, s.pretrain.optimization, span, span)


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.agents.DtAgent`."""
    from radt.evaluation.agents import DtAgent
    from radt.models import store

    network, settings, _ = store.read_dt(setup.weights(), setup.suite)
    return DtAgent(network.to(setup.device), settings.model, setup.history)


METHOD = Method(("fixed",), "pretrain", folder="pretrain", work=work)
THEME = Theme(4, "DT", ("#997700", "#999933"), (1.2, 1.4), "s<>")
