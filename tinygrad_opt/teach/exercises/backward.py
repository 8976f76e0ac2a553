"""Backward passes to write: ReLU, a linear layer, softmax with cross-entropy; truth is autograd.

The three formulas are the textbook's; tests hold them equal to the library's.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...tensor import Tensor
from .formula import Call, Case, Formula, wrong


def _leaf(array: Any) -> Tensor:
    return Tensor(np.array(array, np.float64), requires_grad=True, device="cpu")


# ---- ReLU -------------------------------------------------------------------------------------


def relu_backward(g, x):
    """dL/dx, where y = max(x, 0) and g = dL/dy."""
    return g * (x > 0)


def _relu(g: Any, x: Any) -> Call:
    leaf = _leaf(x)
    ops.relu(leaf).backward(Tensor(np.array(g), device="cpu"))
    return Call((np.array(g), np.array(x)), (leaf.grad.numpy(),))


def _relu_cases() -> list[Case]:
    random = np.random.default_rng(3)
    small = _relu([1.0, -2.0, 3.0, -4.0], [2.0, 5.0, -1.0, -0.5])
    kink = _relu([2.0, 3.0, -4.0], [0.0, -0.0, 1.0])
    shapes = [random.standard_normal((2, *shape)) for shape in ((7,), (3, 4), (2, 3, 4))]
    return [
        Case("four numbers on both sides of 0", [small]),
        Case("x = 0, where there is a kink", [kink]),
        Case("arrays with one, two and three axes", [_relu(g, x) for g, x in shapes]),
    ]


RELU = Formula(
    name="relu_backward",
    title="the backward pass of ReLU",
    file="ex01_relu_backward.py",
    arguments=("g", "x"),
    gives=("dx",),
    cases=_relu_cases,
    formula=relu_backward,
    mistakes=(
        wrong("the slope at 0 is 1",
              "At x = 0 exactly g passes. There the slope is 0 by convention: x > 0, not x ≥ 0.",
              "(x > 0) → (x >= 0)"),
        wrong("the slope at 0 is ½",
              "At x = 0 exactly half of g passes. There the slope is 0 by convention.",
              "(x > 0) → (0.5 + 0.5 * np.sign(x))"),
        wrong("the wrong side", "g passes where x is negative. It passes where ReLU let x through.",
              "(x > 0) → (x < 0)"),
        wrong("g decides",
              "The sign of g decides what passes, as if this were ReLU of g. What matters is where "
              "x was positive in the forward pass; g may have any sign.",
              "(x > 0) → (g > 0)"),
        wrong("g forgotten",
              "This is the slope of ReLU alone. The chain rule multiplies it by the arriving g.",
              "g * (x > 0) → 1.0 * (x > 0)"),
        wrong("the value again",
              "This is ReLU itself, max(x, 0), the forward pass. Asked for is its slope, times g.",
              "g * (x > 0) → x * (x > 0)"),
        wrong("times the value",
              "g is multiplied by the value max(x, 0). The chain rule wants the slope: 0 or 1.",
              "g * (x > 0) → g * x * (x > 0)"),
        wrong("everything passes", "All of g passes. Where x was negative, the output did not move "
              "with x, so nothing comes back.",
              "g * (x > 0) → g"),
        wrong("the sign", "The sign is turned: the slope of ReLU is 1, where it is not 0.",
              "g * (x > 0) → -g * (x > 0)"),
    ),
)  # fmt: skip

# ---- linear -----------------------------------------------------------------------------------


def linear_backward(g, x, w):
    """dL/dx, dL/dw and dL/db, where y = x wᵀ + b and g = dL/dy."""
    dx = g @ w
    dw = g.T @ x
    db = g.sum(axis=0)
    return dx, dw, db


def _linear(g: Any, x: Any, w: Any) -> Call:
    leaves = _leaf(x), _leaf(w), _leaf(np.zeros(len(w)))
    ops.linear(*leaves).backward(Tensor(np.array(g), device="cpu"))
    return Call((g, x, w), tuple(leaf.grad.numpy() for leaf in leaves))


def _linear_cases() -> list[Case]:
    random = np.random.default_rng(3)
    small = [[[1.0, 0.0], [-1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], [[5.0, 1.0], [0.0, 3.0]]]
    square = _linear(*map(np.array, small))

    def draw(n: int, d: int, k: int) -> Call:
        return _linear(*(random.standard_normal(shape) for shape in ((n, k), (n, d), (k, d))))

    return [
        Case("two examples, two inputs, two outputs", [square]),
        Case("5 examples, 4 inputs, 3 outputs", [draw(5, 4, 3)]),
        Case("one example; one input; one output", [draw(1, 3, 2), draw(4, 1, 2), draw(4, 3, 1)]),
    ]


def _transposed(what: str, shape: str) -> str:
    return (
        f"A transpose is forgotten, or one too many, in {what}. Shapes tell: it has to come out as "
        f"{shape}, with g (N, K), x (N, D), w (K, D)."
    )


def _elementwise(what: str) -> str:
    return f"{what} is an elementwise product, *. The layer is a matrix product, @, and so is this."


LINEAR = Formula(
    name="linear_backward",
    title="the backward pass of a linear layer",
    file="ex02_linear_backward.py",
    arguments=("g", "x", "w"),
    gives=("dx", "dw", "db"),
    cases=_linear_cases,
    formula=linear_backward,
    mistakes=(
        wrong("dx transposed", _transposed("dx", "x is, (N, D)"), "g @ w → g @ w.T"),
        wrong("dw transposed", _transposed("dw", "w is, (K, D)"), "g.T @ x → x.T @ g"),
        wrong("g not transposed", _transposed("dw", "w is, (K, D)"), "g.T @ x → g @ x"),
        wrong("x transposed instead", _transposed("dw", "w is, (K, D)"), "g.T @ x → g @ x.T"),
        wrong("w first, transposed", _transposed("dx", "x is, (N, D)"), "g @ w → w.T @ g"),
        wrong("w first", _transposed("dx", "x is, (N, D)"), "g @ w → w @ g"),
        wrong("elementwise in dx", _elementwise("dx"), "g @ w → g * w"),
        wrong("elementwise in dw", _elementwise("dw"), "g.T @ x → g * x"),
        wrong("a mean in dw", "dw is divided by the number of examples. Dividing is the loss's "
              "business, and has happened in g already: add the examples up.",
              "g.T @ x → g.T @ x / len(g)"),
        wrong("a mean in db", "db is a mean over the examples. b was added to every example, so "
              "their slopes are added up.", "g.sum(axis=0) → g.mean(axis=0)"),
        wrong("db along the wrong axis", "db adds up along the outputs. It has one slope for each "
              "output: add up along the examples, axis 0.", "g.sum(axis=0) → g.sum(axis=1)"),
        wrong("db one number", "db is one number. It has one slope for each output: add up along "
              "the examples only, axis 0.", "g.sum(axis=0) → g.sum()"),
        wrong("db not summed", "db is g itself, one row for every example. b was added to every "
              "example, so their slopes are added up, along axis 0.", "g.sum(axis=0) → g"),
        wrong("w in dw", "dw uses w. The slope of x wᵀ along w is x.", "g.T @ x → g.T @ w"),
        wrong("x in dx", "dx uses x. The slope of x wᵀ along x is w.", "g @ w → g @ x"),
        wrong("db of ones", "db is 1 everywhere: that is the slope of y along b. The chain rule "
              "multiplies it by g.", "g.sum(axis=0) → np.ones(g.shape[1])"),
    ),
)  # fmt: skip

# ---- softmax and cross-entropy ----------------------------------------------------------------


def cross_entropy_backward(logits, labels):
    """dL/dlogits, where L is the mean over the examples of −ln softmax(logits)[label]."""
    z = logits - logits.max(axis=1, keepdims=True)
    s = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    one_hot = np.eye(logits.shape[1])[labels]
    return (s - one_hot) / len(logits)


def _entropy(logits: Any, labels: Any) -> Call:
    leaf = _leaf(logits)
    ops.cross_entropy(leaf, Tensor(np.array(labels), device="cpu")).backward()
    return Call((np.array(logits, np.float64), np.array(labels)), (leaf.grad.numpy(),))


def _entropy_cases() -> list[Case]:
    random = np.random.default_rng(3)
    drawn = random.standard_normal((5, 4)), random.integers(0, 4, 5)
    return [
        Case("two examples, three classes", [_entropy([[1, 2, 3], [1, 1, 1]], [2, 0])]),
        Case("5 examples, 4 classes; one example", [
            _entropy(*drawn), _entropy([[0.5, -1.0]], [1])
        ]),
        Case("scores as large as 1000", [_entropy([[1000.0, 0.0, -1000.0], [0, 1, 2]], [0, 2])]),
    ]  # fmt: skip


CROSS_ENTROPY = Formula(
    name="cross_entropy_backward",
    title="the backward pass of softmax with cross-entropy",
    file="ex06_cross_entropy_backward.py",
    arguments=("logits", "labels"),
    gives=("dlogits",),
    cases=_entropy_cases,
    formula=cross_entropy_backward,
    mistakes=(
        wrong("one-hot not subtracted",
              "1 is not subtracted at the label. softmax − one-hot: the right class is pulled up, "
              "all others down.", "(s - one_hot) → s"),
        wrong("the sign", "The sign is turned: it is softmax − one-hot, not the reverse.",
              "(s - one_hot) → (one_hot - s)"),
        wrong("not divided by the batch",
              "The loss is a mean over the examples, so every slope is divided by their number, N.",
              "(s - one_hot) / len(logits) → (s - one_hot)"),
        wrong("divided by the classes",
              "Divided is by the number of classes. The mean is over examples: divide by N.",
              "/ len(logits) → / logits.shape[1]"),
        wrong("divided by all", "Divided is by N times the number of classes. The mean is over "
              "examples alone: divide by N.", "/ len(logits) → / logits.size"),
        wrong("no softmax", "The raw scores stand where their softmax belongs.",
              "(s - one_hot) → (logits - one_hot)"),
        wrong("not normalised", "The exponentials are not divided by their sum: each row of a "
              "softmax adds up to 1.", " / np.exp(z).sum(axis=1, keepdims=True) →"),
        wrong("sum along the wrong axis", "The softmax adds up along the examples. Each example "
              "has its own: add up along the classes, axis 1.", "sum(axis=1 → sum(axis=0"),
        wrong("one sum for all", "The softmax divides by one sum for the whole batch. Each example "
              "has its own: axis=1, keepdims=True.",
              "sum(axis=1, keepdims=True) → sum()"),
        wrong("overflow", "exp(1000) is infinite, and ∞/∞ is nan. Subtract the largest score of "
              "each row first: the softmax stays the same.",
              "z = logits - logits.max(axis=1, keepdims=True) → z = logits"),
        wrong("the largest of all", "The largest score of the whole batch is subtracted, so that a "
              "row far below it becomes 0/0. Take each row's own largest.",
              "logits.max(axis=1, keepdims=True) → logits.max()"),
        wrong("columns of all rows", "[:, labels] takes these columns in every row. One place in "
              "each row is [np.arange(N), labels].",
              "np.eye(logits.shape[1])[labels] → 0 * logits; one_hot[:, labels] = 1"),
        wrong("only the label's column", "Only the label's column is filled. The other scores "
              "count too: raising one lowers the label's share.",
              "(s - one_hot) → one_hot * (s - 1)"),
        wrong("the softmax's own slope", "The slope of the softmax alone, s (1 − s), has crept in. "
              "Together with the logarithm it cancels, and softmax − one-hot remains.",
              "(s - one_hot) → (s - one_hot) * s * (1 - s)"),
    ),
)  # fmt: skip
