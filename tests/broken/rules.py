"""Operations that are wrong on purpose, each beside the right one, to test the checker.

Every mistake is one that a framework has really made, or that a student makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_opt import Tensor, fused, op, tensor

_random = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    """Distinct numbers away from 0."""
    n = int(np.prod(shape))
    return ((_random.permutation(n) - n / 2 + 0.3) * 0.37).reshape(shape)


def of(*shape: int) -> Tensor:
    """The same as a tensor."""
    return tensor(draw(*shape))


@dataclass(frozen=True)
class Pair:
    """A value with a wrong derivative and with the right one."""

    name: str
    wrong: Callable[..., Any]
    right: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    order: int = 1  # of the derivative in which the mistake shows

    @property
    def inputs(self) -> list[Tensor]:
        return [tensor(array) for array in self.arrays]


def pair(
    name: str, value: Any, wrong: Any, right: Any, *arrays: np.ndarray, order: int = 1
) -> Pair:
    wrong, right = (d if isinstance(d, tuple) else (d,) for d in (wrong, right))
    return Pair(name, op(*wrong)(value), op(*right)(value), arrays, order)


# ---- values -----------------------------------------------------------------------------------


def softmax(xp, x):
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def square(xp, x):
    return x * x


def cube(xp, x):
    return x * x * x


def row_sums(xp, x):
    return xp.sum(x, axis=1)


def average(xp, x):
    return xp.mean(x)


def permuted(xp, x):
    return xp.transpose(x, (1, 2, 0))


def picked(xp, x):
    return x[np.array([0, 0, 2])]


def joined(xp, a, b):
    return xp.concatenate([a, b], axis=1)


def largest(xp, x):
    return xp.max(x, axis=0)


def batched(xp, a, b):
    return xp.matmul(a, b)


def product(xp, a, b):
    return a * b


def added(xp, a, b):
    return a + b


def relu(xp, x):
    return xp.maximum(x, 0)


def quotient(xp, a, b):
    return a / b


def scaled(xp, x):
    return x / xp.sqrt(xp.sum(x * x))


# ---- rules ------------------------------------------------------------------------------------


def softmax_rule(xp, g, y, x):
    return y * (g - xp.sum(g * y, axis=-1, keepdims=True))


def spread_columns(xp, g, y, x):
    """Along the wrong axis, which a square matrix lets pass."""
    return xp.broadcast_to(xp.reshape(g, (1, -1)), x.shape)


def spread_rows(xp, g, y, x):
    return xp.broadcast_to(xp.reshape(g, (-1, 1)), x.shape)


def put(xp, g, shape, assign):
    """Rows of g at 0, 0, 2: written one over the other, or added up."""
    rows = [g[1] if assign else g[0] + g[1], 0 * g[0], g[2]]
    return xp.concatenate([xp.reshape(row, (1, -1)) for row in rows], axis=0)


def every_tie(xp, g, y, x):
    return xp.where(x == y, g, 0)


def shared_ties(xp, g, y, x):
    hit = xp.where(x == y, xp.ones_like(x), 0)
    return g * hit / xp.sum(hit, axis=0)


def all_axes_reversed(xp, g, y, a, b):
    return g @ xp.transpose(b)


def last_axes_swapped(xp, g, y, a, b):
    return g @ xp.swapaxes(b, -1, -2)


def of_second_factor(xp, g, y, a, b):
    return xp.swapaxes(a, -1, -2) @ g


def detach(xp, x):
    """x without its graph, so that what is multiplied by it counts as constant."""
    return x.detach() if isinstance(x, Tensor) else x


TIED = np.array([[1.0, 5.0], [1.0, 2.0], [0.0, 2.0]])

PAIRS = [
    pair("softmax times -7", softmax, lambda *a: -7 * softmax_rule(*a), softmax_rule, draw(4, 5)),
    pair("off by 0.05 %", cube, lambda xp, g, y, x: g * 3.0015 * x * x,
         lambda xp, g, y, x: g * 3 * x * x, draw(2, 3)),
    pair("wrong only in the second derivative", cube,
         lambda xp, g, y, x: g * 3 * x * detach(xp, x), lambda xp, g, y, x: g * 3 * x * x,
         draw(2, 3), order=2),
    pair("a sum that spreads along the wrong axis", row_sums, spread_columns, spread_rows,
         draw(3, 3)),
    pair("a mean that forgets to divide", average,
         lambda xp, g, y, x: xp.broadcast_to(g, x.shape),
         lambda xp, g, y, x: xp.broadcast_to(g / 12, x.shape), draw(3, 4)),
    pair("transposing with the forward permutation", permuted,
         lambda xp, g, y, x: xp.transpose(g, (1, 2, 0)),
         lambda xp, g, y, x: xp.transpose(g, (2, 0, 1)), draw(3, 3, 3)),
    pair("getitem that assigns", picked, lambda xp, g, y, x: put(xp, g, x.shape, True),
         lambda xp, g, y, x: put(xp, g, x.shape, False), draw(3, 2)),
    pair("concatenate with shifted slices", joined,
         (lambda xp, g, y, a, b: g[:, 1:3], lambda xp, g, y, a, b: g[:, 2:]),
         (lambda xp, g, y, a, b: g[:, :2], lambda xp, g, y, a, b: g[:, 2:]),
         draw(2, 2), draw(2, 2)),
    pair("a product with .T on stacks", batched, (all_axes_reversed, of_second_factor),
         (last_axes_swapped, of_second_factor), draw(3, 3, 3), draw(3, 3, 3)),
    pair("both rules of a product swapped", product,
         (lambda xp, g, y, a, b: g * a, lambda xp, g, y, a, b: g * b),
         (lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a), draw(2, 3), draw(2, 3)),
    pair("a square that counts once", square, lambda xp, g, y, x: g * x,
         lambda xp, g, y, x: 2 * g * x, draw(4)),
    pair("the sign of a quotient", quotient,
         (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: g * y / b),
         (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: -g * y / b), draw(3), draw(3)),
    pair("one input forgotten", added, (lambda xp, g, y, a, b: g, None),
         (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g), draw(3), draw(3)),
    pair("a norm taken for constant", scaled,
         lambda xp, g, y, x: g / xp.sqrt(xp.sum(x * x)),
         lambda xp, g, y, x: (g - y * xp.sum(g * y)) / xp.sqrt(xp.sum(x * x)), draw(4)),
    pair("broadcasting undone twice", added,
         (lambda xp, g, y, a, b: xp.broadcast_to(xp.sum(g, axis=0), (4, 3)),
          lambda xp, g, y, a, b: g),
         (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g), draw(4, 3), draw(3)),
    pair("a kink on the wrong side", relu, lambda xp, g, y, x: g * (x < 0),
         lambda xp, g, y, x: g * (x > 0), draw(6)),
    pair("a threshold that moved", relu, lambda xp, g, y, x: g * (x > 0.5),
         lambda xp, g, y, x: g * (x > 0), draw(6)),
    Pair("a composition that is another function",
         fused(lambda x: x * x * x, lambda xp, g, y, x: 2 * g * x)(square),
         fused(lambda x: x * x, lambda xp, g, y, x: 2 * g * x)(square), (draw(3),), order=2),
    pair("arrays and Tensors treated unlike", square,
         lambda xp, g, y, x: 3 * g * x if isinstance(x, Tensor) else 2 * g * x,
         lambda xp, g, y, x: 2 * g * x, draw(3), order=2),
]  # fmt: skip

# At a tie every share between none and all is a slope of one side: the boundary points decide.
TIES = Pair("every tie gets all", op(every_tie)(largest), op(shared_ties)(largest), (TIED,))
