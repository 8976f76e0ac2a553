"""Optimizers that are wrong on purpose: the recorded runs of other packages reject each of them."""

from __future__ import annotations

import json
import pathlib
import runpy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.broken.edits import edited
from tests.helpers import host
from tinygrad_opt import Tensor, optim, tensor

pytestmark = pytest.mark.on("cpu")  # a formula is as wrong on every device

MISTAKES = [
    # gradient descent and momentum
    ("SGD", "uphill", "return p - lr * g, b → return p + lr * g, b"),
    ("SGD", "dampening at the first step", "b = g if first → b = (1 - dampening) * g if first"),
    ("SGD", "momentum forgets", "momentum * b + (1 - dampening) → b + (1 - dampening)"),
    ("SGD", "an average for a sum", "+ (1 - dampening) * g → + (1 - momentum) * g"),
    ("SGD", "Nesterov without the look ahead", "(g + momentum * b if nesterov → (b if nesterov"),
    ("SGD", "Nesterov looks two steps ahead", "(g + momentum * b → (g + momentum**2 * b"),
    ("QHM", "ν on the wrong side", "(1 - nu) * g + nu * b → nu * g + (1 - nu) * b"),
    ("AggMo", "a sum where the mean belongs", "lr / 3 * → lr *"),
    ("OptimisticGD", "the last gradient added", "- beta * (g if → + beta * (g if"),
    ("ASGD", "the mean of p before its step", "mu * (p - p_mean) → mu * (p + eta * g - p_mean)"),
    # a rate for every number
    ("Adagrad", "decay that begins a step early", "(t - 1) * lr_decay → t * lr_decay"),
    ("Adagrad", "no root", "xp.sqrt(S) + eps → S + eps"),
    ("Adadelta", "steps measured after this one", "xp.sqrt(u + eps) / → xp.sqrt(rho * u + eps) /"),
    ("Adadelta", "u made of gradients", "* delta * delta → * g * g"),
    ("RMSprop", "ε inside the root", "xp.sqrt(variance) + eps → xp.sqrt(variance + eps)"),
    ("RMSprop", "centered on the sum", "v - g_mean * g_mean → v + g_mean * g_mean"),
    ("FTRL", "β outside the rate", "2 * l2 + beta / lr → 2 * l2 + beta"),
    # Adam and its relatives
    ("Adam", "no correction of m", "m / (1 - beta1**t) → m"),
    ("Adam", "no correction of v", "/ (1 - beta2**t) → / 1"),
    ("Adam", "corrected as if a step later", "m / (1 - beta1**t) → m / (1 - beta1 ** (t + 1))"),
    ("Adam", "ε inside the root", "xp.sqrt(v_hat) + eps → xp.sqrt(v_hat + eps)"),
    ("Adam", "betas swapped", "beta1, beta2 = betas → beta2, beta1 = betas"),
    ("Adam", "v made of m", "(1 - beta2) * g * g → (1 - beta2) * m * m"),
    ("Adam", "AMSGrad keeps the smallest", "xp.maximum(v_max, v) → xp.minimum(v_max, v)"),
    ("Adam", "AMSGrad keeps, and does not use", "(v_max if amsgrad else v) → v"),
    (
        "Adam",
        "AMSGrad's largest corrected v",
        "xp.maximum(v_max, v) → xp.maximum(v_max, v / (1 - beta2**t))",
    ),
    ("AdamW", "decay coupled to the gradient", "True} → False}"),
    ("AdaBelief", "belief in the m before", "(g - m) ** 2 → ((g - m) / beta1) ** 2"),
    ("Yogi", "v forgets as Adam's does", "xp.sign(v - g**2) * g**2 → (v - g**2)"),
    ("ADOPT", "divided by what g made of v", "xp.sqrt(v), eps → xp.sqrt(v + g**2), eps"),
    ("Adan", "the difference turned", "d = g + (-g if first → d = -g - (-g if first"),
    ("Adan", "v weighed as by Optax", "+ beta2 * v / → + (1 - beta2) * v /"),
    ("Adan", "the first g₋ is 0", "(-g if first else minus_g) → minus_g"),
    ("AdEMAMix", "the slow mean corrected", "alpha * s) → alpha * s / (1 - beta3**t))"),
    ("MARS", "the last correction kept for the last g", "p), m, v, g → p), m, v, c"),
    # signs
    ("Rprop", "a stale gradient after a turn", "g = xp.where(s < 0, 0, g) → g = 1 * g"),
    ("Rprop", "grows where signs disagree", "shrink, grow = etas → grow, shrink = etas"),
    ("Rprop", "no bounds", "xp.clip(step_size, *step_sizes) → 1 * step_size"),
    ("Signum", "momentum starts anew at every step", "m = momentum * m + → m = 0 * m +"),
    ("Signum", "the sign of g", "xp.sign(m) → xp.sign(g)"),
    ("Lion", "one β for both", "beta2 * m + (1 - beta2) * g → beta1 * m + (1 - beta1) * g"),
    ("Lion", "the step of the memory alone", "xp.sign(beta1 * m + (1 - beta1) * g) → xp.sign(m)"),
    # a rate for every tensor
    ("LARS", "decay outside the ratio", "r * (g + weight_decay * p) → r * g + weight_decay * p"),
    ("LARS", "the ratio turned over", "trust_coefficient * size, norm(xp, g) → norm(xp, g), size"),
    ("LAMB", "no ratio", "ratio(xp, norm(xp, p), norm(xp, u)) * u → u"),
    ("NovoGrad", "v starts at 0", "square if first else beta2 → beta2"),
]  # fmt: skip


class Recorded:
    """One of the two records, and this library in its loop."""

    def __init__(self, name: str) -> None:
        folder = pathlib.Path(__file__).parents[1] / "oracles"
        self.oracle = SimpleNamespace(**runpy.run_path(str(folder / f"record_{name}.py")))
        self.cases = json.loads(self.oracle.CASES.read_text())["cases"]
        self.arrays = dict(np.load(self.oracle.ARRAYS))

    def array(self, array: Any) -> Tensor:
        return tensor(array)

    def parameter(self, array: Any) -> Tensor:
        return tensor(array, requires_grad=True)

    def give(self, p: Tensor, gradient: Any) -> None:
        p.grad = None if gradient is None else tensor(gradient)

    def value(self, p: Tensor) -> Any:
        return host(p).copy()


class PyTorch(Recorded):
    def runs(self, kind: Any) -> Iterator[tuple[Any, Any]]:
        """Ours and the recorded one, for each case of a class, and then its state."""
        self.optim = SimpleNamespace(**{kind.__name__: kind})
        start, gradients = self.oracle.inputs()
        last = 0
        for case, rows in zip(self.cases, self.arrays["params"], strict=True):
            first, last = last, last + case["numbers"]
            if case["class"] == kind.__name__:
                ours, optimizer = self.oracle.trace(self, case, start, gradients)
                state = self.oracle.flat_state(optimizer), self.arrays["states"][first:last]
                yield ours, rows
                yield state


class Others(Recorded):
    def runs(self, kind: Any) -> Iterator[tuple[Any, Any]]:
        """Ours and the recorded one, for each case of a class."""
        first = 0
        for case in self.cases:
            rows = sum(step < self.oracle.steps(case) for step in self.oracle.SEEN)
            rows += "ScheduleFree" in case["class"]
            if case["class"] == kind.__name__:
                options = case["options"].items()
                ready = {k: tuple(v) if isinstance(v, list) else v for k, v in options}
                ours, _ = self.oracle.trace(self, kind, case | {"options": ready}, self.arrays)
                yield ours, self.arrays["rows"][first : first + rows]
            first += rows


RECORDS = [PyTorch("optimizers"), Others("modern")]


def agrees(kind: Any) -> bool:
    """Whether a class does what was recorded."""
    found = 0
    for record in RECORDS:
        for ours, theirs in record.runs(kind):
            found += 1
            if not np.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
                return False
    assert found, f"no case of {kind.__name__} is recorded"
    return True


@pytest.mark.parametrize(
    ("name", "edit"),
    [pytest.param(name, edit, id=f"{name}: {mistake}") for name, mistake, edit in MISTAKES],
)
def test_a_wrong_rule_is_rejected(name: str, edit: str) -> None:
    assert not agrees(edited(getattr(optim, name), edit))


@pytest.mark.parametrize("name", sorted({name for name, *_ in MISTAKES}))
def test_the_right_rule_is_accepted(name: str) -> None:
    assert agrees(getattr(optim, name))
