"""Random actions, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import GREY, Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.references.RandomAgent`."""
    from radt.evaluation.references import RandomAgent

    return RandomAgent(setup.history)


METHOD = Method()
THEME = Theme(6, "Random", (GREY, GREY), (1.5, 2.5), "x1|", ", no network", reference=True)
