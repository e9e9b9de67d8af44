"""Replays the nearest stored step of its best episode, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import GREY, Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.references.RetrieveAgent`."""
    from radt.evaluation.references import RetrieveAgent

    return RetrieveAgent(setup.history, setup.seed)


METHOD = Method()
THEME = Theme(5, "Retrieve", (GREY, GREY), (8.0, 3.0), "+|x", ", no network", reference=True)
