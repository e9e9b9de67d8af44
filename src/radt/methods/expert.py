"""The expert of the suite, which knows the task; it has no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radt.settings.methods import GREY, Method, Theme

if TYPE_CHECKING:
    from radt.evaluation.agents import Agent
    from radt.evaluation.setup import Setup


def agent(setup: Setup) -> Agent:
    """See `radt.evaluation.references.ExpertAgent`."""
    from radt.evaluation.references import ExpertAgent

    return ExpertAgent(setup.suite, setup.env, setup.seed)


METHOD = Method(needs_expert=True)
THEME = Theme(7, "Expert", (GREY, GREY), (5.0, 1.5, 1.0, 1.5), "2|", ", no network", reference=True)
