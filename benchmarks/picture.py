"""A picture of ratios: a panel for every case, a bar for every peer, on a logarithmic axis.

A bar starts at 1, the time of the first reference, and grows to the left where a peer is quicker;
its end says the time itself. Ours are dark and hatched: the picture does without its colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import number
from .turns import Line

OURS, THEIRS = "#0072b2", "#d9d9d9"  # dark and light to any eye, and on paper
ROW, HEAD, WIDTH = 0.27, 0.95, 6.4  # inches


def draw(
    path: str | Path,
    lines: Sequence[Line],
    titles: dict[str, str],
    references: Sequence[str],
    columns: int = 1,
) -> None:
    """Write the picture; its kind follows from the name of the file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [line for line in lines if line["peers"]]
    rows = math.ceil(len(lines) / columns) or 1
    bars = max((len(line["peers"]) for line in lines), default=1)
    size = (WIDTH * columns, rows * (bars * ROW + HEAD))
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    for i, line in enumerate(lines):
        shared = figure.axes[0] if i else None
        axes = figure.add_subplot(rows, columns, i + 1, sharex=shared)
        panel(axes, line, titles, references)
    if lines:
        scale(figure.axes[0], [ratio for line in lines for ratio in ratios_of(line, references)])
    figure.savefig(path)


def ratios_of(line: Line, references: Sequence[str]) -> list[float]:
    """The time of every peer over that of the first reference, or of the first peer."""
    peers = line["peers"]
    base = base_of(line, references)
    return [known["median"] / peers[base]["median"] for known in peers.values()]


def base_of(line: Line, references: Sequence[str]) -> str:
    """With whom the others are compared."""
    return next((name for name in references if name in line["peers"]), next(iter(line["peers"])))


def scale(axes: Any, ratios: Sequence[float]) -> None:
    """One axis for all panels, with room for the words at the ends of bars."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(*ratios, 1), max(*ratios, 1)
    room = (high / low) ** 0.35 * 1.5
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 50 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def panel(axes: Any, line: Line, titles: dict[str, str], references: Sequence[str]) -> None:
    """One case."""
    peers = line["peers"]
    ratios = ratios_of(line, references)
    ours = [titles[peer].startswith("tinygrad_opt") for peer in peers]
    bars = axes.barh(
        [titles[peer] for peer in peers],
        [ratio - 1 for ratio in ratios],
        left=1,
        height=0.7,
        color=[OURS if own else THEIRS for own in ours],
        edgecolor="black",
        linewidth=0.6,
    )
    for bar, own, ratio, known in zip(bars, ours, ratios, peers.values()):
        bar.set_hatch("///" if own else "")
        text = f"{time_of(known['median'])} ({ratio:.3f})"
        side, shift = ("left", 4) if ratio >= 1 else ("right", -4)
        axes.annotate(
            text,
            (ratio, bar.get_y() + bar.get_height() / 2),
            xytext=(shift, 0),
            textcoords="offset points",
            va="center",
            ha=side,
            fontsize=8,
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"{line['name']}: {line['about']}", loc="left", fontsize=9)
    axes.set_xlabel(
        f"time / time of {titles[base_of(line, references)]} (logarithmic; left is quicker)",
        fontsize=8,
    )


def time_of(microseconds: float) -> str:
    """With its unit."""
    unit, scale = ("ms", 1e-3) if microseconds >= 1e4 else ("µs", 1.0)
    return f"{number(microseconds * scale)} {unit}"
