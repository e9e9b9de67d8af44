"""Algorithm Distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections


def work(s: Sections, _: str) -> Demand:
    """Updates x batch x steps of two windows."""
    from radt.pipeline.costs import trained

    length = 2 * s.train_ad.model.span(s.experiment)
    return trained(s, s.train_ad.model, s.train_ad.optimization, length, length)


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.agents.AdAgent`."""
    from radt.evaluation.agents import AdAgent
    from radt.models import store

    network, training = store.read_ad(setup.weights(), setup.suite)
    return AdAgent(network.to(setup.device), training.model, setup.history)


METHOD = Method(stage="train_ad", folder="train/ad", work=work)
THEME = Theme(2, "AD", ("#882255", "#AA4499"), (5.0, 1.6), "DvP")
