"""Decision-Pretrained Transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup
    from radt.pipeline.costs import Demand, Sections


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

    network, training = store.read_dpt(setup.weights(), setup.suite)
    recalled = recollection(setup.suite.experiment, setup.history)
    return DptAgent(network.to(setup.device), training.context, recalled, setup.history, setup.seed)


METHOD = Method(stage="train_dpt", folder="train/dpt", work=work)
THEME = Theme(3, "DPT", ("#CC6677", "#EE7733"), (5.0, 1.2, 1.2, 1.2), "Xp*")
