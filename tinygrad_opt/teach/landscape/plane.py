"""Directions in the space of all weights, in which a landscape is looked at.

Order: Plane · through the path · at random · from start to end · the axes themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..history import Array


@dataclass(eq=False)
class Plane:
    """The points origin + Σ a_i axes_i: origin (D,), axes (K, D), a (K,), K one or two.

    ``names`` of the axes, with units.
    """

    origin: Array
    axes: Array
    names: tuple[str, ...]

    def point(self, *at: float) -> Array:
        """The weights (D,) at these coordinates."""
        point: Array = self.origin + np.array(at) @ self.axes
        return point

    def coordinates(self, path: Array) -> Array:
        """(T, D) -> (T, K): the nearest points of the plane, by least squares."""
        found: Array = np.linalg.lstsq(self.axes.T, (path - self.origin).T, rcond=None)[0].T
        return found

    def share(self, path: Array) -> float:
        """How much of a path lies in the plane: Σ ‖in it‖² / Σ ‖w − origin‖²."""
        away = path - self.origin
        whole = float((away**2).sum())
        held = float(((self.coordinates(path) @ self.axes) ** 2).sum())
        return held / whole if whole else 1.0


def through_path(path: Array) -> Plane:
    """The plane through the end of a path (T, D) that holds most of it.

    Its axes are the first two right singular vectors of the rows w_t − w_T, of length 1, as in Li
    et al. 2018 (arXiv:1712.09913, section 7); the farthest point of the path is negative on both.
    """
    away = path - path[-1]
    if path.shape[1] < 2 or not away.any():
        raise ValueError(
            "landscape: a plane through the path takes two numbers or more that have moved. Give "
            "the history of fit(…, snapshots=True), or take random directions."
        )
    _, sizes, axes = np.linalg.svd(away, full_matrices=False)
    axes = axes[:2]
    flips = [1.0 if (along := away @ axis)[np.argmax(abs(along))] < 0 else -1.0 for axis in axes]
    shares = sizes[:2] ** 2 / (sizes**2).sum()
    names = tuple(f"direction {i} ({100 * s:.3g} % of the path)" for i, s in enumerate(shares, 1))
    return Plane(path[-1], axes * np.array(flips)[:, None], names)


def at_random(centre: Array, shapes: Sequence[tuple[int, ...]], seed: int) -> Plane:
    """Two random directions, as long as the weights filter by filter: Li et al. 2018.

        d ← d ‖w_f‖ / ‖d_f‖ for every filter f: the weights that lead to one unit

    so that the same network with other scales between its layers has the same picture. Biases and
    the scales and shifts of normalization layers stay where they are, as in the authors' program.
    """
    generator = np.random.default_rng(seed)
    axes = np.zeros((2, len(centre)))
    for axis in axes:
        begin = 0
        for shape in shapes:
            end = begin + int(np.prod(shape))
            if len(shape) > 1:
                drawn = generator.standard_normal((shape[0], (end - begin) // shape[0]))
                lengths = np.linalg.norm(centre[begin:end].reshape(drawn.shape), axis=1)
                drawn *= (lengths / np.linalg.norm(drawn, axis=1))[:, None]
                axis[begin:end] = drawn.ravel()
            begin = end
    if not axes.any():
        raise ValueError(
            "landscape: random directions move matrices, and there are none but zeros."
        )
    names = tuple(f"random direction {i} (in norms of the filters)" for i in (1, 2))
    return Plane(centre, axes, names)


def from_start_to_end(path: Array) -> Plane:
    """The line w_0 + a (w_T − w_0): Goodfellow et al. 2015 (arXiv:1412.6544)."""
    way = path[-1] - path[0]
    if not way.any():
        raise ValueError("landscape: the path ends where it began; there is no line to follow.")
    return Plane(path[0], way[None], ("part of the way from start (0) to end (1)",))


def own_axes(size: int) -> Plane:
    """The coordinates x and y, or x alone, of a function of two numbers or one."""
    names: Any = ("w",) if size == 1 else ("x", "y")
    return Plane(np.zeros(size), np.eye(size), names)
