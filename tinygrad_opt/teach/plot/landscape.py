"""Landscapes: contours with the path on them, the line from start to end, and in three dimensions.

Where the loss spans decades its scale is logarithmic. Colours are those of cividis, which are as
even in grey; contour lines carry their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..history import Array
from ..landscape import Landscape
from .style import COLOURS, figure, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = "cividis"
LEVELS = 13
DEEPEST = 1e-6  # of the greatest height: what lies lower is drawn as this


def landscape_figure(found: Landscape, title: str = "", three_d: bool = False) -> Figure:
    """The picture that suits: a curve on a line, contours on a plane or, if asked for, relief."""
    flat = found.is_line or not three_d
    drawn = figure(7.0, 4.2 if found.is_line else 5.6)
    axes = drawn.subplots(subplot_kw=None if flat else {"projection": "3d"})
    if found.is_line:
        _line(axes, found)
    elif flat:
        _contours(axes, found)
    else:
        _relief(axes, found)
    axes.set_title(title)
    return drawn


def name_of_loss(found: Landscape) -> str:
    """What the scale measures."""
    return "loss − minimum" if found.meta.get("minimum") else "loss"


def drawable(found: Landscape, height: Array) -> Array:
    """Heights within what is drawn: finite and, on a logarithmic scale, positive."""
    finite = found.height[np.isfinite(found.height)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    inside = np.nan_to_num(height, nan=high, posinf=high, neginf=low)
    clipped: Array = np.clip(inside, max(low, DEEPEST * high) if found.spans_decades else low, high)
    return clipped


def short(value: float) -> str:
    """Two significant digits, without an exponent where there need not be one."""
    return f"{float(f'{value:.2g}'):g}"


def path_height(found: Landscape) -> Array:
    """The loss on the path, over the least one possible (T,)."""
    assert found.path_loss is not None
    return found.path_loss - (found.meta.get("minimum") or 0.0)


def _line(axes: Axes, found: Landscape) -> None:
    axes.plot(found.axes[0], found.loss, color=COLOURS[0])
    if found.path is not None and found.path_loss is not None:
        on_path = "path, seen along the line" if found.directions == "line" else "path"
        axes.plot(
            found.path[:, 0], found.path_loss, ".-", color=COLOURS[1], linewidth=0.8, label=on_path
        )
        _ends(axes, found.path[:, 0], found.path_loss)
        axes.legend(fontsize="small")
    finite = found.loss[np.isfinite(found.loss)]
    if found.meta.get("minimum") in (None, 0.0) and found.spans_decades and finite.min() > 0:
        axes.set_yscale("log")
    axes.set_xlim(found.axes[0][0], found.axes[0][-1])
    label(axes, found.plane.names[0], "loss")


def _contours(axes: Axes, found: Landscape) -> None:
    from matplotlib.colors import LogNorm, Normalize

    height = drawable(found, found.height)
    low, high = float(height.min()), float(height.max())
    scale = np.geomspace if found.spans_decades else np.linspace
    levels = np.unique(scale(low, high if high > low else low + 1.0, LEVELS))
    norm: Any = (LogNorm if found.spans_decades else Normalize)(levels[0], levels[-1])
    shades = axes.contourf(*found.axes, height, levels, cmap=MAP, norm=norm)
    lines = axes.contour(*found.axes, height, levels[1::2], colors="black", linewidths=0.6)
    axes.clabel(lines, fmt=short, fontsize=7)
    bar = axes.figure.colorbar(shades, label=name_of_loss(found), ticks=levels[::2])
    bar.ax.set_yticklabels([short(level) for level in levels[::2]])
    bar.ax.minorticks_off()
    if found.path is not None:
        x, y = found.path.T
        axes.plot(x, y, ".-", color="white", linewidth=2.5, markersize=7)
        axes.plot(x, y, ".-", color=COLOURS[1], linewidth=1, markersize=4, label="path")
        _ends(axes, x, y)
        axes.legend(fontsize="small")
    axes.set_xlim(found.axes[0][0], found.axes[0][-1])
    axes.set_ylim(found.axes[1][0], found.axes[1][-1])
    label(axes, *found.plane.names)


def _ends(axes: Any, *path: Array) -> None:
    """A square where the path begins, a star where it ends."""
    for place, marker, name in ((0, "s", "start"), (-1, "*", "end")):
        at = [[values[place]] for values in path]
        size = 8 if marker == "s" else 14
        axes.plot(
            *at,
            marker,
            color="white",
            markeredgecolor="black",
            markersize=size,
            label=name,
            zorder=9,
        )


def _relief(axes: Any, found: Landscape) -> None:
    """Heights as a surface; matplotlib has no logarithmic axis there, so the logarithm is drawn."""

    def scaled(height: Array) -> Array:
        inside = drawable(found, height)
        return np.log10(inside) if found.spans_decades else inside

    heights = scaled(found.height)
    x, y = np.meshgrid(*found.axes)
    axes.plot_surface(x, y, heights, cmap=MAP, linewidth=0.2, edgecolor="black", alpha=0.85)
    if found.path is not None:
        inside = np.ones(len(found.path), bool)
        for values, axis in zip(found.path.T, found.axes, strict=True):
            inside &= (values >= axis[0]) & (values <= axis[-1])
        path = (*found.path[inside].T, scaled(path_height(found))[inside])
        axes.plot(*path, color=COLOURS[1], linewidth=2, zorder=8, label="path")
        if inside.any():
            _ends(axes, *path)
        axes.legend(fontsize="small")
    name = name_of_loss(found)
    axes.set(xlabel=found.plane.names[0], ylabel=found.plane.names[1])
    axes.set_zlabel(f"log₁₀ ({name})" if found.spans_decades else name)
    axes.view_init(elev=35, azim=-60)
