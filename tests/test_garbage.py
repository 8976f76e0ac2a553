"""Nothing outlives its last user: the graph has no cycles, so it dies without the collector."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import Tensor, nn, op
from tinygrad_opt.autograd import grad
from tinygrad_opt.derivatives import hessian, hvp, jacobian, jvp, vjp
from tinygrad_opt.gradcheck import gradcheck
from tinygrad_opt.optim import Adam


def alive() -> int:
    """Tensors that exist; the collector looks at them and collects nothing."""
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """With the collector off, as many Tensors after as before."""
    gc.collect()
    gc.disable()
    try:
        before = alive()
        yield
        assert alive() == before
    finally:
        gc.enable()


@pytest.fixture
def w() -> Tensor:
    return tg.tensor(np.random.default_rng(0).standard_normal((3, 3)), requires_grad=True)


def loss_of(w: Tensor) -> Tensor:
    h = tg.tanh(w @ w) + tg.softmax(w) * w[0]
    return (h.reshape(-1) ** 2).mean() + w.norm() + tg.concatenate([w, h]).std()


def test_the_loss_dies_at_once(w: Tensor) -> None:
    loss = loss_of(w)
    loss.backward()
    watcher = weakref.ref(loss)
    gc.disable()
    try:
        del loss
        assert watcher() is None
    finally:
        gc.enable()


def test_after_a_backward_pass(w: Tensor) -> None:
    with nothing_left():
        loss_of(w).backward()
        w.grad = None


def test_after_a_forward_pass_alone(w: Tensor) -> None:
    with nothing_left():
        loss_of(w)


def test_after_create_graph(w: Tensor) -> None:
    with nothing_left():
        (g,) = grad(loss_of(w), [w], create_graph=True)
        (g * g).sum().backward()
        w.grad = None
        del g


def test_after_backward_with_create_graph(w: Tensor) -> None:
    """The one cycle, w -> w.grad -> its graph -> w, is cut by w.grad = None."""
    with nothing_left():
        loss_of(w).backward(create_graph=True)
        w.grad = None


def test_after_hooks_and_retained_gradients(w: Tensor) -> None:
    with nothing_left():
        h = w * 2
        h.retain_grad()
        remove = w.register_hook(lambda g: g * 2)
        (h * h).sum().backward()
        remove()
        w.grad = None
        del h, remove


@pytest.mark.parametrize("order", [False, True])
def test_after_an_exception_in_a_rule(w: Tensor, order: bool) -> None:
    @op(lambda xp, g, y, x: 1 / 0)
    def broken(xp, x):
        return x * 1

    with nothing_left():
        with contextlib.suppress(ZeroDivisionError):
            (broken(w * 2).sum() + w.sum()).backward(create_graph=order)
        w.grad = None


def test_after_an_exception_in_a_value(w: Tensor) -> None:
    with nothing_left(), contextlib.suppress(ValueError):
        (w * 2) @ tg.ones(7, dtype=np.float64)


def test_after_several_outputs(w: Tensor) -> None:
    @op(lambda xp, g, y, x: 2 * x * g[0] + y[1] * g[1])
    def square_and_exp(xp, x):
        return x * x, xp.exp(x)

    with nothing_left():
        first, second = square_and_exp(w)
        g = grad((first * second).sum(), w, create_graph=True)
        grad(g.sum(), w)
        del first, second, g


def test_after_functional_derivatives(w: Tensor) -> None:
    def f(w: Tensor) -> Tensor:
        return (w * w * w).sum()

    with nothing_left():
        v = tg.ones(3, 3, dtype=np.float64)
        results = jacobian(f, w), hessian(f, w), hvp(f, w, v), jvp(f, w, v), vjp(f, w)
        gradcheck(f, w, order=2)
        del v, results


def test_after_steps_of_training() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    x, labels = tg.randn(5, 4), tg.randint(0, 3, (5,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    step()
    with nothing_left():
        for _ in range(3):
            step()


def test_a_graph_lives_as_long_as_its_result() -> None:
    x = tg.tensor(np.array(3.0), requires_grad=True)
    y = x * x
    leaf = weakref.ref(x)
    del x
    assert leaf() is not None
    y.backward()
    assert leaf().grad.item() == 6
    del y
    assert leaf() is None
