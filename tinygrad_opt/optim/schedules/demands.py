"""Sentences for arguments of schedules that make no sense."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any


def demand(condition: bool, otherwise: str) -> None:
    """ValueError with this sentence unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)


def finite(name: str, value: Any, low: float = -math.inf, above: bool = False) -> None:
    """ValueError unless the value is a finite number, ≥ low, or above it."""
    number = float(value) if isinstance(value, Real) else math.nan
    bound = f" above {low}" if above else f" ≥ {low}" if math.isfinite(low) else ""
    fits = math.isfinite(number) and (number > low if above else number >= low)
    demand(fits, f"{name} must be a finite number{bound}, got {value!r}")


def whole(name: str, value: Any, low: int) -> int:
    """The value as an int; ValueError unless it is a whole number ≥ low."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    demand(number >= low, f"{name} must be a whole number ≥ {low}, got {value!r}")
    return number


def one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """ValueError unless the value is one of these words."""
    demand(value in known, f"{name} {value!r} is none of {', '.join(map(repr, known))}")
