"""Tables and durations as text, for plans and states."""

from __future__ import annotations

from collections.abc import Iterable

from humanfriendly import format_timespan
from tabulate import tabulate


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], numbers: range = range(0)) -> list[str]:
    """Lines of a table; the columns `numbers` are aligned right. Cells are printed as they are."""
    sides = ["right" if column in numbers else "left" for column in range(len(head))]
    return str(tabulate(list(rows), head, tablefmt="plain", disable_numparse=True, colalign=sides)).splitlines()


def duration(seconds: float) -> str:
    """Seconds in words: 1 minute and 40 seconds."""
    return str(format_timespan(round(seconds), max_units=2))
