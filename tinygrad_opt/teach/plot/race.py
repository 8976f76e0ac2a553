"""A race as a figure: both columns side by side on the same scales, maps above, curves below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..race import Race
from .race_scene import Line, Panel, Scene, scene_of
from .style import Style, distinct, figure, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def race_figure(race: Race) -> Figure:
    """Where the racers go, and what is left of the loss, at the common rate and at their own.

    Networks: the median over the seeds, and a band from the least to the largest. A hollow ball
    ends the way of those that diverged. ImportError, with what to install, without matplotlib.
    """
    return Drawing(scene_of(race)).figure


class Drawing:
    """A scene in a figure, with the artists that move."""

    def __init__(self, scene: Scene, width: float = 10, row_height: float = 3.4) -> None:
        self.figure = figure(width, 1 + row_height * len(scene.rows))
        self.title = self.figure.suptitle(scene.title)
        self.moving: list[tuple[Panel, Line, Any, Any]] = []  # with trail and ball
        self.legends: list[Any] = []
        styles = distinct(scene.names)
        named = next(row for row in scene.rows if not row[0].is_map)
        grid = self.figure.subplots(len(scene.rows), 2, squeeze=False)
        for axes_row, row in zip(grid, scene.rows, strict=True):
            for axes, panel in zip(axes_row, row, strict=True):
                stage(axes, panel)
                for line in panel.lines:
                    self.moving.append((panel, line, *draw(axes, panel, line, styles[line.name])))
                if row is named and panel.lines:
                    self.legends.append(axes.legend(fontsize=8, framealpha=0.85))


def stage(axes: Axes, panel: Panel) -> None:
    """The axes and all that does not move."""
    label(axes, panel.x_label, panel.y_label, panel.title)
    axes.set(xlim=panel.x_range, ylim=panel.y_range, yscale="log" if panel.log else "linear")
    if panel.ground is not None:
        axes.grid(False)
        low, high = panel.ground[2].min(), panel.ground[2].max()
        options: dict[str, Any] = {"levels": 16, "vmin": low, "vmax": low + 2.5 * (high - low)}
        axes.contourf(*panel.ground, cmap="Greys", **options)
        axes.contour(*panel.ground, levels=16, colors="white", linewidths=0.5)
    if panel.slope is not None:
        axes.plot(*panel.slope, color="0.6", linewidth=2.5, zorder=1)
    for goal in panel.goals:
        if len(goal) == 2:
            axes.plot(*goal, marker="*", color="gold", markeredgecolor="black", markersize=13)


def draw(axes: Axes, panel: Panel, line: Line, style: Style) -> tuple[Any, Any]:
    """A way or a curve, and its ball at the end."""
    every = max(1, len(line.x) // 8)
    marker: dict[str, Any] = {"marker": style.marker, "markersize": 4, "markevery": every}
    if panel.is_map:
        marker = {"marker": style.marker, "markersize": 3, "alpha": 0.9}
    (trail,) = axes.plot(line.x, line.y, label=line.label, linewidth=1.4, **style.line, **marker)
    if line.least is not None and line.most is not None:
        axes.fill_between(line.x, line.least, line.most, color=style.colour, alpha=0.15)
    end: dict[str, Any] = (
        {"markeredgecolor": style.colour, "markerfacecolor": "none"} if line.fell else {}
    )
    at = panel.ball(line, len(line.x))
    (ball,) = axes.plot(
        line.x[at : at + 1],
        line.y[at : at + 1],
        marker="o" if line.fell else style.marker,
        markersize=9,
        zorder=5,
        **{"color": style.colour, "markeredgecolor": "white", **end},
    )
    return trail, ball
