"""Optimizers around optimizers: what they add, and that they look like what is inside."""

from __future__ import annotations

import copy
import json
import pathlib
import pickle
import re
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Device, Tensor, manual_seed, nn, optim, tensor
from tinygrad_opt.optim import (
    LBFGS,
    SAM,
    SGD,
    Accumulate,
    Adam,
    Lookahead,
    MultiOptimizer,
    Newton,
    PolyakStep,
    SkipNonFinite,
    SophiaH,
    before_step,
    clip_grad_norm_,
    lr_scheduler,
)

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_wrappers.py")))
ARRAYS = dict(np.load(ORACLE.ARRAYS))
SHAPES = [(3, 2), (2,), ()]


def parameters(dtype: str = "float64") -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in SHAPES]


def give(params: list[Tensor], step: int) -> None:
    """A gradient that depends on the step; the last parameter has none now and then."""
    rng = np.random.default_rng(100 + step)
    for i, p in enumerate(params):
        g = tensor(np.asarray(rng.standard_normal(p.shape), p.dtype))
        p.grad = None if i == 2 and step % 3 == 1 else g


def train(optimizer: Any, params: list[Tensor], start: int, stop: int) -> list[Any]:
    for step in range(start, stop):
        give(params, step)
        optimizer.step()
    return [host(p).copy() for p in params]


def quadratic(params: list[Tensor], optimizer: Any = None) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        if optimizer is not None:
            optimizer.zero_grad()
        loss = sum((p * p).sum() for p in params)
        loss.backward()
        return loss

    return closure


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "Lookahead": lambda inner: Lookahead(inner, k=3, alpha=0.6),
    "Accumulate": lambda inner: Accumulate(inner, k=3),
    "SkipNonFinite": SkipNonFinite,
    "SAM": lambda inner: SAM(inner, rho=0.1),
    "MultiOptimizer": lambda inner: MultiOptimizer(
        [(f"p{i}", p) for i, p in enumerate(inner.parameters())],
        [(is_last, plain_sgd), (is_any, adam)],
    ),
    "nested": lambda inner: SkipNonFinite(Lookahead(Accumulate(inner, k=2), k=2)),
}
every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


def is_last(name: str, p: Tensor) -> bool:
    return name == "p2"


def is_any(name: str, p: Tensor) -> bool:
    return True


def plain_sgd(params: Any) -> SGD:
    return SGD(params, lr=0.1)


def adam(params: Any) -> Adam:
    return Adam(params, lr=0.1)


def step_once(optimizer: Any, params: list[Tensor]) -> None:
    """A step with a closure, which all can take."""
    optimizer.step(quadratic(params, optimizer))


# ---- what all wrappers share ------------------------------------------------------------------


@every_wrapper
def test_it_looks_like_an_optimizer(name: str) -> None:
    params = parameters()
    inner = Adam(params, lr=0.1)
    optimizer = WRAPPERS[name](inner)
    assert all(p in {*params} for p in optimizer.parameters())
    assert optimizer.step_count == 0
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    for _ in range(6):
        step_once(optimizer, params)
    assert optimizer.step_count in (6, 3, 2)
    assert optimizer.state_of(params[0])["t"] == optimizer.step_count
    give(params, 0)
    optimizer.zero_grad(set_to_none=False)
    assert [p.grad.tolist() for p in params] == [np.zeros(s).tolist() for s in SHAPES]
    optimizer.zero_grad()
    assert [p.grad for p in params] == [None] * 3
    assert "Adam(" in repr(optimizer)


@every_wrapper
def test_schedulers_and_new_groups_reach_the_inside(name: str) -> None:
    params, extra = parameters(), tensor([1.0], requires_grad=True)
    optimizer = WRAPPERS[name](Adam(params, lr=0.1))
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": [("extra", extra)], "lr": 1.0})
    assert optimizer.param_groups[-1]["params"][0] is extra
    for _ in range(6):
        step_once(optimizer, [*params, extra])
    scheduler.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [0.05] * (len(rates) - 1) + [0.5]
    assert extra.item() < 1.0


@every_wrapper
def test_hooks_see_every_step_and_only_steps(name: str) -> None:
    params = parameters()
    optimizer = WRAPPERS[name](Adam(params))
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    handle = optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    for _ in range(6):
        step_once(optimizer, params)
    assert seen == ["before", "after"] * optimizer.step_count
    handle.remove()
    for _ in range(6):
        step_once(optimizer, params)
    assert seen.count("before") == 2 * seen.count("after")


@every_wrapper
@pytest.mark.parametrize("stop", [4, 5])
def test_a_resumed_run_has_the_same_bits(name: str, stop: int) -> None:
    def run(optimizer: Any, params: list[Tensor], start: int, end: int) -> list[Any]:
        if name != "SAM":
            return train(optimizer, params, start, end)
        for _ in range(start, end):
            step_once(optimizer, params)
        return [host(p).copy() for p in params]

    params = parameters()
    whole = WRAPPERS[name](Adam(params, lr=0.1))
    middle = run(whole, params, 0, stop)
    saved = whole.state_dict()
    json.dumps(saved, default=np.ndarray.tolist)
    frozen = copy.deepcopy(saved)
    end = run(whole, params, stop, stop + 20)
    params = [tensor(array, requires_grad=True) for array in middle]
    resumed = WRAPPERS[name](Adam(params, lr=9.0))
    resumed.load_state_dict(saved)
    for a, b in zip(run(resumed, params, stop, stop + 20), end, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(saved, frozen)


@every_wrapper
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles_go_on_alike(name: str, duplicate: Callable[[Any], Any]) -> None:
    params = parameters()
    optimizer = WRAPPERS[name](Adam(params, lr=0.1))
    for _ in range(4):
        step_once(optimizer, params)
    optimizer.zero_grad()
    twin = duplicate(optimizer)
    twins = sorted(twin.parameters(), key=lambda p: -p.size)
    assert not {*twins} & {*params}
    for _ in range(5):
        step_once(twin, twins)
        step_once(optimizer, params)
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(host(p), host(q))
    assert twin.step_count == optimizer.step_count


def test_what_else_the_inside_can_do_is_at_hand() -> None:
    class Switched(SGD):
        def eval(self) -> str:
            return "evaluating"

    optimizer = Lookahead(SkipNonFinite(Switched(parameters(), lr=0.5)))
    assert optimizer.eval() == "evaluating" and optimizer.defaults["lr"] == 0.5
    with pytest.raises(AttributeError, match="'Switched' object has no attribute 'missing'"):
        optimizer.missing  # noqa: B018
    with pytest.raises(AttributeError, match="Lookahead has no attribute '_storages'"):
        optimizer._storages  # noqa: B018


@pytest.mark.parametrize("kind", [Lookahead, SkipNonFinite, SAM])
def test_what_is_no_optimizer_is_told(kind: Any) -> None:
    name = kind.__name__
    text = (
        f"{name}: it goes around an optimizer, and this is a list. "
        f"Write {name}(SGD(params, lr=0.1))."
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        kind([tensor([1.0], requires_grad=True)])


def test_a_recorded_optimizer_is_refused() -> None:
    text = "Lookahead: this optimizer is differentiable, and its graph would miss what a wrapper"
    with pytest.raises(ValueError, match=text):
        Lookahead(SGD(parameters(), differentiable=True))
    optimizer = Lookahead(SGD(parameters()))
    with pytest.raises(ValueError, match=text):
        optimizer.add_param_group({"params": parameters(), "differentiable": True})
    assert len(optimizer.param_groups) == 1


def test_state_that_does_not_fit_changes_nothing() -> None:
    params = parameters()
    optimizer = Lookahead(Adam(params, lr=0.1), k=3)
    train(optimizer, params, 0, 4)
    before = optimizer.state_dict()
    shorter = before | {"slow_params": before["slow_params"][:2]}
    other = before | {"slow_params": [np.zeros(5), *before["slow_params"][1:]]}
    inner = before | {"steps": 0, "optimizer": SGD(params[:1]).state_dict()}
    for state, text in (
        (before["optimizer"], "Lookahead.load_state_dict: optimizer, slow_params, steps missing."),
        (shorter, "Lookahead.load_state_dict: slow_params has 2 arrays for 3 parameters."),
        (other, "slow_params of parameter 0 is (5,) in the file and (3, 2) here."),
        (inner, "Adam.load_state_dict: the file has groups of [1] parameters"),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            optimizer.load_state_dict(state)
        np.testing.assert_equal(optimizer.state_dict(), before)


BAD: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (
        lambda o: Lookahead(o, k=0),
        ValueError,
        "Lookahead: k is 0; it has to be an integer of at least 1.",
    ),
    (lambda o: Lookahead(o, alpha=1.5), ValueError, "Lookahead: alpha is 1.5; it has to be betwee"),
    (lambda o: Lookahead(o, alpha=float("nan")), ValueError, "Lookahead: alpha is nan; it has to"),
    (lambda o: Lookahead(o, alpha="a"), TypeError, "Lookahead: alpha is 'a'; it has to be a numb"),
    (lambda o: Accumulate(o, 2.5), ValueError, "Accumulate: k is 2.5; it has to be an integer of"),
    (lambda o: SkipNonFinite(o, 0), ValueError, "SkipNonFinite: max_consecutive is 0; it has to"),
    (lambda o: SAM(o, rho=-0.1), ValueError, "SAM: rho is -0.1; it has to be at least 0."),
]


@pytest.mark.parametrize(("make", "kind", "text"), BAD)
def test_options_out_of_range(make: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        make(SGD(parameters()))


# ---- Lookahead --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORACLE.LOOKAHEAD)
def test_lookahead_is_that_of_pytorch_optimizer(name: str) -> None:
    case = ORACLE.LOOKAHEAD[name]
    start, gradients = ORACLE.inputs()
    params = [tensor(array, requires_grad=True) for array in start]
    inner = getattr(optim, case["kind"])(params, **case["options"])
    optimizer = Lookahead(inner, case["k"], case["alpha"])
    for step, expected in zip(gradients, ARRAYS[name], strict=True):
        for p, g in zip(params, step, strict=True):
            p.grad = tensor(g)
        optimizer.step()
        row = ORACLE.row([p.detach() for p in params])
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


def test_two_steps_forward_one_back() -> None:
    w = tensor([0.0], requires_grad=True)
    optimizer = Lookahead(SGD([w], lr=1.0), k=2, alpha=0.5)
    path = []
    for _ in range(4):
        w.grad = tensor([-1.0])
        optimizer.step()
        path.append(w.item())
    assert path == [1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lookahead_that_goes_all_the_way_is_the_optimizer(dtype: str) -> None:
    params, twins = parameters(dtype), parameters(dtype)
    found = train(Lookahead(Adam(params, lr=0.1), k=2, alpha=1), params, 0, 9)
    for a, b in zip(found, train(Adam(twins, lr=0.1), twins, 0, 9), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)


def test_slow_weights_begin_with_the_first_step() -> None:
    w = tensor([5.0], requires_grad=True)
    optimizer = Lookahead(SGD([w], lr=1.0), k=1, alpha=0.5)
    w.data = np.array([0.0], np.float32)  # a checkpoint that is loaded after construction
    w.grad = tensor([-1.0])
    optimizer.step()
    assert w.item() == 0.5


def test_a_hook_after_the_step_sees_the_weights_that_looked_back() -> None:
    w = tensor([0.0], requires_grad=True)
    optimizer = Lookahead(SGD([w], lr=1.0), k=2, alpha=0.5)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(w.item()))
    for _ in range(4):
        w.grad = tensor([-1.0])
        optimizer.step()
    assert seen == [1.0, 1.0, 2.0, 2.0]


def test_slow_weights_follow_the_dtype_of_a_model() -> None:
    layer = nn.Linear(2, 1)
    optimizer = Lookahead(SGD(layer.parameters(), lr=0.1), k=1)
    for dtype in ("float32", "float64"):
        layer.to(dtype)
        layer(tensor(np.ones((1, 2), dtype))).sum().backward()
        optimizer.step()
        assert {array.dtype for array in optimizer.slow_params.values()} == {np.dtype(dtype)}


# ---- Accumulate -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("clear", [True, False])
def test_micro_batches_are_one_large_batch(kind: Any, clear: bool) -> None:
    rng = np.random.default_rng(1)
    batches = [(rng.standard_normal((12, 3)), rng.standard_normal((12, 2))) for _ in range(5)]

    def run(parts: int) -> Any:
        model = nn.Linear(3, 2).to("float64")
        model.weight.data, model.bias.data = np.ones((2, 3)), np.zeros(2)
        optimizer = Accumulate(kind(model.parameters(), lr=0.1), parts)
        for x, y in batches:
            for part in np.split(np.arange(12), parts):
                if clear:
                    optimizer.zero_grad()
                nn.functional.mse_loss(model(tensor(x[part])), tensor(y[part])).backward()
                optimizer.step()
        assert optimizer.step_count == 5
        return ORACLE.row([p.detach() for p in model.parameters()])

    whole = run(1)
    for parts in (2, 4):
        np.testing.assert_allclose(run(parts), whole, rtol=1e-13)


def test_accumulating_once_is_the_optimizer() -> None:
    params, twins = parameters(), parameters()
    found = train(Accumulate(Adam(params, lr=0.1), 1), params, 0, 6)
    for a, b in zip(found, train(Adam(twins, lr=0.1), twins, 0, 6), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_is_missing_counts_as_zero_and_one_that_never_came_as_none() -> None:
    a, b, c = (tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = Accumulate(SGD([a, b, c], lr=1.0, weight_decay=0.5), 2)
    for first in (True, False):
        a.grad, b.grad = tensor([2.0]), tensor([2.0]) if first else None
        optimizer.step()
    assert [p.item() for p in (a, b, c)] == [1 - 2.5, 1 - 1.5, 1.0]


def test_shared_gradients_stay_as_they_are_and_are_taken(on_device: Device) -> None:
    p = tensor(np.zeros(2), requires_grad=True)
    shared = on_device.from_host(np.ones(2))
    optimizer = Accumulate(SGD([p], lr=1.0), 3)
    for _ in range(3):
        p.grad = Tensor(shared)
        optimizer.step()
        assert p.grad is None and shared.tolist() == [1.0, 1.0]
    assert p.tolist() == [-1.0, -1.0]


def test_clipping_comes_after_accumulating() -> None:
    p = tensor(np.zeros(1), requires_grad=True)
    optimizer = Accumulate(SGD([p], lr=1.0), 2)
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))
    for g in (9.0, -8.0):
        p.grad = tensor(np.array([g]))
        optimizer.step()
    assert p.item() == -0.5, "the mean is short enough, the parts are not"


def test_what_is_left_at_the_end_of_an_epoch_can_be_used() -> None:
    p = tensor(np.zeros(1), requires_grad=True)
    optimizer = Accumulate(SGD([p], lr=1.0), 4)
    for g in (1.0, 2.0):
        p.grad = tensor(np.array([g]))
        optimizer.step()
    optimizer.flush()
    assert (p.item(), optimizer.step_count, optimizer.count) == (-1.5, 1, 0)
    optimizer.flush()
    assert optimizer.step_count == 1, "nothing was left"


def test_a_gradient_of_another_shape_is_not_taken_in() -> None:
    a, b = (tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = Accumulate(SGD([a, b]), 2)
    a.grad, b.grad = tensor([1.0]), tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"Accumulate: parameter 1 has shape \(1,\), its gradient"):
        optimizer.step()
    assert optimizer.count == 0 and not optimizer.sums and a.grad.tolist() == [1.0]


def test_the_loss_of_a_closure_is_returned() -> None:
    params = parameters()
    for optimizer in (Accumulate(SGD(params), 2), SkipNonFinite(SGD(params))):
        expected = sum(float((host(p) ** 2).sum()) for p in params)
        assert optimizer.step(quadratic(params, optimizer)).item() == pytest.approx(expected)


# ---- SkipNonFinite ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_step_that_is_not_finite_is_left_out_whole(bad: float) -> None:
    params, twins = parameters(), parameters()
    optimizer, twin = SkipNonFinite(Adam(params, lr=0.1)), Adam(twins, lr=0.1)
    train(optimizer, params, 0, 2)
    train(twin, twins, 0, 2)
    before = optimizer.state_dict()
    give(params, 2)
    params[1].grad.data[0] = bad
    optimizer.step()
    after = optimizer.state_dict()
    assert (after.pop("skipped"), after.pop("in_a_row")) == (1, 1)
    np.testing.assert_equal(after, {"optimizer": before["optimizer"]})
    train(optimizer, params, 3, 5)
    train(twin, twins, 3, 5)
    assert (optimizer.skipped, optimizer.in_a_row, optimizer.step_count) == (1, 0, 4)
    for p, q in zip(params, twins, strict=True):
        np.testing.assert_array_equal(host(p), host(q))


def test_too_many_in_a_row_are_an_error() -> None:
    w, b = (tensor([1.0], requires_grad=True) for _ in range(2))
    b.name = "0.bias"
    optimizer = SkipNonFinite(SGD([w, b], lr=1.0), max_consecutive=3)
    w.grad, b.grad = tensor([1.0]), tensor([float("nan")])
    optimizer.step()
    optimizer.step()
    text = (
        'SkipNonFinite: the gradient of parameter 1 ("0.bias") is not finite, and 3 steps in a row '
        "were skipped for such gradients. Lower the learning rate, clip, or look for NaN in the "
        "data."
    )
    with pytest.raises(RuntimeError, match=re.escape(text)):
        optimizer.step()
    assert (w.item(), b.item(), optimizer.step_count) == (1.0, 1.0, 0)


def test_a_bad_micro_batch_is_left_out_of_the_mean() -> None:
    p = tensor(np.zeros(1), requires_grad=True)
    optimizer = SkipNonFinite(Accumulate(SGD([p], lr=1.0), 2))
    for g in (1.0, np.nan, 3.0):
        p.grad = tensor(np.array([g]))
        optimizer.step()
    assert p.item() == -2.0


@pytest.mark.parametrize(
    "make",
    [
        PolyakStep,
        lambda params: LBFGS(params, line_search_fn="strong_wolfe"),
        lambda params: SophiaH(params, update_period=2),
        Newton,
        lambda params: SAM(SGD(params, lr=0.1)),
    ],
    ids=["PolyakStep", "LBFGS", "SophiaH", "Newton", "SAM"],
)
def test_what_needs_a_closure_gets_it_and_no_call_is_wasted(make: Any) -> None:
    def run(around: Any) -> tuple[list[Any], int]:
        params, losses = parameters(), []
        optimizer = around(make(params))
        manual_seed(0)  # SophiaH draws

        def closure() -> Tensor:
            losses.append(quadratic(params, optimizer)())
            return losses[-1]

        returned = [optimizer.step(closure).item() for _ in range(3)]
        return [returned, *map(host, params)], len(losses)

    found, calls = run(SkipNonFinite)
    expected, fewest = run(lambda inner: inner)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert calls == fewest
