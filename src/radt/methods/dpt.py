"""Decision-Pretrained Transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.methods import Method, Theme
from radt.settings.models import TrainDpt

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections
    from radt.training import job, loop


class Selection(Section):
    """The part of the configuration that its training reads."""

    experiment: AnyExperiment
    train_dpt: TrainDpt


def training(setup: job.Setup, selection: Selection) -> job.Learner:
    """Predicts the best action of a state from transitions of its task; see `radt.training.decision_pretrained`."""
    from radt.models import store
    from radt.suites.transitions import experience
    from radt.training.decision_pretrained import loss_of
    from radt.training.job import Learner

    chosen = selection.train_dpt
    experienced = experience(selection.experiment, setup.data.trajectories)
    setup.seed_weights("dpt weights")
    model = store.dpt(setup.suite.spec, chosen, setup.data.statistics).to(setup.device)

    def loss(update: int) -> loop.Loss:
        return loss_of(model, experienced, chosen, len(setup.share), setup.random("dpt batches", update))

    return Learner(model, loss)


def work(s: Sections, _: str) -> Demand:
    """Updates x batch x (transitions of a context + queries)."""
    from radt.pipeline.costs import trained

    chosen, model = s.train_dpt, s.train_dpt.model.model_copy(update={"tokens": "step"})  # it has one form only
    return trained(s, model, chosen.optimization, chosen.context + chosen.queries, chosen.context)


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.dpt_agent`."""
    from radt.evaluation.dpt_agent import DptAgent
    from radt.models import store
    from radt.suites.transitions import recollection

    network, settings = store.read_dpt(setup.weights(), setup.suite)
    recalled = recollection(setup.suite.experiment, setup.history)
    return DptAgent(network.to(setup.device), settings.context, recalled, setup.history, setup.seed)


METHOD = Method(stage="train_dpt", folder="train/dpt", work=work)
THEME = Theme(3, "DPT", ("#CC6677", "#EE7733"), (5.0, 1.2, 1.2, 1.2), "Xp*")
