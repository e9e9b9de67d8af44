"""Decision Transformer: a baseline, and the encoder of RA-DT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections


def work(s: Sections, _: str) -> Demand:
    """Updates x batch x steps of a window."""
    from radt.pipeline.costs import trained

    span = s.pretrain.model.span(s.experiment)
    return trained(s, s.pretrain.model, s.pretrain.optimization, span, span)


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.agents.DtAgent`."""
    from radt.evaluation.agents import DtAgent
    from radt.models import store

    network, training, _ = store.read_dt(setup.weights(), setup.suite)
    return DtAgent(network.to(setup.device), training.model, setup.history)


METHOD = Method(("fixed",), "pretrain", folder="pretrain", work=work)
THEME = Theme(4, "DT", ("#997700", "#999933"), (1.2, 1.4), "s<>")
