"""From nothing to the results of the Retrieval-Augmented Decision Transformer.

`radt.load` uses a trained agent, as docs/agents.md shows. All else is the pipeline's.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radt.agent import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Import what a user needs when it is asked for: the stages of the pipeline start without torch."""
    if name != "load":
        raise AttributeError(f"module 'radt' has no attribute {name!r}")
    from radt.agent import load

    return load
