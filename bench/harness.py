"""How a comparison is measured: ours and the peer alternate, medians are compared, machine and commit are written down."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from radt.errors import RadtError
from radt.machine import commit, machine
from radt.settings.configuration import Settings, read
from radt.settings.sources import Generate
from radt.suites.grid.settings import GridExperiment

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measurement:
    """One comparison of two rates, higher is better."""

    name: str
    ours: float
    """Median rate of radt, in `unit`."""
    peer: float
    """Median rate of the peer, in `unit`."""
    ratio: float
    """`ours / peer`."""
    unit: str
    runs: int
    """Measured runs of each, warm-up not counted."""
    machine: str
    commit: str
    peer_name: str
    target: float | None
    """Smallest `ratio` that is good enough; None: only reported."""


def rotate(rates: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """Median of each rate over `runs` rounds A B C A B C ..., after one unmeasured round."""
    rounds = [{name: rate() for name, rate in rates.items()} for _ in range(runs + 1)][1:]
    return {name: median(each[name] for each in rounds) for name in rates}


def compare(name: str, unit: str, peer_name: str, target: float | None, ours: float, peer: float, runs: int) -> Measurement:
    """The comparison of two rates that `rotate` measured."""
    return Measurement(name, ours, peer, ours / peer, unit, runs, machine(), commit(), peer_name, target)


def alternate(
    name: str,
    unit: str,
    peer_name: str,
    target: float | None,
    ours: Callable[[], float],
    peer: Callable[[], float],
    runs: int = 5,
) -> Measurement:
    """Measure ours and the peer in turn, A B A B ..., after one unmeasured run of each; both return a rate."""
    medians = rotate({"ours": ours, "peer": peer}, runs)
    return compare(name, unit, peer_name, target, medians["ours"], medians["peer"], runs)


def timed(function: Callable[[], object], count: float, seconds: float = 1.0) -> float:
    """Things per second of a `function` that does `count` things a call, called again until `seconds` are over."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not calls:
        function()
        calls += 1
    return count * calls / elapsed


def peer_package(name: str) -> Any:
    """A module of a peer, which only the environment of the benchmarks has; raises `RadtError` elsewhere."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RadtError(f"{error.name} is not installed: run the benchmarks with `make bench`") from None


@cache
def defaults() -> Settings:
    """The settings of config/config.yaml, so that what is measured is what is used."""
    return read([ROOT / "config" / "config.yaml"])


def generation() -> Generate:
    """What makes the learning histories of config/config.yaml."""
    settings = defaults().trajectories.generate
    assert settings is not None
    return settings


def darkroom() -> GridExperiment:
    """The room of config/config.yaml."""
    room = defaults().experiments["darkroom"]
    assert isinstance(room, GridExperiment)
    return room
