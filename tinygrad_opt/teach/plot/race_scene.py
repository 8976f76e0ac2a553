"""What a picture of a race shows, before anything is drawn: panels in two columns, and their lines.

Figures, moving pages and small moving pictures draw the same scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..history import Array, History
from ..race.outcome import COLUMNS, FLOOR, Column, Race, fell, left
from ..race.tasks import NetworkTask, SurfaceTask
from ..surfaces import Surface

SIDE = 81  # points along a side of a map
Range = tuple[float, float]


@dataclass
class Line:
    """The way of one optimizer: x, y after so many gradients, and the range over its seeds."""

    name: str
    label: str
    x: Array
    y: Array
    done: Array
    least: Array | None = None
    most: Array | None = None
    fell: bool = False

    def until(self, evaluations: float) -> int:
        """How many of its points have been reached by then."""
        return max(1, int(np.searchsorted(self.done, evaluations, side="right")))


@dataclass
class Panel:
    """Axes with what is drawn in them; the same row has the same scales."""

    title: str
    x_label: str
    y_label: str
    x_range: Range
    y_range: Range
    log: bool = False
    lines: list[Line] = field(default_factory=list)
    ground: tuple[Array, Array, Array] | None = None  # x (n,), y (n,), height (n, n) of a map
    slope: tuple[Array, Array] | None = None  # x, y of a surface of one number
    goals: tuple[tuple[float, ...], ...] = ()  # where the minima are

    @property
    def is_map(self) -> bool:
        """Whether it shows where the runs are, and not how they do."""
        return self.ground is not None or self.slope is not None

    def ball(self, line: Line, reached: int) -> int:
        """Which of these first points has the ball: the last, or the last one inside if it fell."""
        if not line.fell:
            return reached - 1
        x, y = line.x[:reached], line.y[:reached]
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        inside = np.nonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))[0]
        return int(inside[-1]) if len(inside) else 0


@dataclass
class Scene:
    """Rows of two panels: one rate for all to the left, each with its own to the right."""

    title: str
    names: list[str]
    rows: list[list[Panel]]
    end: int  # gradients in all

    def moments(self, count: int) -> list[int]:
        """So many numbers of gradients, from none to all."""
        moments = np.linspace(0, self.end, count).round().astype(int)
        return sorted(set(map(int, moments)))


def scene_of(race: Race) -> Scene:
    """What there is to see of a race."""
    rows = []
    if isinstance(race.task, SurfaceTask) and len(race.task.surface.start) <= 2:
        rows.append([_map(race, race.task, column) for column in COLUMNS])
    rows.append([_curves(race, column, race.task.unit, race.task.curve) for column in COLUMNS])
    if isinstance(race.task, NetworkTask) and race.task.train.n_classes:
        task = race.task
        rows.append(
            [
                _curves(race, column, "test accuracy", lambda h: task.metric(h, "test_accuracy"))
                for column in COLUMNS
            ]
        )
    for row in rows[1 if rows[0][0].is_map else 0 :]:
        _same_scale(row, race)
    for panel, column in zip(rows[0], COLUMNS, strict=True):
        panel.title = _title(race, column)
    of = f" ({len(race.racers)} of {len(race.entered)} optimizers)" if race.missing else ""
    title = f"Race on {race.task.name}{of}"
    return Scene(title, list(race.racers), rows, race.task.evaluations)


def _title(race: Race, column: Column) -> str:
    if column == "common":
        return f"one rate for all: lr {race.lr:g}"
    return f"its own rate each: the best of {len(race.rates)}"


def _label(race: Race, name: str, column: Column) -> str:
    """Name, rate and end of a line."""
    racer, standing = race.racers[name], race.standing(name, column)
    rate = f", lr {racer.lr:.3g}" if column == "tuned" and racer.lr is not None else ""
    if standing.diverged:
        return f"{name}{rate}: {str(standing).split(' (')[0]}"
    return f"{name}{rate}: {left(standing.final)}"


# ---- maps -------------------------------------------------------------------------------------


def _map(race: Race, task: SurfaceTask, column: Column) -> Panel:
    """The surface from above, or in profile, with the ways down."""
    surface, one = task.surface, len(task.surface.start) == 1
    ranges = [
        (min(low, here), max(high, here))
        for (low, high), here in zip(surface.box, surface.start)  # as many as there are
    ]
    x = np.linspace(*ranges[0], SIDE if not one else 4 * SIDE)
    if one:
        height = _heights(surface, x)
        ranges.append(_padded(float(np.nanmin(height)), float(np.nanmax(height))))
        panel = Panel("", "w", "loss", ranges[0], ranges[1], slope=(x, height))
    else:
        y = np.linspace(*ranges[1], SIDE)
        height = _heights(surface, *np.meshgrid(x, y))
        if surface.minimum is not None:
            height = np.log10(np.maximum(height - surface.minimum, 0) + 1e-2)
        panel = Panel("", "x", "y", ranges[0], ranges[1], ground=(x, y, height))
        panel.goals = surface.minima
    for name, racer in race.racers.items():
        runs = racer.runs(column)
        if runs:
            panel.lines.append(_way(name, _label(race, name, column), runs[0], one))
    return panel


def _heights(surface: Surface, *axes: Array) -> Array:
    """The loss wherever these coordinates meet, also by functions that take one point at a time."""
    shape = axes[0].shape
    heights = surface.on_grid(*axes)
    if heights.shape != shape:
        points = zip(*(axis.ravel() for axis in axes), strict=True)
        each = [surface.on_grid(*map(np.asarray, point)) for point in points]
        heights = np.array(each).reshape(shape)
    return np.where(np.isfinite(heights), heights, np.nan)


def _way(name: str, label: str, history: History, one: bool) -> Line:
    """The points of a walk; of one number, over their loss."""
    final = np.atleast_1d(np.asarray(history.final_w))
    assert history.w is not None and history.final_loss is not None  # as in every walk
    points = np.vstack([history.w, final])
    losses = np.append(history.loss, history.final_loss)
    y = losses if one else points[:, 1]
    done = np.concatenate([[0], history.evaluations])
    return Line(name, label, points[:, 0], y, done, fell=fell(history))


# ---- curves -----------------------------------------------------------------------------------


def _curves(race: Race, column: Column, unit: str, read: Any) -> Panel:
    """A measure against gradients: the median over the seeds, and their range."""
    log = unit in ("loss − minimum", "test loss")
    end = 1.03 * race.task.evaluations  # room for a ball at the end
    panel = Panel("", "gradients computed", unit, (0, end), (0, 1), log)
    for name, racer in race.racers.items():
        curves = [read(history) for history in racer.runs(column)]
        if not curves or not max(len(done) for done, _ in curves):
            continue
        done = max((done for done, _ in curves), key=len)
        values = np.full((len(curves), len(done)), np.nan)
        for row, (_, found) in zip(values, curves, strict=True):
            row[: len(found)] = found
        values[~np.isfinite(values)] = np.nan
        kept = ~np.isnan(values).all(axis=0)
        done, values = done[kept], values[:, kept]
        if not len(done):
            continue
        label, median = _label(race, name, column), np.nanmedian(values, axis=0)
        line = Line(name, label, done, median, done, fell=race.standing(name, column).diverged)
        if len(curves) > 1:
            panel.y_label = f"{unit} (median and range of {race.seeds} seeds)"
            line.least, line.most = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        panel.lines.append(line)
    return panel


def _same_scale(row: list[Panel], race: Race) -> None:
    """Both columns from the least to the largest that matters; what diverges leaves the panel."""
    lines = [line for panel in row for line in panel.lines]
    ends = [v for line in lines if not line.fell for v in line.y]
    begins = [float(line.y[0]) for line in lines if len(line.y)]
    if row[0].log:
        least = min([v for v in ends if v > FLOOR] or begins or [0.1])
        most = max(begins or [1.0])
        room = 10 if any(line.fell for line in lines) else 2
        limits = (least / 2, max(most, least) * room)
    else:
        limits = _padded(min([*ends, *begins] or [0.0]), max([*ends, *begins] or [1.0]))
    for panel in row:
        panel.y_range = limits
        if panel.log:
            for line in panel.lines:
                line.y = np.maximum(line.y, limits[0] / 10)


def _padded(low: float, high: float) -> Range:
    room = 0.05 * (high - low) if high > low else max(1.0, math.fabs(high))
    return low - room, high + room
