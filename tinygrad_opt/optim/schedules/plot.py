"""What a schedule looks like: a figure of matplotlib's, or one line of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .demands import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .schedule import Schedule

ENDLESS = 100  # steps that are shown of a schedule without an end
FINEST = 2000  # points that are drawn at most
BARS = "▁▂▃▄▅▆▇█"


def figure(schedule: Schedule, steps: int | None = None) -> Figure:
    """f(t) of the steps that a run uses, and the value that is held after them."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "Schedule.plot draws with matplotlib, which is not installed: "
            'pip install "tinygrad-opt[viz]". Schedule.sparkline() draws with text alone.'
        ) from None
    n = shown(schedule, steps)
    times = _times(n, min(n, FINEST))
    drawn = Figure(figsize=(7, 3), layout="constrained")
    axes = drawn.subplots()
    axes.plot(times, [schedule(t) for t in times], drawstyle="steps-post" if n <= 60 else "default")
    for joint in schedule.joints(n):
        axes.axvline(joint, color="0.7", linestyle=":", zorder=0)
    if schedule.length is not None and n >= schedule.length:
        end = schedule.length
        axes.plot([end], [schedule(end)], "o", fillstyle="none", label="held from here on")
        axes.legend()
    axes.set(title=str(schedule), xlabel="step t", ylabel="factor f(t)")
    return drawn


def sparkline(schedule: Schedule, width: int = 60, steps: int | None = None) -> str:
    """One bar for each step, or for every so many; the lowest bar is 0, or f where it is below."""
    n = shown(schedule, steps)
    values = [schedule(t) for t in _times(n, min(n, whole("sparkline: width", width, 1)))]
    low, high = min(0.0, *values), max(0.0, *values)
    rise = (len(BARS) - 1) / ((high - low) or 1.0)
    return "".join(BARS[round((value - low) * rise)] for value in values)


def shown(schedule: Schedule, steps: int | None) -> int:
    """How many steps to show: as asked for, all of them, or the first of an endless schedule."""
    if steps is not None:
        return whole("steps", steps, 1)
    return ENDLESS if schedule.length is None else max(1, math.ceil(schedule.length))


def _times(n: int, points: int) -> list[int]:
    """So many of the steps 0 … n − 1, evenly spaced, the first and the last among them."""
    return [round(k * (n - 1) / max(1, points - 1)) for k in range(points)]
