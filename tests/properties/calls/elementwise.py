"""Calls of what treats every element alike; the derivatives have no kink where the values lie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.properties.strategies import FLOATS, INTEGERS, NUMBERS, Array, Strategy, calls, one
from tinygrad_opt import ops

NO_TRUTHS = (*FLOATS, *INTEGERS)
options = st.fixed_dictionaries
ERF = np.vectorize(math.erf, otypes=[float])


def of_one(name: str, domain: str, **how: Any) -> Strategy:
    how = {"fits": one(), "dtypes": NUMBERS} | how
    reference = how.pop("reference", None) or getattr(np, name)
    return calls(getattr(ops, name), reference, domain, **how)


def of_two(name: str, a: str, b: str, **how: Any) -> Strategy:
    how = {"dtypes": NO_TRUTHS, "mixed": True} | how
    return calls(getattr(ops, name), getattr(np, name), a, b, **how)


def formula(name: str, reference: Any, domain: str = "apart", **params: Strategy) -> Strategy:
    """Of one input, beside a formula from a textbook; parameters of any shape are alike."""
    drawn = (lambda shape: options(params)) if params else None
    how = {"fits": one(), "params": drawn, "dtypes": NO_TRUTHS, "exact": False}
    return calls(getattr(ops, name), reference, domain, **how)


def erf(x: Array) -> Array:
    return ERF(x).astype(x.dtype if x.dtype.kind == "f" else float)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Array, approximate: str) -> Array:
    if approximate == "none":
        return x / 2 * (1 + erf(x / math.sqrt(2)))
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def huber(p: Array, t: Array, delta: float) -> Array:
    d = np.abs(p - t)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


UNARY = {
    "real": "negative exp expm1 square sin cos arctan sinh cosh tanh",
    "positive": "log log1p log2 sqrt",
    "inside": "tan arcsin arccos",
    "apart": "absolute abs sign floor ceil",
}
COMPARISONS = """
equal not_equal less less_equal greater greater_equal
logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
"""
BOUND = st.sampled_from([None, -1.5, 0.4, 2, 0])
SLOPE = st.sampled_from([0.0, 0.01, 0.3, 2.0])

ELEMENTWISE: dict[str, Strategy] = {
    **{name: of_one(name, domain) for domain, names in UNARY.items() for name in names.split()},
    "clone": calls(ops.clone, np.copy, "real", fits=one(), dtypes=NUMBERS),
    "reciprocal": formula("reciprocal", lambda x: 1 / x, "positive"),
    "erf": formula("erf", erf, "real"),
    "clip": of_one(
        "clip",
        "apart",
        params=lambda shape: options({"low": BOUND, "high": BOUND}),
        dtypes=NO_TRUTHS,
        reference=lambda x, low, high: np.clip(x, low, high),
    ),
    "round": of_one(
        "round", "apart", params=lambda shape: options({"decimals": st.sampled_from([0, 1])})
    ),
    # two inputs, or three
    "add": of_two("add", "real", "real"),
    "subtract": of_two("subtract", "real", "real"),
    "multiply": of_two("multiply", "real", "real"),
    "divide": of_two("divide", "real", "positive"),
    "power": of_two("power", "positive", "real"),
    "arctan2": of_two("arctan2", "positive", "real"),
    "maximum": of_two("maximum", "apart", "between"),
    "minimum": of_two("minimum", "apart", "between"),
    "where": calls(ops.where, np.where, "truth", "real", "real", dtypes=NUMBERS, mixed=True),
    # no gradient
    **{
        name: of_two(name, "few", "few", dtypes=NUMBERS, gradient=False)
        for name in COMPARISONS.split()
    },
    **{
        name: of_one(name, "special", gradient=False)
        for name in ("invert", "logical_not", "isnan", "isinf", "isfinite")
    },
    # activations
    "sigmoid": formula("sigmoid", sigmoid),
    "softplus": formula("softplus", lambda x: np.log1p(np.exp(x))),
    "log_sigmoid": formula("log_sigmoid", lambda x: -np.log1p(np.exp(-x))),
    "relu": formula("relu", lambda x: np.maximum(x, 0)),
    "relu6": formula("relu6", lambda x: np.clip(x, 0.0, 6.0)),
    "hardsigmoid": formula("hardsigmoid", lambda x: np.clip(x + 3, 0.0, 6.0) / 6),
    "hardswish": formula("hardswish", lambda x: x * np.clip(x + 3, 0.0, 6.0) / 6),
    "hardtanh": formula(
        "hardtanh",
        lambda x, low, high: np.clip(x, low, high),
        low=st.just(-1.5),
        high=st.sampled_from([0.4, 2.0]),
    ),
    "leaky_relu": formula(
        "leaky_relu", lambda x, slope: np.where(x > 0, x, slope * x), slope=SLOPE
    ),
    "elu": formula("elu", elu, alpha=SLOPE),
    "selu": formula("selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    "gelu": formula("gelu", gelu, approximate=st.sampled_from(["none", "tanh"])),
    "silu": formula("silu", lambda x: x * sigmoid(x)),
    "huber_loss": calls(
        ops.huber_loss,
        huber,
        "apart",
        "between",
        params=lambda *shapes: options({"delta": st.sampled_from([0.3, 1.0, 2.0])}),
        exact=False,
    ),
    "binary_cross_entropy": calls(
        ops.binary_cross_entropy,
        lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p),
        "probability",
        "probability",
        exact=False,
    ),
    "binary_cross_entropy_with_logits": calls(
        ops.binary_cross_entropy_with_logits,
        lambda z, t: (1 - t) * z + np.log1p(np.exp(-z)),
        "few",
        "probability",
        exact=False,
    ),
}
