"""Toy sets that fit in a picture, drawn anew from a seed: ``(n, noise, seed) -> x, y``.

x is (n, 2) or (n, 1) float32; y is (n,), int64 for classes and float32 for numbers to predict. The
classes are as large as one another to within one example, and come mixed. ValueError for no
examples and for negative noise.

Order: two classes · more classes · curves.
"""

from __future__ import annotations

import numpy as np

from .dataset import Array


def moons(n: int = 400, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Two half circles that reach into each other."""
    rng, y = _begin(n, noise, seed, classes=2)
    angle = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _blurred(x, noise, rng), y


def circles(n: int = 400, noise: float = 0.05, seed: int = 0) -> tuple[Array, Array]:
    """A small circle inside a large one."""
    rng, y = _begin(n, noise, seed, classes=2)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 1.0, 0.5)
    return _blurred(_polar(radius, angle), noise, rng), y


def xor(n: int = 400, noise: float = 0.05, seed: int = 0) -> tuple[Array, Array]:
    """Four squares, opposite ones of the same class: the task that no single neuron solves."""
    rng, y = _begin(n, noise, seed, classes=2)
    x = rng.uniform(0, 1, (n, 2)) * rng.choice([-1, 1], (n, 1))
    x[:, 0] *= np.where(y == 0, 1, -1)
    return _blurred(x, noise, rng), y


def spiral(n: int = 600, noise: float = 0.05, seed: int = 0) -> tuple[Array, Array]:
    """Three arms wound around one another."""
    rng, y = _begin(n, noise, seed, classes=3)
    radius = rng.uniform(0.05, 1, n)
    angle = 4 * radius + 2 * np.pi / 3 * y
    return _blurred(_polar(radius, angle), noise, rng), y


def blobs(n: int = 400, noise: float = 0.5, seed: int = 0) -> tuple[Array, Array]:
    """Three round clouds; noise is their radius."""
    rng, y = _begin(n, noise, seed, classes=3)
    centres = _polar(np.full(3, 1.5), 2 * np.pi / 3 * np.arange(3))
    return _blurred(centres[y], noise, rng), y


def sine(n: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """y = sin x between −π and π: a curve to fit."""
    rng, _ = _begin(n, noise, seed)
    x = rng.uniform(-np.pi, np.pi, (n, 1))
    return x.astype(np.float32), _blurred(np.sin(x[:, 0]), noise, rng)


def line(n: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """y = 2x + 1 between −1 and 1: the smallest regression."""
    rng, _ = _begin(n, noise, seed)
    x = rng.uniform(-1, 1, (n, 1))
    return x.astype(np.float32), _blurred(2 * x[:, 0] + 1, noise, rng)


def _begin(n: int, noise: float, seed: int, classes: int = 1) -> tuple[np.random.Generator, Array]:
    """The generator, and class numbers in a random order."""
    if n < classes:
        raise ValueError(f"n is {n}; a toy set needs at least {classes} examples.")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise is {noise}; it is a standard deviation, 0 or more.")
    rng = np.random.default_rng(seed)
    return rng, rng.permutation(np.arange(n) % classes)


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _blurred(values: Array, noise: float, rng: np.random.Generator) -> Array:
    return (values + rng.normal(0, noise, values.shape)).astype(np.float32)
