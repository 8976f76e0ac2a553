"""Every operation on random calls: its value is NumPy's, its gradient that of the differences.

Shapes without axes, with empty ones and with broadcast ones, every dtype and memory layout, and
every way to name axes and indices are drawn by the strategies. What NumPy refuses is refused with a
sentence of ours.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.properties.calls.elementwise import ELEMENTWISE
from tests.properties.calls.functional import FUNCTIONAL
from tests.properties.calls.linalg import LINALG
from tests.properties.calls.reduce import REDUCE
from tests.properties.calls.shape import SHAPE
from tests.properties.strategies import Array, Call
from tinygrad_opt import Tensor, grad, ops
from tinygrad_opt.gradcheck import gradgradcheck
from tinygrad_opt.nn import functional as F

pytestmark = pytest.mark.on("cpu")  # arrays in layouts that a copy to another device has not

OPERATIONS = ELEMENTWISE | REDUCE | SHAPE | LINALG
CALLS = OPERATIONS | {f"F.{name}": strategy for name, strategy in FUNCTIONAL.items()}
ALIASES = {"abs": "absolute", "permute": "transpose"}
H = 1e-5


def drawn(examples: int) -> Any:
    """So many calls, drawn without chance."""
    quiet = [HealthCheck.filter_too_much, HealthCheck.too_slow]
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=quiet,
    )


def every_operation(test: Any) -> Any:
    return pytest.mark.parametrize("name", CALLS)(given(data=st.data())(test))


# ---- one call ---------------------------------------------------------------------------------


def numpys(call: Call, *arrays: Array) -> Array:
    """What NumPy says; of no elements also where it warns that this is not a number."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call.value(*arrays)


def expected_value(call: Call) -> Array:
    """Floats come only from the same floats; integers and truths alone give float32."""
    y = numpys(call, *call.arrays)
    if y.dtype.kind != "f":
        return y
    own = y.dtype in [a.dtype for a in call.arrays] or "dtype" in call.params
    if own and call.exact:
        return y
    dtype = y.dtype if own else np.dtype(np.float32)
    exactly = [a.astype(float) if a.dtype.kind == "f" or not own else a for a in call.arrays]
    return numpys(call, *exactly).astype(dtype)


def check_value(call: Call, y: Tensor) -> None:
    expected = expected_value(call)
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    assert isinstance(y.data, np.ndarray)
    own = expected.dtype in [a.dtype for a in call.arrays]
    if expected.dtype.kind != "f" or (call.exact and own):
        assert_array_equal(y.data, expected)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    ulps = 16 * np.finfo(expected.dtype).eps
    assert_allclose(y.data, expected, rtol=ulps, atol=ulps * finite.max(initial=1.0))


def check_gradient(call: Call, y: Tensor, xs: list[Tensor]) -> None:
    """Along a random direction, for a random cotangent."""
    floats = [x for x in xs if x.requires_grad]
    if call.gradient is False or y.dtype.kind != "f" or not floats:
        assert not y.requires_grad and y.is_leaf
        return
    random = np.random.default_rng(y.size)
    c = random.normal(size=y.shape)
    gs = grad(y, floats, Tensor(c.astype(y.dtype)))
    for g, x in zip(gs, floats, strict=True):
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
    if (
        not call.gradient
        or not np.isfinite(y.data).all()
        or any(x.dtype != np.float64 or not x.size for x in floats)
    ):
        return
    along = [random.uniform(-1, 1, a.shape) * (a.dtype.kind == "f") for a in call.arrays]
    high, low = (
        numpys(
            call,
            *(
                a + t * d if a.dtype.kind == "f" else a
                for a, d in zip(call.arrays, along, strict=True)
            ),
        )
        for t in (H, -H)
    )
    ds = [d for d, x in zip(along, xs, strict=True) if x.requires_grad]
    parts = np.concatenate([(g.data * d).ravel() for g, d in zip(gs, ds, strict=True)])
    rounding = np.finfo(float).eps * np.sum(np.abs(c) * (np.abs(high) + np.abs(low))) / H
    slope = np.sum(c * (high - low)) / (2 * H)
    assert abs(parts.sum() - slope) <= 1e-8 + 1e-6 * np.abs(parts).sum() + 4 * rounding


def check(call: Call) -> None:
    before = [a.copy() for a in call.arrays]
    xs = [
        Tensor(a, requires_grad=call.gradient is not False and a.dtype.kind == "f")
        for a in call.arrays
    ]
    try:
        numpys(call, *call.arrays)
    except (ValueError, TypeError, IndexError):
        check_refusal(call, xs)
        return
    with warnings.catch_warnings():
        if any(not a.size for a in call.arrays):  # a mean of nothing is NaN, and NumPy says so
            warnings.simplefilter("ignore")
        y = call.f(*xs, **call.params)
    check_value(call, y)
    check_gradient(call, y, xs)
    for x, a, old in zip(xs, call.arrays, before, strict=True):
        assert x.data is a
        assert_array_equal(a, old)


SENTENCE = re.compile(r"(\w+): .+\.", re.DOTALL)


def check_refusal(call: Call, xs: list[Tensor]) -> None:
    with pytest.raises((ValueError, TypeError, IndexError)) as error:
        call.f(*xs, **call.params)
    found = SENTENCE.fullmatch(str(error.value))
    assert found and found[1] in {*ops.__all__, *F.__all__}, str(error.value)


# ---- the tests --------------------------------------------------------------------------------


@every_operation
@drawn(12)
def test_value_and_gradient_are_right(name: str, data: st.DataObject) -> None:
    check(data.draw(CALLS[name]))


@pytest.mark.slow
@every_operation
@drawn(100)
def test_value_and_gradient_are_right_at_length(name: str, data: st.DataObject) -> None:
    check(data.draw(CALLS[name]))


def check_second(call: Call) -> None:
    floats = [a for a in call.arrays if a.dtype.kind == "f"]
    if not floats or any(a.dtype != np.float64 or a.size > 8 for a in floats) or not call.gradient:
        return
    try:
        y = numpys(call, *call.arrays)
    except (ValueError, TypeError, IndexError):
        return
    if y.size and np.isfinite(y).all():
        gradgradcheck(lambda *xs: call.f(*xs, **call.params), *map(Tensor, call.arrays))


@every_operation
@drawn(5)
def test_second_derivatives_are_right(name: str, data: st.DataObject) -> None:
    check_second(data.draw(CALLS[name]))


@pytest.mark.slow
@every_operation
@drawn(50)
def test_second_derivatives_are_right_at_length(name: str, data: st.DataObject) -> None:
    check_second(data.draw(CALLS[name]))


@pytest.mark.host
def test_no_operation_is_missing() -> None:
    assert set(ops.__all__) - {*OPERATIONS, *ALIASES} == set()
    public = {getattr(ops, name) for name in ops.__all__}
    assert {name for name in F.__all__ if getattr(F, name) not in public} == set(FUNCTIONAL)
