"""The way down a surface: on its curve, on its map or, with more coordinates, as losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history import Array, History
from .style import COLOURS, figure, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP, LEVELS, POINTS = "Greys", 14, 201


def walk_figure(history: History, f: Callable[..., Any]) -> Figure:
    """The points of a walk on the curve (D = 1) or the map (D = 2) of f, else its losses.

    f is a surface or an expression: what has ``on_grid``. Losses beyond what is drawn are cut off.
    """
    path = _path(history)
    drawn = figure(7.0, 5.0 if path.shape[1] == 2 else 4.2)
    axes = drawn.subplots()
    title = f"{history.meta['task']}: {history.meta['optimizer']}"
    if len(history.lr) and np.isfinite(history.lr[0]):
        title += f", lr {history.lr[0]:.4g}"
    if history.meta.get("options", {}).get("momentum"):
        title += f", momentum {history.meta['options']['momentum']:.4g}"
    if path.shape[1] == 1:
        _curve(axes, path[:, 0], f, title)
    elif path.shape[1] == 2:
        _map(axes, path, f, title)
    else:
        axes.plot(history.step, history.loss, color=COLOURS[0], marker="o", markersize=3)
        label(axes, "update", "loss", title)
    return drawn


def _path(history: History) -> Array:
    """All points, the last one too, as far as they are numbers."""
    if history.w is None or history.final_w is None:
        raise ValueError("walk_figure: the history has no points; only walks of trace() have them.")
    points = np.vstack([history.w, history.final_w])
    kept: Array = points[np.isfinite(points).all(axis=1) & (abs(points) < 1e6).all(axis=1)]
    return kept


def _range(values: Array, f: Any, axis: int) -> tuple[float, float]:
    """The part of an axis with the path and, of a surface, its minima."""
    known = [m[axis] for m in getattr(f, "minima", ()) if axis < len(m)]
    low, high = min([*values, *known]), max([*values, *known])
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def _curve(axes: Axes, path: Array, f: Any, title: str) -> None:
    x = np.linspace(*_range(path, f, 0), POINTS)
    heights, losses = f.on_grid(x), f.on_grid(path)
    axes.plot(x, heights, color="0.55", linewidth=1.2)
    axes.plot(path, losses, color=COLOURS[0], marker="o", markersize=4, linewidth=1)
    _ends(axes, (path[0], losses[0]), (path[-1], losses[-1]))
    finite = np.concatenate([heights, losses])
    finite = finite[np.isfinite(finite)]
    axes.set_xlim(x[0], x[-1])
    if len(finite):
        room = 0.06 * (finite.max() - finite.min()) or 1.0
        axes.set_ylim(finite.min() - room, finite.max() + room)
    label(axes, "w", "loss", title)
    axes.legend(frameon=False)


def _map(axes: Axes, path: Array, f: Any, title: str) -> None:
    x = np.linspace(*_range(path[:, 0], f, 0), POINTS)
    y = np.linspace(*_range(path[:, 1], f, 1), POINTS)
    heights = f.on_grid(*np.meshgrid(x, y))
    lowest = np.nanmin(heights)
    raised = np.log10(np.maximum(heights - lowest, 1e-6 * (np.nanmax(heights) - lowest) or 1e-12))
    contours = axes.contourf(x, y, raised, LEVELS, cmap=MAP, alpha=0.6)
    minima = [m for m in getattr(f, "minima", ()) if len(m) == 2]
    if minima:
        name = "minimum" if len(minima) == 1 else "minima"
        cross: dict[str, Any] = {"color": "black", "marker": "x", "markersize": 8}
        axes.plot(*zip(*minima, strict=True), **cross, linestyle="none", label=name)
    axes.plot(*path.T, color=COLOURS[0], marker="o", markersize=3.5, linewidth=1)
    _ends(axes, path[0], path[-1])
    label(axes, "x", "y", title)
    bar = axes.figure.colorbar(contours, ax=axes)
    bar.set_label("log₁₀(loss − lowest here)")
    axes.legend(frameon=True, framealpha=0.9)


def _ends(axes: Axes, start: Any, end: Any) -> None:
    """Where it began and where it ended."""
    fat: dict[str, Any] = {"linestyle": "none", "zorder": 3, "markeredgecolor": "black"}
    axes.plot(*start, color="white", marker="s", markersize=8, label="start", **fat)
    axes.plot(*end, color=COLOURS[1], marker="D", markersize=8, label="end", **fat)
