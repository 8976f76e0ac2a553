"""Calls of what turns many elements into fewer: over every choice of axes, kept or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.properties.strategies import (
    NUMBERS,
    Array,
    Shape,
    Strategy,
    axes_of,
    axis_of,
    calls,
    one,
)
from tinygrad_opt import ops

options = st.fixed_dictionaries


def keeping(**more: Strategy) -> Callable[[Shape], Strategy]:
    """Axes, whether they stay as 1, and more parameters."""
    return lambda shape: options({"axis": axes_of(shape), "keepdims": st.booleans(), **more})


def along(shape: Shape) -> Strategy:
    """One axis or all."""
    return options({"axis": st.one_of(st.none(), axis_of(shape)) if shape else st.none()})


def numpys(name: str, domain: str = "real", **how: Any) -> Strategy:
    how = {"fits": one(), "params": keeping(), "dtypes": NUMBERS} | how
    return calls(getattr(ops, name), getattr(np, name), domain, **how)


def formula(f: Any, reference: Any, domain: str = "real", **more: Strategy) -> Strategy:
    return calls(f, reference, domain, fits=one(), params=keeping(**more), exact=False)


def var(x: Array, axis: Any, correction: int, keepdims: bool) -> Array:
    n = np.sum(np.ones_like(x), axis, keepdims=True)
    squares = np.sum((x - np.sum(x, axis, keepdims=True) / n) ** 2, axis, keepdims=keepdims)
    return squares / np.where(n > correction, n - correction, np.nan).reshape(squares.shape)


def std(x: Array, **how: Any) -> Array:
    return np.sqrt(var(x, **how))


def norm(x: Array, ord: float, axis: Any, keepdims: bool) -> Array:
    if ord == math.inf:
        return np.max(np.abs(x), axis, keepdims=keepdims)
    return np.sum(np.abs(x) ** ord, axis, keepdims=keepdims) ** (1 / ord)


def logsumexp(x: Array, axis: Any, keepdims: bool) -> Array:
    return np.log(np.sum(np.exp(x), axis, keepdims=keepdims))


REDUCE: dict[str, Strategy] = {
    "sum": numpys("sum"),
    "mean": numpys("mean"),
    "prod": numpys("prod", "near one", exact=False),
    "max": numpys("max", "apart"),
    "min": numpys("min", "apart"),
    "any": numpys("any", "few", gradient=False),
    "all": numpys("all", "few", gradient=False),
    "argmax": numpys("argmax", "few", params=along, gradient=False),
    "argmin": numpys("argmin", "few", params=along, gradient=False),
    "cumsum": numpys("cumsum", params=along),
    "var": formula(ops.var, var, correction=st.integers(0, 1)),
    "std": formula(ops.std, std, "apart", correction=st.integers(0, 1)),
    "logsumexp": formula(ops.logsumexp, logsumexp),
    "norm": formula(ops.norm, norm, "apart", ord=st.sampled_from([2, 1, 3, 1.5, math.inf])),
}
