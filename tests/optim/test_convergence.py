"""With their default settings they go down: a bowl, Rosenbrock's valley, real digits.

Those of PyTorch; the valley is one that a rate of 0.01, which is a default, can bear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.optim.family import PYTORCH
from tinygrad_opt import Tensor, nn, tensor
from tinygrad_opt.optim import OPTIMIZERS, AdamW, MultiOptimizer, Muon
from tinygrad_opt.rows import lookup

pytestmark = pytest.mark.on("cpu", "cuda")  # the stand-in computes with NumPy, too

NAMES = [name for name, entry in OPTIMIZERS.items() if entry.kind in PYTORCH]
SCALE = np.array([[0.5, 1.0], [2.0, 4.0]])


def bowl(w: Tensor) -> Any:
    return (tensor(SCALE) * w * w).sum()


def rosenbrock(w: Tensor) -> Any:
    x, y = w[:, 0], w[:, 1]
    return (10 * (y - x * x) ** 2 + (1 - x) ** 2).sum()


VALLEYS: dict[Callable[[Tensor], Any], list[list[float]]] = {
    bowl: [[2.0, -1.0], [0.5, 1.5]],
    rosenbrock: [[1.2, 0.5], [-0.5, 0.5]],
}


def down(optimizer: Any, f: Callable[[], Any], steps: int) -> list[float]:
    """The loss before each step, and after the last."""

    def closure() -> Any:
        optimizer.zero_grad()
        loss = f()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(steps)]
    return [*losses, float(f())]


@pytest.mark.parametrize("f", VALLEYS)
@pytest.mark.parametrize("name", NAMES)
def test_valleys(name: str, f: Any) -> None:
    w = tensor(np.array(VALLEYS[f]), requires_grad=True)
    rows = tensor(np.arange(2))
    sparse = OPTIMIZERS[name].kind.scope == "rows"
    losses = down(
        OPTIMIZERS[name]([w]), lambda: f(lookup(w, rows, sparse=True) if sparse else w), 60
    )
    assert losses[-1] < losses[0]


def with_adamw(model: nn.Module) -> MultiOptimizer:
    """Muon for matrices."""
    rules = [(lambda _, p: p.ndim == 2, Muon), (lambda *_: True, AdamW)]
    return MultiOptimizer(model.named_parameters(), rules)


DIGITS, _ = tg.data.prepare("digits")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sparseadam"])
def test_digits(name: str) -> None:
    x, y = DIGITS[:50]
    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    make = OPTIMIZERS[name]
    optimizer: Any = make(model.parameters()) if name != "muon" else with_adamw(model)
    losses = down(optimizer, lambda: nn.functional.cross_entropy(model(x), y), 15)
    assert losses[-1] < losses[0]
