"""Every optimizer as it comes, without a look at its options, makes losses smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_opt import Tensor, data, nn, optim, tensor

pytestmark = pytest.mark.on("cpu", "cuda")  # the stand-in computes with NumPy, too

EVERY = [name for name, entry in optim.OPTIMIZERS.items() if entry.kind is not optim.SparseAdam]


DIGITS, _ = data.prepare("digits")


def bowl(x: Tensor) -> Tensor:
    return (tensor([[0.1, 1.0]]) * x * x).sum()


def valley(x: Tensor) -> Tensor:
    """Rosenbrock's, in thousandths, so that a rate of 1 is not too long."""
    a, b = x[0, 0], x[0, 1]
    return ((1 - a) ** 2 + 100 * (b - a * a) ** 2) / 1000


def run(name: str, params: Any, evaluate: Callable[[], Any], steps: int) -> tuple[float, float]:
    """The loss before and after some steps; `evaluate` gives it, or it and the logits."""
    optimizer = optim.get_optimizer(name)(params)

    def closure() -> Any:
        optimizer.zero_grad()
        loss, logits = evaluate()
        loss.backward()
        return (loss, logits) if isinstance(optimizer, optim.SophiaG) else loss

    before = evaluate()[0].item()
    for _ in range(steps):
        optimizer.step(closure)
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return before, evaluate()[0].item()


@pytest.mark.parametrize("landscape", [bowl, valley])
@pytest.mark.parametrize("name", [name for name in EVERY if name != "sophiag"])
def test_down_from_a_slope(name: str, landscape: Callable[[Tensor], Tensor]) -> None:
    x = tensor([[-1.2, 1.0]], requires_grad=True)
    before, after = run(name, [x], lambda: (landscape(x), None), steps=60)
    assert after < before


@pytest.mark.parametrize("name", EVERY)
def test_digits_are_learned(name: str) -> None:
    pixels, labels = DIGITS[:50]
    model = nn.Linear(64, 10, bias=name != "muon")

    def evaluate() -> Any:
        logits = model(pixels)
        return nn.functional.cross_entropy(logits, labels), logits

    before, after = run(name, model.parameters(), evaluate, 3 if name == "newton" else 20)
    assert after < before and np.isfinite(after)
