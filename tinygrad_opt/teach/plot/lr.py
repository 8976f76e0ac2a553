"""Learning rates: where short runs end at each of them, and the loss while the rate grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..history import RISEN
from ..lr_range_test import RangeTest
from ..lr_sweep import Sweep, end_of
from .style import COLOURS, figure, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"too low": "v", "good": "o", "too high": "^"}


def lr_figure(sweep: Sweep, found: RangeTest | None = None, title: str = "") -> Figure:
    """The sweep and, where there is one, the range test beside it, with one scale of rates."""
    drawn = figure(11.0 if found is not None else 7.0, 4.2)
    axes = drawn.subplots(1, 1 if found is None else 2, squeeze=False, sharex=True)[0]
    _sweep(axes[0], sweep)
    if found is not None:
        _range_test(axes[1], found)
        axes[1].tick_params(labelleft=True)
    drawn.suptitle(title)
    return drawn


def _sweep(axes: Axes, sweep: Sweep) -> None:
    """A point for the mean at each rate, a dot for each run; runs that are lost lie at the top."""
    top = RISEN * abs(sweep.start)
    verdicts, height = np.array(sweep.verdicts), np.minimum(sweep.loss, top)
    axes.plot(sweep.lr, height, color=COLOURS[0], linewidth=1)
    for verdict, marker in MARKS.items():
        here = verdicts == verdict
        style: dict[str, Any] = {"color": COLOURS[0], "markersize": 8, "linestyle": "none"}
        filled = "full" if verdict == "good" else "none"
        axes.plot(sweep.lr[here], height[here], marker, fillstyle=filled, label=verdict, **style)
    for lr, runs in zip(sweep.lr, sweep.runs, strict=True):
        ends = [min(end_of(history), top) for history in runs]
        axes.plot([lr] * len(ends), ends, ".", color="#555555", markersize=4)
    for lr in sweep.lr[~np.isfinite(sweep.loss)]:
        axes.annotate(
            "diverged",
            (lr, top),
            (0, -8),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="top",
            fontsize="small",
        )
    if sweep.good is not None:
        axes.axvspan(*sweep.good, color=COLOURS[2], alpha=0.15, hatch="//", label="good range")
    axes.axhline(
        sweep.start, color="#555555", linewidth=1, linestyle="dotted", label="before training"
    )
    axes.set_xscale("log")
    if height.min() > 0 and top / height.min() > 100:
        axes.set_yscale("log")
    label(axes, "learning rate", "loss after the run", "short runs: mean, and each seed")
    axes.legend(fontsize="small")


def _range_test(axes: Axes, found: RangeTest) -> None:
    """The loss of each batch, its running mean, and where that falls longest."""
    axes.plot(found.lr, found.loss, color="#999999", linewidth=0.8, label="of each batch")
    axes.plot(found.lr, found.smooth, color=COLOURS[1], linewidth=2, label="running mean")
    if found.falls is not None and found.suggestion is not None:
        axes.axvspan(*found.falls, color=COLOURS[4], alpha=0.15, hatch="..", label="falls longest")
        axes.axvline(
            found.suggestion,
            color="black",
            linestyle="dashed",
            label=f"a starting point: {found.suggestion:.4g}",
        )
    axes.set_xscale("log")
    finite = found.smooth[np.isfinite(found.smooth)]
    if len(finite):
        axes.set_ylim(0, 1.3 * min(finite.max(), 2 * finite[0]))
    label(axes, "learning rate", "loss", "range test: the rate grows from batch to batch")
    axes.legend(fontsize="small")
