"""Transforms of gradients: PyTorch's arithmetic, the papers' formulas, nobody else's arrays."""

from __future__ import annotations

import math
import pathlib
import re
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Device, Tensor, tensor
from tinygrad_opt.optim import (
    SGD,
    adaptive_clip_,
    add_noise_,
    before_step,
    centralize_,
    clip_each_grad_norm_,
    clip_grad_norm_,
    clip_grad_value_,
    elastic_net_,
    l1_,
    l2_,
    normalize_,
    zero_nans_,
)
from tinygrad_opt.random_numbers import manual_seed

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_wrappers.py")))
ARRAYS = dict(np.load(ORACLE.ARRAYS))


def with_gradients(*gradients: Any, dtype: str = "float64") -> list[Tensor]:
    params = []
    for g in gradients:
        p = tensor(np.zeros(np.shape(g), dtype), requires_grad=True)
        p.grad = None if g is None else tensor(np.array(g, dtype))
        params.append(p)
    return params


def test_three_four_five() -> None:
    params = with_gradients([3.0], [[0.0, 4.0]])
    assert clip_grad_norm_(params, 2.5).item() == 5.0
    factor = 2.5 / (5 + 1e-6)
    assert params[0].grad.tolist() == [3 * factor]
    assert params[1].grad.tolist() == [[0.0, 4 * factor]]


def test_below_the_bound_nothing_changes() -> None:
    params = with_gradients([3.0], [4.0])
    assert clip_grad_norm_(params, 5.1).item() == 5.0
    assert [p.grad.item() for p in params] == [3.0, 4.0]


@pytest.mark.parametrize(
    ("norm_type", "expected"), [(math.inf, 4.0), (1.0, 7.0), (3.0, 91 ** (1 / 3)), (-math.inf, 3.0)]
)
def test_other_norms(norm_type: float, expected: float) -> None:
    params = with_gradients([3.0], [-4.0])
    assert clip_grad_norm_(params, 1.0, norm_type).item() == pytest.approx(expected)
    assert params[0].grad.item() == pytest.approx(3 / (expected + 1e-6))


def test_only_gradients_that_exist_count_and_a_generator_is_read_once() -> None:
    params = with_gradients([3.0], None, [4.0])
    assert clip_grad_norm_((p for p in params), 1.0).item() == 5.0
    assert params[1].grad is None and params[2].grad.item() < 1


def test_one_parameter_or_none() -> None:
    assert clip_grad_norm_([], 1.0).item() == 0.0
    assert clip_grad_norm_(with_gradients(None), 1.0).item() == 0.0
    (p,) = with_gradients([-9.0, 2.0])
    clip_grad_value_(p, 3.0)
    assert p.grad.tolist() == [-3.0, 2.0]
    assert clip_grad_norm_(p, 1.0).item() == pytest.approx(13**0.5)


def test_empty_gradients_have_no_length() -> None:
    params = with_gradients(np.zeros((0, 3)), [2.0])
    assert clip_grad_norm_(params, 1.0).item() == 2.0


def test_infinity_spreads_unless_it_is_asked_for() -> None:
    params = with_gradients([math.inf, 1.0], [2.0])
    text = (
        r"clip_grad_norm_: the norm of the gradients is inf, so they cannot be clipped; they were"
    )
    with pytest.raises(RuntimeError, match=text):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == [math.inf, 1.0]
    assert clip_grad_norm_(params, 1.0).item() == math.inf
    assert np.isnan(host(params[0].grad)[0])
    assert [host(params[0].grad)[1], params[1].grad.item()] == [0.0, 0.0]


def test_not_a_number_spreads_to_all() -> None:
    params = with_gradients([math.nan], [2.0])
    assert math.isnan(clip_grad_norm_(params, 1.0).item())
    assert np.isnan([p.grad.item() for p in params]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype: str) -> None:
    params = with_gradients([3.0], [4.0], dtype=dtype) + with_gradients([1.0])
    clip_grad_norm_(params, 1.0)
    clip_grad_value_(params, 0.1)
    assert [p.grad.dtype for p in params] == [np.dtype(dtype)] * 2 + [np.dtype("float64")]


def test_arrays_that_are_shared_or_read_only_are_left_alone(on_device: Device) -> None:
    shared = on_device.xp.broadcast_to(on_device.from_host(3.0), (4,))
    p, q = (tensor(np.zeros(4), requires_grad=True) for _ in range(2))
    p.grad = q.grad = Tensor(shared)
    clip_grad_norm_([p], 1.0)
    clip_grad_value_([p], 0.1)
    assert q.grad.tolist() == [3.0] * 4 and p.grad.tolist() == [0.1] * 4


def test_clipping_is_a_hook_too() -> None:
    (p,) = with_gradients([3.0, 4.0])
    optimizer = SGD([p], lr=1.0)
    optimizer.register_step_pre_hook(before_step(clip_grad_value_, 3.5))
    handle = optimizer.register_step_pre_hook(before_step(clip_grad_norm_, max_norm=1.0))
    optimizer.step()
    assert np.linalg.norm(host(p)) == pytest.approx(1.0, rel=1e-5)
    assert host(p)[0] / host(p)[1] == pytest.approx(3 / 3.5)
    handle.remove()


def test_halves_have_room_for_the_norm() -> None:
    params = with_gradients([300.0], [400.0], dtype="float16")
    assert clip_grad_norm_(params, 5.0).item() == 500.0
    assert [p.grad.item() for p in params] == [3.0, 4.0]


def test_empty_gradients_do_not_disturb_the_largest_and_smallest_number() -> None:
    for norm_type in (math.inf, -math.inf):
        params = with_gradients(np.zeros((0, 3)), [2.0])
        assert clip_grad_norm_(params, 1.0, norm_type).item() == 2.0
    assert clip_grad_norm_(with_gradients([]), 1.0, math.inf).item() == 0.0


# ---- parameter by parameter, unit by unit -----------------------------------------------------


def test_each_parameter_has_a_bound_of_its_own() -> None:
    params = with_gradients([3.0, 4.0], [0.5], None)
    clip_each_grad_norm_(params, 1.0)
    np.testing.assert_allclose(host(params[0].grad), [0.6, 0.8], rtol=1e-6)
    assert params[1].grad.item() == 0.5


def given(scales: Any = (1.0, 1.0, 1.0)) -> list[Tensor]:
    """The parameters of the oracle with their first gradients."""
    start, gradients = ORACLE.inputs()
    params = [tensor(p, requires_grad=True) for p in start]
    for p, g, scale in zip(params, gradients[0], scales, strict=True):
        p.grad = tensor(g * scale)
    return params


def test_adaptive_clipping_is_that_of_pytorch_optimizer() -> None:
    params = given((1.0, 0.01, 1e-3))
    adaptive_clip_(params)
    found = ORACLE.row([p.grad for p in params])
    np.testing.assert_allclose(found, ARRAYS["adaptive_clip_"], rtol=1e-14)


def test_adaptive_clipping_by_hand() -> None:
    (p,) = with_gradients([[3.0, 4.0], [0.0, 0.03]])
    p.data = np.array([[6.0, 8.0], [0.0, 0.0]])
    adaptive_clip_(p, clip=0.1, eps=0.5)
    np.testing.assert_allclose(host(p.grad), [[0.6, 0.8], [0.0, 0.03]])
    q = with_gradients(9.0)
    q[0].data = np.array(-20.0)
    adaptive_clip_(q, clip=0.25)
    assert q[0].grad.item() == 5.0


# ---- shaping ----------------------------------------------------------------------------------


def test_centralizing_is_that_of_optax() -> None:
    params = given()
    centralize_(params)
    found = ORACLE.row([p.grad for p in params])
    np.testing.assert_allclose(found, ARRAYS["centralize_"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(host(params[0].grad).mean(axis=1), 0, atol=1e-15)


def test_only_the_direction_is_left() -> None:
    params = with_gradients([3.0], None, [[4.0]], 0.0)
    normalize_(params)
    assert [params[i].grad.item() for i in (0, 2, 3)] == [0.6, 0.8, 0.0]
    zeros = with_gradients([0.0, 0.0])
    normalize_(zeros)
    assert zeros[0].grad.tolist() == [0.0, 0.0]


def test_noise_has_the_variance_of_the_paper_and_fades() -> None:
    for t, expected in ((0, 0.3), (9, 0.3 / 10**0.55)):
        (p,) = with_gradients(np.full(200_000, 2.0))
        add_noise_(p, eta=0.3, t=t)
        assert host(p.grad).mean() == pytest.approx(2.0, abs=0.01)
        assert host(p.grad).var() == pytest.approx(expected, rel=0.02)


def test_noise_comes_from_the_seed_and_its_hook_counts_steps() -> None:
    def run(hook: Any) -> list[float]:
        manual_seed(3)
        (p,) = with_gradients([0.0])
        optimizer = SGD([p], lr=1.0)
        optimizer.register_step_pre_hook(hook)
        path = []
        for _ in range(4):
            p.grad = tensor(np.zeros(1))
            optimizer.step()
            path.append(p.item())
        return path

    fading = run(before_step(add_noise_, 0.5))
    draws = np.random.default_rng(3).standard_normal(4)
    steps = [(0.5 / (1 + t) ** 0.55) ** 0.5 * draw for t, draw in enumerate(draws)]
    np.testing.assert_allclose(fading, -np.cumsum(steps), rtol=1e-12)
    steady = run(before_step(add_noise_, 0.5, t=0))
    np.testing.assert_allclose(steady, -np.cumsum(0.5**0.5 * draws), rtol=1e-12)


def test_not_a_number_becomes_zero_and_infinity_stays() -> None:
    (p,) = with_gradients([math.nan, 1.0, math.inf])
    zero_nans_(p)
    assert p.grad.tolist() == [0.0, 1.0, math.inf]


# ---- what all have in common ------------------------------------------------------------------

TRANSFORMS: list[Callable[[Any], Any]] = [
    lambda p: clip_grad_norm_(p, 0.5),
    lambda p: clip_each_grad_norm_(p, 0.5),
    lambda p: clip_grad_value_(p, 0.5),
    adaptive_clip_,
    centralize_,
    normalize_,
    add_noise_,
    zero_nans_,
    lambda p: l1_(p, 0.1),
    lambda p: l2_(p, 0.1),
    lambda p: elastic_net_(p, 0.1, 0.1),
]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrays_shapes_and_dtypes_of_every_transform(
    transform: Callable[[Any], Any], dtype: str
) -> None:
    gradients = [np.full((2, 3), 2.0), np.ones(3), 2.0, np.zeros((0, 2)), None]
    params = with_gradients(*gradients, dtype=dtype)
    *present, without = params
    before = [(p.grad, host(p.grad).copy()) for p in present]
    transform(iter(params))
    for p, (old, values) in zip(present, before, strict=True):
        np.testing.assert_array_equal(host(old), values)
        assert type(host(p.grad)) is np.ndarray
        assert (p.grad.shape, p.grad.dtype) == (values.shape, np.dtype(dtype))
    assert without.grad is None
    assert transform([]) is None or transform([]).item() == 0


BAD: list[tuple[Callable[[Any], Any], str]] = [
    (lambda p: adaptive_clip_(p, clip=-1), "adaptive_clip_: clip is -1; it has to be at least 0."),
    (lambda p: adaptive_clip_(p, eps=-1), "adaptive_clip_: eps is -1; it has to be at least 0."),
    (lambda p: add_noise_(p, eta=-1), "add_noise_: eta is -1; it has to be at least 0."),
    (lambda p: l1_(p, -1), "elastic_net_: l1 is -1; it has to be at least 0."),
]


@pytest.mark.parametrize(("transform", "text"), BAD)
def test_what_makes_no_sense_is_told_and_changes_nothing(transform: Any, text: str) -> None:
    (p,) = with_gradients([3.0])
    with pytest.raises(ValueError, match=re.escape(text)):
        transform([p])
    assert p.grad.item() == 3.0


# ---- PyTorch ----------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.7, 1000.0])
def test_pytorch_clips_alike(norm_type: float, max_norm: float) -> None:
    import torch

    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal(s) for s in [(3, 4), (5,), (), (2, 1, 2)]]
    ours = with_gradients(*gradients)
    theirs = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for p, g in zip(theirs, gradients, strict=True):
        p.grad = torch.tensor(g, dtype=torch.float64)
    norms = (
        clip_grad_norm_(ours, max_norm, norm_type).item(),
        torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item(),
    )
    assert norms[0] == pytest.approx(norms[1], rel=1e-14)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    clip_grad_value_(ours, 0.3)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-14)
