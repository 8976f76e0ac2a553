"""Operations of one's own through `op` and `fused`; how they are called; what their rules read."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_opt as tg
from tests.helpers import host, is_array, share_memory
from tinygrad_opt import Tensor, fused, op, ops
from tinygrad_opt.autograd import grad
from tinygrad_opt.gradcheck import gradcheck


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


@op(lambda xp, g, y, x: g * 3 * x**2)
def cube(xp, x):
    """x³."""
    return x**3


# ---- one's own --------------------------------------------------------------------------------


def test_an_operation_of_ones_own_has_gradients_of_gradients() -> None:
    x = leaf([1.0, 2.0])
    first = grad(cube(x).sum(), x, create_graph=True)
    second = grad(first.sum(), x, create_graph=True)
    third = grad(second.sum(), x)
    assert [first.tolist(), second.tolist(), third.tolist()] == [[3, 12], [6, 12], [6, 6]]
    gradcheck(cube, x, order=3)


def test_it_looks_like_any_function() -> None:
    assert cube.__name__ == "cube"
    assert cube.__doc__ == "x³."
    assert list(inspect.signature(cube).parameters) == ["x"]
    assert cube(tg.tensor([2.0])).dtype == np.float32
    assert cube(2.0).item() == 8


def test_broadcasting_is_undone_for_it() -> None:
    @op(lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a)
    def times(xp, a, b):
        return a * b

    gradcheck(times, leaf([[1.0], [2.0]]), leaf([3.0, 4.0, 5.0]), order=2)


def test_it_takes_parameters_with_defaults() -> None:
    @op(lambda xp, g, y, x, n=2, scale=1.0: g * scale * n * x ** (n - 1))
    def powered(xp, x, n=2, scale=1.0):
        return scale * x**n

    x = leaf([2.0])
    assert powered(x).tolist() == powered(x, 2).tolist() == powered(x, n=2).tolist() == [4]
    assert powered(x, 3, scale=10.0).tolist() == [80]
    gradcheck(lambda x: powered(x, 3, scale=10.0), x, order=2)


def test_inputs_may_be_given_by_name() -> None:
    a, b = leaf([5.0]), leaf([2.0])
    assert ops.subtract(a, b=b).tolist() == ops.subtract(b=b, a=a).tolist() == [3]
    assert ops.linear(leaf([[1.0]]), weight=leaf([[2.0]]), bias=leaf([3.0])).tolist() == [[5]]


def test_it_may_use_others_in_its_rule() -> None:
    @op(lambda xp, g, y, x: g * ops.sigmoid.within(xp, x))
    def softplus(xp, x):
        return xp.log(1 + xp.exp(x))

    gradcheck(softplus, leaf([-1.0, 2.0]), order=2)


def test_a_derivative_may_be_a_method() -> None:
    class Scaled:
        def slope(self, xp: Any, g: Any, y: Any, x: Any, n: int) -> Any:
            return g * n * y / x

        def chosen(self, xp: Any, g: Any, y: Any, x: Any, mask: Any) -> Any:
            return xp.where(mask, g, 0 * g)

    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    power = op(Scaled().slope)(lambda xp, x, n: x**n)
    power(x, n=3).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0, 27.0]
    x.grad = None
    kept = op(Scaled().chosen, None)(lambda xp, x, mask: x * mask)
    kept(x, tg.tensor([True, False, True])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


def test_an_input_without_a_derivative_gets_no_gradient() -> None:
    @op(lambda xp, g, y, x, mask: g * mask, None)
    def masked(xp, x, mask):
        return x * mask

    x, mask = leaf([1.0, 2.0]), leaf([0.0, 1.0])
    masked(x, mask).sum().backward()
    assert x.grad.tolist() == [0, 1]
    assert mask.grad is None
    assert not masked(x.detach(), mask).requires_grad


def test_any_number_of_inputs() -> None:
    def derivative(i):
        return lambda xp, g, y, *xs: g * y / xs[i]

    @op(each=derivative)
    def product(xp, *xs):
        return functools.reduce(lambda a, b: a * b, xs)

    gradcheck(product, leaf([2.0]), leaf([3.0]), leaf([4.0]), order=2)


# ---- several outputs --------------------------------------------------------------------------


@op(lambda xp, g, y, x: 2 * x * g[0] + y[1] * g[1])
def square_and_exp(xp, x):
    return x * x, xp.exp(x)


def test_several_outputs() -> None:
    gradcheck(square_and_exp, leaf([0.5, -1.0]), order=2)
    gradcheck(lambda x: square_and_exp(x)[1], leaf([0.5, -1.0]), order=2)


def test_unused_outputs_count_as_zeros() -> None:
    for order in (False, True):
        x = leaf([0.5, -1.0])
        first, second = square_and_exp(x)
        assert grad(first.sum(), x, create_graph=order).tolist() == [1, -2]
        assert_allclose(host(grad(second.sum(), x, create_graph=order)), np.exp([0.5, -1.0]))


def test_an_output_that_a_derivative_reads_is_counted_once_per_use() -> None:
    """With create_graph an output stands in the graph twice: as itself, and as read by a rule."""
    x = leaf([1.0, 2.0])
    first, second = square_and_exp(x)
    slope = grad((first + second).sum(), x, create_graph=True)
    total = grad((slope + second).sum(), x)
    assert_allclose(host(total), 2 + 2 * np.exp([1.0, 2.0]), rtol=1e-15)


def test_outputs_of_an_operation_share_no_gradient() -> None:
    @op(lambda xp, g, y, a, b: g[0], lambda xp, g, y, a, b: g[0])
    def sum_and_first(xp, a, b):
        return a + b, a * 1

    a, b = leaf([1.0]), leaf([2.0])
    sum_and_first(a, b)[0].sum().backward()
    assert not share_memory(a.grad, b.grad)


def test_numbers_among_outputs_become_tensors() -> None:
    @op(lambda xp, g, y, x: xp.broadcast_to(g[0] + g[1], x.shape))
    def two_sums(xp, x):
        return x.sum(), x.sum()

    x = leaf([1.0, 2.0])
    first, second = two_sums(x)
    assert is_array(first)
    (first * second).backward()
    assert x.grad.tolist() == [6, 6]


def test_outputs_without_a_graph_are_leaves() -> None:
    first, second = square_and_exp(tg.tensor([1.0]))
    assert first.is_leaf and second.is_leaf


# ---- fused ------------------------------------------------------------------------------------


def test_a_fused_operation_saves_what_its_rule_wants() -> None:
    @fused(lambda x: x / (1 + x * x), lambda xp, g, saved, x: g * (1 - x * x) * saved * saved)
    def bump(xp, x):
        saved = 1 / (1 + x * x)
        return x * saved, saved

    gradcheck(bump, leaf([0.3, -2.0]), order=2)


def test_a_fused_rule_that_is_not_its_composition_is_noticed() -> None:
    @fused(lambda x: x * x * x, lambda xp, g, y, x: 2 * g * x)
    def square(xp, x):
        return x * x

    with pytest.raises(AssertionError, match="is another with create_graph"):
        gradcheck(square, leaf([0.3, -2.0]), order=2)


# ---- what a rule reads ------------------------------------------------------------------------


def changed_in_between(rule) -> bool:
    """Whether a change of x between forward and backward is an error for this rule."""

    @op(rule)
    def f(xp, x):
        return x * 2

    x = leaf([1.0])
    y = f(x)
    x.data = np.array([5.0])
    try:
        y.backward()
    except RuntimeError:
        return True
    return False


def with_inner_function(xp, g, y, x):
    return (lambda: g * x)()


def after_an_assignment(xp, g, y, x):
    two = 2
    three = x
    return g * two + 0 * three


def of_shape_only(xp, g, y, x):
    return 2 * xp.broadcast_to(g, x.shape) + 0 * len(x.shape) + 0 * x.ndim


@functools.wraps(of_shape_only)
def wrapped(*args, **params):
    return of_shape_only(*args, **params)


@pytest.mark.parametrize(
    ("rule", "reads"),
    [
        (lambda xp, g, y, x: 2 * g, False),
        (lambda xp, g, y, x: 2 * g + 0 * y, False),
        (lambda xp, g, y, x: 2 * g + 0 * x, True),
        (of_shape_only, False),
        (with_inner_function, True),
        (after_an_assignment, True),
        (wrapped, True),
        (lambda xp, g, y, *xs: 2 * g, False),
        (lambda xp, g, y, *xs: 2 * g + 0 * xs[0], True),
        (lambda xp, g, y, x, *others: 2 * g + 0 * x, True),
        (lambda xp, g, *others: 2 * g + 0 * others[1], True),
        (functools.partial(lambda k, xp, g, y, x: k * g, 2), True),
    ],
)
def test_what_a_rule_reads_is_known_from_its_code(rule, reads: bool) -> None:
    assert changed_in_between(rule) is reads


def test_an_input_that_no_rule_reads_is_not_kept_alive() -> None:
    x = leaf(np.ones(3))
    y = (x * 1) + 1
    kept = y._node[3]
    assert kept == [(3,), ()]


def test_a_rule_that_forgets_an_argument_is_told_so() -> None:
    forgetful = op(lambda xp, g, x: g)(lambda xp, x: x * 1)
    with pytest.raises(TypeError, match=r"a derivative takes \(xp, g, x\). It gets xp, g, y, then"):
        forgetful(leaf(1.0))


# ---- wrong calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ops.exp(), "exp: the argument x is missing."),
        (lambda: ops.add(leaf(1.0)), "add: the argument b is missing."),
        (lambda: ops.linear(leaf([[1.0]])), "linear: the argument weight is missing."),
        (
            lambda: ops.add(leaf(1.0), 2, 3),
            r"add: takes at most 2 arguments \(a, b\), and was given 3",
        ),
        (lambda: ops.exp(leaf(1.0), base=2), "exp: .*unexpected keyword argument 'base'"),
        (lambda: ops.add(leaf(1.0), None), "add: the other operand is a NoneType. Wrap it"),
        (lambda: ops.add(leaf(1.0), "1"), "add: the other operand is a str. Wrap it"),
        (lambda: ops.add(leaf(1.0), 1j), "add: the other operand is a complex. Wrap it"),
        (lambda: ops.add(leaf(1.0), np.complex128(1j)), "add: the other operand is a complex"),
        (lambda: ops.add(leaf(1.0), [1.0]), "add: the other operand is a list. Wrap it"),
        (lambda: ops.exp(np.ones(3)), r"exp: the other operand is a numpy.ndarray of shape \(3,\)"),
    ],
)
def test_wrong_calls_are_sentences(call, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call()


def test_errors_of_numpy_keep_their_kind_and_name_the_operation() -> None:
    with pytest.raises(TypeError, match=r"^invert: "):
        ops.invert(leaf([1.0]))
    with pytest.raises(ValueError, match=r"^sum: there is no axis 2 among 1, which count"):
        ops.sum(leaf([1.0]), axis=2)
    with pytest.raises(ValueError, match=r"^reshape: cannot reshape"):
        ops.reshape(leaf([1.0]), 2)
    with pytest.raises(ValueError, match=r"^max: zero-size array"):
        ops.max(tg.zeros(0))


def test_a_forgotten_derivative_is_noticed() -> None:
    @tg.op
    def cube(xp, x):
        return x**3

    with pytest.raises(TypeError, match=r"Write @op\(derivative, …\) above a function"):
        cube(tg.tensor(2.0))
