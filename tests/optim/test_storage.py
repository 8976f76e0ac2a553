"""Flat storage: parameters are views, they own the truth, and nothing of the user's is aliased."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Device, Tensor, optim, tensor
from tinygrad_opt.optim.denormals import INTERVAL
from tinygrad_opt.optim.flat import KNOWN, PAGE, STAGGER


def parameter(values: Any, dtype: str = "float32") -> Tensor:
    return tensor(np.array(values, dtype), requires_grad=True)


def give(params: list[Tensor], value: float = 1.0) -> None:
    for p in params:
        p.grad = tensor(np.full(p.shape, value, p.dtype))


def address(array: Any) -> int:
    """Where an array begins in the memory of its device."""
    pointer = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    return int(pointer)


# ---- buffers ----------------------------------------------------------------------------------


@pytest.mark.on("cpu", "cuda")  # the stand-in's memory begins where the host's happens to
def test_parameters_lie_side_by_side_from_a_cache_line_on() -> None:
    params = [parameter(np.ones(s)) for s in [(4, 3), (5,), (), (2, 2)]]
    optim.Adam(params)
    start = address(params[0].data)
    assert start % 64 == 0
    offsets = [(address(p.data) - start) // 4 for p in params]
    assert offsets == [0, 12, 17, 18]


@pytest.mark.on("cpu")  # a matter of its caches
def test_buffers_are_staggered_so_that_equal_indices_never_share_a_page_offset() -> None:
    w = parameter(np.ones(5000))
    optimizer = optim.Adam([w], amsgrad=True)
    give([w])
    optimizer.step()
    state = optimizer.state_of(w)
    found = [address(a) % PAGE for a in (w.data, state["m"], state["v"], state["v_max"])]
    assert found == [place * STAGGER % PAGE for place in (0, 2, 3, 4)]


def test_the_array_of_the_user_is_left_alone(on_device: Device) -> None:
    array = on_device.from_host(np.ones(3, np.float32))
    w = Tensor(array, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    give([w])
    optimizer.step()
    assert array.tolist() == [1, 1, 1]
    assert w.tolist() == [0.5, 0.5, 0.5]


def test_gradients_keep_their_values_and_never_become_state(engine: str, on_device: Device) -> None:
    w = parameter([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True, engine=engine)
    gradient = on_device.from_host(np.array([3.0, 4.0], np.float32))
    w.grad = Tensor(gradient)
    held = w.grad
    for _ in range(3):
        optimizer.step()
        assert w.grad is held and held.tolist() == gradient.tolist() == [3.0, 4.0]
        assert not on_device.xp.shares_memory(optimizer.state_of(w)["b"], gradient)


def test_a_gradient_of_the_user_is_moved_into_its_place_once(engine: str) -> None:
    w = parameter([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.1, engine=engine)
    give([w])
    optimizer.step()
    place = w.grad.data
    optimizer.step()
    assert w.grad.data is place


def test_every_shape_moves(engine: str, on_device: Device) -> None:
    params = [parameter(np.ones(s)) for s in [(), (1,), (0,), (3, 0, 2), (2, 1, 3)]]
    ones = on_device.from_host(np.ones((4, 6), np.float32))
    for array in (ones[:, :3].T, ones[::2, ::3], on_device.xp.broadcast_to(ones[0, 0], (2, 2))):
        params.append(Tensor(array, requires_grad=True))
    optimizer = optim.Adam(params, lr=0.5, engine=engine)
    shapes = [p.shape for p in params]
    for _ in range(2):
        give(params)
        optimizer.step()
    assert [p.shape for p in params] == shapes
    for p in params:
        np.testing.assert_allclose(host(p), 0, atol=1e-6)
        assert p.data.flags.c_contiguous


def test_gradients_of_any_layout_are_gathered_in_order() -> None:
    w = parameter(np.zeros((3, 4)))
    gradient = np.arange(12, dtype=np.float32).reshape(4, 3).T
    w.grad = Tensor(w.device.from_host(gradient.T).T)
    optim.SGD([w], lr=1.0).step()
    np.testing.assert_array_equal(host(w), -gradient)


def test_a_thousand_tiny_tensors() -> None:
    params = [parameter([float(i)]) for i in range(1000)]
    optimizer = optim.Adam(params, lr=1.0)
    give(params)
    optimizer.step()
    np.testing.assert_allclose([p.item() for p in params], np.arange(1000) - 1.0, atol=1e-3)


@pytest.mark.parametrize("foreach", [False, True])
def test_dtypes_may_be_mixed_and_stay(foreach: bool) -> None:
    params = [parameter([1.0], d) for d in ("float32", "float64", "float16", "float64")]
    optimizer = optim.SGD(params, lr=0.5, momentum=0.5, foreach=foreach)
    for _ in range(2):
        give(params)
        optimizer.step()
    assert [p.item() for p in params] == [-0.25] * 4
    for p, dtype in zip(params, ("float32", "float64", "float16", "float64"), strict=True):
        assert p.dtype == optimizer.state_of(p)["b"].dtype == np.dtype(dtype)


@pytest.mark.on("cpu")  # where it is what takes the time
@pytest.mark.parametrize("name", ["adam", "rprop"])  # rprop chooses, with xp.where
def test_a_steady_step_allocates_nothing(name: str) -> None:
    params = [parameter(np.ones((500, 20))), parameter(np.ones(20))]
    optimizer = optim.OPTIMIZERS[name](params)
    give(params)
    for _ in range(INTERVAL):
        optimizer.step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(INTERVAL):  # so that the guard against denormals comes once
            optimizer.step()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 8000, "a temporary array would take 40,000 bytes"
    assert after - before < 2000


# ---- the parameter owns the truth -------------------------------------------------------------


def test_a_rebound_array_is_taken_in(engine: str, on_device: Device) -> None:
    w, u = parameter([1.0, 2.0]), parameter([3.0])
    optimizer = optim.SGD([w, u], lr=1.0, engine=engine)
    give([w, u])
    optimizer.step()
    view, theirs = w.data, on_device.from_host(np.array([10.0, 20.0], np.float32))
    w.data = theirs
    optimizer.step()
    assert w.tolist() == [9.0, 19.0] and u.tolist() == [1.0]
    assert w.data is view, "its array is the view of the buffer again"
    assert theirs.tolist() == [10.0, 20.0]


def test_a_rebound_array_is_taken_in_even_without_a_gradient() -> None:
    w, u = parameter([1.0]), parameter([3.0])
    optimizer = optim.SGD([w, u], lr=1.0)
    w.data = np.array([7.0], np.float32)
    give([u])
    optimizer.step()
    assert (w.item(), u.item()) == (7.0, 2.0)


def test_writing_into_the_array_needs_no_notice() -> None:
    w = parameter([1.0])
    optimizer = optim.SGD([w], lr=1.0)
    w.data[...] = 5.0
    give([w])
    optimizer.step()
    assert w.item() == 4.0


def test_another_dtype_is_followed_and_the_state_with_it() -> None:
    w, u = parameter([1.0, 2.0]), parameter([3.0])
    optimizer = optim.Adam([w, u], lr=0.5)
    give([w, u])
    optimizer.step()
    w.data = host(w).astype(np.float64)
    give([w, u])
    optimizer.step()
    np.testing.assert_allclose(host(w), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(host(u), [2.0], atol=1e-6)
    state = optimizer.state_of(w)
    assert w.dtype == state["m"].dtype == np.float64
    assert state["t"] == optimizer.state_of(u)["t"] == 2


def test_another_shape_is_refused_before_anything_moves() -> None:
    w, u = parameter([1.0]), parameter([3.0])
    u.name = "0.bias"
    optimizer = optim.SGD([w, u], lr=1.0)
    give([w, u])
    u.data = np.ones((2, 2), np.float32)
    text = (
        r'SGD: parameter 1 \("0\.bias"\) has shape \(2, 2\) now and had \(1,\) when the optimizer '
        r"was made\. Make a new optimizer\."
    )
    with pytest.raises(ValueError, match=text):
        optimizer.step()
    assert w.item() == 1.0 and optimizer.step_count == 0


def test_two_optimizers_may_hold_the_same_parameter() -> None:
    w = parameter([0.0])
    first, second = optim.SGD([w], lr=1.0), optim.SGD([w], lr=10.0)
    give([w])
    for optimizer in (first, second, first):
        optimizer.step()
    assert w.item() == -12.0


# ---- gradients that are missing or wrong ------------------------------------------------------


def test_without_a_gradient_nothing_of_a_parameter_changes(engine: str) -> None:
    params = [parameter([float(i)]) for i in range(5)]
    optimizer = optim.Adam(params, lr=0.1, weight_decay=0.5, engine=engine)
    give(params[:2])
    give(params[3:4])
    optimizer.step()
    assert params[2].item() == 2.0 and params[4].item() == 4.0
    assert [optimizer.state_of(p)["t"] for p in params] == [1, 1, 0, 1, 0]
    assert list(optimizer.state_dict()["state"]) == [0, 1, 3]


def test_counts_of_steps_are_each_parameters_own() -> None:
    rng = np.random.default_rng(5)
    together = [parameter([1.0, 2.0]) for _ in range(6)]
    alone = [parameter([1.0, 2.0]) for _ in range(6)]
    optimizer = optim.Adam(together, lr=0.1)
    single = [optim.Adam([p], lr=0.1) for p in alone]
    for _ in range(30):
        for p, q, own in zip(together, alone, single, strict=True):
            g = rng.standard_normal(2).astype(np.float32) if rng.random() < 0.6 else None
            p.grad = q.grad = None if g is None else tensor(g)
            own.step()
        optimizer.step()
    for p, q in zip(together, alone, strict=True):
        assert p.tolist() == q.tolist()


def test_gradients_that_come_and_go_keep_few_engines() -> None:
    params = [parameter([1.0]) for _ in range(12)]
    optimizer = optim.SGD(params, lr=1.0)
    flat = optimizer._storages[0].flats[0]  # type: ignore[union-attr]
    for i in range(12):
        for j in range(i + 1, 13):
            optimizer.zero_grad()
            give(params[i:j])
            optimizer.step()
            assert len(flat.engines) <= KNOWN
    assert [1 - p.item() for p in params] == [(i + 1) * (12 - i) for i in range(12)]


def test_neighbours_that_become_alike_run_together_again() -> None:
    params = [parameter([1.0]) for _ in range(3)]
    saved = optim.SGD(params, momentum=0.9).state_dict()
    saved["state"] = {1: {"momentum_buffer": np.ones(1, np.float32)}}
    optimizer = optim.SGD(params, momentum=0.9)
    optimizer.load_state_dict(saved)
    give(params)
    optimizer.step()
    flat = optimizer._storages[0].flats[0]  # type: ignore[union-attr]
    assert [(run.start, run.stop, run.t) for run in flat.runs] == [(0, 3, 1)]


def test_all_gradients_missing_is_a_step_that_does_nothing() -> None:
    w = parameter([1.0])
    optimizer = optim.Adam([w], weight_decay=0.1)
    assert optimizer.step(lambda: "the loss") == "the loss"
    assert w.item() == 1.0 and optimizer.state_dict()["state"] == {}
    assert optimizer.step_count == 1


@pytest.mark.parametrize(
    ("gradient", "kind", "text"),
    [
        (
            lambda: tensor([1.0, 2.0]),
            ValueError,
            r"SGD: parameter 1 has shape \(3,\), its gradient \(2,\)\.",
        ),
        (
            lambda: tensor([1.0]),
            ValueError,
            r"SGD: parameter 1 has shape \(3,\), its gradient \(1,\)\.",
        ),
        (
            lambda: np.ones(3),
            TypeError,
            r"SGD: the gradient of parameter 1 is a ndarray\. Wrap it: p\.grad = tensor\(array\)\.",
        ),
    ],
)
@pytest.mark.parametrize("differentiable", [False, True])
def test_a_wrong_gradient_is_told_before_anything_moves(
    gradient: Any, kind: type[Exception], text: str, differentiable: bool
) -> None:
    groups = [{"params": [parameter([1.0])]}, {"params": [parameter([0.0]), parameter([1.0] * 3)]}]
    optimizer = optim.SGD(groups, lr=1.0, differentiable=differentiable)
    for p in optimizer.parameters():
        give([p])
    p.grad = gradient()
    with pytest.raises(kind, match=text):
        optimizer.step()
    assert [q.tolist()[0] for q in optimizer.parameters()] == [1.0, 0.0, 1.0]


def test_gradients_of_another_precision_are_taken() -> None:
    w = parameter([1.0])
    w.grad = tensor(np.array([0.25], np.float64))
    optim.SGD([w], lr=1.0).step()
    assert w.dtype == np.float32 and w.item() == 0.75
