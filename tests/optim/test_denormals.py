"""The guard against denormal numbers: what fades is zero in time, what lives is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_opt import Tensor, optim
from tinygrad_opt.optim import denormals
from tinygrad_opt.optim.denormals import BLOCK, INTERVAL

pytestmark = pytest.mark.on("cpu")  # the processor that is slow with them


def gradient(step: int, dtype: str, small: float = 1.0) -> Tensor:
    """Two live units, and one that dies after ten steps."""
    g = small * np.random.default_rng(step).standard_normal(3)
    return Tensor(np.where([True, True, step < 10], g, 0.0).astype(dtype))


def train(make: Any, steps: int, engine: str = "blocks", dtype: str = "float32", **kw: Any) -> Any:
    w = Tensor(np.ones(3, dtype), requires_grad=True)
    optimizer = make([w], engine=engine, **kw)
    for step in range(steps):
        w.grad = gradient(step, dtype)
        optimizer.step()
    return w, optimizer


def arrays(optimizer: Any, w: Tensor) -> list[Any]:
    state = optimizer.state_of(w)
    return [w.data, *(a for s, a in state.items() if s != "t")]


RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "Adam": (optim.Adam, {}),
    "momentum": (optim.SGD, {"momentum": 0.9}),
    "Adadelta": (optim.Adadelta, {}),
    "Lion": (optim.Lion, {}),
    "LAMB": (optim.LAMB, {}),  # a rule of whole tensors
}
every_rule = pytest.mark.parametrize("rule", RULES)


@every_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dead_unit_fades_to_zero_and_not_into_denormals(rule: str, dtype: str) -> None:
    make, options = RULES[rule]
    w, optimizer = train(make, 10, dtype=dtype, **options)
    tiny = np.finfo(dtype).tiny
    for a in arrays(optimizer, w)[1:]:
        a[2] *= 1.0 if dtype == "float32" else 1e-250  # the way is long there
    denormal = 0
    for step in range(10, 2_000):
        w.grad = gradient(step % 50 + 10, dtype)
        optimizer.step()
        denormal += any(0 < abs(a[2]) < tiny for a in arrays(optimizer, w)[1:])
    assert denormal <= (INTERVAL if rule == "Adadelta" else 0)  # whose u waits for its v
    faded = arrays(optimizer, w)[1]  # the first letter is the one that fades soonest
    assert faded[2] == 0 or rule == "Lion"  # which forgets a hundredth a step
    assert (faded[:2] != 0).all()


def test_squares_stay_while_the_average_that_they_divide_is_there() -> None:
    w = Tensor(np.ones(1, np.float32), requires_grad=True)
    optimizer = optim.Adam([w], lr=1e-3, betas=(0.9, 0.9), eps=1e-30)
    for step in range(2 * INTERVAL):
        w.grad = Tensor(np.array([1e-14 * (step % 2)], np.float32))
        optimizer.step()
    assert 0 < w.item() < 1


@every_rule
@pytest.mark.parametrize("engine", ["blocks", "reference"])
def test_the_guard_changes_no_bit_of_what_lives(
    rule: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, options = RULES[rule]
    guarded = arrays(*reversed(train(make, 1100, engine, **options)))
    monkeypatch.setattr(denormals.Guard, "clear", lambda *_: None)
    free = arrays(*reversed(train(make, 1100, engine, **options)))
    for a, b in zip(guarded, free, strict=True):
        np.testing.assert_array_equal(a[:2], b[:2])
    np.testing.assert_array_equal(guarded[0], free[0])  # nor of the parameters of what does not
    assert rule == "Lion" or 0 < abs(free[1][2]) < np.finfo(np.float32).tiny


def test_small_gradients_are_no_dead_ones() -> None:
    """At 10⁻¹² squares are 10⁻²⁷; with a small eps they matter."""
    w = Tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = optim.Adam([w], eps=1e-30)
    for step in range(1, INTERVAL + 1):
        w.grad = gradient(step % 10, "float32", small=1e-12)
        optimizer.step()
    assert (optimizer.state_of(w)["v"] > 1e-28).all()
    assert (np.abs(optimizer.state_of(w)["m"]) > 1e-16).all()


def test_all_engines_are_guarded_alike() -> None:
    for make, options in RULES.values():
        (w, optimizer), (u, other) = (
            train(make, 1_000, engine, "float64", **options) for engine in ("blocks", "reference")
        )
        for a, b in zip(arrays(optimizer, w), arrays(other, u), strict=True):
            assert ((a == 0) == (b == 0)).all()
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_a_run_that_was_interrupted_is_guarded_at_the_same_steps() -> None:
    w, optimizer = train(optim.Adam, 700)
    u = Tensor(w.data.copy(), requires_grad=True)
    again = optim.Adam([u], engine="blocks")
    again.load_state_dict(optimizer.state_dict())
    for step in range(700, 1100):
        w.grad, u.grad = gradient(step, "float32"), gradient(step, "float32")
        optimizer.step()
        again.step()
        for a, b in zip(arrays(optimizer, w), arrays(again, u), strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_no_number_stays_and_every_block_is_seen() -> None:
    size = BLOCK + 5
    w = Tensor(np.ones(size, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], momentum=0.9)
    w.grad = Tensor(np.zeros(size, np.float32))
    optimizer.step()
    b = optimizer.state_of(w)["b"]
    b[:] = 1e-30
    b[:4] = b[-4:] = [np.nan, np.inf, -np.inf, -1.0]
    for _ in range(1, INTERVAL):
        optimizer.step()
    assert np.isnan(b[[0, -4]]).all() and np.isinf(b[[1, 2, -3, -2]]).all()
    assert (b[[3, -1]] < 0).all() and not b[4:-4].any()


@pytest.mark.parametrize("momentum", [0.01, 0.6])
def test_what_fades_faster_is_cut_off_far_below_any_gradient(momentum: float) -> None:
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], momentum=momentum)
    w.grad = Tensor(np.array([1e-18, 1e-23], np.float32))
    for _ in range(INTERVAL):
        optimizer.step()
    b = optimizer.state_of(w)["b"]
    assert b[0] > 1e-18 and b[1] == 0


def test_halves_are_left_alone() -> None:
    w = Tensor(np.ones(3, np.float16), requires_grad=True)
    optimizer = optim.SGD([w], momentum=0.9)
    w.grad = Tensor(np.full(3, 1e-6, np.float16))
    for _ in range(INTERVAL):
        optimizer.step()
    assert (optimizer.state_of(w)["b"] != 0).all()
