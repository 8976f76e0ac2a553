"""Penalties, constraints, and which weights decay."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, nn, tensor
from tinygrad_opt.optim import (
    SGD,
    Adam,
    AdamW,
    MultiOptimizer,
    after_step,
    before_step,
    decay_groups,
    elastic_net_,
    l1_,
    l2_,
    max_norm_,
    proximal_l1_,
)


def weight(values: Any, gradient: Any = None) -> Tensor:
    p = tensor(np.array(values, float), requires_grad=True)
    if gradient is not None:
        p.grad = tensor(np.array(gradient, float))
    return p


# ---- penalties --------------------------------------------------------------------------------


def test_by_hand() -> None:
    p, none = weight([2.0, -3.0, 0.0], [1.0, 1.0, 1.0]), weight([1.0])
    l1_([p, none], 0.5)
    assert p.grad.tolist() == [1.5, 0.5, 1.0] and none.grad is None
    l2_([p, none], 0.1)
    np.testing.assert_allclose(host(p.grad), [1.7, 0.2, 1.0])
    elastic_net_(p, l1=1.0, l2=1.0)
    np.testing.assert_allclose(host(p.grad), [4.7, -3.8, 1.0])
    elastic_net_(p)
    np.testing.assert_allclose(host(p.grad), [4.7, -3.8, 1.0])


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_a_penalty_is_the_gradient_of_its_term_in_the_loss(l1: float, l2: float) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2))
    p, q = weight(values), weight(values)
    (p**3).sum().backward()
    elastic_net_(p, l1, l2)
    ((q**3).sum() + l1 * q.abs().sum() + l2 / 2 * (q * q).sum()).backward()
    np.testing.assert_allclose(host(p.grad), host(q.grad), rtol=1e-14)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_l2_is_the_weight_decay_of_the_optimizer(kind: Any) -> None:
    p, q = weight([1.0, -2.0]), weight([1.0, -2.0])
    hooked, built_in = kind([p], lr=0.1), kind([q], lr=0.1, weight_decay=0.3)
    hooked.register_step_pre_hook(before_step(l2_, 0.3))
    for step in range(5):
        p.grad = tensor(np.array([step, 1.0]))
        q.grad = tensor(np.array([step, 1.0]))
        hooked.step()
        built_in.step()
    np.testing.assert_allclose(host(p), host(q), rtol=1e-13)


def test_decoupled_decay_is_l2_for_plain_steps_and_not_with_momentum() -> None:
    def run(momentum: float) -> list[float]:
        ends = []
        for decoupled in (True, False):
            p = weight([1.0])
            optimizer = SGD([p], lr=0.1, momentum=momentum)
            if not decoupled:
                optimizer.register_step_pre_hook(before_step(l2_, 0.5))
            for g in (1.0, -2.0, 0.5):
                if decoupled:
                    p.data = host(p) * (1 - 0.1 * 0.5)
                p.grad = tensor(np.array([g]))
                optimizer.step()
            ends.append(p.item())
        return ends

    assert run(0.0)[0] == pytest.approx(run(0.0)[1], rel=1e-14)
    assert abs(run(0.9)[0] - run(0.9)[1]) > 1e-2


# ---- constraints ------------------------------------------------------------------------------


def test_soft_thresholding_makes_exact_zeros() -> None:
    p = weight([0.5, -0.5, 0.2, -0.3, 0.0, 2.0])
    proximal_l1_(p, 3.0, lr=0.1)
    np.testing.assert_allclose(host(p), [0.2, -0.2, 0.0, 0.0, 0.0, 1.7], atol=1e-15)
    assert host(p)[2] == host(p)[4] == 0.0
    proximal_l1_([p], 0.2)
    np.testing.assert_allclose(host(p), [0.0, 0.0, 0.0, 0.0, 0.0, 1.5], atol=1e-15)


def test_the_hook_uses_the_rate_of_each_group_and_leaves_what_did_not_move() -> None:
    a, b, c = weight([1.0], [0.0]), weight([1.0], [0.0]), weight([1.0])
    optimizer = SGD([{"params": [a], "lr": 0.1}, {"params": [b, c], "lr": np.array([0.5])}])
    optimizer.register_step_post_hook(after_step(proximal_l1_, 0.4))
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.96, 0.8, 1.0])
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.96, 0.8, 1.0])


def test_the_lasso_by_proximal_steps() -> None:
    """½ ‖p − b‖² + λ ‖p‖₁ has its minimum at the soft-thresholded b."""
    b = np.array([1.0, -0.2, 0.05, -3.0])
    p = weight(np.zeros(4))
    optimizer = SGD([p], lr=0.5)
    optimizer.register_step_post_hook(after_step(proximal_l1_, 0.3))
    for _ in range(60):
        p.grad = tensor(host(p) - b)
        optimizer.step()
    np.testing.assert_allclose(host(p), [0.7, 0.0, 0.0, -2.7], atol=1e-12)
    assert (host(p) == 0).tolist() == [False, True, True, False]


def test_rows_that_are_too_long_are_shortened() -> None:
    w, bias = weight([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), weight([30.0, 40.0])
    max_norm_([w, bias], 1.0)
    np.testing.assert_allclose(host(w), [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    assert bias.tolist() == [30.0, 40.0]
    filters = weight(np.ones((2, 1, 2, 2)))
    max_norm_(filters, 1.0)
    np.testing.assert_allclose(host(filters), np.full((2, 1, 2, 2), 0.5))
    max_norm_(w, 0.0)
    assert w.tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_constraint_keeps_memory_and_dtype_and_is_noticed(dtype: str) -> None:
    layer = nn.Linear(3, 2).to(dtype)
    layer.weight.data = np.full((2, 3), 5, dtype)
    optimizer = SGD(layer.parameters(), lr=0.1)
    array = layer.weight.data
    loss = layer(tensor(np.ones((1, 3), dtype))).sum()
    max_norm_(layer.parameters(), 1.0)
    assert layer.weight.data is array and array.dtype == dtype
    x = tensor(np.ones((1, 3), dtype), requires_grad=True)
    loss = layer(x).sum()
    proximal_l1_(layer.parameters(), 0.1)
    with pytest.raises(RuntimeError, match=r"proximal_l1_\(\)"):
        loss.backward()
    optimizer.step()


def test_constraints_reach_all_parts_of_a_multi_optimizer() -> None:
    w, b = weight([[3.0, 4.0]], [[0.0, 0.0]]), weight([[6.0, 8.0]], [[0.0, 0.0]])
    optimizer = MultiOptimizer([("w", w), ("b", b)], [(lambda n, p: n == "w", SGD), (any_, AdamW)])
    optimizer.register_step_post_hook(after_step(max_norm_, 1.0))
    optimizer.step()
    np.testing.assert_allclose([host(w)[0], host(b)[0]], [[0.6, 0.8]] * 2)


def any_(name: str, p: Tensor) -> bool:
    return True


BAD: list[tuple[Any, str]] = [
    (lambda p: l2_(p, -0.1), "elastic_net_: l2 is -0.1; it has to be at least 0."),
    (lambda p: proximal_l1_(p, -1), "proximal_l1_: weight is -1; it has to be at least 0."),
    (lambda p: proximal_l1_(p, 1, lr=-1), "proximal_l1_: lr is -1; it has to be at least 0."),
    (lambda p: max_norm_(p, float("nan")), "max_norm_: max_norm is nan; it has to be at least 0."),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_what_makes_no_sense_is_told_and_changes_nothing(call: Any, text: str) -> None:
    p = weight([[3.0]], [[1.0]])
    with pytest.raises(ValueError, match=re.escape(text)):
        call([p])
    assert p.item() == 3.0 and p.grad.item() == 1.0


# ---- which weights decay ----------------------------------------------------------------------


def test_matrices_decay_biases_and_normalization_do_not() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    model[2].weight.requires_grad_(False)
    optimizer = AdamW(decay_groups(model, 0.3), lr=0.1)
    decaying, kept = optimizer.param_groups
    assert (decaying["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert decaying["param_names"] == ["0.weight"]
    assert kept["param_names"] == ["0.bias", "1.weight", "1.bias", "2.bias"]
    for p in model.parameters():
        p.grad = tensor(np.zeros(p.shape, np.float32))
    before = [host(p).copy() for p in model.parameters()]
    optimizer.step()
    moved = [bool((host(p) != a).any()) for p, a in zip(model.parameters(), before, strict=True)]
    assert moved == [True, False, False, False, False, False]


def test_what_is_skipped_can_be_said_otherwise() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    decaying, kept = decay_groups(model, 0.1, skip=lambda name, p: name.startswith("0."))
    assert [name for name, _ in decaying["params"]] == ["1.weight", "1.bias"]
    assert [name for name, _ in kept["params"]] == ["0.weight", "0.bias"]
    everything, nothing = decay_groups(model, 0.1, skip=lambda name, p: False)
    assert len(everything["params"]) == 4 and nothing["params"] == []
    assert len(SGD([everything, nothing]).param_groups) == 2
    with pytest.raises(ValueError, match="decay_groups: weight_decay is -1; it has to be at least"):
        decay_groups(model, -1)
