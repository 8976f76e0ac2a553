"""Every operation, a line for each: name, function, the same in NumPy, and what its inputs are.

The NumPy side is written out independently. The first word of a name is the operation; a line for
each way to call it. Several tests walk this table, and one fails when an operation has no line.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinygrad_opt import Tensor, ops, tensor
from tinygrad_opt.random_numbers import Stream

# ---- inputs -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """An input: values of one domain in one shape."""

    domain: str
    shape: tuple[int, ...]

    def make(self, random: np.random.Generator, shape: tuple[int, ...] | None = None) -> np.ndarray:
        shape = self.shape if shape is None else shape
        n = math.prod(shape)
        apart = (random.permutation(n) - n / 2 + 0.3).reshape(shape)
        return {
            "real": lambda: random.standard_normal(shape),
            "positive": lambda: random.uniform(0.5, 2.5, shape),
            "inside": lambda: random.uniform(-0.9, 0.9, shape),  # of −1 … 1
            "probability": lambda: random.uniform(0.1, 0.9, shape),
            "apart": lambda: 0.37 * apart,  # no two alike, none near 0
            "wide": lambda: 1.9 * apart,  # in 8 elements: on every side of ±1, ±3 and 6
            "class": lambda: random.integers(0, 3, shape),
            "truth": lambda: random.random(shape) < 0.5,
        }[self.domain]()

    @property
    def is_float(self) -> bool:
        return self.domain not in ("class", "truth")


def real(*shape: int) -> Draw:
    return Draw("real", shape)


def positive(*shape: int) -> Draw:
    return Draw("positive", shape)


def inside(*shape: int) -> Draw:
    return Draw("inside", shape)


def probability(*shape: int) -> Draw:
    return Draw("probability", shape)


def apart(*shape: int) -> Draw:
    return Draw("apart", shape)


def wide(*shape: int) -> Draw:
    return Draw("wide", shape)


def classes(*shape: int) -> Draw:
    return Draw("class", shape)


def truths(*shape: int) -> Draw:
    return Draw("truth", shape)


# ---- lines ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    name: str
    f: Callable[..., Any]
    reference: Callable[..., Any]
    draws: tuple[Draw, ...]
    kind: str = ""
    gradient: bool = True  # whether one reaches the inputs
    params: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def operation(self) -> str:
        return self.name.split()[0]

    def arrays(self, shape: tuple[int, ...] | None = None) -> list[np.ndarray]:
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [np.asarray(draw.make(random, shape)) for draw in self.draws]

    def call(self, *inputs: Any, **others: Any) -> Any:
        return self.f(*inputs, **(self.params | others))

    def expected(self, *arrays: np.ndarray, **others: Any) -> Any:
        return self.reference(*arrays, **(self.params | others))

    def tensors(self, arrays: list[np.ndarray]) -> list[Tensor]:
        """The floats among them ask for a gradient, where one reaches them."""
        return [tensor(a, requires_grad=self.gradient and a.dtype.kind == "f") for a in arrays]


def line(name: str, f: Any, reference: Any, *draws: Draw, kind: str = "", **options: Any) -> Case:
    gradient = options.pop("gradient", True)
    return Case(name, f, reference, draws, kind, gradient, options)


def alike(name: str, f: Any, *draws: Draw) -> Case:
    """Written the same for a Tensor and for an array."""
    return line(name, f, f, *draws)


def each(name: str, f: Any, reference: Any, *draws: Draw, **options: Any) -> Case:
    return line(name, f, reference, *draws, kind="elementwise", **options)


def fewer(name: str, f: Any, reference: Any, *draws: Draw, **options: Any) -> Case:
    return line(name, f, reference, *draws, kind="reduce", **options)


# ---- the same in NumPy ------------------------------------------------------------------------

_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def _log_softmax(x, axis=-1):
    return np.log(_softmax(x, axis))


def _gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _var(x, axis=None, correction=0, keepdims=False):
    return np.var(x, axis=axis, ddof=correction, keepdims=keepdims)


def _std(x, axis=None, correction=0, keepdims=False):
    return np.std(x, axis=axis, ddof=correction, keepdims=keepdims)


def _norm(x, ord=2, axis=None, keepdims=False):
    if ord == np.inf:
        return np.abs(x).max(axis=axis, keepdims=keepdims)
    return (np.abs(x) ** ord).sum(axis=axis, keepdims=keepdims) ** (1 / ord)


def _logsumexp(x, axis=None, keepdims=False):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def _cross_entropy(logits, labels):
    rows = [-math.log(_softmax(row)[label]) for row, label in zip(logits, labels, strict=True)]
    return np.mean(rows)


def _standardize(x, axis, eps):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def _linear(x, w, b=0.0):
    return np.einsum("...i,oi->...o", x, w) + b


def _linear_relu(x, w, b=0.0):
    return np.maximum(_linear(x, w, b), 0)


def _dropout(x, stream, first, p):
    kept = stream.numbers(first, x.size).reshape(x.shape) < (1 - p) * 2**32
    return np.where(kept, x / (1 - p), 0)


def _both(name):
    return getattr(ops, name), getattr(np, name)


def _joined(library):
    return lambda *parts, axis=0: library.concatenate(parts, axis)


def _stacked(library):
    return lambda *parts, axis=0: library.stack(parts, axis)


def _moveaxis(library):
    return lambda x: library.moveaxis(x, (0, 1), (-1, 0))


# ---- the table --------------------------------------------------------------------------------

ELEMENTWISE = [
    each("add", ops.add, lambda a, b: a + b, real(2, 3), real(2, 3)),
    each("subtract", ops.subtract, lambda a, b: a - b, real(2, 3), real(2, 3)),
    each("multiply", ops.multiply, lambda a, b: a * b, real(2, 3), real(2, 3)),
    each("divide", ops.divide, lambda a, b: a / b, real(2, 3), positive(2, 3)),
    each("power", ops.power, lambda a, b: a**b, positive(2, 3), real(2, 3)),
    each("power cube", lambda x: x**3, lambda x: x * x * x, real(2, 3)),
    each("power minus one", lambda x: x**-1, np.reciprocal, positive(2, 3)),
    each("power root", lambda x: x**0.5, np.sqrt, positive(2, 3)),
    each("power of two", lambda x: 2**x, np.exp2, real(2, 3)),
    each("negative", ops.negative, np.negative, real(2, 3)),
    each("reciprocal", ops.reciprocal, lambda x: 1 / x, positive(2, 3)),
    each("absolute", ops.absolute, np.abs, apart(2, 3)),
    each("abs", ops.abs, np.abs, apart(2, 3)),
    each("sign", ops.sign, np.sign, apart(2, 3)),
    each("exp", ops.exp, np.exp, real(2, 3)),
    each("expm1", ops.expm1, np.expm1, real(2, 3)),
    each("log", ops.log, np.log, positive(2, 3)),
    each("log1p", ops.log1p, np.log1p, positive(2, 3)),
    each("log2", ops.log2, np.log2, positive(2, 3)),
    each("sqrt", ops.sqrt, np.sqrt, positive(2, 3)),
    each("square", ops.square, lambda x: x * x, real(2, 3)),
    each("erf", ops.erf, _erf, wide(2, 4)),
    each("erf small", ops.erf, _erf, inside(2, 4)),
    each("sin", ops.sin, np.sin, real(2, 3)),
    each("cos", ops.cos, np.cos, real(2, 3)),
    each("tan", ops.tan, np.tan, inside(2, 3)),
    each("arcsin", ops.arcsin, np.arcsin, inside(2, 3)),
    each("arccos", ops.arccos, np.arccos, inside(2, 3)),
    each("arctan", ops.arctan, np.arctan, real(2, 3)),
    each("arctan2", ops.arctan2, np.arctan2, apart(2, 3), apart(2, 3)),
    each("sinh", ops.sinh, np.sinh, real(2, 3)),
    each("cosh", ops.cosh, np.cosh, real(2, 3)),
    each("tanh", ops.tanh, np.tanh, real(2, 3)),
    each("maximum", ops.maximum, np.maximum, real(2, 3), real(2, 3)),
    each("minimum", ops.minimum, np.minimum, real(2, 3), real(2, 3)),
    each("maximum number", lambda x: ops.maximum(0.5, x), lambda x: np.maximum(0.5, x), real(3)),
    each("clip", lambda x: x.clip(-1.5, 2), lambda x: np.clip(x, -1.5, 2), wide(2, 4)),
    each("clip below", lambda x: x.clip(0), lambda x: np.maximum(x, 0), wide(2, 4)),
    each("clip above", lambda x: x.clip(high=1), lambda x: np.minimum(x, 1), wide(2, 4)),
    each("where", ops.where, np.where, truths(2, 3), real(2, 3), real(2, 3)),
    each(
        "where one number",
        lambda c, x: ops.where(c, x, 0.0),
        lambda c, x: np.where(c, x, 0.0),
        truths(2, 3),
        real(2, 3),
    ),
    each("sigmoid", ops.sigmoid, _sigmoid, wide(2, 4)),
    each("softplus", ops.softplus, lambda x: np.log(1 + np.exp(x)), wide(2, 4)),
    each("log_sigmoid", ops.log_sigmoid, lambda x: np.log(_sigmoid(x)), wide(2, 4)),
    each("relu", ops.relu, lambda x: x * (x > 0), wide(2, 4)),
    each("leaky_relu", ops.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), wide(2, 4)),
    each(
        "leaky_relu slope",
        ops.leaky_relu,
        lambda x, slope: np.where(x > 0, x, slope * x),
        wide(2, 4),
        slope=0.3,
    ),
    each("elu", ops.elu, lambda x: np.where(x > 0, x, np.exp(x) - 1), wide(2, 4)),
    each(
        "elu alpha",
        ops.elu,
        lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
        wide(2, 4),
        alpha=1.5,
    ),
    each(
        "selu",
        ops.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        wide(2, 4),
    ),
    each("gelu", ops.gelu, lambda x: x / 2 * (1 + _erf(x / np.sqrt(2))), wide(2, 4)),
    each("gelu tanh", lambda x: ops.gelu(x, approximate="tanh"), _gelu_tanh, wide(2, 4)),
    each("silu", ops.silu, lambda x: x * _sigmoid(x), wide(2, 4)),
    each("hardtanh", ops.hardtanh, lambda x: np.clip(x, -1, 1), wide(2, 4)),
    each("relu6", ops.relu6, lambda x: np.clip(x, 0, 6), wide(2, 4)),
    each("hardsigmoid", ops.hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), wide(2, 4)),
    each("hardswish", ops.hardswish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), wide(2, 4)),
    each(
        "binary_cross_entropy",
        ops.binary_cross_entropy,
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
        probability(2, 3),
        probability(2, 3),
    ),
    each(
        "huber_loss",
        ops.huber_loss,
        lambda p, t, delta: np.where(
            abs(p - t) < delta, (p - t) ** 2 / 2, delta * abs(p - t) - delta**2 / 2
        ),
        wide(2, 3),
        real(2, 3),
        delta=0.7,
    ),
    each(
        "binary_cross_entropy_with_logits",
        ops.binary_cross_entropy_with_logits,
        lambda z, t: (1 - t) * z + np.log1p(np.exp(-z)),
        wide(2, 3),
        probability(2, 3),
    ),
    each(
        "binary_cross_entropy_with_logits weighted",
        ops.binary_cross_entropy_with_logits,
        lambda z, t, w: (1 - t) * z + (1 - t + w * t) * np.log1p(np.exp(-z)),
        wide(2, 3),
        probability(2, 3),
        probability(3),
    ),
    each("floor", ops.floor, np.floor, wide(2, 4)),
    each("ceil", ops.ceil, np.ceil, wide(2, 4)),
    each("round", ops.round, np.rint, wide(2, 4)),
    each("round decimals", ops.round, np.round, wide(2, 4), decimals=1),
    each("clone", ops.clone, np.copy, real(2, 3)),
    *[
        each(name, *_both(name), real(2, 3), real(2, 3), gradient=False)
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ],
    *[
        each(name, *_both(name), truths(2, 3), truths(2, 3), gradient=False)
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    *[
        each(name, *_both(name), classes(2, 3), classes(2, 3), gradient=False)
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ],
    each("logical_not", ops.logical_not, np.logical_not, truths(2, 3), gradient=False),
    each("invert", ops.invert, np.invert, classes(2, 3), gradient=False),
    *[
        each(name, *_both(name), real(2, 3), gradient=False)
        for name in ("isnan", "isinf", "isfinite")
    ],
]

REDUCE = [
    fewer("sum", ops.sum, np.sum, real(2, 3, 2)),
    fewer("mean", ops.mean, np.mean, real(2, 3, 2)),
    fewer("prod", ops.prod, np.prod, real(2, 3, 2)),
    fewer("max", ops.max, np.max, apart(2, 3, 2)),
    fewer("min", ops.min, np.min, apart(2, 3, 2)),
    fewer("var", ops.var, _var, real(2, 3, 2)),
    fewer("var correction", ops.var, _var, real(2, 3, 2), correction=1),
    fewer("std", ops.std, _std, real(2, 3, 2)),
    fewer("std correction", ops.std, _std, real(2, 3, 2), correction=1),
    fewer("logsumexp", ops.logsumexp, _logsumexp, real(2, 3, 2)),
    fewer("norm", ops.norm, _norm, real(2, 3, 2)),
    fewer("norm 1", ops.norm, _norm, apart(2, 3, 2), ord=1),
    fewer("norm 3", ops.norm, _norm, apart(2, 3, 2), ord=3),
    fewer("norm 1.5", ops.norm, _norm, apart(2, 3, 2), ord=1.5),
    fewer("norm inf", ops.norm, _norm, apart(2, 3, 2), ord=np.inf),
    fewer("any", ops.any, np.any, truths(2, 3, 2), gradient=False),
    fewer("all", ops.all, np.all, truths(2, 3, 2), gradient=False),
    line("argmax", ops.argmax, np.argmax, apart(2, 3), gradient=False),
    line("argmax axis", ops.argmax, np.argmax, apart(2, 3), axis=-1, gradient=False),
    line("argmin", ops.argmin, np.argmin, apart(2, 3), gradient=False),
    line("argmin axis", ops.argmin, np.argmin, apart(2, 3), axis=0, keepdims=True, gradient=False),
    line("cumsum", ops.cumsum, np.cumsum, real(2, 3)),
    line("cumsum axis", ops.cumsum, np.cumsum, real(2, 3), axis=-1),
]

SHAPE = [
    alike("reshape", lambda x: x.reshape(3, 2), real(2, 3)),
    alike("reshape rest", lambda x: x.reshape((2, -1)), real(2, 3, 2)),
    line("flatten", ops.flatten, np.ravel, real(2, 3)),
    line("flatten from", lambda x: x.flatten(1), lambda x: x.reshape(2, 6), real(2, 3, 2)),
    line("expand_dims", ops.expand_dims, np.expand_dims, real(2, 3), axis=1),
    line("expand_dims last", ops.expand_dims, np.expand_dims, real(2, 3), axis=-1),
    line("squeeze", ops.squeeze, np.squeeze, real(1, 3, 1)),
    line("squeeze axis", ops.squeeze, np.squeeze, real(1, 3, 1), axis=-1),
    line("broadcast_to", ops.broadcast_to, np.broadcast_to, real(3, 1), shape=(2, 3, 4)),
    line("transpose", ops.transpose, np.transpose, real(2, 3)),
    alike("transpose axes", lambda x: x.transpose(1, 2, 0), real(2, 3, 4)),
    line("permute", lambda x: x.permute(2, -3, 1), lambda x: x.transpose(2, 0, 1), real(2, 3, 4)),
    alike("swapaxes", lambda x: x.swapaxes(0, -1), real(2, 3, 4)),
    line("moveaxis", ops.moveaxis, np.moveaxis, real(2, 3, 4), source=0, destination=-1),
    line("moveaxis two", _moveaxis(ops), _moveaxis(np), real(2, 3, 4)),
    line("flip", ops.flip, np.flip, real(2, 3)),
    line("flip axis", ops.flip, np.flip, real(2, 3), axis=-1),
    line("flip two", ops.flip, np.flip, real(2, 3, 2), axis=(0, 2)),
    line("roll", ops.roll, np.roll, real(2, 3), shift=2),
    line("roll axis", ops.roll, np.roll, real(2, 3), shift=-1, axis=1),
    line("roll two", ops.roll, np.roll, real(2, 3), shift=(1, 2), axis=(0, 1)),
    line("concatenate", _joined(ops), _joined(np), real(2, 3), real(1, 3)),
    line(
        "concatenate axis", _joined(ops), _joined(np), real(2, 3), real(2, 1), real(2, 2), axis=-1
    ),
    line("concatenate flat", _joined(ops), _joined(np), real(2, 3), real(2), axis=None),
    line("stack", _stacked(ops), _stacked(np), real(2, 3), real(2, 3)),
    line("stack last", _stacked(ops), _stacked(np), real(2, 3), real(2, 3), axis=-1),
    line("split", lambda x: x.split(3, axis=1)[1], lambda x: np.split(x, 3, 1)[1], real(2, 6)),
    line("split places", lambda x: x.split([1, 3], axis=-1)[2], lambda x: x[:, 3:], real(2, 6)),
    line("pad", ops.pad, np.pad, real(2, 3), pad_width=1),
    line(
        "pad each",
        lambda x: ops.pad(x, ((0, 2), (1, 0)), value=7.0),
        lambda x: np.pad(x, ((0, 2), (1, 0)), constant_values=7.0),
        real(2, 3),
    ),
    alike("getitem row", lambda x: x[1], real(2, 3)),
    alike("getitem element", lambda x: x[-1, 0], real(2, 3)),
    alike("getitem slices", lambda x: x[:, ::-2], real(2, 3)),
    alike("getitem new axis", lambda x: x[..., None, 1], real(2, 3)),
    alike("getitem repeated", lambda x: x[[0, 0, 1]], real(2, 3)),
    alike("getitem pairs", lambda x: x[[0, 1, 0], [2, 2, 2]], real(2, 3)),
    alike("getitem mixed", lambda x: x[:, [2, 0], None], real(2, 3)),
    alike("getitem truths", lambda x, c: x[c], real(2, 3), truths(2, 3)),
    alike("getitem tensor", lambda x, i: x[i], real(3, 2), classes(4)),
    line("take", ops.take, lambda x, indices: x.ravel()[indices], real(2, 3), indices=[5, 0, 5]),
    line("take axis", ops.take, np.take, real(2, 3), indices=[2, 2, 0], axis=-1),
    line(
        "take_along_axis",
        ops.take_along_axis,
        np.take_along_axis,
        real(2, 3),
        classes(2, 2),
        axis=1,
    ),
    line(
        "take_along_axis one",
        ops.take_along_axis,
        np.take_along_axis,
        real(2, 3),
        classes(1, 4),
        axis=-1,
    ),
    line("diagonal", ops.diagonal, np.diagonal, real(3, 4)),
    line("diagonal above", ops.diagonal, np.diagonal, real(3, 4), offset=2),
    alike("diagonal of a stack", lambda x: x.diagonal(-1, 0, -1), real(3, 2, 3)),
    line("repeat", ops.repeat, np.repeat, real(2, 3), repeats=2),
    line("repeat axis", ops.repeat, np.repeat, real(2, 3), repeats=[1, 0, 3], axis=1),
    line("tile", ops.tile, np.tile, real(2, 3), reps=2),
    line("tile deep", ops.tile, np.tile, real(2, 3), reps=(2, 1, 3)),
    line("tril", ops.tril, np.tril, real(3, 4)),
    line("tril of a stack", ops.tril, np.tril, real(2, 3, 3), k=-1),
    line("triu", ops.triu, np.triu, real(3, 4)),
    line("triu above", ops.triu, np.triu, real(3, 4), k=1),
    line("astype", lambda x: ops.astype(x, x.dtype), np.copy, real(2, 3)),
]

LINALG = [
    line("matmul", ops.matmul, np.matmul, real(2, 3), real(3, 4)),
    line("matmul vectors", ops.matmul, np.matmul, real(3), real(3)),
    line("matmul vector left", ops.matmul, np.matmul, real(3), real(3, 2)),
    line("matmul vector right", ops.matmul, np.matmul, real(2, 3), real(3)),
    line("matmul stacks", ops.matmul, np.matmul, real(2, 2, 3), real(2, 3, 2)),
    line("matmul one for all", ops.matmul, np.matmul, real(2, 2, 3), real(3, 2)),
    line("matmul stacks broadcast", ops.matmul, np.matmul, real(2, 1, 2, 3), real(3, 3, 1)),
    line("matmul vector and stack", ops.matmul, np.matmul, real(3), real(2, 3, 2)),
    line("matmul stack and vector", ops.matmul, np.matmul, real(2, 2, 3), real(3)),
    line("dot", ops.dot, np.dot, real(2, 3), real(3, 2)),
    line("dot numbers", ops.dot, np.dot, real(), real(3)),
    line("dot vectors", ops.dot, np.dot, real(3), real(3)),
    line("outer", ops.outer, np.outer, real(3), real(2)),
    line("trace", ops.trace, np.trace, real(3, 3)),
    line("trace above", ops.trace, np.trace, real(3, 4), offset=1),
    *[
        line(f"einsum {s}", partial(ops.einsum, s), partial(np.einsum, s), *draws)
        for s, *draws in (
            ("ij,jk->ik", real(2, 3), real(3, 2)),
            ("ij,jk", real(2, 3), real(3, 2)),
            ("ij->ji", real(2, 3)),
            ("ij->", real(2, 3)),
            ("ij->j", real(2, 3)),
            ("ii->i", real(3, 3)),
            ("ii", real(3, 3)),
            ("i,i->", real(3), real(3)),
            ("i,j->ij", real(2), real(3)),
            ("bij,bjk->bik", real(2, 2, 3), real(2, 3, 2)),
            ("...ij,...jk->...ik", real(2, 1, 2, 3), real(3, 3, 2)),
            ("...i,i->...", real(2, 2, 3), real(3)),
            ("ij,jk,kl->il", real(2, 3), real(3, 2), real(2, 2)),
            ("iij,j->i", real(2, 2, 3), real(3)),
            ("ba", real(2, 3)),
        )
    ],
]

FUSED = [
    line("linear", ops.linear, _linear, real(2, 3), real(4, 3), real(4)),
    line("linear no bias", ops.linear, _linear, real(2, 3), real(4, 3)),
    line("linear vector", ops.linear, _linear, real(3), real(4, 3), real(4)),
    line("linear stack", ops.linear, _linear, real(2, 2, 3), real(4, 3), real(4)),
    line("linear_relu", ops.linear_relu, _linear_relu, real(2, 3), real(4, 3), real(4)),
    line("linear_relu stack", ops.linear_relu, _linear_relu, real(2, 2, 3), real(4, 3)),
    line("softmax", ops.softmax, _softmax, real(2, 3)),
    line("softmax axis", ops.softmax, _softmax, real(2, 3), axis=0),
    line("log_softmax", ops.log_softmax, _log_softmax, real(2, 3)),
    line("log_softmax axis", ops.log_softmax, _log_softmax, real(2, 3), axis=0),
    line("cross_entropy", ops.cross_entropy, _cross_entropy, real(4, 3), classes(4)),
    line("mse_loss", ops.mse_loss, lambda p, t: np.mean((p - t) ** 2), real(2, 3), real(2, 3)),
    line("standardize", ops.standardize, _standardize, real(3, 4), axis=-1, eps=1e-5),
    line("standardize two", ops.standardize, _standardize, real(3, 2, 2), axis=(0, 2), eps=0.1),
    line("dropout", ops.dropout, _dropout, real(4, 5), stream=Stream(0), first=3, p=0.4),
]

TABLE = [*ELEMENTWISE, *REDUCE, *SHAPE, *LINALG, *FUSED]
