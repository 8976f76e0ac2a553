"""Curves as text, one bar for a stretch of the run, all of them on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..optim.schedules.plot import BARS
from .history import Array

DEPTH = 1e-4  # what lies lower than this part of the ceiling is drawn as the ceiling's 10⁻⁴


def sparklines(curves: Sequence[Array], ceiling: float, width: int = 16) -> list[str]:
    """A line for each curve, by the logarithm of its values; they can be compared with each other.

    The highest bar stands for the ceiling and all above it, and for what is not finite. A curve
    that ends before the longest one is drawn at the ceiling from there on.
    """
    longest = max((len(curve) for curve in curves), default=0)
    floor = min((float(np.nanmin(c)) for c in curves if np.isfinite(c).any()), default=ceiling)
    floor = min(max(floor, DEPTH * ceiling), ceiling)
    lines = []
    for curve in curves:
        whole = np.full(longest, ceiling)
        whole[: len(curve)] = np.nan_to_num(curve, nan=ceiling, posinf=ceiling)
        parts = np.array_split(np.log(np.clip(whole, floor, ceiling)), min(width, longest))
        heights = np.array([part.mean() for part in parts]) - np.log(floor)
        rise = (len(BARS) - 1) / (np.log(ceiling / floor) or 1.0)
        lines.append("".join(BARS[round(height * rise)] for height in heights))
    return lines
