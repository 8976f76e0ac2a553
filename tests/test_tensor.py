"""The class that people hold: construction, operators, conversions, changes in place, copies."""

from __future__ import annotations

import copy
import math
import operator
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_opt as tg
from tinygrad_opt import DeviceError, Tensor
from tinygrad_opt.device import Device
from tinygrad_opt.gradcheck import gradcheck


def leaf(x: object) -> Tensor:
    return Tensor(np.array(x, dtype=np.float64), requires_grad=True)


# ---- construction and properties --------------------------------------------------------------


def test_an_array_is_shared_by_tensor_and_copied_by_the_function() -> None:
    array = np.ones(3)
    assert np.shares_memory(Tensor(array).data, array)
    assert np.shares_memory(tg.from_numpy(array).data, array)
    assert not np.shares_memory(tg.tensor(array).data, array)


def test_a_numpy_matrix_multiplies_like_any_array() -> None:
    matrix = np.ones((2, 2)).view(np.matrix)
    assert (Tensor(matrix) * Tensor(matrix)).tolist() == [[1, 1], [1, 1]]


def test_properties() -> None:
    x = tg.zeros(2, 3, requires_grad=True)
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert (x.dtype, x.device, x.is_leaf, x.requires_grad) == (
        np.float32,
        Device("cpu"),
        True,
        True,
    )
    assert x.T.shape == (3, 2)
    assert x.grad is None
    assert [row.shape for row in x] == [(3,), (3,)]


def test_a_tensor_of_a_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"the data is a Tensor already. Use t.detach\(\) or"):
        Tensor(tg.ones(2))


def test_lists_may_hold_tensors_but_not_their_graphs() -> None:
    assert tg.tensor([tg.tensor(1.0), tg.tensor(2.0)]).tolist() == [1, 2]
    w = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"would be lost. Write stack\(\[...\]\)"):
        tg.tensor([w * 2, w * 3])
    with tg.no_grad():
        assert tg.tensor([w * 2, w * 3]).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (tg.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (tg.tensor([1, 2]), "tensor([1, 2])"),
        (Tensor(np.ones(1)), "tensor([1.], dtype=float64)"),
        (tg.tensor(2.0, requires_grad=True), "tensor(2., requires_grad=True)"),
        (tg.tensor(2.0, requires_grad=True) * 3, "tensor(6., made by multiply)"),
        (tg.ones(2, 1), "tensor([[1.],\n        [1.]])"),
    ],
)
def test_repr(x: Tensor, text: str) -> None:
    assert repr(x) == text


def test_repr_of_one_of_several_outputs_names_its_maker() -> None:
    @tg.op(lambda xp, g, y, x: g[0] + g[1])
    def twins(xp, x):
        return x * 1, x * 1

    assert repr(twins(leaf(1.0))[1]) == "tensor(1., dtype=float64, made by twins)"


# ---- operators --------------------------------------------------------------------------------

A, B = np.array([[1.5, -2.0], [0.5, 3.0]]), np.array([[2.0, 1.0], [4.0, 0.5]])
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("operation", [*BINARY, *COMPARISONS])
def test_operators_are_numpys(operation) -> None:
    assert_allclose(operation(Tensor(A), Tensor(B)).numpy(), operation(A, B))


@pytest.mark.parametrize("operation", [*BINARY[:4], *COMPARISONS])
def test_operators_with_numbers_on_either_side(operation) -> None:
    assert_allclose(operation(Tensor(A), 2).numpy(), operation(A, 2))
    assert_allclose(operation(2, Tensor(A)).numpy(), operation(2, A))


def test_powers_on_either_side() -> None:
    assert_allclose((Tensor(B) ** 2).numpy(), B**2)
    assert_allclose((2 ** Tensor(A)).numpy(), 2**A)
    assert_allclose((Tensor(B) ** Tensor(A)).numpy(), B**A)


@pytest.mark.parametrize("operation", [operator.neg, operator.pos, abs])
def test_unary_operators(operation) -> None:
    assert_allclose(operation(Tensor(A)).numpy(), operation(A))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 2 - x,
        lambda x: 2 / x,
        lambda x: 2**x,
        lambda x: x**-2,
        lambda x: -x + abs(x),
        lambda x: x @ x,
        lambda x: 3 * x - x / 4 + 1,
    ],
)
def test_operators_have_derivatives(f) -> None:
    gradcheck(f, Tensor(A), order=2)


def test_methods_are_the_functions() -> None:
    x = Tensor(A)
    assert_allclose(x.exp().numpy(), tg.exp(x).numpy())
    assert_allclose(x.sum(axis=0).numpy(), tg.sum(x, axis=0).numpy())
    assert Tensor.exp is tg.exp


def test_membership_asks_whether_any_element_is_equal() -> None:
    assert 3.0 in Tensor(A)
    assert 7.0 not in Tensor(A)


def test_tensors_are_keys_by_identity() -> None:
    a, b = tg.ones(2), tg.ones(2)
    table = {a: 1, b: 2}
    assert (table[a], table[b]) == (1, 2)


# ---- to numbers and arrays --------------------------------------------------------------------


def test_one_element_is_a_number() -> None:
    x = tg.tensor([[2.5]])
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert type(x.item()) is float
    assert [10, 20, 30][tg.tensor(1)] == 20
    assert f"{tg.tensor(0.5).item():.2f}" == "0.50"
    assert math.sqrt(tg.tensor(4.0)) == 2


def test_tolist_and_numpy() -> None:
    x = tg.tensor([[1.0, 2.0]])
    assert x.tolist() == [[1.0, 2.0]]
    assert np.shares_memory(x.numpy(), x.data)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: tg.ones(2).item(), ValueError, r"item: shape \(2,\) has 2 elements, not one."),
        (lambda: float(tg.ones(2)), ValueError, r"item: shape \(2,\) has 2 elements"),
        (
            lambda: bool(tg.ones(2)),
            ValueError,
            r"bool: a tensor of shape \(2,\) is neither true nor",
        ),
        (lambda: bool(tg.ones(0)), ValueError, "neither true nor false"),
        (lambda: [0, 1][tg.tensor(1.0)], TypeError, "index: shape .* is not one integer"),
        (lambda: len(tg.tensor(1.0)), TypeError, "len: this tensor is one number"),
        (lambda: list(tg.tensor(1.0)), TypeError, "is one number and has no length"),
        (lambda: tg.ones(2, requires_grad=True).numpy(), RuntimeError, r"Write t.detach\(\).numpy"),
        (lambda: Tensor(np.ones((2, 3)))[5], IndexError, "out of bounds"),
    ],
)
def test_what_is_not_one_number(call, kind, text) -> None:
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.array(x),
        lambda x: np.asarray(x),
        lambda x: np.stack([x, x]),
        lambda x: np.concatenate([x, x]),
        lambda x: np.mean([x, x]),
    ],
)
def test_numpy_does_not_take_a_tensor_by_itself(call) -> None:
    with pytest.raises(TypeError) as error:
        call(tg.ones(2))
    assert str(error.value) == (
        "A Tensor does not turn into a NumPy array by itself; that would drop its graph. Use "
        "t.detach().numpy(), or the tinygrad_opt function of the same name."
    )


@pytest.mark.parametrize("function", [np.exp, np.add, np.matmul])
def test_a_ufunc_of_a_tensor_is_a_type_error(function) -> None:
    inputs = [tg.ones(2, 2)] * function.nin
    with pytest.raises(TypeError, match="does not support ufuncs"):
        function(*inputs)


@pytest.mark.parametrize("operation", [*BINARY, operator.pow, operator.eq, operator.lt])
def test_a_raw_array_next_to_a_tensor_says_wrap_it(operation) -> None:
    for a, b in ((tg.ones(2, 2), np.ones((2, 2))), (np.ones((2, 2)), tg.ones(2, 2))):
        with pytest.raises(
            TypeError, match=r"the other operand is a numpy.ndarray of shape \(2, 2\)"
        ):
            operation(a, b)


# ---- changing in place ------------------------------------------------------------------------


def test_plain_tensors_change_in_place() -> None:
    x = tg.tensor([1.0, 2.0, 3.0])
    array = x.data
    x += 1
    x *= tg.tensor([2.0, 1.0, 1.0])
    x -= 1.5
    x /= 2
    x[0] = 7.0
    x[1:] = tg.tensor([8.0, 9.0])
    x[x > 8.5] = 0.0
    x[tg.tensor([0])] = 5.0
    assert x.data is array
    assert x.tolist() == [5, 8, 0]
    assert x.dtype == np.float32


def test_parameters_change_in_place_under_no_grad() -> None:
    w = leaf([1.0, 2.0])
    with tg.no_grad():
        w -= 0.1 * w
        w[0] = 5.0
    assert w.is_leaf and w.requires_grad
    assert_allclose(w.detach().numpy(), [5.0, 1.8])


def in_place(x: Tensor) -> None:
    x += 1


def assign(x: Tensor) -> None:
    x[0] = 1.0


def test_a_leaf_that_needs_a_gradient_is_not_changed_while_recording() -> None:
    w = leaf([1.0])
    with pytest.raises(RuntimeError) as error:
        in_place(w)
    assert str(error.value) == (
        "w += ...: w requires a gradient. Change it under no_grad(), or let an optimizer do it."
    )
    w.name = "0.bias"
    with pytest.raises(RuntimeError, match=r"^0.bias \[...\] = ...: 0.bias requires a gradient"):
        assign(w)


@pytest.mark.parametrize("change", [in_place, assign])
def test_a_tensor_in_a_graph_is_never_changed(change) -> None:
    x = leaf([1.0]).relu()
    for mode in (tg.enable_grad(), tg.no_grad()):
        with (
            mode,
            pytest.raises(RuntimeError, match="x was made by relu and is part of a graph") as error,
        ):
            change(x)
        assert "Write a new tensor: x = x + ..." in str(error.value)


@pytest.mark.parametrize(
    "change", [lambda x, w: operator.iadd(x, w), lambda x, w: operator.setitem(x, 0, w[0])]
)
def test_a_value_with_a_gradient_is_not_written_into_memory(change) -> None:
    x, w = Tensor(np.zeros(2)), leaf([1.0, 2.0])
    with pytest.raises(
        RuntimeError, match="the value requires a gradient, which writing into memory"
    ):
        change(x, w)
    with tg.no_grad():
        change(x, w)
    assert x.tolist()[0] == 1


def test_integers_do_not_take_floats_in_place() -> None:
    n = tg.tensor([1, 2])
    for change in (operator.iadd, operator.imul, operator.itruediv):
        with pytest.raises(TypeError, match="int64 cannot hold the value, which is float32"):
            change(n, 0.5)
    n += 1
    assert n.tolist() == [2, 3]


def test_in_place_arithmetic_does_not_grow_a_tensor() -> None:
    with pytest.raises(ValueError, match="could not broadcast"):
        operator.iadd(tg.zeros(3), tg.ones(2, 3))


def test_new_data_keep_the_tensor() -> None:
    w = leaf([1.0, 2.0])
    w.data = [3.0, 4.0]
    assert w.tolist() == [3, 4]
    w.data = Tensor(np.array([5.0, 6.0]))
    assert w.tolist() == [5, 6]
    assert w.requires_grad and w.is_leaf


# ---- gradients --------------------------------------------------------------------------------


def test_requires_grad_can_be_asked_for_and_stopped() -> None:
    x = tg.ones(2)
    assert x.requires_grad_() is x
    assert (x * 2).requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match=r"only a leaf can stop tracking. Use t.detach\(\)"):
        (leaf(1.0) * 2).requires_grad_(False)


def test_clone_is_recorded_and_detach_is_not() -> None:
    x = leaf([1.0, 2.0])
    c = x.clone()
    assert not np.shares_memory(c.data, x.data)
    c.sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert not x.detach().requires_grad


# ---- devices and copies -----------------------------------------------------------------------


def test_to_its_own_device_is_itself() -> None:
    x = tg.ones(2)
    assert x.to("cpu") is x
    assert x.cpu() is x
    assert x.to("float64").dtype == np.float64
    assert x.to(np.float16).dtype == np.float16
    assert x.to(Device("cpu")) is x


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_leaf_can_be_copied_and_pickled(copied) -> None:
    x = leaf([1.0, 2.0])
    x.name = "w"
    y = copied(x)
    assert (y.tolist(), y.requires_grad, y.name, y.dtype, y.is_leaf) == (
        [1, 2], True, "w", np.float64, True,
    )  # fmt: skip
    (y * y).sum().backward()
    assert y.grad.tolist() == [2, 4]
    assert x.grad is None


def test_a_deep_copy_owns_its_memory_and_keeps_identity() -> None:
    x = leaf([1.0])
    x.sum().backward()
    a, b = copy.deepcopy([x, x])
    assert a is b
    assert not np.shares_memory(a.data, x.data)
    assert a.grad.tolist() == [1]
    assert not np.shares_memory(a.grad.data, x.grad.data)


def test_a_tensor_in_a_graph_is_not_copied() -> None:
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"deepcopy: only leaves can be copied"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match=r"pickle: only leaves can be saved"):
        pickle.dumps(y)


# ---- two devices ------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Device:
    """A second device, with NumPy behind it."""
    device = object.__new__(Device)
    device.kind, device.index, device.xp = "cuda", 0, np
    return device


def test_two_devices_do_not_mix(elsewhere: Device) -> None:
    a, b = tg.ones(2), tg.ones(2)
    b.device = elsewhere
    with pytest.raises(DeviceError) as error:
        _ = a * b
    assert str(error.value) == (
        "multiply: the first tensor is on cpu, the second on cuda:0. Nothing moves by itself: "
        'write a.to("cuda:0") or b.to("cpu").'
    )


def test_results_and_gradients_stay_on_the_device(elsewhere: Device) -> None:
    x = leaf([1.0, 2.0])
    x.device = elsewhere
    y = (x.exp() * 2).sum()
    y.backward()
    assert y.device is x.grad.device is elsewhere
    assert tg.grad((x * x).sum(), x, create_graph=True).device is elsewhere
    with pytest.raises(DeviceError, match=r"the tensor is on cuda:0. Write t.cpu\(\).numpy\(\)"):
        x.numpy()


def test_one_number_takes_a_format() -> None:
    assert f"{tg.tensor(2.34567):.2f}" == "2.35"
    assert f"{tg.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(ValueError):
        f"{tg.tensor([1.0, 2.0]):.2f}"


def test_a_device_and_a_dtype_at_once() -> None:
    moved = tg.tensor([1.0], requires_grad=True).to("cpu", "float64")
    assert moved.dtype == np.float64
    moved.sum().backward()


def test_methods_are_there_for_operators_too() -> None:
    x, y = tg.tensor([1.0, 5.0]), tg.tensor([2.0, 3.0])
    assert x.add(y).subtract(1).multiply(2).divide(4).power(2).negative().tolist() == [-1, -12.25]
    assert x.less(y).where(x, y).tolist() == [1, 3]
    assert [x.equal(y).any().item(), x.greater_equal(1).all().item()] == [False, True]


def test_dropout_by_its_short_name_draws_a_mask() -> None:
    assert set(tg.dropout(tg.ones(100), 0.5).tolist()) == {0.0, 2.0}
