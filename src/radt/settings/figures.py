"""Curves and tables."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from radt.settings.base import NonNegativeInt, Section


class Figure(Section):
    """Curves and table."""

    bootstrap_samples: Annotated[int, Field(ge=2)]
    """Resamples of the confidence interval."""
    bootstrap_seed: NonNegativeInt
    """Seed of the resampling."""
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Coverage of the interval."""
