"""SAM and ASAM: the gradient from nearby, the step from where one was."""

from __future__ import annotations

import pathlib
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, nn, ops, tensor
from tinygrad_opt.optim import ASAM, SAM, SGD, Accumulate, Adam, before_step, clip_grad_norm_

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_wrappers.py")))
ARRAYS = dict(np.load(ORACLE.ARRAYS))


def in_bowl() -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Parameters and the loss ½ pᵀ A p + 0.075 Σ p⁴; the closure leaves clearing to SAM."""
    matrix, start = ORACLE.bowl()
    params = [tensor(part, requires_grad=True) for part in (start[:4].reshape(2, 2), start[4:])]

    def closure() -> Tensor:
        p = ops.concatenate([p.reshape(-1) for p in params])
        loss = p.dot(tensor(matrix).matmul(p)) / 2 + 0.075 * (p**4).sum()
        loss.backward()
        return loss

    return params, closure


@pytest.mark.parametrize("name", ORACLE.SAM)
def test_it_is_that_of_pytorch_optimizer_and_optax(name: str) -> None:
    case = ORACLE.SAM[name]
    params, closure = in_bowl()
    kind = ASAM if case["adaptive"] else SAM
    optimizer = kind(SGD(params, **case["options"]), rho=case["rho"])
    for expected in ARRAYS[name]:
        optimizer.step(closure)
        row = ORACLE.row([p.detach() for p in params])
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [SAM, ASAM])
def test_without_a_radius_it_is_the_optimizer(kind: Any) -> None:
    params, closure = in_bowl()
    twins, twin_closure = in_bowl()
    optimizer, twin = kind(Adam(params, lr=0.1), rho=0), Adam(twins, lr=0.1)
    for _ in range(6):
        loss = optimizer.step(closure)
        twin.zero_grad()
        assert loss.item() == twin.step(twin_closure).item()
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(host(p), host(q))


def test_by_hand() -> None:
    w = tensor(np.array([3.0, 4.0]), requires_grad=True)

    def closure() -> Tensor:
        loss = (w * w).sum() / 2
        loss.backward()
        return loss

    assert SAM(SGD([w], lr=1.0), rho=0.5).step(closure).item() == 12.5
    np.testing.assert_allclose(host(w), [-0.3, -0.4], rtol=1e-12)  # w − (w + 0.5 w / 5)
    w.data = np.array([1.0, 2.0])
    ASAM(SGD([w], lr=1.0), rho=0.5).step(closure)
    np.testing.assert_allclose(host(w), -0.5 * np.array([1.0, 8.0]) / 17**0.5, rtol=1e-12)


def test_maximizing_looks_down_instead() -> None:
    w, v = (tensor(np.array([3.0]), requires_grad=True) for _ in range(2))

    def loss_of(p: Tensor, sign: float) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            loss = sign * (p**3).sum()
            loss.backward()
            return loss

        return closure

    SAM(SGD([w], lr=0.01, maximize=True), rho=0.5).step(loss_of(w, 1.0))
    SAM(SGD([v], lr=0.01), rho=0.5).step(loss_of(v, -1.0))
    assert w.item() == v.item() > 3


def test_parameters_come_back_to_the_bit_whatever_happens() -> None:
    params, closure = in_bowl()
    calls = []

    def failing() -> Tensor:
        if calls:
            raise OverflowError("the second time")
        calls.append(1)
        return closure()

    optimizer = SAM(SGD(params, lr=0.1, momentum=0.9), rho=0.7)
    before = [host(p).copy() for p in params]
    with pytest.raises(OverflowError):
        optimizer.step(failing)
    for p, array in zip(params, before, strict=True):
        np.testing.assert_array_equal(host(p), array)
    assert optimizer.step_count == 0


def test_batch_statistics_see_the_first_pass_only() -> None:
    rng = np.random.default_rng(0)
    x, y = tensor(rng.standard_normal((8, 3))), tensor(rng.standard_normal((8, 2)))

    def run(kind: str) -> Any:
        model = ORACLE.network(SimpleNamespace(nn=nn))
        model[0].weight.data, model[0].bias.data = np.ones((2, 3)), np.zeros(2)
        inner = SGD(model.parameters(), lr=0.1)

        def closure() -> Tensor:
            inner.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        (SAM(inner, rho=0.5, buffers=model.buffers()) if kind == "SAM" else inner).step(closure)
        return model

    plain, sharp = run("plain"), run("SAM")
    for a, b in zip(plain.buffers(), sharp.buffers(), strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    assert (host(plain[0].weight) != host(sharp[0].weight)).any()


def test_a_parameter_without_gradient_stays() -> None:
    w, v = (tensor(np.array([2.0]), requires_grad=True) for _ in range(2))
    optimizer = SAM(SGD([w, v], lr=0.1, weight_decay=0.5))
    optimizer.step(lambda: (w * w).sum().backward())
    assert v.item() == 2.0 and w.item() < 2.0
    optimizer.step(lambda: None)
    assert v.item() == 2.0


def test_hooks_see_the_gradient_that_is_stepped_with() -> None:
    w = tensor(np.array([3.0]), requires_grad=True)
    optimizer = SAM(SGD([w], lr=1.0), rho=0.5)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(w.grad.item()))
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))
    optimizer.step(lambda: (w * w / 2).sum().backward())
    assert seen == [pytest.approx(3.5)] and w.item() == pytest.approx(2.0, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_dtypes_stay(dtype: str) -> None:
    w = tensor(np.array([3.0, 1.0], dtype), requires_grad=True)
    optimizer = SAM(SGD([w], lr=0.125), rho=1.0)
    for slope in (200, 0):  # the squares of the first are too large for halves
        optimizer.step(lambda slope=slope: (w * slope).sum().backward())
    assert w.dtype == dtype and w.tolist() == [-22.0, -24.0]


@pytest.mark.parametrize("kind", [SAM, ASAM])
def test_it_cannot_do_without_a_closure(kind: Any) -> None:
    params, closure = in_bowl()
    text = f"{kind.__name__}.step: a closure is needed, for the gradient is computed twice."
    with pytest.raises(TypeError, match=text):
        kind(SGD(params)).step()
    with pytest.raises(TypeError, match=text):
        Accumulate(kind(SGD(params)), 1).step(closure)
    assert [p.grad for p in params] == [None, None]


def test_outside_of_an_accumulation_it_works() -> None:
    params, closure = in_bowl()
    twins, twin_closure = in_bowl()
    optimizer, twin = SAM(Accumulate(SGD(params, lr=0.1), 1)), SAM(SGD(twins, lr=0.1))
    optimizer.step(closure)
    twin.step(twin_closure)
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(host(p), host(q))
