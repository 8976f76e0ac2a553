"""SGD and Adam on NumPy arrays, for libraries that bring no optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def sgd(params: list[Any], lr: float) -> Callable[[list[Any]], None]:
    """p ← p − η g, in place."""

    def step(gradients: list[Any]) -> None:
        for p, g in zip(params, gradients):
            p -= lr * g

    return step


def adam(params: list[Any], lr: float, beta1: float = 0.9, beta2: float = 0.999) -> Any:
    """p ← p − η m̂ / (√v̂ + ε), in place."""
    m, v = ([np.zeros_like(p) for p in params] for _ in range(2))
    t = 0

    def step(gradients: list[Any]) -> None:
        nonlocal t
        t += 1
        for i, (p, g) in enumerate(zip(params, gradients)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            p -= lr * (m[i] / (1 - beta1**t)) / (np.sqrt(v[i] / (1 - beta2**t)) + 1e-8)

    return step


OPTIMIZERS = {"SGD": sgd, "Adam": adam}
