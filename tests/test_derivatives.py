"""Derivatives of functions: vjp, jvp, jacobian, hessian, hvp, value_and_grad."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, ops
from tinygrad_opt.autograd import grad
from tinygrad_opt.derivatives import hessian, hvp, jacobian, jvp, value_and_grad, vjp

A = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])


def plain(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64))


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


def curve(x: Tensor) -> Tensor:
    """(3,) -> (2,)."""
    return plain(A) @ (x * x) + x[0] * x[1:].sin()


def bowl(x: Tensor) -> Tensor:
    """(3,) -> one number, with a full Hessian."""
    return (x.exp() * x.flip()).sum() + (x * x).sum() * x[1]


def along(f, x: Tensor, v: Tensor, h: float = 1e-6) -> np.ndarray:
    """A central difference."""
    return (host(f(x + h * v)) - host(f(x - h * v))) / (2 * h)


@pytest.fixture
def X() -> Tensor:
    return plain([0.3, -1.2, 0.7])


@pytest.fixture
def V() -> Tensor:
    return plain([1.0, 0.5, -2.0])


# ---- products ---------------------------------------------------------------------------------


def test_vjp_gives_the_value_and_a_function_of_cotangents(X: Tensor) -> None:
    y, pull = vjp(curve, X)
    assert_allclose(host(y), host(curve(X)))
    j = host(jacobian(curve, X))
    for c in ([1.0, 0.0], [0.3, -2.0]):
        assert_allclose(host(pull(plain(c))), np.array(c) @ j, rtol=1e-14)


def test_jvp_agrees_with_differences(X: Tensor, V: Tensor) -> None:
    y, change = jvp(curve, X, V)
    assert_allclose(host(y), host(curve(X)))
    assert_allclose(host(change), along(curve, X, V), rtol=1e-8)
    assert_allclose(host(change), host(jacobian(curve, X)) @ host(V), rtol=1e-14)


@pytest.mark.parametrize("f", [ops.exp, ops.softmax, ops.sigmoid, ops.cumsum, ops.relu, ops.flip])
def test_jvp_and_vjp_are_each_others_mirror_image(f, X: Tensor, V: Tensor) -> None:
    random = np.random.default_rng(0)
    c = plain(random.standard_normal(3))
    _, change = jvp(f, X, V)
    _, pull = vjp(f, X)
    assert_allclose((c * change).sum().item(), (pull(c) * V).sum().item(), rtol=1e-13)


def test_hvp_agrees_with_the_explicit_hessian(X: Tensor, V: Tensor) -> None:
    h = host(hessian(bowl, X))
    assert_allclose(h, h.T, rtol=1e-13)
    assert_allclose(host(hvp(bowl, X, V)), h @ host(V), rtol=1e-13)
    assert_allclose(
        host(hvp(bowl, X, V)), along(lambda x: vjp(bowl, x)[1](plain(1.0)), X, V), rtol=1e-7
    )


# ---- whole matrices ---------------------------------------------------------------------------


def test_jacobian_has_the_shape_of_output_and_input(X: Tensor) -> None:
    j = jacobian(lambda x: x.reshape(2, 3) ** 2, plain(np.arange(6.0)))
    assert j.shape == (2, 3, 6)
    assert_allclose(host(j).reshape(6, 6), np.diag(2 * np.arange(6.0)))
    assert jacobian(bowl, X).shape == (3,)
    assert jacobian(lambda x: x * x, plain(3.0)).tolist() == 6


def test_hessian_of_a_quadratic_form_is_its_matrix() -> None:
    m = np.array([[2.0, 1.0], [1.0, -3.0]])
    assert_allclose(host(hessian(lambda x: x @ (plain(m) @ x) / 2, plain([5.0, 7.0]))), m)


def test_hessian_of_a_linear_function_is_zero(X: Tensor, V: Tensor) -> None:
    assert hessian(lambda x: x.sum(), X).tolist() == np.zeros((3, 3)).tolist()
    assert hvp(lambda x: x.sum(), X, V).tolist() == [0, 0, 0]


def test_hessian_of_cross_entropy_is_what_the_textbook_says() -> None:
    logits = plain([[1.0, 2.0, 3.0]])
    p = np.exp([1.0, 2, 3]) / np.exp([1.0, 2, 3]).sum()
    h = hessian(lambda z: tg.cross_entropy(z, tg.tensor([1])), logits)
    assert_allclose(host(h).reshape(3, 3), np.diag(p) - np.outer(p, p), atol=1e-15)


# ---- several inputs and outputs ---------------------------------------------------------------


def test_several_inputs_give_tuples() -> None:
    a, b = plain([1.0, 2.0]), plain([3.0, 4.0])

    def f(a: Tensor, b: Tensor) -> Tensor:
        return (a * a * b).sum()

    value, (da, db) = value_and_grad(f)(a, b)
    assert (value.item(), da.tolist(), db.tolist()) == (19, [6, 16], [1, 4])
    (aa, ab), (ba, bb) = hessian(f, a, b)
    assert aa.tolist() == [[6, 0], [0, 8]]
    assert ab.tolist() == ba.tolist() == [[2, 0], [0, 4]]
    assert bb.tolist() == [[0, 0], [0, 0]]
    va, vb = hvp(f, (a, b), (plain([1.0, 0.0]), plain([0.0, 1.0])))
    assert (va.tolist(), vb.tolist()) == ([6, 4], [2, 0])
    ja, jb = jacobian(lambda a, b: a * b, a, b)
    assert (ja.tolist(), jb.tolist()) == ([[3, 0], [0, 4]], [[1, 0], [0, 2]])
    y, change = jvp(lambda a, b: a * b, (a, b), (plain([1.0, 0.0]), plain([0.0, 1.0])))
    assert (y.tolist(), change.tolist()) == ([3, 8], [3, 2])


def test_several_outputs_take_and_give_tuples(V: Tensor) -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return x * x, x.sum()

    (square, total), pull = vjp(f, V)
    assert (square.tolist(), total.item()) == ([1, 0.25, 4], -0.5)
    assert pull(plain([1.0, 1.0, 1.0]), plain(10.0)).tolist() == [12, 11, 6]
    _, (d_square, d_total) = jvp(f, V, plain([1.0, 0.0, 0.0]))
    assert (d_square.tolist(), d_total.item()) == ([2, 0, 0], 1)


def test_an_unused_input_and_a_constant_have_zeros() -> None:
    a, b = plain([1.0, 2.0]), plain([3.0])
    assert vjp(lambda a, b: a * 1, a, b)[1](plain([1.0, 1.0]))[1].tolist() == [0]
    assert jacobian(lambda a: plain([1.0, 2.0, 3.0]), a).tolist() == [[0, 0]] * 3
    assert jvp(lambda a: plain(1.0), a, a)[1].item() == 0
    assert value_and_grad(lambda a: plain(1.0))(a)[1].tolist() == [0, 0]


def test_an_empty_output_has_an_empty_jacobian(X: Tensor) -> None:
    assert jacobian(lambda x: x[:0], X).shape == (0, 3)


# ---- purity -----------------------------------------------------------------------------------


def test_results_are_detached_and_inputs_left_alone(X: Tensor, V: Tensor) -> None:
    x = leaf([0.3, -1.2, 0.7])
    y, pull = vjp(curve, x)
    results = [
        y,
        pull(plain([1.0, 1.0])),
        *jvp(curve, x, V),
        jacobian(curve, x),
        hessian(bowl, x),
        hvp(bowl, x, V),
        *value_and_grad(bowl)(x),
    ]
    assert not any(result.requires_grad for result in results)
    assert x.grad is None
    assert not X.requires_grad


def test_with_create_graph_results_can_be_differentiated() -> None:
    x = leaf(2.0)

    def f(x: Tensor) -> Tensor:
        return x**4

    assert grad(value_and_grad(f, create_graph=True)(x)[1], x).item() == 48
    assert grad(vjp(f, x, create_graph=True)[1](plain(1.0)), x).item() == 48
    assert grad(jvp(f, x, plain(1.0), create_graph=True)[1], x).item() == 48
    assert grad(jacobian(f, x, create_graph=True), x).item() == 48
    assert grad(hessian(f, x, create_graph=True), x).item() == 48
    assert grad(hvp(f, x, plain(1.0), create_graph=True), x).item() == 48


def test_they_nest_to_any_order() -> None:
    def derivative(f):
        return lambda x: value_and_grad(f, create_graph=True)(x)[1]

    f, t = ops.tanh, np.tanh(0.4)
    for expected in (1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2)):
        f = derivative(f)
        assert_allclose(host(f(plain(0.4))), expected, rtol=1e-14)


def test_they_work_under_no_grad() -> None:
    with tg.no_grad():
        assert jacobian(lambda x: x * x, plain(3.0)).item() == 6
        assert hessian(lambda x: x**3, plain(2.0)).item() == 12
        assert hvp(lambda x: x**3, plain(2.0), plain(1.0)).item() == 12
        assert jvp(lambda x: x**3, plain(2.0), plain(1.0))[1].item() == 12
        assert value_and_grad(lambda x: x**3)(plain(2.0))[1].item() == 12


def test_float32_stays_float32() -> None:
    x = tg.tensor([1.0, 2.0])
    for result in (
        jacobian(ops.exp, x),
        hessian(lambda x: x.exp().sum(), x),
        jvp(ops.exp, x, x)[1],
    ):
        assert result.dtype == np.float32


# ---- wrong calls ------------------------------------------------------------------------------


def test_a_hessian_wants_one_number(X: Tensor, V: Tensor) -> None:
    for call in (
        lambda: hessian(curve, X),
        lambda: hvp(curve, X, V),
        lambda: value_and_grad(curve)(X),
    ):
        with pytest.raises(RuntimeError, match=r"result has shape \(2,\), not one number"):
            call()


def test_a_vector_for_each_input(X: Tensor, V: Tensor) -> None:
    with pytest.raises(ValueError, match="jvp: there are 1 inputs and 2 vectors for them"):
        jvp(curve, X, (V, V))
    with pytest.raises(ValueError, match="vjp: there are 1 outputs and 0 vectors for them"):
        vjp(curve, X)[1]()
    with pytest.raises(ValueError, match=r"has shape \(2,\), not \(3,\)"):
        hvp(bowl, X, plain([1.0, 2.0]))


def test_integers_have_no_derivative() -> None:
    with pytest.raises(TypeError, match="int64 data has no gradient"):
        jacobian(lambda x: x * 1.0, tg.tensor([1, 2]))
