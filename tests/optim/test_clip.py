"""Clipping gradients: PyTorch's arithmetic, and nobody else's arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_opt import Tensor
from tinygrad_opt.optim import SGD, before_step, clip_grad_norm_, clip_grad_value_


def with_gradients(*gradients: Any, dtype: str = "float64") -> list[Tensor]:
    params = []
    for g in gradients:
        p = Tensor(np.zeros(np.shape(g), dtype), requires_grad=True)
        p.grad = None if g is None else Tensor(np.array(g, dtype))
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
    assert np.isnan(params[0].grad.data[0])
    assert [params[0].grad.data[1], params[1].grad.item()] == [0.0, 0.0]


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


def test_arrays_that_are_shared_or_read_only_are_left_alone() -> None:
    shared = np.broadcast_to(np.float64(3.0), (4,))
    p, q = (Tensor(np.zeros(4), requires_grad=True) for _ in range(2))
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
    assert np.linalg.norm(p.data) == pytest.approx(1.0, rel=1e-5)
    assert p.data[0] / p.data[1] == pytest.approx(3 / 3.5)
    handle.remove()


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
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-14)
