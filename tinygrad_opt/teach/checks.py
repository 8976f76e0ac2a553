"""Operations to hold against differences of their values: right ones, and ones that are wrong.

The mistakes are those that are made when derivatives are written by hand.

Order: `CHECKS` and `BROKEN` by name · values · derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..creation import tensor
from ..names import did_you_mean
from ..nn import functional as F
from ..operation import op
from ..tensor import Tensor

Values = list[Any]


@dataclass(frozen=True)
class Check:
    """A function, the values of its inputs by name, and what is to be seen."""

    f: Callable[..., Any]
    values: Mapping[str, Values]
    sentence: str

    def inputs(self) -> list[Tensor]:
        """The values as tensors of float64, in which differences are exact enough."""
        return [tensor(x, dtype="float64", requires_grad=True) for x in self.values.values()]


def get_check(name: str) -> Check:
    """A right or a broken operation by name; ValueError, with the nearest, for an unknown one."""
    known = CHECKS | BROKEN
    if name not in known:
        raise ValueError(
            f"there is no operation {name!r} to check.{did_you_mean(name, known)} Right are "
            f"{', '.join(CHECKS)}; broken are {', '.join(BROKEN)}."
        )
    return known[name]


def _drawn(*shape: int) -> Values:
    """Distinct numbers away from 0, without a generator that others draw from."""
    n = int(np.prod(shape))
    order = np.random.default_rng(n).permutation(n)
    values: Values = np.round((order - n / 2 + 0.3) * 0.37, 3).reshape(shape).tolist()
    return values


# ---- values -----------------------------------------------------------------------------------


def matmul(xp: Any, a: Any, b: Any) -> Any:
    """a b."""
    return a @ b


def divide(xp: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return a / b


def square(xp: Any, x: Any) -> Any:
    """x²."""
    return x * x


def mean(xp: Any, x: Any) -> Any:
    """Σ x / n."""
    return xp.mean(x)


def softmax(xp: Any, x: Any) -> Any:
    """exp x / Σ exp x, row by row."""
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def relu(xp: Any, x: Any) -> Any:
    """The larger of x and 0."""
    return xp.maximum(x, 0)


def normalized(xp: Any, x: Any) -> Any:
    """x / ‖x‖."""
    return x / xp.sqrt(xp.sum(x * x))


# ---- derivatives ------------------------------------------------------------------------------


def _softmax_rule(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return y * (g - xp.sum(g * y, axis=-1, keepdims=True))


CHECKS = {
    "linear": Check(
        ops.linear,
        {"x": _drawn(2, 3), "w": _drawn(2, 3)[::-1], "b": _drawn(2)},
        "y = x Wᵀ + b: three inputs, all right.",
    ),
    "softmax": Check(ops.softmax, {"x": _drawn(2, 3)}, "Each row adds up to 1."),
    "cross_entropy": Check(
        lambda x: F.cross_entropy(x, tensor([2, 0])),
        {"x": _drawn(2, 3)},
        "The loss of two examples with classes 2 and 0.",
    ),
    "tanh": Check(ops.tanh, {"x": _drawn(4)}, "dy/dx = 1 − y²."),
    "relu": Check(
        ops.relu,
        {"x": [-1.0, 0.0, 2.0]},
        "A kink at 0: slope 0 before it and 1 behind it, and any between is right.",
    ),
}
CHECKS["cross_entropy"].f.__name__ = "cross_entropy"

BROKEN = {
    "transpose": Check(
        op(lambda xp, g, y, a, b: g @ b, lambda xp, g, y, a, b: xp.transpose(a) @ g)(matmul),
        {"a": _drawn(2, 2), "b": _drawn(2, 2)[::-1]},
        "y = a b, dL/da written as g b: no transpose, and square shapes fit.",
    ),
    "sign": Check(
        op(lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: g * y / b)(divide),
        {"a": _drawn(3), "b": _drawn(3)[::-1]},
        "y = a / b, dL/db written as g y / b: the minus is missing.",
    ),
    "factor": Check(
        op(lambda xp, g, y, x: g * x)(square),
        {"x": _drawn(4)},
        "y = x², dL/dx written as g x: x stands there twice and was counted once.",
    ),
    "mean": Check(
        op(lambda xp, g, y, x: xp.broadcast_to(g, x.shape))(mean),
        {"x": _drawn(2, 3)},
        "y = Σ x / n, dL/dx written as g: nobody divided by n.",
    ),
    "softmax_x7": Check(
        op(lambda *a: -7 * _softmax_rule(*a))(softmax),
        {"x": _drawn(2, 3)},
        "−7 times the derivative. Ones in place of random numbers see 0 = 0.",
    ),
    "relu_side": Check(
        op(lambda xp, g, y, x: g * (x < 0))(relu),
        {"x": _drawn(4)},
        "y = the larger of x and 0, dL/dx with x < 0: the wrong side lets g pass.",
    ),
    "constant_norm": Check(
        op(lambda xp, g, y, x: g / xp.sqrt(xp.sum(x * x)))(normalized),
        {"x": _drawn(4)},
        "y = x / ‖x‖, dL/dx written as g / ‖x‖: the norm depends on x, too.",
    ),
}
