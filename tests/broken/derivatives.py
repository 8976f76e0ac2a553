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


def chosen(xp, a, b):
    return xp.where(a > 0, a, b)


def clipped(xp, x):
    return xp.clip(x, -0.5, 0.5)


def variance(xp, x):
    centered = x - xp.mean(x)
    return xp.sum(centered * centered) / (x.size - 1)


def log_sum_exp(xp, x):
    highest = xp.max(x)
    return highest + xp.log(xp.sum(xp.exp(x - highest)))


def logarithm(xp, x):
    return xp.log(x * x)


def tangent(xp, x):
    return xp.tanh(x)


def sigmoid(xp, x):
    return 1 / (1 + xp.exp(-x))


def root(xp, x):
    return xp.sqrt(x * x + 1)


def running_sum(xp, x):
    return xp.cumsum(x, axis=0)


def whole_product(xp, x):
    return xp.prod(x)


def power(xp, a, b):
    return a**b


def matrix_product(xp, a, b):
    return a @ b


def standardized(xp, x):
    """Batch normalization without its weight: (x − mean) / √var, every column."""
    centered = x - xp.mean(x, axis=0)
    return centered / xp.sqrt(xp.mean(centered * centered, axis=0))


def deviation(xp, x):
    centered = x - xp.mean(x, axis=0)
    return xp.sqrt(xp.mean(centered * centered, axis=0))


def cross_entropy(xp, x):
    """The mean over rows, the right class being the first of each."""
    highest = xp.max(x, axis=1, keepdims=True)
    total = xp.log(xp.sum(xp.exp(x - highest), axis=1, keepdims=True)) + highest
    return xp.mean(total[:, 0] - x[:, 0])


def detach(xp, x):
    """x without its graph, so that what is multiplied by it counts as constant."""
    return x.detach() if isinstance(x, Tensor) else x


def first_class(xp, x):
    """1 in the first column."""
    return xp.concatenate([xp.ones_like(x[:, :1]), xp.zeros_like(x[:, 1:])], axis=1)


def standardized_rule(xp, g, y, x):
    """Of the three terms one is g, one is due to the mean and one to the variance."""
    back = g - xp.mean(g, axis=0) - y * xp.mean(g * y, axis=0)
    return back / deviation(xp, x)


FAR = np.array([900.0, 899.0, -20.0])  # where eˣ overflows
TIED = np.array([[1.0, 5.0], [1.0, 2.0], [0.0, 2.0]])

PAIRS = [
    # elementwise
    pair("off by 0.05 %", cube, lambda xp, g, y, x: g * 3.0015 * x * x,
         lambda xp, g, y, x: g * 3 * x * x, draw(2, 3)),
    pair("a square that counts once", square, lambda xp, g, y, x: g * x,
         lambda xp, g, y, x: 2 * g * x, draw(4)),
    pair("the sign of a quotient", quotient,
         (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: g * y / b),
         (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: -g * y / b), draw(3), draw(3)),
    pair("one input forgotten", added, (lambda xp, g, y, a, b: g, None),
         (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g), draw(3), draw(3)),
    pair("both rules of a product swapped", product,
         (lambda xp, g, y, a, b: g * a, lambda xp, g, y, a, b: g * b),
         (lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a), draw(2, 3), draw(2, 3)),
    pair("a logarithm of squares that counts once", logarithm, lambda xp, g, y, x: g / x,
         lambda xp, g, y, x: 2 * g / x, draw(4)),
    pair("tanh without the square", tangent, lambda xp, g, y, x: g * (1 - y),
         lambda xp, g, y, x: g * (1 - y * y), draw(4)),
    pair("sigmoid with x for y", sigmoid, lambda xp, g, y, x: g * x * (1 - x),
         lambda xp, g, y, x: g * y * (1 - y), draw(4)),
    pair("the half of a root", root, lambda xp, g, y, x: 2 * g * x / y,
         lambda xp, g, y, x: g * x / y, draw(4)),
    pair("a power without its logarithm", power,
         (lambda xp, g, y, a, b: g * b * y / a, lambda xp, g, y, a, b: g * y),
         (lambda xp, g, y, a, b: g * b * y / a, lambda xp, g, y, a, b: g * y * xp.log(a)),
         abs(draw(4)), draw(4)),
    # kinks, choices and bounds
    pair("a kink on the wrong side", relu, lambda xp, g, y, x: g * (x < 0),
         lambda xp, g, y, x: g * (x > 0), draw(6)),
    pair("a threshold that moved", relu, lambda xp, g, y, x: g * (x > 0.5),
         lambda xp, g, y, x: g * (x > 0), draw(6)),
    pair("where with its branches swapped", chosen,
         (lambda xp, g, y, a, b: g * (a <= 0), lambda xp, g, y, a, b: g * (a > 0)),
         (lambda xp, g, y, a, b: g * (a > 0), lambda xp, g, y, a, b: g * (a <= 0)),
         draw(4), draw(4)),
    pair("where that lets all through", chosen,
         (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g),
         (lambda xp, g, y, a, b: g * (a > 0), lambda xp, g, y, a, b: g * (a <= 0)),
         draw(4), draw(4)),
    pair("clip that lets all through", clipped, lambda xp, g, y, x: g,
         lambda xp, g, y, x: g * (xp.absolute(x) < 0.5), draw(6)),
    pair("clip that is deaf between its bounds", clipped,
         lambda xp, g, y, x: g * (xp.absolute(x) > 0.5),
         lambda xp, g, y, x: g * (xp.absolute(x) < 0.5), draw(6)),
    # shapes
    pair("a sum that spreads along the wrong axis", row_sums, spread_columns, spread_rows,
         draw(3, 3)),
    pair("broadcasting undone twice", added,
         (lambda xp, g, y, a, b: xp.broadcast_to(xp.sum(g, axis=0), (4, 3)),
          lambda xp, g, y, a, b: g),
         (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g), draw(4, 3), draw(3)),
    pair("transposing with the forward permutation", permuted,
         lambda xp, g, y, x: xp.transpose(g, (1, 2, 0)),
         lambda xp, g, y, x: xp.transpose(g, (2, 0, 1)), draw(3, 3, 3)),
    pair("getitem that assigns", picked, lambda xp, g, y, x: put(xp, g, x.shape, True),
         lambda xp, g, y, x: put(xp, g, x.shape, False), draw(3, 2)),
    pair("concatenate with shifted slices", joined,
         (lambda xp, g, y, a, b: g[:, 1:3], lambda xp, g, y, a, b: g[:, 2:]),
         (lambda xp, g, y, a, b: g[:, :2], lambda xp, g, y, a, b: g[:, 2:]),
         draw(2, 2), draw(2, 2)),
    pair("a running sum that runs forward again", running_sum,
         lambda xp, g, y, x: xp.cumsum(g, axis=0),
         lambda xp, g, y, x: xp.flip(xp.cumsum(xp.flip(g, axis=0), axis=0), axis=0), draw(4)),
    # sums and means
    pair("a mean that forgets to divide", average,
         lambda xp, g, y, x: xp.broadcast_to(g, x.shape),
         lambda xp, g, y, x: xp.broadcast_to(g / 12, x.shape), draw(3, 4)),
    pair("a variance over n, divided by n − 1", variance,
         lambda xp, g, y, x: 2 * g * (x - xp.mean(x)) / x.size,
         lambda xp, g, y, x: 2 * g * (x - xp.mean(x)) / (x.size - 1), draw(5)),
    pair("a product that divides by 0", whole_product, lambda xp, g, y, x: g * (y + 0 * x),
         lambda xp, g, y, x: g * xp.stack([x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
         np.array([2.0, 0.0, 3.0])),
    pair("a norm taken for constant", scaled,
         lambda xp, g, y, x: g / xp.sqrt(xp.sum(x * x)),
         lambda xp, g, y, x: (g - y * xp.sum(g * y)) / xp.sqrt(xp.sum(x * x)), draw(4)),
    pair("a logsumexp that has to be kept from overflow", log_sum_exp,
         lambda xp, g, y, x: g * xp.exp(xp.minimum(x, 700)) / xp.sum(xp.exp(xp.minimum(x, 700))),
         lambda xp, g, y, x: g * xp.exp(x - y), FAR),
    # products of matrices
    pair("a product with .T on stacks", batched, (all_axes_reversed, of_second_factor),
         (last_axes_swapped, of_second_factor), draw(3, 3, 3), draw(3, 3, 3)),
    pair("a product from the wrong side", matrix_product,
         (lambda xp, g, y, a, b: xp.transpose(b) @ g, lambda xp, g, y, a, b: xp.transpose(a) @ g),
         (lambda xp, g, y, a, b: g @ xp.transpose(b), lambda xp, g, y, a, b: xp.transpose(a) @ g),
         draw(3, 3), draw(3, 3)),
    pair("a product that forgets to transpose", matrix_product,
         (lambda xp, g, y, a, b: g @ b, lambda xp, g, y, a, b: xp.transpose(a) @ g),
         (lambda xp, g, y, a, b: g @ xp.transpose(b), lambda xp, g, y, a, b: xp.transpose(a) @ g),
         draw(3, 3), draw(3, 3)),
    # layers and losses
    pair("softmax times -7", softmax, lambda *a: -7 * softmax_rule(*a), softmax_rule, draw(4, 5)),
    pair("softmax without its outer product", softmax, lambda xp, g, y, x: g * y * (1 - y),
         softmax_rule, draw(4, 5)),
    pair("cross-entropy without 1/n", cross_entropy,
         lambda xp, g, y, x: g * (softmax(xp, x) - first_class(xp, x)),
         lambda xp, g, y, x: g * (softmax(xp, x) - first_class(xp, x)) / x.shape[0], draw(4, 3)),
    pair("cross-entropy of the right class alone", cross_entropy,
         lambda xp, g, y, x: g * (softmax(xp, x) - 1) * first_class(xp, x) / x.shape[0],
         lambda xp, g, y, x: g * (softmax(xp, x) - first_class(xp, x)) / x.shape[0], draw(4, 3)),
    pair("batch normalization without the term of the variance", standardized,
         lambda xp, g, y, x: (g - xp.mean(g, axis=0)) / deviation(xp, x), standardized_rule,
         draw(5, 2)),
    pair("batch normalization without the term of the mean", standardized,
         lambda xp, g, y, x: (g - y * xp.mean(g * y, axis=0)) / deviation(xp, x),
         standardized_rule, draw(5, 2)),
    pair("batch normalization with its statistics for constants", standardized,
         lambda xp, g, y, x: g / deviation(xp, x), standardized_rule, draw(5, 2)),
    # of second order
    pair("wrong only in the second derivative", cube,
         lambda xp, g, y, x: g * 3 * x * detach(xp, x), lambda xp, g, y, x: g * 3 * x * x,
         draw(2, 3), order=2),
    Pair("a composition that is another function",
         fused(lambda x: x * x * x, lambda xp, g, y, x: 2 * g * x)(square),
         fused(lambda x: x * x, lambda xp, g, y, x: 2 * g * x)(square), (draw(3),), order=2),
    pair("arrays and Tensors treated unlike", square,
         lambda xp, g, y, x: 3 * g * x if isinstance(x, Tensor) else 2 * g * x,
         lambda xp, g, y, x: 2 * g * x, draw(3), order=2),
]  # fmt: skip

# At a tie every share between none and all is a slope of one side: the boundary points decide.
TIES = Pair("every tie gets all", op(every_tie)(largest), op(shared_ties)(largest), (TIED,))
