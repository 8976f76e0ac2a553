"""Calls of products, and of what is made of them: layers, softmax, losses, normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tests.properties.calls.shape import diagonals
from tests.properties.strategies import (
    INTEGERS,
    Array,
    Call,
    Shape,
    Strategy,
    axes_of,
    axis_of,
    calls,
    one,
    same,
    shapes,
)
from tinygrad_opt import ops
from tinygrad_opt.random_numbers import Stream

options = st.fixed_dictionaries
length = st.integers(0, 3)
PRODUCTS = ("float64", "float64", "float32", "float16", *INTEGERS)

# ---- products ---------------------------------------------------------------------------------


@st.composite
def matrices(draw: Any) -> Any:
    """Vectors, matrices or stacks whose inner lengths agree, and whose outer ones broadcast."""
    shapes_that_fit = nps.mutually_broadcastable_shapes(
        signature="(n?,k),(k,m?)->(n?,m?)", max_dims=2, max_side=3, min_side=0
    )
    return draw(shapes_that_fit).input_shapes


def of_dot() -> Strategy:
    """What matmul takes, without stacks, and numbers with anything."""
    flat = matrices().filter(lambda found: max(map(len, found)) <= 2)
    number = shapes(max_dims=4).map(lambda shape: ((), shape))
    return st.one_of(flat, number, number.map(lambda pair: pair[::-1]))


SUBSCRIPTS = """
ij,jk->ik ij,jk ij->ji ij-> ij->j ii->i ii i,i-> i,j->ij bij,bjk->bik ...ij,...jk->...ik ...i,i->...
ij,jk,kl->il iij,j->i ba ijj->ji i,i,i->i ...->... ...i->i... ij,ij->
"""


@st.composite
def einsums(draw: Any) -> Call:
    """Letters with lengths of their own; the dots stand for one axis of length 2 or none."""
    subscripts = draw(st.sampled_from(SUBSCRIPTS.split()))
    sizes = {letter: draw(length) for letter in "abijkl"}
    dots = draw(st.sampled_from([(), (2,)]))
    found = []
    for term in subscripts.partition("->")[0].split(","):
        own = tuple(sizes[letter] for letter in term if letter != ".")
        found.append(dots * ("..." in term) + own if term.startswith("...") else own)
    return draw(
        calls(
            lambda *x, subscripts: ops.einsum(subscripts, *x),
            lambda *x, subscripts: np.einsum(subscripts, *x),
            *["real"] * len(found),
            fits=st.just(tuple(found)),
            params=lambda *_: st.just({"subscripts": subscripts}),
            dtypes=PRODUCTS,
            exact=False,
        )
    )


def product(f: Any, reference: Any, fits: Strategy) -> Strategy:
    return calls(f, reference, "real", "real", fits=fits, dtypes=PRODUCTS, exact=False)


# ---- layers -----------------------------------------------------------------------------------


@st.composite
def layers(draw: Any) -> Any:
    """An input with features last, a weight (out, in), and perhaps a bias."""
    n_out, n_in = draw(length), draw(length)
    x = (*draw(shapes(max_dims=3)), n_in)
    return draw(st.sampled_from([(x, (n_out, n_in)), (x, (n_out, n_in), (n_out,))]))


def linear(x: Array, weight: Array, bias: Any = 0.0) -> Array:
    return np.einsum("...i,oi->...o", x, weight) + bias


@st.composite
def layer(draw: Any, f: Any, reference: Any) -> Call:
    found = draw(layers())
    domains = ["real"] * len(found)
    return draw(calls(f, reference, *domains, fits=st.just(found), exact=False))


def linear_relu(*inputs: Array) -> Array:
    y = linear(*inputs)
    assume(not (np.abs(y) < 1e-3).any() or not y.any())  # away from the kink, or all at it
    return np.maximum(y, 0)


# ---- softmax, losses, normalization -----------------------------------------------------------


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x)
    return e / np.sum(e, axis, keepdims=True)


def log_softmax(x: Array, axis: int) -> Array:
    return x - np.log(np.sum(np.exp(x), axis, keepdims=True))


def along(shape: Shape) -> Strategy:
    return options({"axis": axis_of(shape)})


def of_rows() -> Strategy:
    """Scores (N, C), of three classes, and labels (N,)."""
    return st.integers(0, 4).map(lambda n: ((n, 3), (n,)))


def cross_entropy(logits: Array, labels: Array, ignore_index: int = -100) -> Array:
    rows = [
        np.log(np.sum(np.exp(row))) - row[label]
        for row, label in zip(logits, labels, strict=True)
        if label != ignore_index
    ]
    return np.sum(rows) / len(rows) if rows else np.array(np.nan, logits.dtype)


def standardize(x: Array, axis: Any, eps: float) -> Array:
    n = np.sum(np.ones_like(x), axis, keepdims=True)
    centered = x - np.sum(x, axis, keepdims=True) / n
    return centered / np.sqrt(np.sum(centered**2, axis, keepdims=True) / n + eps)


def dropout(x: Array, stream: Stream, first: int, p: float) -> Array:
    kept = stream.numbers(first, x.size).reshape(x.shape) < (1 - p) * 2**32
    return np.where(kept, x / (1 - p), 0)


LINALG: dict[str, Strategy] = {
    "matmul": product(ops.matmul, np.matmul, matrices()),
    "dot": product(ops.dot, np.dot, of_dot()),
    "outer": product(ops.outer, np.outer, st.tuples(shapes(max_dims=2), shapes(max_dims=2))),
    "einsum": einsums(),
    "trace": calls(
        ops.trace, np.trace, "real", fits=one(min_dims=2), params=diagonals, exact=False
    ),
    "linear": layer(ops.linear, linear),
    "linear_relu": layer(ops.linear_relu, linear_relu),
    **{
        name: calls(f, reference, "real", fits=one(min_dims=1), params=along, exact=False)
        for name, f, reference in (
            ("softmax", ops.softmax, softmax),
            ("log_softmax", ops.log_softmax, log_softmax),
        )
    },
    "cross_entropy": calls(
        ops.cross_entropy,
        cross_entropy,
        "real",
        "class",
        fits=of_rows(),
        params=lambda *_: options({"ignore_index": st.sampled_from([-100, 1])}),
        exact=False,
    ),
    "mse_loss": calls(
        ops.mse_loss,
        lambda p, t: np.sum((p - t) ** 2) / np.array(p.size, p.dtype),
        "real",
        "real",
        fits=same(2),
        exact=False,
    ),
    "standardize": calls(
        ops.standardize,
        standardize,
        "real",
        fits=one(min_dims=1),
        params=lambda shape: options(
            {"axis": axes_of(shape), "eps": st.sampled_from([1e-1, 1e-2])}
        ),
        exact=False,
    ),
    "dropout": calls(
        ops.dropout,
        dropout,
        "real",
        fits=one(),
        params=lambda shape: options(
            {"stream": st.just(Stream(0)), "first": st.just(3), "p": st.sampled_from([0.0, 0.4])}
        ),
        exact=False,
    ),
}
