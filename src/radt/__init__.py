"""From nothing to the results of the Retrieval-Augmented Decision Transformer.

`radt.load` loads a trained agent (docs/agents.md). The rest of the package is the pipeline.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radt.agent import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Import `load` on first use, so that stages without a network start without torch."""
    if name != "load":
        raise AttributeError(f"module 'radt' has no attribute {name!r}")
    from radt.agent import load

    return load
