"""Rules that see a whole tensor at once: Muon's directions, Adafactor's rows and columns."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, tensor
from tinygrad_opt.optim import Adafactor, Muon
from tinygrad_opt.optim.matrix import newton_schulz


def parameter(shape: Any, dtype: Any = np.float64, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return tensor(values, requires_grad=True)


def give(*params: Tensor, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = tensor(rng.standard_normal(p.shape).astype(p.dtype))


# ---- Muon -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 16), (16, 8), (8, 8), (1, 5), (3, 1)])
def test_a_step_of_muon_is_nearly_as_long_in_all_directions(shape: tuple[int, int]) -> None:
    w = parameter(shape)
    before = host(w).copy()
    optimizer = Muon([w], lr=1.0, weight_decay=0)
    give(w)
    optimizer.step()
    sizes = np.linalg.svd(before - host(w), compute_uv=False) / max(1, shape[0] / shape[1]) ** 0.5
    assert (sizes > 0.6).all() and (sizes < 1.2).all()


def test_newton_schulz_keeps_the_directions() -> None:
    u, s, vt = np.linalg.svd(host(parameter((4, 6))), full_matrices=False)
    settled = newton_schulz(np, u * s @ vt, (1.5, -0.5, 0.0), 1e-7, 60)  # Newton's own, which ends
    np.testing.assert_allclose(settled, u @ vt, atol=1e-12)


def test_muon_steps_by_the_shape_as_asked() -> None:
    steps = {}
    for how in (None, "original", "match_rms_adamw"):
        w = parameter((9, 4))
        before = host(w).copy()
        give(w)
        Muon([w], lr=1.0, weight_decay=0, adjust_lr_fn=how).step()
        steps[how] = before - host(w)
    np.testing.assert_array_equal(steps[None], steps["original"])
    ratio = steps["match_rms_adamw"] / steps[None]
    np.testing.assert_allclose(ratio, 0.2 * 9**0.5 / (9 / 4) ** 0.5)


def test_muon_decays_without_the_ratio_and_forgets_no_momentum() -> None:
    w = parameter((9, 4))
    before = host(w).copy()
    w.grad = tensor(np.zeros((9, 4)))
    optimizer = Muon([w], lr=0.5, weight_decay=0.1)
    optimizer.step()
    np.testing.assert_allclose(host(w), before * (1 - 0.5 * 0.1))
    assert np.isfinite(host(w)).all(), "a gradient of zero has no directions, and no 0/0"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((3,), 'Muon: parameter 1 ("bias") has shape (3,) and is not a matrix. Give it to AdamW '),
        ((), "has shape () and is not a matrix. Give it to AdamW with MultiOptimizer."),
        ((2, 2, 1, 1), "with MultiOptimizer, or say flatten=True for kernels."),
    ],
)
def test_what_is_no_matrix_is_told_at_construction(shape: Any, text: str) -> None:
    other = parameter(shape)
    other.name = "bias"
    with pytest.raises(ValueError, match=re.escape(text)):
        Muon([parameter((2, 2)), other])
    optimizer = Muon([parameter((2, 2))])
    with pytest.raises(ValueError, match="is not a matrix"):
        optimizer.add_param_group({"params": [other]})
    assert len(optimizer.param_groups) == 1


def test_kernels_are_flattened_if_asked() -> None:
    kernel, matrix = parameter((4, 2, 3, 3)), parameter((4, 18))
    matrix.data = host(kernel).reshape(4, 18).copy()
    two = Muon([kernel], lr=0.1, flatten=True), Muon([matrix], lr=0.1)
    for step in range(3):
        give(kernel, seed=step)
        matrix.grad = tensor(host(kernel.grad).reshape(4, 18))
        for optimizer in two:
            optimizer.step()
    np.testing.assert_array_equal(host(kernel).reshape(4, 18), host(matrix))
    with pytest.raises(ValueError, match="is not a matrix"):
        Muon([parameter((4,))], flatten=True)


def test_keys_that_pytorchs_muon_has_not_are_written_only_when_on() -> None:
    assert not {"maximize", "flatten"} & Muon([parameter((2, 2))]).param_groups[0].keys()
    w = parameter((2, 2))
    up = Muon([w], maximize=True, flatten=True, weight_decay=0)
    assert up.param_groups[0]["maximize"] and up.param_groups[0]["flatten"]
    before = host(w).copy()
    w.grad = tensor(np.eye(2))
    up.step()
    assert np.trace(host(w) - before) > 0
    twin = tensor(w, requires_grad=True)
    resumed = Muon([{"params": [twin], "maximize": False}])
    resumed.load_state_dict(up.state_dict())
    twin.grad = w.grad
    up.step()
    resumed.step()
    assert twin.tolist() == w.tolist(), "what is loaded climbs, too"


def test_muon_stays_single() -> None:
    w = parameter((4, 3), np.float32)
    optimizer = Muon([w])
    give(w)
    optimizer.step()
    assert w.dtype == optimizer.state_of(w)["b"].dtype == np.float32


# ---- Adafactor --------------------------------------------------------------------------------


def test_adafactor_keeps_a_number_for_each_row_and_each_column() -> None:
    params = [parameter(s) for s in [(5, 4), (2, 3, 4), (7,), (), (5, 1), (1, 1)]]
    optimizer = Adafactor(params)
    give(*params)
    optimizer.step()
    kept = [{s: a.shape for s, a in optimizer.state_of(p).items() if s != "t"} for p in params]
    assert kept == [
        {"R": (5, 1), "C": (1, 4)},
        {"R": (2, 3, 1), "C": (2, 1, 4)},
        {"V": (7,)},
        {"V": ()},
        {"R": (5, 1), "C": (1, 1)},
        {"R": (1, 1), "C": (1, 1)},
    ]


def test_adafactor_is_exact_where_squares_are_rows_times_columns() -> None:
    w = parameter((3, 4))
    before = host(w).copy()
    rows, columns = np.array([[1.0], [2.0], [3.0]]), np.array([[0.5, 1.0, 4.0, 2.0]])
    w.grad = tensor(rows * columns)
    Adafactor([w], lr=1.0).step()
    size = np.sqrt(np.mean(before**2))
    np.testing.assert_allclose(before - host(w), size, rtol=1e-12)


def test_an_empty_tensor_stays() -> None:
    for shape in [(0,), (0, 3), (2, 0)]:
        empty, other = parameter(shape), parameter((2, 2))
        optimizer = Adafactor([empty, other])
        before = host(other).copy()
        for _ in range(2):
            give(empty, other)
            optimizer.step()
        assert empty.shape == shape and (host(other) != before).all()


def test_adafactors_first_eps_is_that_of_the_dtype() -> None:
    for dtype in (np.float32, np.float64):
        eps = float(np.finfo(dtype).eps)
        pair = [parameter((3, 2), dtype) for _ in range(2)]
        for p, one in zip(pair, (None, eps), strict=True):
            p.grad = tensor(np.full((3, 2), 1e-9, dtype))
            Adafactor([p], eps=(one, 1e-3)).step()
        assert pair[0].tolist() == pair[1].tolist() and pair[0].dtype == dtype
