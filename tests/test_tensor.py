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
from tests.helpers import host, share_memory
from tinygrad_opt import DeviceError, Tensor
from tinygrad_opt.device import Device, default_device, use_device
from tinygrad_opt.gradcheck import gradcheck


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


# ---- construction and properties --------------------------------------------------------------


def test_an_array_is_shared_by_tensor_and_copied_by_the_function() -> None:
    array = np.ones(3)
    assert np.shares_memory(Tensor(array).data, array)
    assert np.shares_memory(tg.from_numpy(array).data, array)
    assert not np.shares_memory(tg.tensor(array, device="cpu").data, array)


def test_a_copy_of_an_array_goes_to_the_default_device_and_that_of_a_tensor_stays() -> None:
    assert tg.tensor(np.ones(3)).device is default_device()
    assert tg.tensor(np.float32(3)).device is tg.tensor([1.0]).device is default_device()
    here = tg.ones(2, device="cpu")
    assert tg.tensor(here).device is Device("cpu")
    assert tg.tensor(here, device=default_device()).device is default_device()


def test_a_numpy_matrix_multiplies_like_any_array() -> None:
    matrix = np.ones((2, 2)).view(np.matrix)
    assert (tg.tensor(matrix) * tg.tensor(matrix)).tolist() == [[1, 1], [1, 1]]


def test_properties() -> None:
    x = tg.zeros(2, 3, requires_grad=True)
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert (x.dtype, x.device, x.is_leaf, x.requires_grad) == (
        np.float32,
        default_device(),
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


def named(text: str) -> str:
    """The text of a tensor on the device of the test, which only a GPU's tells."""
    device = default_device()
    return text.replace("@", "" if device.kind == "cpu" else f", device={device!r}")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tg.tensor([1.0, 2.5]), "tensor([1. , 2.5]@)"),
        (lambda: tg.tensor([1, 2]), "tensor([1, 2]@)"),
        (lambda: tg.tensor(np.ones(1)), "tensor([1.], dtype=float64@)"),
        (lambda: tg.tensor(2.0, requires_grad=True), "tensor(2.@, requires_grad=True)"),
        (lambda: tg.tensor(2.0, requires_grad=True) * 3, "tensor(6.@, made by multiply)"),
        (lambda: tg.ones(2, 1), "tensor([[1.],\n        [1.]]@)"),
    ],
)
def test_repr(make, text: str) -> None:
    assert repr(make()) == named(text)


def test_repr_of_one_of_several_outputs_names_its_maker() -> None:
    @tg.op(lambda xp, g, y, x: g[0] + g[1])
    def twins(xp, x):
        return x * 1, x * 1

    assert repr(twins(leaf(1.0))[1]) == named("tensor(1., dtype=float64@, made by twins)")


# ---- operators --------------------------------------------------------------------------------

A, B = np.array([[1.5, -2.0], [0.5, 3.0]]), np.array([[2.0, 1.0], [4.0, 0.5]])
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("operation", [*BINARY, *COMPARISONS])
def test_operators_are_numpys(operation) -> None:
    assert_allclose(host(operation(tg.tensor(A), tg.tensor(B))), operation(A, B))


@pytest.mark.parametrize("operation", [*BINARY[:4], *COMPARISONS])
def test_operators_with_numbers_on_either_side(operation) -> None:
    assert_allclose(host(operation(tg.tensor(A), 2)), operation(A, 2))
    assert_allclose(host(operation(2, tg.tensor(A))), operation(2, A))


def test_powers_on_either_side() -> None:
    assert_allclose(host(tg.tensor(B) ** 2), B**2)
    assert_allclose(host(2 ** tg.tensor(A)), 2**A)
    assert_allclose(host(tg.tensor(B) ** tg.tensor(A)), B**A)


@pytest.mark.parametrize("operation", [operator.neg, operator.pos, abs])
def test_unary_operators(operation) -> None:
    assert_allclose(host(operation(tg.tensor(A))), operation(A))


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
    gradcheck(f, tg.tensor(A), order=2)


def test_methods_are_the_functions() -> None:
    x = tg.tensor(A)
    assert_allclose(host(x.exp()), host(tg.exp(x)))
    assert_allclose(host(x.sum(axis=0)), host(tg.sum(x, axis=0)))
    assert Tensor.exp is tg.exp


def test_membership_asks_whether_any_element_is_equal() -> None:
    assert 3.0 in tg.tensor(A)
    assert 7.0 not in tg.tensor(A)


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
    here = tg.ones(2, device="cpu")
    assert here.numpy() is here.data


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
        (
            lambda: tg.ones(2, device="cpu", requires_grad=True).numpy(),
            RuntimeError,
            r"Write t.detach\(\).numpy",
        ),
        (lambda: tg.tensor(np.ones((2, 3)))[5], IndexError, "out of bounds"),
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
    t = tg.ones(2, 2)
    for raw in (np.ones((2, 2)), t.data):
        text = f"the other operand is a {type(raw).__module__}.ndarray of shape \\(2, 2\\). Wrap it"
        for a, b in ((t, raw), (raw, t)):
            with pytest.raises(TypeError, match=text):
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
    assert_allclose(host(w), [5.0, 1.8])


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
    x, w = tg.tensor(np.zeros(2)), leaf([1.0, 2.0])
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
    w.data = tg.tensor(np.array([5.0, 6.0]))
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
    assert not share_memory(c, x)
    c.sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert not x.detach().requires_grad


# ---- devices and copies -----------------------------------------------------------------------


def test_to_its_own_device_is_itself() -> None:
    x = tg.ones(2)
    assert x.to(default_device()) is x
    assert x.to(repr(default_device())) is x
    assert x.cpu().cpu().device is Device("cpu")
    assert x.to("float64").dtype == np.float64
    assert x.to(np.float16).dtype == np.float16


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
    assert not share_memory(a, x)
    assert a.grad.tolist() == [1]
    assert not share_memory(a.grad, x.grad)


def test_a_tensor_in_a_graph_is_not_copied() -> None:
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"deepcopy: only leaves can be copied"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match=r"pickle: only leaves can be saved"):
        pickle.dumps(y)


# ---- two devices ------------------------------------------------------------------------------


on_a_gpu = pytest.mark.on("standin", "kernels", "cuda")


@on_a_gpu
def test_two_devices_do_not_mix() -> None:
    a, b = tg.ones(2, device="cpu"), tg.ones(2)
    with pytest.raises(DeviceError) as error:
        _ = a * b
    assert str(error.value) == (
        "multiply: a is on cpu, b on cuda:0. Nothing moves by itself: write "
        'a.to("cuda:0") or b.to("cpu").'
    )


@on_a_gpu
def test_a_value_or_an_index_from_another_device_is_not_taken() -> None:
    here, there = tg.ones(2, device="cpu"), tg.ones(2)
    for x, value in ((here, there), (there, here), (there, np.ones(2)), (here, there.data)):
        with pytest.raises(DeviceError) as error:
            x[:] = value
        other = "cuda:0" if x is here else "cpu"
        assert str(error.value) == (
            f"x [...] = ...: x is on {x.device}, the value on {other}. Nothing moves by itself: "
            f'write tensor(value, device="{x.device}").'
        )
        index = tg.tensor([0], device=other)
        with pytest.raises(DeviceError) as error:
            x[index]
        assert str(error.value) == (
            f"getitem: the tensor is on {x.device}, the index on {other}. Nothing moves by itself: "
            f'write index.to("{x.device}").'
        )
        with pytest.raises(DeviceError, match=r"^x \[...\] = ...: the tensor is on"):
            x[index] = 0.0


def test_lists_and_numpy_arrays_are_indices_on_every_device() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    rows = np.array([1, 1])
    picked = x[rows]
    assert picked.tolist() == x[[1, 1]].tolist() == [[3, 4], [3, 4]]
    assert x[[]].shape == (0, 2) and x[[True, False]].tolist() == [[1, 2]]
    x[[0], [1]] = [7.0]
    x[np.array([False, True])] = 0.0
    assert x.tolist() == [[1, 7], [0, 0]]


def test_an_index_may_change_after_it_was_used() -> None:
    x, rows, places = leaf([1.0, 2.0]), np.array([0, 0]), [1, 1]
    y = x[rows].sum() + 3 * x[places].sum()
    rows[:], places[:] = 1, [0, 0]
    y.backward()
    assert x.grad.tolist() == [2, 6]


@on_a_gpu
def test_results_and_gradients_stay_on_the_device() -> None:
    x = leaf([1.0, 2.0])
    with use_device("cpu"):
        y = (x.exp() * 2).sum()
        y.backward()
        assert y.device is x.grad.device is x.device is not default_device()
        assert tg.grad((x * x).sum(), x, create_graph=True).device is x.device
    with pytest.raises(DeviceError, match=r"the tensor is on cuda:0. Write t.cpu\(\).numpy\(\)"):
        x.numpy()


def test_one_number_takes_a_format() -> None:
    assert f"{tg.tensor(2.34567):.2f}" == "2.35"
    assert f"{tg.tensor([1.0])}" == named("tensor([1.]@)")
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
