"""Newton, conjugate gradients, Sophia and Polyak's step: what their theory promises."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, nn, ops, optim, tensor
from tinygrad_opt.optim import (
    SGD,
    ConjugateGradient,
    Newton,
    PolyakStep,
    SophiaG,
    SophiaH,
)

RNG = np.random.default_rng(11)
BASIS = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
SLOPES = np.array([0.1, 1.0, 3.0, 10.0, 100.0])
A = BASIS @ np.diag(SLOPES) @ BASIS.T
CENTER = RNG.standard_normal(5)


def parabola(*parts: Tensor) -> Tensor:
    """½ (x − c)ᵀ A (x − c), of parameters in a row."""
    x = ops.concatenate([ops.flatten(p) for p in parts]) - tensor(CENTER)
    return (x @ tensor(A) @ x) / 2


def rosenbrock(x: Tensor) -> Tensor:
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def closure_of(optimizer: Any, f: Callable[..., Tensor], *params: Tensor) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = f(*params)
        loss.backward()
        return loss

    return closure


def descend(kind: Any, f: Any, *starts: Any, steps: int, **options: Any) -> list[Any]:
    """The place after each step."""
    params = [tensor(np.array(s, float), requires_grad=True) for s in starts]
    optimizer = kind(params, **options)
    places = []
    for _ in range(steps):
        optimizer.step(closure_of(optimizer, f, *params))
        places.append(np.concatenate([host(p).ravel() for p in params]))
    return places


# ---- Newton -----------------------------------------------------------------------------------


EXACT = {"damping": 0.0, "tolerance": 1e-14}


def test_newton_solves_any_parabola_in_one_step() -> None:
    (place,) = descend(Newton, parabola, np.zeros((2, 2)), np.zeros(1), steps=1, **EXACT)
    np.testing.assert_allclose(place, CENTER, rtol=1e-9)


def test_newtons_first_steps_down_rosenbrocks_valley_are_the_known_ones() -> None:
    """Full steps go to (−1.1753, 1.3807) and (0.7631, −3.1750); the second goes up."""
    first, second = descend(Newton, rosenbrock, [-1.2, 1.0], steps=2, **EXACT)
    np.testing.assert_allclose(first, [-1.17528090, 1.38067416], rtol=1e-7)
    full = np.array([0.76311487, -3.17503385]) - first
    part = (second - first) / full
    assert part[0] == pytest.approx(part[1], rel=1e-6) == pytest.approx(0.125)
    *_, last = descend(Newton, rosenbrock, [-1.2, 1.0], steps=25, **EXACT)
    np.testing.assert_allclose(last, [1, 1], atol=1e-12)


def test_a_step_that_gains_less_than_its_slope_promises_is_halved() -> None:
    """From 1 the full step down √(1 + x²) leads to −1, where the loss is the same."""
    (place,) = descend(Newton, lambda x: (1 + x * x).sqrt().sum(), [1.0], steps=1, **EXACT)
    assert place == pytest.approx(0, abs=1e-12)


def test_newton_leaves_a_saddle_point_that_the_full_step_runs_into() -> None:
    def saddle(x: Tensor) -> Tensor:
        return x[0] ** 2 - x[1] ** 2 + x[1] ** 4

    *_, last = descend(Newton, saddle, [1.0, 0.01], steps=30)
    np.testing.assert_allclose(last, [0, 0.5**0.5], atol=1e-3)


@pytest.mark.parametrize("kind", [Newton, ConjugateGradient])
def test_the_loss_never_rises(kind: Any) -> None:
    def waves(x: Tensor) -> Tensor:
        return (ops.sin(3 * x) + x * x / 4).sum()

    for start in ([2.0, -1.0], [0.5, 3.0], [-3.0, 0.1]):
        places = descend(kind, waves, start, steps=12)
        losses = [waves(tensor(place)).item() for place in places]
        assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("kind", [Newton, ConjugateGradient])
def test_climbing_f_is_descending_minus_f(kind: Any) -> None:
    def minus(x: Tensor) -> Tensor:
        return -rosenbrock(x)

    down = descend(kind, rosenbrock, [-1.2, 1.0], steps=4)
    up = descend(kind, minus, [-1.2, 1.0], steps=4, maximize=True)
    np.testing.assert_allclose(up, down, rtol=1e-12)


@pytest.mark.parametrize("kind", [Newton, ConjugateGradient, PolyakStep, optim.LBFGS])
def test_a_layer_takes_the_steps_of_its_formula(kind: Any) -> None:
    """Trials compute its gradient into the very memory from which the rule reads."""
    layer = nn.Linear(3, 4).to("float64")
    w, b = tensor(layer.weight, requires_grad=True), tensor(layer.bias, requires_grad=True)
    x, y = tensor(INPUTS), tensor(LABELS)
    for optimizer, logits in (
        (kind(layer.parameters()), lambda: layer(x)),
        (kind([w, b]), lambda: x @ w.T + b),
    ):

        def closure(optimizer: Any = optimizer, logits: Any = logits) -> Any:
            optimizer.zero_grad()
            loss = ops.cross_entropy(logits(), y)
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
    np.testing.assert_allclose(host(layer.weight), host(w), rtol=1e-9)
    np.testing.assert_allclose(host(layer.bias), host(b), rtol=1e-9, atol=1e-12)


# ---- conjugate gradients ----------------------------------------------------------------------


def test_conjugate_gradients_solve_a_parabola_of_five_numbers_in_five_steps() -> None:
    places = descend(ConjugateGradient, parabola, np.zeros((2, 2)), np.zeros(1), steps=5)
    errors = [np.linalg.norm(place - CENTER) for place in places]
    assert errors[3] > 1e-3 and errors[4] < 1e-9
    plain = descend(SGD, parabola, np.zeros(5), steps=5, lr=0.015)
    assert np.linalg.norm(plain[-1] - CENTER) > 0.5


def test_its_directions_leave_each_other_alone() -> None:
    w = tensor(np.zeros(5), requires_grad=True)
    optimizer = ConjugateGradient([w])
    directions = []
    for _ in range(4):
        optimizer.step(closure_of(optimizer, parabola, w))
        directions.append(host(optimizer.state_of(w)["d"]).copy())
    product = np.array(directions) @ A @ np.array(directions).T
    sizes = np.sqrt(np.diag(product))
    np.testing.assert_allclose(product / sizes / sizes[:, None], np.eye(4), atol=1e-8)


def test_conjugate_gradients_go_on_from_a_checkpoint() -> None:
    w = tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer = ConjugateGradient([w])
    for _ in range(3):
        optimizer.step(closure_of(optimizer, rosenbrock, w))
    v = tensor(w, requires_grad=True)
    other = ConjugateGradient([v])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        optimizer.step(closure_of(optimizer, rosenbrock, w))
        other.step(closure_of(other, rosenbrock, v))
    assert v.tolist() == w.tolist()


def test_an_error_in_the_closure_leaves_parameters_where_they_were() -> None:
    w = tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer = ConjugateGradient([w])
    inner, calls = closure_of(optimizer, rosenbrock, w), 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyError("data")
        return inner()

    with pytest.raises(KeyError, match="data"):
        optimizer.step(closure)
    assert w.tolist() == [-1.2, 1.0]


# ---- Polyak -----------------------------------------------------------------------------------


def test_polyaks_step_halves_the_distance_on_a_round_bowl() -> None:
    def bowl(x: Tensor) -> Tensor:
        return (x * x).sum() / 2

    places = descend(PolyakStep, bowl, [4.0, -8.0], steps=3)
    np.testing.assert_allclose(places, [[2, -4], [1, -2], [0.5, -1]])
    places = descend(PolyakStep, bowl, [4.0, -8.0], steps=1, lr=0.25)
    np.testing.assert_allclose(places, [[3, -6]])


def test_polyaks_step_stays_at_the_minimum() -> None:
    def bowl(x: Tensor) -> Tensor:
        return (x * x).sum() / 2 + 3

    assert descend(PolyakStep, bowl, [0.0], steps=2, f_star=3.0) == [0.0, 0.0]
    assert descend(PolyakStep, bowl, [1.0], steps=1, f_star=9.0) == [1.0], "it is below already"


# ---- Sophia -----------------------------------------------------------------------------------


def classify(w: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of a linear model and its logits; its Hessian is its Gauss–Newton matrix."""
    logits = tensor(INPUTS) @ w
    return ops.cross_entropy(logits, tensor(LABELS)), logits


INPUTS = RNG.standard_normal((30, 3))
LABELS = RNG.integers(0, 4, 30)


@pytest.mark.on("cpu", "cuda")  # a mean over more estimates than a stand-in has the time for
@pytest.mark.parametrize("kind", [SophiaH, SophiaG])
def test_the_mean_of_the_estimates_is_the_diagonal_of_the_hessian(kind: Any) -> None:
    w = tensor(np.linspace(-0.4, 0.4, 12).reshape(3, 4), requires_grad=True)
    H = host(tg.hessian(lambda w: classify(w)[0], w)).reshape(12, 12)
    optimizer = kind([w])
    loss, logits = classify(w)
    returned = loss if kind is SophiaH else (loss, logits)
    mean = np.mean([host(optimizer.estimate(returned, [w])[0]) for _ in range(1500)], axis=0)
    np.testing.assert_allclose(mean.ravel(), np.diag(H), atol=0.03)  # 4 standard errors


def test_hutchinsons_estimate_of_a_diagonal_is_exact() -> None:
    w = tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    optimizer = SophiaH([w], betas=(0.9, 0.0), update_period=2)
    optimizer.step(closure_of(optimizer, lambda w: (w**3).sum(), w))
    np.testing.assert_allclose(host(optimizer.state_of(w)["h"]), [6, 12, 18])
    before = optimizer.state_of(w)["h"].copy()
    optimizer.step(closure_of(optimizer, lambda w: (w**4).sum(), w))
    assert (optimizer.state_of(w)["h"] == before).all(), "not in every step"
    optimizer.step(closure_of(optimizer, lambda w: (w**2).sum(), w))
    np.testing.assert_allclose(host(optimizer.state_of(w)["h"]), [2, 2, 2])


def test_climbing_turns_the_curvature_around() -> None:
    w = tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = SophiaH([w], betas=(0.9, 0.0), maximize=True)
    optimizer.step(closure_of(optimizer, lambda w: -(w**2).sum(), w))
    np.testing.assert_allclose(host(optimizer.state_of(w)["h"]), [2, 2])


@pytest.mark.parametrize("kind", [SophiaH, SophiaG])
def test_sophia_trains_a_network_on_its_own_estimates(kind: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
    optimizer = kind(model.parameters(), lr=0.02)

    def closure() -> Any:
        optimizer.zero_grad()
        logits = model(tensor(INPUTS.astype(np.float32)))
        loss = ops.cross_entropy(logits, tensor(LABELS))
        loss.backward()
        return loss if kind is SophiaH else (loss, logits)

    losses = [optimizer.step(closure).item() for _ in range(60)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_ready_estimate_may_leave_parameters_out() -> None:
    a, b = (tensor(np.ones(2), requires_grad=True) for _ in range(2))
    optimizer = SophiaG([a, b], betas=(0.9, 0.5))
    a.grad = b.grad = tensor(np.ones(2))
    optimizer.step(hessian=[tensor(np.array([2.0, 4.0])), None])
    assert optimizer.state_of(a)["h"].tolist() == [1.0, 2.0]
    assert optimizer.state_of(b)["h"].tolist() == [0.0, 0.0]
    optimizer.step()  # none is due before the eleventh
    assert optimizer.state_of(a)["h"].tolist() == [1.0, 2.0]


def test_hooks_are_called_around_a_step_of_sophia() -> None:
    w = tensor(np.ones(2), requires_grad=True)
    optimizer, seen = SophiaH([w]), []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    w.grad = tensor(np.ones(2))
    optimizer.step(hessian=[np.ones(2)])
    assert seen == ["before", "after"] and optimizer.step_count == 1


# ---- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Newton, ConjugateGradient, PolyakStep])
def test_a_closure_is_needed(kind: Any) -> None:
    w = tensor([1.0], requires_grad=True)
    w.grad = tensor([1.0])
    text = f"{kind.__name__}\\.step: .* Write step\\(closure\\); a closure clears the gradients"
    with pytest.raises(TypeError, match=text):
        kind([w]).step()
    assert w.tolist() == [1.0]


def test_what_sophia_needs_is_told() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    w.grad = tensor([1.0, 1.0])
    h, g = SophiaH([w]), SophiaG([w])
    with pytest.raises(TypeError, match=r"SophiaH\.step: the curvature is due, and the graph of"):
        h.step()
    with pytest.raises(TypeError, match=r"SophiaG\.step: the curvature is due, and labels are"):
        g.step(closure_of(g, lambda w: (w * w).sum(), w))
    with pytest.raises(ValueError, match="hessian has 2 arrays, and there are 1 parameters"):
        h.step(hessian=[np.ones(2), np.ones(2)])
    with pytest.raises(ValueError, match=r"hessian has shape \(3,\) for parameter 0, which is"):
        h.step(hessian=[np.ones(3)])
    assert w.tolist() == [1.0, 2.0] and h.state_of(w) == {"t": 0}


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (Newton, {"damping": -1}, "Newton: damping is -1; it has to be at least 0."),
        (SophiaH, {"update_period": 0}, "SophiaH: update_period is 0; it has to be an integer"),
        (PolyakStep, {"f_star": float("nan")}, "PolyakStep: f_star is nan; it has to be a number."),
    ],
)
def test_options_out_of_range_are_told(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        kind([tensor([1.0], requires_grad=True)], **options)
