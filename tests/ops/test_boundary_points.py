"""Kinks, ties and edges: what is chosen there, at the exact point, without a tolerance."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, ops
from tinygrad_opt.random_numbers import stream

NAN, INF = math.nan, math.inf


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


def gradient(f, *points: object) -> list:
    """The gradients of the sum of f, as lists; NumPy's warnings about infinities are expected."""
    xs = [leaf(x) for x in points]
    with np.errstate(all="ignore"):
        f(*xs).sum().backward()
    return [x.grad.tolist() for x in xs]


def value(f, *points: object) -> object:
    with np.errstate(all="ignore"):
        return f(*[tg.tensor(np.array(x, dtype=np.float64)) for x in points]).tolist()


def same(a: object, b: object) -> bool:
    return np.array_equal(np.array(a), np.array(b), equal_nan=True)


POINTS = [
    ("relu", ops.relu, [0.0, -0.0], [0, 0]),
    ("relu6", ops.relu6, [0.0, 6.0], [0, 0]),
    ("leaky_relu", lambda x: ops.leaky_relu(x, 0.2), 0.0, 0.2),
    ("elu", ops.elu, 0.0, 1),
    ("elu alpha", lambda x: ops.elu(x, alpha=2.0), 0.0, 2),
    ("gelu", ops.gelu, 0.0, 0.5),
    ("gelu tanh", lambda x: ops.gelu(x, "tanh"), 0.0, 0.5),
    ("softplus", ops.softplus, 0.0, 0.5),
    ("hardtanh", ops.hardtanh, [-1.0, 1.0], [0, 0]),
    ("hardsigmoid", ops.hardsigmoid, [-3.0, 3.0], [0, 0]),
    ("hardswish", ops.hardswish, [-3.0, 3.0], [0, 1]),
    ("clip", lambda x: ops.clip(x, -1, 1), [-1.0, 1.0], [1, 1]),
    ("absolute", ops.absolute, [0.0, -0.0], [0, 0]),
    ("sign", ops.sign, 0.0, 0),
    ("max", ops.max, [2.0, 2.0, 1.0], [0.5, 0.5, 0]),
    ("max axis", lambda x: ops.max(x, axis=1), [[2.0, 2.0, 1.0]], [[0.5, 0.5, 0]]),
    ("min", ops.min, [1.0, 1.0, 1.0, 1.0], [0.25] * 4),
    ("norm", ops.norm, [0.0, 0.0, 0.0], [0, 0, 0]),
    ("norm 1", lambda x: ops.norm(x, ord=1), [0.0, 0.0], [0, 0]),
    ("norm 3", lambda x: ops.norm(x, ord=3), [0.0, 0.0], [0, 0]),
    ("norm inf", lambda x: ops.norm(x, ord=INF), [3.0, -3.0, 1.0], [0.5, -0.5, 0]),
    ("sqrt", ops.sqrt, 0.0, INF),
    ("log", ops.log, 0.0, INF),
    ("power 0.5", lambda x: x**0.5, 0.0, INF),
    ("power 2", lambda x: x**2, 0.0, 0),
    ("power 1", lambda x: x**1, 0.0, 1),
    ("power 0", lambda x: x**0, 0.0, 0),
    ("std", ops.std, [2.0, 2.0, 2.0], [0, 0, 0]),
    ("var of one", lambda x: ops.var(x, correction=1), [2.0], [NAN]),
    ("std of one", lambda x: ops.std(x, correction=1), [2.0], [NAN]),
    ("prod one zero", ops.prod, [0.0, 2.0, 3.0], [6, 0, 0]),
    ("prod two zeros", ops.prod, [0.0, 0.0, 3.0], [0, 0, 0]),
    ("floor", ops.floor, [0.0, 1.0], [0, 0]),
    ("ceil", ops.ceil, [0.0, 1.0], [0, 0]),
    ("round", ops.round, [0.5, 1.5], [0, 0]),
    ("softmax of -inf", lambda x: ops.softmax(x)[0], [-INF, -INF], [NAN, NAN]),
    ("logsumexp of -inf", ops.logsumexp, [-INF, -INF], [NAN, NAN]),
    ("log_sigmoid", ops.log_sigmoid, -1000.0, 1),
    ("sigmoid far", ops.sigmoid, [-1000.0, 1000.0], [0, 0]),
    ("max with nan", ops.max, [1.0, NAN], [NAN, NAN]),
    ("sum of nothing", ops.sum, [], []),
    (
        "dropout p=0",
        lambda x: ops.dropout(x, stream=stream(), first=0, p=0.0),
        [3.0, 4.0],
        [1, 1],
    ),
    (
        "dropout p=1",
        lambda x: ops.dropout(x, stream=stream(), first=0, p=1.0),
        [3.0, 4.0],
        [0, 0],
    ),
]


@pytest.mark.parametrize(
    ("f", "x", "expected"), [p[1:] for p in POINTS], ids=[p[0] for p in POINTS]
)
def test_derivative_at_the_point(f, x, expected) -> None:
    assert same(gradient(f, x)[0], expected)


VALUES = [
    ("log", ops.log, 0.0, -INF),
    ("power 0", lambda x: x**0, 0.0, 1),
    ("softmax of -inf", ops.softmax, [-INF, -INF], [NAN, NAN]),
    ("logsumexp of -inf", ops.logsumexp, [-INF, -INF], -INF),
    ("log_sigmoid", ops.log_sigmoid, -1000.0, -1000),
    ("sigmoid far", ops.sigmoid, [-1000.0, 1000.0], [0, 1]),
    ("softplus far", ops.softplus, [-1000.0, 1000.0], [0, 1000]),
    ("max with nan", ops.max, [1.0, NAN], NAN),
    ("sign of nan", ops.sign, NAN, NAN),
    ("clip of nan", lambda x: ops.clip(x, 0, 1), NAN, NAN),
    ("relu of nan", ops.relu, NAN, NAN),
    ("sum of nothing", ops.sum, [], 0),
    ("prod of nothing", ops.prod, [], 1),
    ("var of one", lambda x: ops.var(x, correction=1), [2.0], NAN),
]


@pytest.mark.parametrize(
    ("f", "x", "expected"), [p[1:] for p in VALUES], ids=[p[0] for p in VALUES]
)
def test_value_at_the_point(f, x, expected) -> None:
    assert same(value(f, x), expected)


PAIRS = [
    ("maximum", ops.maximum, 2.0, 2.0, 0.5, 0.5),
    ("minimum", ops.minimum, 2.0, 2.0, 0.5, 0.5),
    ("power (0, 0)", ops.power, 0.0, 0.0, 0, 0),
    ("power (0, 2)", ops.power, 0.0, 2.0, 0, 0),
    ("power (-2, 2)", ops.power, -2.0, 2.0, -4, NAN),
    ("arctan2", ops.arctan2, 0.0, 0.0, 0, 0),
]


@pytest.mark.parametrize(
    ("f", "a", "b", "da", "db"), [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS]
)
def test_both_derivatives_at_the_point(f, a, b, da, db) -> None:
    assert same(gradient(f, a, b), [da, db])


@pytest.mark.parametrize("order", [False, True])
def test_points_are_the_same_with_create_graph(order: bool) -> None:
    for _, f, x, expected in POINTS:
        t = leaf(x)
        with np.errstate(all="ignore"):
            g = tg.grad(f(t).sum(), t, create_graph=order)
        assert same(g.tolist(), expected)


def test_mean_of_nothing_is_nan() -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # NumPy says "mean of empty slice"
        assert math.isnan(ops.mean(tg.zeros(0)).item())


# ---- the branch not taken ---------------------------------------------------------------------


def test_an_infinite_branch_that_is_not_taken_makes_nan_as_in_pytorch() -> None:
    assert same(gradient(lambda x: ops.where(x > 0, ops.log(x), 0.0), 0.0), [NAN])
    assert same(gradient(lambda x: ops.where(x >= 0, x, ops.sqrt(-x)), 1.0), [NAN])


def test_where_inside_where_keeps_the_branch_harmless() -> None:
    def f(x: Tensor) -> Tensor:
        return ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), x)

    assert gradient(f, 0.0) == [1.0]
    assert gradient(f, 4.0) == [0.25]


# ---- losses -----------------------------------------------------------------------------------


def test_cross_entropy_of_known_numbers() -> None:
    logits = leaf([[1.0, 2, 3], [1, 1, 1]])
    loss = ops.cross_entropy(logits, tg.tensor([2, 0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.7531091265562451, rel=1e-14)
    e = np.exp([1.0, 2, 3])
    rows = np.array([e / e.sum() - [0, 0, 1], np.array([1, 1, 1]) / 3 - [1, 0, 0]]) / 2
    np.testing.assert_allclose(host(logits.grad), rows, rtol=1e-14)


def test_cross_entropy_far_from_the_label_does_not_overflow() -> None:
    logits = leaf([[1000.0, 0.0]])
    loss = ops.cross_entropy(logits, tg.tensor([1]))
    loss.backward()
    assert loss.item() == 1000
    assert logits.grad.tolist() == [[1, -1]]


def test_cross_entropy_of_no_examples_is_nan() -> None:
    with np.errstate(all="ignore"):
        loss = ops.cross_entropy(tg.zeros(0, 3), tg.zeros(0, dtype=np.int64))
    assert math.isnan(loss.item())


def test_binary_cross_entropy_of_certain_probabilities_is_finite() -> None:
    p, t = leaf([0.0, 1.0, 0.0, 1.0]), tg.tensor(np.array([0.0, 1.0, 1.0, 0.0]))
    with np.errstate(divide="ignore"):
        losses = ops.binary_cross_entropy(p, t)
        losses.sum().backward()
    assert losses.tolist() == [0, 0, 100, 100]
    assert p.grad.tolist() == [0, 0, -1e12, 1e12]


def test_far_inputs_raise_no_warning() -> None:
    far = leaf([-1000.0, 1000.0])
    for f in (ops.sigmoid, ops.softplus, ops.log_sigmoid, ops.softmax, ops.log_softmax, ops.elu,
              ops.silu, ops.gelu, ops.tanh, ops.erf, ops.logsumexp, ops.hardswish):  # fmt: skip
        f(far).sum().backward()
    assert np.isfinite(host(far.grad)).all()
