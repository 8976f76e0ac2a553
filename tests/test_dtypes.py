"""Which dtype comes out: numbers are weak, float64 comes from float64 only, integers stay exact."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, ops

F16, F32, F64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
FLOATS = [F16, F32, F64]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]

# ---- what data become -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (3, "int64"),
        (True, "bool"),
        ([1, 2], "int64"),
        ([1, 2.0], "float32"),
        ([[1.0], [2.0]], "float32"),
        ([True, False], "bool"),
        ([np.float64(1.0), 2.0], "float32"),
        ([], "float32"),
        (np.ones(2), "float64"),
        (np.ones(2, "float16"), "float16"),
        (np.ones(2, "uint8"), "uint8"),
        (np.float64(1.0), "float64"),
        (np.array(1.0), "float64"),
    ],
)
def test_data_become(data: object, dtype: str) -> None:
    assert tg.tensor(data).dtype == dtype
    assert tg.tensor(data).dtype == dtype


def test_a_dtype_that_is_asked_for_wins() -> None:
    assert tg.tensor([1, 2], dtype="float64").dtype == F64
    assert tg.tensor(np.ones(2), dtype=np.float16).dtype == F16
    assert tg.tensor([1.7], dtype="int32").tolist() == [1]


@pytest.mark.parametrize("data", [["a"], [None], [1j], object(), {"a": 1}])
def test_what_is_not_numeric_is_a_type_error(data: object) -> None:
    with pytest.raises(TypeError, match="data is not numeric"):
        tg.tensor(data)


# ---- numbers are weak -------------------------------------------------------------------------

NUMBERS = [2, 2.0, True, np.float64(2.0), np.float32(2.0), np.int64(2), np.array(2.0), np.array(2)]


@pytest.mark.parametrize(
    "number", NUMBERS, ids=lambda n: f"{type(n).__name__}-{getattr(n, 'dtype', '')}"
)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("operation", ARITHMETIC)
def test_a_number_takes_the_dtype_of_the_tensor(operation, dtype, number) -> None:
    x = tg.tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    for y in (operation(x, number), operation(number, x)):
        assert isinstance(y, Tensor)
        assert y.dtype == dtype
    (g,) = tg.grad(operation(x, number).sum(), [x])
    assert g.dtype == dtype


@pytest.mark.parametrize("number", NUMBERS[:5])
def test_functions_of_a_number_and_a_tensor(number) -> None:
    x = tg.tensor([1.0, 2.0])
    for f in (ops.maximum, ops.minimum, ops.arctan2, ops.power):
        assert f(x, number).dtype == f(number, x).dtype == F32
    assert ops.where(x > 1, x, number).dtype == ops.where(x > 1, number, x).dtype == F32


def test_numbers_alone_make_a_float32_tensor() -> None:
    assert ops.exp(1.0).dtype == ops.add(1.0, 2.0).dtype == ops.where(True, 1.0, 2.0).dtype == F32
    assert ops.exp(1).dtype == F32
    assert ops.add(1, 2).dtype == np.int64


# ---- integers and booleans --------------------------------------------------------------------

INTEGERS = ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_with_floats_are_float32(dtype: str) -> None:
    n = tg.tensor(np.array([1, 0], dtype))
    for y in (n * 2.5, 2.5 * n, n + 0.5, n / 2, 1 / (n + 1), n / n.astype("int64").sum(), n.mean()):
        assert y.dtype == F32
    assert (n / 2).tolist() == [0.5, 0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_functions_of_integers_are_float32(dtype: str) -> None:
    n = tg.tensor(np.array([1, 0], dtype))
    for f in (ops.exp, ops.sqrt, ops.sin, ops.tanh, ops.arctan, ops.expm1, ops.log1p):
        y = f(n)
        assert y.dtype == F32
        np.testing.assert_allclose(host(y), host(f(n.double())), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_softmax_and_its_kin_of_integers(dtype: str) -> None:
    n = tg.tensor(np.array([[1, 0, 3]], dtype))
    for f in (
        ops.softmax,
        ops.log_softmax,
        ops.sigmoid,
        ops.softplus,
        ops.gelu,
        ops.silu,
        ops.std,
        ops.logsumexp,
    ):
        y = f(n)
        assert y.dtype == F32
        np.testing.assert_allclose(host(y), host(f(n.double())), rtol=1e-6)
    assert ops.cross_entropy(n, tg.tensor([2])).dtype == F32


def test_functions_of_bytes_are_exact() -> None:
    """NumPy answers in float16."""
    n = tg.tensor(np.array([200], np.uint8))
    assert n.sqrt().item() == pytest.approx(200**0.5, rel=1e-7)
    assert tg.tensor(np.array([3], np.int8)).exp().item() == pytest.approx(np.exp(3), rel=1e-6)


def test_integers_among_themselves_stay_integers() -> None:
    n = tg.tensor([5, 3])
    for y in (n + n, n - 1, n * 2, n**2, -n, n.sum(), n.max(), n[0], n.cumsum(), n.abs(), n & 1):
        assert y.dtype == np.int64
    assert (n**2).tolist() == [25, 9]


def test_integers_meet_tensors_of_floats() -> None:
    n = tg.tensor([1, 2])
    for dtype in (F32, F64):
        x = tg.tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
        for operation in (operator.add, operator.mul, operator.truediv, operator.pow):
            y = operation(x, n)
            assert y.dtype == dtype
            assert tg.grad(y.sum(), x).dtype == dtype


def test_truths_come_from_comparisons_and_select() -> None:
    x = tg.tensor([1.0, -1.0], requires_grad=True)
    mask = x > 0
    assert mask.dtype == np.bool_
    assert (x * mask).dtype == F32
    assert (mask & (x < 5) | ~mask).tolist() == [True, True]
    assert (True & mask).tolist() == (mask ^ False).tolist() == [True, False]
    assert x[mask].tolist() == [1]


def test_and_or_not_of_integers_go_bit_by_bit_as_in_numpy() -> None:
    n = np.array([6, 3])
    for operation in (operator.and_, operator.or_, operator.xor):
        assert operation(tg.tensor(n), 2).tolist() == operation(n, 2).tolist()
        assert operation(2, tg.tensor(n)).tolist() == operation(2, n).tolist()
    assert (~tg.tensor(n)).tolist() == (~n).tolist()
    with pytest.raises(TypeError, match="bitwise_and"):
        _ = tg.tensor([1.0]) & 1


# ---- two float dtypes -------------------------------------------------------------------------


def test_elementwise_operations_promote_as_numpy() -> None:
    a, b = (tg.ones(2, dtype=dtype, requires_grad=True) for dtype in (F32, F64))
    y = (a * b).sum()
    assert y.dtype == F64
    y.backward()
    assert (a.grad.dtype, b.grad.dtype) == (F32, F64)


@pytest.mark.parametrize(
    "f",
    [
        ops.matmul,
        ops.linear,
        ops.linear_relu,
        lambda a, b: ops.linear(a, a, b[0]),
        lambda a, b: a @ b,
        ops.mse_loss,
    ],
)
def test_products_and_losses_of_two_float_dtypes_are_type_errors(f) -> None:
    a, b = tg.ones(2, 2), tg.ones(2, 2, dtype="float64")
    with pytest.raises(TypeError, match=r"float32 meets float64\. Convert one of them"):
        f(a, b)


# ---- asking for gradients ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integers_and_truths_have_no_gradient(dtype: str) -> None:
    text = f'requires_grad: {dtype} data has no gradient. Use float32: tensor(x, dtype="float32").'
    n = tg.tensor(np.ones(2, dtype))
    for ask in (
        lambda: tg.tensor(np.ones(2, dtype), requires_grad=True),
        lambda: tg.tensor(np.ones(2, dtype), requires_grad=True),
        lambda: tg.zeros(2, dtype=dtype, requires_grad=True),
        lambda: n.requires_grad_(),
        lambda: setattr(n, "requires_grad", True),
        lambda: setattr(tg.ones(2, requires_grad=True), "data", np.ones(2, dtype)),
    ):
        with pytest.raises(TypeError) as error:
            ask()
        assert str(error.value) == text


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_every_float_dtype_has_gradients(dtype) -> None:
    x = tg.tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    ((x * x).sum() / 2).backward()
    assert x.grad.dtype == dtype
    assert x.grad.tolist() == [1, 2]


def test_astype_passes_gradients_between_floats_only() -> None:
    x = tg.tensor([1.5, 2.5], requires_grad=True)
    y = x.double() * 2
    assert y.dtype == F64
    y.sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (F32, [2, 2])
    assert not x.long().requires_grad
    assert x.long().tolist() == [1, 2]
    assert [x.float().dtype, x.int().dtype, x.bool().dtype] == [F32, np.int32, np.bool_]
