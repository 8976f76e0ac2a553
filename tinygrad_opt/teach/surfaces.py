"""Landscapes of one or two numbers to walk down, whose lowest points are known.

Each is a function of a Tensor w, whose first axis counts the coordinates: w (D,) gives a loss, and
w (D, …) the loss at every point of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..device import Device
from ..names import did_you_mean
from ..operation import no_grad
from ..tensor import Tensor

Array = np.ndarray[Any, Any]
Box = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Surface:
    """A function with what a person wants to know of it; calling it gives the loss at w.

    ``minimum`` is the least loss, taken at every one of ``minima`` that is not said to be higher;
    None where there is none. ``box`` is the part to draw, in x and y; ``loss`` in 1-D takes the
    place of y.
    """

    name: str
    f: Callable[[Tensor], Any]
    formula: str
    start: tuple[float, ...]
    minimum: float | None
    minima: tuple[tuple[float, ...], ...]
    box: Box
    sentence: str

    def __call__(self, w: Tensor) -> Any:
        """The loss at w."""
        return self.f(w)

    def on_grid(self, *axes: Array) -> Array:
        """The loss wherever these coordinates, arrays of one shape, meet."""
        with no_grad(), Device("cpu").errstate(all="ignore"):
            values: Array = self.f(Tensor(np.stack(axes), device="cpu")).numpy()
        return values


def bowl(w: Any) -> Any:
    """Σ w²."""
    return (w * w).sum(axis=0)


def ravine(w: Any) -> Any:
    """0.1 x² + 2 y²."""
    return 0.1 * w[0] ** 2 + 2 * w[1] ** 2


def double_well(w: Any) -> Any:
    """x⁴ − 2 x² + 0.3 x."""
    x = w[0]
    return x**4 - 2 * x**2 + 0.3 * x


def saddle(w: Any) -> Any:
    """x² − y²."""
    return w[0] ** 2 - w[1] ** 2


def sine_saddle(w: Any) -> Any:
    """sin x + y²."""
    return w[0].sin() + w[1] ** 2


def rosenbrock(w: Any) -> Any:
    """(1 − x)² + 100 (y − x²)²."""
    x, y = w[0], w[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def himmelblau(w: Any) -> Any:
    """(x² + y − 11)² + (x + y² − 7)²."""
    x, y = w[0], w[1]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def beale(w: Any) -> Any:
    """(1.5 − x + x y)² + (2.25 − x + x y²)² + (2.625 − x + x y³)²."""
    x, y = w[0], w[1]
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    return a**2 + b**2 + c**2


def rastrigin(w: Any) -> Any:
    """Σ 10 + w² − 10 cos 2π w."""
    return (10 + w**2 - 10 * (2 * math.pi * w).cos()).sum(axis=0)


def plateau(w: Any) -> Any:
    """1 − 1 / (1 + x² + y²)."""
    return 1 - 1 / (1 + w[0] ** 2 + w[1] ** 2)


_TABLE = [
    # function, start, minimum, minima, box, what one learns there
    (bowl, (3.0,), 0.0, ((0.0,),), ((-3.5, 3.5), (-3.5, 3.5)),
     "the plainest minimum: the slope falls as one comes near"),
    (ravine, (-2.7, 1.0), 0.0, ((0.0, 0.0),), ((-3.0, 3.0), (-1.5, 1.5)),
     "twenty times steeper along y than along x: one rate has to do for both"),
    (double_well, (2.0,), -1.305428483743916, ((-1.0355787140888537,), (0.9601495555191055,)),
     ((-2.0, 2.2), (-2.0, 4.0)),
     "a good and a less good minimum, with a hump between them at 0.075429"),
    (saddle, (1.0, 1e-3), None, (), ((-2.0, 2.0), (-2.0, 2.0)),
     "flat at the middle, and yet it goes down without end along y"),
    (sine_saddle, (1.45, 1.5), -1.0, ((-math.pi / 2, 0.0), (3 * math.pi / 2, 0.0)),
     ((-3.0, 6.0), (-2.0, 2.0)), "begins near a saddle, where the slope is small"),
    (rosenbrock, (-1.2, 1.0), 0.0, ((1.0, 1.0),), ((-2.0, 2.0), (-1.0, 3.0)),
     "a long bent valley: its walls are steep and its floor is nearly flat"),
    (himmelblau, (0.0, 0.0), 0.0,
     ((3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)),
     ((-5.0, 5.0), (-5.0, 5.0)), "four minima, all equally low: where one ends depends on the way"),
    (beale, (1.0, 1.0), 0.0, ((3.0, 0.5),), ((-1.0, 4.5), (-1.5, 2.0)),
     "a flat valley between steep corners"),
    (rastrigin, (2.2, -1.3), 0.0, ((0.0, 0.0),), ((-3.0, 3.0), (-3.0, 3.0)),
     "a bowl full of dents: the nearest minimum is seldom the lowest"),
    (plateau, (-4.0, 3.0), 0.0, ((0.0, 0.0),), ((-5.0, 5.0), (-5.0, 5.0)),
     "hardly a slope far out, and a steep hole in the middle"),
]  # fmt: skip

SURFACES = {
    f.__name__: Surface(
        f.__name__, f, (f.__doc__ or "").rstrip("."), start, minimum, minima, box, sentence
    )
    for f, start, minimum, minima, box, sentence in _TABLE
}


def get_surface(name: str) -> Surface:
    """A surface by its name; ValueError, with the nearest name, for an unknown one."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    if plain not in SURFACES:
        raise ValueError(
            f"there is no surface {name!r}.{did_you_mean(plain, SURFACES)} The surfaces are "
            f"{', '.join(SURFACES)}."
        )
    return SURFACES[plain]
