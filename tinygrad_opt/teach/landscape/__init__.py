"""The loss around what training has found: on a plane, or on the line from the start to the end.

Order: `landscape` · Landscape · its words · files.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...device import Device
from ...names import did_you_mean
from ...nn import Module
from ...operation import no_grad
from ...random_numbers import undisturbed
from ...tensor import Tensor
from ..export import strict_json, table
from ..fit import Loss
from ..history import Array, History
from ..surfaces import Surface, get_surface
from .heights import Data, Function, Network
from .plane import Plane, at_random, from_start_to_end, own_axes, through_path
from .text_map import text_map

DIRECTIONS = ("pca", "random", "line", "axes")
MOST_POINTS = 40_000
DECADES = 30.0  # highest over lowest: from here on a scale is logarithmic
MARGIN = 0.25  # of the path's extent, on each side


def landscape(
    model: Module | Surface | Callable[[Tensor], Any] | str,
    data: Data | None = None,
    *,
    directions: str | None = None,
    history: History | None = None,
    grid: int = 25,
    radius: float = 1.0,
    loss: Loss | None = None,
    seed: int = 0,
) -> Landscape:
    """The loss at grid × grid points of a plane, or at ``grid`` points of a line.

        history = fit(model, batches, optimizer, snapshots=True)
        landscape(model, train, history=history)                    through the path
        landscape(model, train, directions="random", seed=1)        around the weights
        landscape("rosenbrock", history=trace("rosenbrock", None, "adam", 200))

    Directions: "pca", the plane that holds most of the path; "random", two directions as long as
    the weights, filter by filter, out to ``radius`` of them; "line", from start to end; "axes", the
    coordinates of a function of one or two numbers. Without a word it is "axes" for functions,
    "pca" with a history and "random" without. A function is a surface, its name, or any function of
    a Tensor w (D,).

    ``data`` are batches, a `Dataset` or a pair (x, y). The loss is the mean over all of them, in
    evaluation mode, so that batch normalization uses the statistics of the end. The model itself is
    not touched, nor are the random numbers and the place in the data. It is a copy that moves: a
    ``loss`` that reaches for the weights of the model itself sees them where they are, and adds the
    same number everywhere. ValueError for unknown words, for more than 40,000 points, for data
    that can be read only once, and where the history that a direction needs is missing.
    """
    if isinstance(model, str):
        model = get_surface(model)
    kind = directions or _usual(model, history)
    check_grid(kind, grid, radius)
    with undisturbed(), no_grad(), Device("cpu").errstate(all="ignore"):
        view: Network | Function
        if isinstance(model, Module):
            view = Network(model, data, loss, history)
        else:
            view = Function(model, history)
        plane = _plane(kind, view, seed)
        ranges = _ranges(kind, view, plane, radius)
        axes = [np.linspace(low, high, grid) for low, high in ranges]
        places = np.stack(np.meshgrid(*axes), axis=-1)
        heights = np.array([view.loss(plane.point(*at)) for at in places.reshape(-1, len(axes))])
        path_loss = None if view.path is None else np.array([view.loss(w) for w in view.path])
    return Landscape(
        kind,
        plane,
        axes,
        heights.reshape(places.shape[:-1]),
        None if view.path is None else plane.coordinates(view.path),
        path_loss,
        None if view.path is None or kind == "axes" else plane.share(view.path),
        {"task": view.name, "minimum": view.minimum, "seed": seed if kind == "random" else None},
    )


def check_grid(directions: str, grid: int, radius: float = 1.0) -> None:
    """ValueError for directions that do not exist, and for grids that are too large to compute."""
    if directions not in DIRECTIONS:
        raise ValueError(
            f"landscape: directions is {directions!r}.{did_you_mean(directions, DIRECTIONS)} It is "
            f"one of {', '.join(DIRECTIONS)}."
        )
    if not isinstance(grid, (int, np.integer)):
        raise ValueError(f"landscape: grid is {grid!r}. It is a whole number, as in grid=25.")
    points = grid if directions == "line" else grid**2
    if grid < 2 or points > MOST_POINTS or not radius > 0:
        raise ValueError(
            f"landscape: grid {grid} makes {points:,} points, and radius is {radius:g}. Take 2 or "
            f"more to a side, {MOST_POINTS:,} in all at most, and a radius over 0."
        )


def _usual(model: Any, history: History | None) -> str:
    if not isinstance(model, Module):
        return "axes"
    return "random" if history is None else "pca"


def _plane(kind: str, view: Network | Function, seed: int) -> Plane:
    if kind == "random":
        if view.shapes is None:
            raise ValueError('landscape: a function has axes of its own. Take directions="axes".')
        return at_random(view.centre, view.shapes, seed)
    if kind == "axes":
        if len(view.centre) > 2 or view.shapes is not None:
            raise ValueError(
                f"landscape: axes are for functions of one number or two, and there are "
                f"{len(view.centre):,} here. Take pca, random or line."
            )
        return own_axes(len(view.centre))
    if view.path is None or len(view.path) < 2:
        raise ValueError(
            f"landscape: {kind} needs the path. Give history=, from trace or from "
            "fit(…, snapshots=True)."
        )
    return through_path(view.path) if kind == "pca" else from_start_to_end(view.path)


def _ranges(
    kind: str, view: Network | Function, plane: Plane, radius: float
) -> list[tuple[float, float]]:
    """From where to where each coordinate goes."""
    if kind == "random":
        return [(-radius, radius)] * 2
    if kind == "line":
        return [(-MARGIN, 1 + MARGIN)]
    if kind == "axes" and view.box is not None:
        return list(view.box[: len(view.centre)])
    assert view.path is not None  # or there would be no plane
    places = plane.coordinates(view.path)
    low, high = places.min(axis=0), places.max(axis=0)
    spans = np.where(high > low, high - low, (high - low).max() or radius)
    middle, half = (low + high) / 2, (0.5 + MARGIN) * spans
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


# ---- what was found ---------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Landscape:
    """Heights over a plane or a line.

    - ``directions``: "pca", "random", "line" or "axes"; ``plane``: origin and axes.
    - ``axes``: the coordinates (G,) of each axis, two or one. ``loss``: (G, G), where
      ``loss[j, i]`` stands at ``axes[0][i]``, ``axes[1][j]``; (G,) on a line.
    - ``path`` (T, 2) or (T, 1): the nearest points of the plane; ``path_loss`` (T,): the loss at
      the path itself, which may lie off the plane; ``share`` of the path that the plane holds.
    - ``meta``: task, the least loss possible where that is known, the seed of random directions.
    """

    directions: str
    plane: Plane
    axes: list[Array]
    loss: Array
    path: Array | None = None
    path_loss: Array | None = None
    share: float | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def is_line(self) -> bool:
        """Whether there is one axis alone."""
        return len(self.axes) == 1

    @property
    def height(self) -> Array:
        """The loss over the least one possible, or over 0 where that is unknown."""
        height: Array = self.loss - (self.meta.get("minimum") or 0.0)
        return height

    @property
    def spans_decades(self) -> bool:
        """Whether a picture needs a logarithmic scale."""
        finite = self.height[np.isfinite(self.height)]
        return len(finite) > 0 and 0 <= finite.min() * DECADES < finite.max()

    # ---- its words ----------------------------------------------------------------------------

    @property
    def hill(self) -> float:
        """On the line from start to end: the highest rise on the way, over the lowest before it."""
        between = (self.axes[0] >= -1e-9) & (self.axes[0] <= 1 + 1e-9)
        way = self.loss[between]
        return float((way - np.minimum.accumulate(way)).max(initial=0.0))

    @property
    def sentence(self) -> str:
        """What there is to see."""
        finite = self.loss[np.isfinite(self.loss)]
        if not len(finite):
            return "The loss is not finite anywhere here."
        low, high = float(finite.min()), float(finite.max())
        if self.directions == "line" and self.path_loss is not None:
            start, end = float(self.path_loss[0]), float(self.path_loss[-1])
            if self.hill <= 0.01 * abs(start - end):
                return f"From start ({start:.4g}) to end ({end:.4g}) there is no hill."
            return (
                f"From start ({start:.4g}) to end ({end:.4g}) there is a hill: the loss rises by "
                f"{self.hill:.4g} on the way."
            )
        if self.directions == "random":
            x, y = np.meshgrid(*self.axes)
            rim = self.loss[np.hypot(x, y) >= self.axes[0][-1] - 1e-9]
            return (
                f"At a distance of {self.axes[0][-1]:.4g} filter norms and more the loss is "
                f"{rim.min():.4g} to {rim.max():.4g}; the lowest here is {low:.4g}."
            )
        words = f"The loss goes from {low:.4g} to {high:.4g}."
        if self.directions == "pca" and self.share is not None:
            words += f" The plane holds {100 * self.share:.4g} % of the path."
        return words

    def __repr__(self) -> str:
        sides = " × ".join(str(len(axis)) for axis in self.axes)
        return f"Landscape({self.directions}, {sides} points: {self.sentence})"

    def __str__(self) -> str:
        """The map, and the sentence."""
        return f"{self.to_text()}\n{self.sentence}"

    # ---- files --------------------------------------------------------------------------------

    def to_rows(self) -> list[dict[str, float]]:
        """A dict for each point."""
        places = np.stack(np.meshgrid(*self.axes), axis=-1).reshape(-1, len(self.axes))
        names = ("x", "y")[: len(self.axes)]
        return [
            dict(zip((*names, "loss"), (*map(float, at), float(height)), strict=True))
            for at, height in zip(places, self.loss.ravel(), strict=True)
        ]

    def to_csv(self) -> str:
        """A line for each point: x, y where there is one, loss."""
        return table(self.to_rows())

    def to_json(self, **options: Any) -> str:
        """Strict JSON; the directions themselves, as long as all weights, are left out."""
        kept = {name: value for name, value in vars(self).items() if name != "plane"}
        content = {"sentence": self.sentence, "names": self.plane.names, **kept}
        return strict_json(content, **options)

    def to_text(self, most: int = 25) -> str:
        """A map of characters, the higher the darker, with ``most`` cells along an axis.

        On a logarithmic scale where the loss spans decades; s is the start of the path, e its end,
        and · where it went between.
        """
        every = slice(None, None, -(-len(self.axes[0]) // most))
        axes = [axis[every] for axis in self.axes]
        marks: dict[tuple[int, ...], str] = {}
        path = [] if self.path is None else list(self.path)
        for mark, places in (("·", _between(path)), ("s", path[:1]), ("e", path[-1:])):
            for place in places:
                if all(axis[0] <= x <= axis[-1] for axis, x in zip(axes, place)):
                    marks[tuple(int(abs(axis - x).argmin()) for axis, x in zip(axes, place))] = mark
        height = self.height[(every,) * len(axes)]
        return "\n".join(text_map(height, self.spans_decades, marks))


def _between(path: list[Array]) -> list[Array]:
    """Points along a path, close enough to be seen as a line."""
    parts = np.linspace(0, 1, 25)[:, None]
    return [at for a, b in itertools.pairwise(path) for at in a + parts * (b - a)]
