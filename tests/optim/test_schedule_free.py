"""Schedule-free rules: three points, two of which take turns in the parameters."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, tensor
from tinygrad_opt.optim import AdamWScheduleFree, Lookahead, SGDScheduleFree

BOTH = pytest.mark.parametrize("kind", [SGDScheduleFree, AdamWScheduleFree])
GRADIENTS = np.random.default_rng(7).standard_normal((9, 3))


def start(kind: Any, **options: Any) -> tuple[Tensor, Any]:
    w = tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)
    return w, kind([w], **({"lr": 0.1} | options))


def step(w: Tensor, optimizer: Any, g: Any) -> None:
    w.grad = tensor(np.array(g))
    optimizer.step()


def test_with_a_constant_rate_the_result_is_the_mean_of_the_path() -> None:
    w, optimizer = start(SGDScheduleFree)
    path = []
    for g in GRADIENTS:
        step(w, optimizer, g)
        path.append(host(optimizer.state_of(w)["z"]).copy())
    optimizer.eval()
    np.testing.assert_allclose(host(w), np.mean(path, axis=0), rtol=1e-14)
    np.testing.assert_allclose(path, [1, -2, 3] - 0.1 * np.cumsum(GRADIENTS, axis=0), rtol=1e-13)


@BOTH
def test_gradients_are_taken_between_the_path_and_its_mean(kind: Any) -> None:
    w, optimizer = start(kind, **{"momentum": 0.7} if kind is SGDScheduleFree else {})
    beta = 0.7 if kind is SGDScheduleFree else 0.9
    for g in GRADIENTS:
        step(w, optimizer, g)
        y, z = host(w).copy(), host(optimizer.state_of(w)["z"]).copy()
        optimizer.eval()
        np.testing.assert_allclose(y, (1 - beta) * z + beta * host(w), rtol=1e-12)
        optimizer.train()
        np.testing.assert_allclose(host(w), y, rtol=1e-12)


@BOTH
def test_switching_twice_is_switching_once_and_a_step_needs_training(kind: Any) -> None:
    w, optimizer = start(kind)
    step(w, optimizer, GRADIENTS[0])
    step(w, optimizer, GRADIENTS[1])
    optimizer.train()
    y = host(w).copy()
    optimizer.eval()
    x = host(w).copy()
    optimizer.eval()
    assert host(w).tolist() == x.tolist() != y.tolist()
    before = copy.deepcopy(optimizer.state_dict())
    text = f"{kind.__name__}.step: the parameters hold the mean of the path, which is for testing."
    with pytest.raises(RuntimeError, match=re.escape(text)):
        optimizer.step()
    assert str(before) == str(optimizer.state_dict()) and host(w).tolist() == x.tolist()


@BOTH
def test_a_parameter_that_never_moved_stays_when_others_are_switched(kind: Any) -> None:
    still = tensor([5.0], requires_grad=True)
    w, optimizer = start(kind)
    optimizer.add_param_group({"params": [still]})
    step(w, optimizer, GRADIENTS[0])
    optimizer.eval()
    assert still.tolist() == [5.0]


@BOTH
def test_a_step_without_gradients_does_not_count(kind: Any) -> None:
    w, optimizer = start(kind)
    step(w, optimizer, GRADIENTS[0])
    optimizer.zero_grad()
    before = dict(optimizer.param_groups[0])
    optimizer.step()
    assert optimizer.param_groups[0] == before and before["k"] == 1


@BOTH
def test_it_warms_up_and_weighs_later_steps_more(kind: Any) -> None:
    w, optimizer = start(kind, warmup_steps=4, weight_lr_power=1.0, r=1.0)
    rates, weights = [], []
    for g in GRADIENTS[:6]:
        before = optimizer.param_groups[0]["weight_sum"]
        step(w, optimizer, g)
        rates.append(optimizer.param_groups[0]["scheduled_lr"])
        weights.append(optimizer.param_groups[0]["weight_sum"] - before)
    np.testing.assert_allclose(rates, [0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(weights, [t * rate for t, rate in enumerate(rates, 1)])


@BOTH
def test_training_goes_on_from_a_checkpoint_that_was_made_while_testing(kind: Any) -> None:
    w, optimizer = start(kind)
    for g in GRADIENTS[:4]:
        step(w, optimizer, g)
    optimizer.eval()
    v = tensor(w, requires_grad=True)
    other = kind([v])
    other.load_state_dict(optimizer.state_dict())
    for one in (optimizer, other):
        one.train()
    for g in GRADIENTS[4:]:
        step(w, optimizer, g)
        step(v, other, g)
    assert v.tolist() == w.tolist()


@BOTH
def test_a_file_of_the_authors_counts_steps_in_the_group(kind: Any) -> None:
    w, optimizer = start(kind)
    for g in GRADIENTS[:4]:
        step(w, optimizer, g)
    saved = optimizer.state_dict()
    del saved["state"][0]["step"], saved["param_groups"][0]["c"]
    v = tensor(w, requires_grad=True)
    other = kind([v])
    other.load_state_dict(saved)
    assert other.state_of(v)["t"] == 4
    step(w, optimizer, GRADIENTS[5])
    step(v, other, GRADIENTS[5])
    assert v.tolist() == w.tolist()


def test_a_wrapper_passes_the_switch_on() -> None:
    w, inner = start(SGDScheduleFree)
    optimizer = Lookahead(inner, k=2)
    step(w, optimizer, GRADIENTS[0])
    y = w.tolist()
    optimizer.eval()
    optimizer.train()
    np.testing.assert_allclose(host(w), y, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (SGDScheduleFree, {"momentum": 0.0}, "momentum is 0.0; it has to be above 0 and below 1."),
        (AdamWScheduleFree, {"betas": (0.0, 0.9)}, "betas[0] is 0.0; it has to be above 0 and"),
        (AdamWScheduleFree, {"warmup_steps": -1}, "warmup_steps is -1; it has to be at least 0."),
    ],
)
def test_options_out_of_range_are_told(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{kind.__name__}: {text}")):
        start(kind, **options)
