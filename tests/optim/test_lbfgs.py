"""L-BFGS: PyTorch's path and counters, what a closure has to be, what is kept."""

from __future__ import annotations

import copy
import json
import pathlib
import pickle
import re
import runpy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Device, Tensor, tensor
from tinygrad_opt.optim import LBFGS, SGD

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_lbfgs.py")))
CASES = json.loads(ORACLE.RECORD.read_text())["cases"]
every_case = pytest.mark.parametrize(
    "case", CASES, ids=[f"{c['problem']}, {c['options']}" for c in CASES]
)
WOLFE = {"line_search_fn": "strong_wolfe"}


def point(*values: float, dtype: Any = np.float64) -> Tensor:
    return tensor(np.array(values, dtype), requires_grad=True)


def closure_of(optimizer: Any, f: Any) -> Any:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = f()
        loss.backward()
        return loss

    return closure


def on_rosenbrock(**options: Any) -> tuple[Tensor, LBFGS, Any]:
    w = point(-1.2, 1.0)
    optimizer = LBFGS([w], **options)
    return w, optimizer, closure_of(optimizer, lambda: ORACLE.rosenbrock(w))


def ours(case: Any) -> Any:
    options = ORACLE.OPTIONS[case["options"]]
    return ORACLE.trace(point_of, host, LBFGS, case["problem"], options)


def point_of(start: list[float]) -> Tensor:
    return point(*start)


# ---- PyTorch ----------------------------------------------------------------------------------


@every_case
def test_the_path_is_that_of_pytorch(case: Any) -> None:
    path, counts, _ = ours(case)
    np.testing.assert_allclose(path[:4], case["path"][:4], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(path[4:], case["path"][4:], rtol=1e-6, atol=1e-6)
    exact = 30 if len(path[0]) < 4 else 4  # a longer sum may be rounded otherwise elsewhere
    assert counts[:exact] == case["counts"][:exact]


@pytest.mark.oracle
@every_case
def test_pytorch_as_installed_takes_the_same_path(case: Any) -> None:
    theirs, counts, _ = ORACLE.torch_trace(case["problem"], ORACLE.OPTIONS[case["options"]])
    path, our_counts, _ = ours(case)
    np.testing.assert_allclose(path, theirs, rtol=1e-6, atol=1e-6)
    assert our_counts[:4] == counts[:4]


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{"max_iter": 3}, {"max_iter": 3, "history_size": 4, **WOLFE}])
def test_checkpoints_cross_both_ways_in_the_middle_of_training(options: dict[str, Any]) -> None:
    import torch

    def theirs(start: Any, saved: Any = None) -> tuple[Any, Any, Any]:
        w = torch.tensor(np.array(start), requires_grad=True)
        optimizer = torch.optim.LBFGS([w], **options)
        if saved:
            optimizer.load_state_dict(saved)
        return w, optimizer, closure_of(optimizer, lambda: ORACLE.rosenbrock(w))

    w, optimizer, closure = theirs([-1.2, 1.0])
    for _ in range(4):
        optimizer.step(closure)
    mine = point(*w.tolist())
    other = LBFGS([mine])
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["max_iter"] == 3
    mine_closure = closure_of(other, lambda: ORACLE.rosenbrock(mine))
    for _ in range(3):
        optimizer.step(closure)
        other.step(mine_closure)
    np.testing.assert_allclose(host(mine), w.detach().numpy(), rtol=1e-9)

    def to_torch(value: Any) -> Any:
        if isinstance(value, list):
            return [to_torch(one) for one in value]
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    saved = other.state_dict()
    saved["state"][0] = {key: to_torch(value) for key, value in saved["state"][0].items()}
    back, optimizer, closure = theirs(mine.tolist(), saved)
    for _ in range(3):
        optimizer.step(closure)
        other.step(mine_closure)
    np.testing.assert_allclose(host(mine), back.detach().numpy(), rtol=1e-9)
    assert other.state_dict()["state"][0]["n_iter"] == optimizer.state_dict()["state"][0]["n_iter"]


# ---- the step ---------------------------------------------------------------------------------


def test_one_call_finds_the_minimum() -> None:
    w, optimizer, closure = on_rosenbrock(max_iter=100, **WOLFE)
    first = optimizer.step(closure)
    assert first.item() == pytest.approx(24.2), "the loss before the first move"
    np.testing.assert_allclose(host(w), 1, atol=5e-5)
    state = optimizer.state_dict()["state"][0]
    assert (state["n_iter"], state["func_evals"]) == (35, 43)
    assert optimizer.step_count == 1


def test_without_a_closure_it_says_what_to_write() -> None:
    optimizer = LBFGS([point(1.0)])
    with pytest.raises(TypeError, match=r"LBFGS\.step: .* Write step\(closure\); a closure clears"):
        optimizer.step()
    assert optimizer.step_count == 0


def test_recording_is_on_for_the_closure_and_hooks_are_called_once() -> None:
    w, optimizer, closure = on_rosenbrock()
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda o, a, k: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, a, k: seen.append("after"))
    with tg.no_grad():
        optimizer.step(closure)
    assert seen == ["before", "after"] and w.tolist() != [-1.2, 1.0]


def test_many_tensors_are_one_vector() -> None:
    paths = []
    for shapes in ([(6,)], [(2, 2), (), (1,)]):
        values = np.split(np.linspace(-1, 2, 6), np.cumsum([np.prod(s, dtype=int) for s in shapes]))
        params = [
            tensor(v.reshape(s), requires_grad=True) for v, s in zip(values, shapes, strict=False)
        ]
        optimizer = LBFGS(params, **WOLFE)

        def f(params: Any = params) -> Any:
            return ORACLE.rosenbrock(tg.concatenate([p.reshape(-1) for p in params]))

        for _ in range(3):
            optimizer.step(closure_of(optimizer, f))
        paths.append(np.concatenate([host(p).reshape(-1) for p in params]))
    np.testing.assert_array_equal(*paths)


def test_a_missing_gradient_counts_as_zeros() -> None:
    w, still = point(3.0), point(5.0)
    optimizer = LBFGS([w, still])
    closure = closure_of(optimizer, lambda: (w * w).sum())
    optimizer.step(closure)
    still.grad = tensor(np.array([1.0]))
    optimizer.step(closure)
    assert still.item() == 5.0 and abs(w.item()) < 1e-6


def test_at_the_minimum_it_does_nothing() -> None:
    w = point(0.0, 0.0)
    optimizer = LBFGS([w])
    assert optimizer.step(closure_of(optimizer, lambda: (w * w).sum())).item() == 0
    assert w.tolist() == [0, 0]
    state = optimizer.state_dict()["state"][0]
    assert (state["func_evals"], state["n_iter"]) == (1, 0) and "d" not in state


def test_no_iterations_only_evaluate() -> None:
    w, optimizer, closure = on_rosenbrock(max_iter=0)
    optimizer.step(closure)
    assert w.tolist() == [-1.2, 1.0]


@pytest.mark.parametrize("options", [{"max_iter": 4, "lr": 0.2}, WOLFE])
def test_maximizing_f_is_minimizing_minus_f(options: dict[str, Any]) -> None:
    paths = []
    for sign in (1, -1):
        w = point(0.3, -2.0)
        optimizer = LBFGS([w], maximize=sign == 1, **options)
        closure = closure_of(optimizer, lambda w=w, s=sign: -s * (w**4 + w * w + w).sum())
        for _ in range(3):
            optimizer.step(closure)
        paths.append(w.tolist())
        assert ("maximize" in optimizer.param_groups[0]) == (sign == 1)
    assert paths[0] == paths[1]


def test_a_trial_without_a_finite_loss_is_too_far_and_not_the_end() -> None:
    x = point(4.0)
    optimizer = LBFGS([x], **WOLFE)
    optimizer.step(closure_of(optimizer, lambda: (x - 2 * x.sqrt()).sum()))
    assert x.item() == pytest.approx(1, abs=1e-6)
    assert optimizer.state_dict()["state"][0]["func_evals"] == 11


def test_without_a_search_not_a_number_is_seen() -> None:
    x = point(4.0)
    optimizer = LBFGS([x], lr=1e3)
    with np.errstate(invalid="ignore"):
        optimizer.step(closure_of(optimizer, lambda: (x - 2 * x.sqrt()).sum()))
    assert np.isnan(x.item())


def test_a_closure_that_fails_on_the_way_leaves_no_trial_behind() -> None:
    w, optimizer, closure = on_rosenbrock(**WOLFE)
    calls: list[int] = []

    def failing() -> Any:
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return closure()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(failing)
    assert w.tolist() == [-1.2, 1.0]


def test_an_empty_tensor_stays() -> None:
    empty = point()
    optimizer = LBFGS([empty])
    optimizer.step(closure_of(optimizer, lambda: (empty * empty).sum()))
    assert empty.shape == (0,)


def test_a_rate_of_zero_stays() -> None:
    for options in ({}, WOLFE):
        w, optimizer, closure = on_rosenbrock(lr=0.0, **options)
        optimizer.step(closure)
        assert w.tolist() == [-1.2, 1.0]


def test_single_precision_goes_down_and_stays_single() -> None:
    w = point(-1.2, 1.0, dtype=np.float32)
    optimizer = LBFGS([w], **WOLFE)
    closure = closure_of(optimizer, lambda: ORACLE.rosenbrock(w))
    losses = [optimizer.step(closure).item() for _ in range(4)]
    assert losses[-1] < 1e-3 * losses[0] and w.dtype == np.float32


def test_a_graph_older_than_the_step_is_not_trusted() -> None:
    w, optimizer, closure = on_rosenbrock()
    loss = (w * w).sum()
    optimizer.step(closure)
    with pytest.raises(RuntimeError, match=r"has been changed since, by LBFGS\.step\(\)"):
        loss.backward()


def test_a_rebound_array_is_taken_in_and_the_users_is_left_alone(on_device: Device) -> None:
    w, optimizer, closure = on_rosenbrock(max_iter=1)
    optimizer.step(closure)
    theirs = on_device.from_host(np.array([1.0, 1.5]))
    w.data = theirs
    optimizer.step(closure)
    assert theirs.tolist() == [1.0, 1.5] and w.tolist() != [1.0, 1.5]


def test_the_history_is_no_longer_than_it_may_be() -> None:
    _, optimizer, closure = on_rosenbrock(history_size=3)
    optimizer.step(closure)
    state = optimizer.state_dict()["state"][0]
    assert len(state["old_dirs"]) == len(state["old_stps"]) == len(state["ro"]) == 3


# ---- what cannot be ---------------------------------------------------------------------------


def test_there_is_one_group() -> None:
    text = "LBFGS: its history runs through all parameters at once, so they are one group."
    with pytest.raises(ValueError, match=text):
        LBFGS([{"params": [point(1.0)]}, {"params": [point(2.0)]}])
    optimizer = LBFGS([point(1.0)])
    with pytest.raises(ValueError, match=text):
        optimizer.add_param_group({"params": [point(2.0)]})
    assert len(optimizer.param_groups) == 1


def test_there_is_one_dtype(on_device: Device) -> None:
    kinds = f"float32 on {on_device}, float64 on {on_device}"
    text = f"LBFGS: parameters have one dtype and device, these have {kinds}."
    with pytest.raises(ValueError, match=re.escape(text)):
        LBFGS([point(1.0, dtype=np.float32), point(1.0)])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lr": -1}, "LBFGS: lr is -1; it has to be at least 0."),
        ({"max_iter": -1}, "LBFGS: max_iter is -1; it has to be a whole number, at least 0."),
        ({"max_iter": 1.5}, "LBFGS: max_iter is 1.5; it has to be a whole number, at least 0."),
        ({"max_eval": 0}, "LBFGS: max_eval is 0; it has to be an integer of at least 1."),
        ({"history_size": 0}, "LBFGS: history_size is 0; it has to be an integer of at least 1."),
        ({"tolerance_grad": -1}, "LBFGS: tolerance_grad is -1; it has to be at least 0"),
        (
            {"line_search_fn": "wolfe"},
            "LBFGS: line_search_fn is 'wolfe'; it has to be None or 'strong_wolfe'.",
        ),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        LBFGS([point(1.0)], **options)


# ---- state ------------------------------------------------------------------------------------


def through_json(saved: Any) -> Any:
    return json.loads(json.dumps(saved, default=lambda array: array.tolist()))


@pytest.mark.parametrize("options", [{"max_iter": 2}, {"max_iter": 2, "history_size": 3, **WOLFE}])
@pytest.mark.parametrize("through", [copy.deepcopy, through_json])
def test_a_resumed_run_has_the_same_bits(options: dict[str, Any], through: Any) -> None:
    w, optimizer, closure = on_rosenbrock(**options)
    for _ in range(5):
        optimizer.step(closure)
    saved = through(optimizer.state_dict())
    frozen = copy.deepcopy(saved)
    twin = point(*w.tolist())
    resumed = LBFGS([twin], lr=9.0)
    resumed.load_state_dict(saved)
    twin_closure = closure_of(resumed, lambda: ORACLE.rosenbrock(twin))
    for _ in range(20):
        optimizer.step(closure)
        resumed.step(twin_closure)
        assert twin.tolist() == w.tolist()
    np.testing.assert_equal(saved, frozen)


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_exactly_and_apart(twin_of: Any) -> None:
    w, optimizer, closure = on_rosenbrock(max_iter=2)
    optimizer.step(closure)
    twin, other = twin_of((w, optimizer))
    optimizer.step(closure)
    assert twin.tolist() != w.tolist()
    other.step(closure_of(other, lambda: ORACLE.rosenbrock(twin)))
    assert twin.tolist() == w.tolist()


def test_before_the_first_step_there_is_no_state() -> None:
    _, optimizer, _ = on_rosenbrock()
    saved = optimizer.state_dict()
    assert saved["state"] == {}
    optimizer.load_state_dict(saved)
    assert optimizer.state_dict()["state"] == {}


def test_a_file_that_does_not_fit_is_told_and_changes_nothing() -> None:
    _, optimizer, closure = on_rosenbrock()
    optimizer.step(closure)
    before = optimizer.state_dict()
    w = point(1.0, 2.0, 3.0)
    other = LBFGS([w], lr=0.5)
    other.step(closure_of(other, lambda: (w * w).sum()))
    momentum = SGD([w], momentum=0.9)
    momentum.step()
    for saved, text in [
        (other.state_dict(), "the file has vectors of shape (3,), the parameters here are (2,)"),
        (momentum.state_dict(), "the state has momentum_buffer, and LBFGS keeps func_evals,"),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            optimizer.load_state_dict(saved)
        np.testing.assert_equal(optimizer.state_dict(), before)


def test_by_name_the_order_has_to_be_the_same() -> None:
    names = {"a": point(1.0), "b": point(2.0)}
    optimizer = LBFGS(list(names.items()))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved, by_name=True)
    with pytest.raises(ValueError, match=r"LBFGS\.load_state_dict: .* the same in the same order"):
        LBFGS(list(reversed(names.items()))).load_state_dict(saved, by_name=True)
