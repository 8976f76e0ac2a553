"""Gradients go right into the optimizer's buffer, unless somebody holds an earlier one."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import nn, optim
from tinygrad_opt.nn import functional as F


def network() -> tuple[nn.Sequential, optim.Optimizer, Any]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters())
    x, y = tg.randn(5, 4), tg.tensor([0, 1, 2, 0, 1])

    def backward() -> None:
        F.cross_entropy(model(x), y).backward()

    return model, optimizer, backward


def homes(optimizer: optim.Optimizer) -> list[Any]:
    return [home.array for flat in optimizer._storages[0].flats for home in flat.homes]


def at_home(model: nn.Module, optimizer: optim.Optimizer) -> list[bool]:
    pairs = zip(model.parameters(), homes(optimizer), strict=True)
    return [p.grad is not None and p.grad.data is array for p, array in pairs]


def test_the_gradients_of_layers_are_written_into_the_buffer() -> None:
    model, optimizer, backward = network()
    for _ in range(3):
        optimizer.zero_grad()
        backward()
        assert at_home(model, optimizer) == [True] * 4
        optimizer.step()


def test_a_gradient_that_is_held_stays_what_it_was() -> None:
    model, optimizer, backward = network()
    backward()
    held = [p.grad for p in model.parameters()]
    before = [host(g).copy() for g in held]
    optimizer.step()
    optimizer.zero_grad()
    backward()
    assert at_home(model, optimizer) == [False] * 4
    for g, was in zip(held, before, strict=True):
        np.testing.assert_array_equal(host(g), was)


def test_a_history_of_gradients_stays_what_it_was() -> None:
    model, optimizer, backward = network()
    held, before = [], []
    for _ in range(6):
        optimizer.zero_grad()
        backward()
        held += [p.grad for p in model.parameters()]
        before += [host(p.grad).copy() for p in model.parameters()]
        optimizer.step()
    for g, was in zip(held, before, strict=True):
        np.testing.assert_array_equal(host(g), was)


def pair() -> tuple[Any, Any, optim.Optimizer]:
    a, b = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    optimizer = optim.SGD([a.weight, b.weight], lr=1.0)
    (a(tg.tensor([[1.0, 2.0]])) + b(tg.tensor([[3.0, 4.0]]))).sum().backward()
    return a, b, optimizer


def test_gradients_may_change_places() -> None:
    a, b, optimizer = pair()
    before = [host(a.weight).copy(), host(b.weight).copy()]
    a.weight.grad, b.weight.grad = b.weight.grad, a.weight.grad
    optimizer.step()
    np.testing.assert_allclose(host(a.weight), before[0] - [[3, 4]], rtol=1e-6)
    np.testing.assert_allclose(host(b.weight), before[1] - [[1, 2]], rtol=1e-6)


def test_a_gradient_may_be_lent_to_another_parameter() -> None:
    a, b, optimizer = pair()
    before = host(b.weight).copy()
    b.weight.grad, a.weight.grad = a.weight.grad, None
    a(tg.tensor([[7.0, 8.0]])).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(host(b.weight), before - [[1, 2]], rtol=1e-6)


def test_a_sum_of_gradients_leaves_the_first_as_it_was() -> None:
    model, optimizer, backward = network()
    backward()
    held = [p.grad for p in model.parameters()]
    before = [host(g).copy() for g in held]
    backward()
    optimizer.step()
    for g, was in zip(held, before, strict=True):
        np.testing.assert_array_equal(host(g), was)


def test_a_method_of_second_order_leaves_the_gradient_alone() -> None:
    layer = nn.Linear(2, 1, bias=False)
    optimizer = optim.Newton(layer.parameters())
    x, seen = tg.tensor([[1.0, 2.0], [3.0, -1.0]]), []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (layer(x) - 1.0).square().mean()
        loss.backward(create_graph=True)
        seen.append(host(layer.weight.grad).copy())
        return loss

    optimizer.step(closure)
    np.testing.assert_array_equal(host(layer.weight.grad), seen[-1])


def test_a_view_holds_it_too_and_nothing_once_it_is_gone() -> None:
    model, optimizer, backward = network()
    backward()
    row = next(model.parameters()).grad[0]
    was = host(row).copy()
    optimizer.zero_grad()
    backward()
    assert at_home(model, optimizer) == [False, True, True, True]
    np.testing.assert_array_equal(host(row), was)
    del row
    optimizer.zero_grad()
    backward()
    assert at_home(model, optimizer) == [True] * 4


def test_a_second_pass_adds_and_the_sum_is_what_moves_the_parameters() -> None:
    model, optimizer, backward = network()
    backward()
    once = [host(p.grad).copy() for p in model.parameters()]
    backward()
    for p, g in zip(model.parameters(), once, strict=True):
        np.testing.assert_allclose(host(p.grad), 2 * g, rtol=1e-6)
    optimizer.step()
    flat = optimizer._storages[0].flats[0]
    np.testing.assert_allclose(
        host(flat.g), np.concatenate([2 * g.ravel() for g in once]), rtol=1e-6
    )


def test_grad_gives_arrays_of_the_callers_own() -> None:
    model, optimizer, _ = network()
    loss = model(tg.ones(2, 4)).sum()
    gradients = tg.grad(loss, list(model.parameters()))
    assert not any(g.data is home for g, home in zip(gradients, homes(optimizer), strict=True))


def test_a_parameter_that_is_used_twice_gets_the_sum() -> None:
    layer = nn.Linear(3, 3, bias=False)
    optimizer = optim.SGD(layer.parameters())
    x = tg.randn(4, 3)
    layer(layer(x)).sum().backward()
    w = host(layer.weight).astype("float64")
    a, ones = host(x).astype("float64"), np.ones((4, 3))
    wanted = ones.T @ (a @ w.T) + (ones @ w).T @ a
    np.testing.assert_allclose(host(layer.weight.grad), wanted, rtol=1e-4, atol=1e-5)
    optimizer.step()


def test_an_optimizer_that_is_gone_is_not_written_into() -> None:
    model, optimizer, backward = network()
    del optimizer
    backward()
    assert all(p.grad is not None for p in model.parameters())


def test_integers_as_inputs_still_give_gradients_of_the_weights_dtype() -> None:
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    layer(tg.tensor([[1, 2], [3, 4]])).sum().backward()
    assert host(layer.weight.grad).tolist() == [[4.0, 6.0]]
    assert layer.weight.grad.dtype == np.float32
    optimizer.step()


def test_a_float64_target_still_gives_gradients_of_the_weights_dtype() -> None:
    model, optimizer, _ = network()
    x, target = tg.randn(6, 4), tg.tensor(np.ones((6, 1)))
    ((model(x) - target) ** 2).mean().backward()
    found = [host(p.grad).copy() for p in model.parameters()]
    optimizer.zero_grad()
    ((model(x) - target.to("float32")) ** 2).mean().backward()
    for p, g in zip(model.parameters(), found, strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, host(p.grad), rtol=1e-4, atol=1e-6)
    optimizer.step()


def test_an_empty_batch_gives_zeros() -> None:
    layer = nn.Linear(2, 3)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    layer(tg.ones(1, 2)).sum().backward()  # leaves numbers in the buffer
    optimizer.zero_grad()
    layer(tg.zeros(0, 2)).sum().backward()
    assert not host(layer.weight.grad).any() and not host(layer.bias.grad).any()
