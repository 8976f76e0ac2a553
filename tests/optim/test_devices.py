"""Optimizers follow their parameters: from device to device, to two devices, to the second GPU."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import EASY, ENTRIES, training
from tinygrad_opt import Device, DeviceError, Tensor, ones, optim, use_device
from tinygrad_opt.optim import (
    EMA,
    SAM,
    SGD,
    Accumulate,
    Adam,
    Lookahead,
    SkipNonFinite,
    before_step,
)

pytestmark = pytest.mark.on("standin", "kernels", "cuda")

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "lookahead": lambda o: Lookahead(o, k=2),
    "accumulate": lambda o: Accumulate(o, k=2),
    "accumulate three": lambda o: Accumulate(o, k=3),
    "skip": SkipNonFinite,
    "sam": SAM,
    "asam": optim.ASAM,
}


def begin(name: str, wrap: Callable[[Any], Any], device: Any) -> tuple[Any, Any, Any]:
    """A training that is the same on every device, for its numbers are drawn on the host."""
    tg.manual_seed(0)
    with use_device(device):
        model, optimizer, closure = training(name, "float64")
    return model, wrap(optimizer), closure


def values(model: Any) -> list[Any]:
    return [host(p).copy() for p in model.parameters()]


def close(found: Iterable[Any], expected: Iterable[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def arrays(value: Any) -> list[Any]:
    """The arrays in a state."""
    if isinstance(value, (list, tuple)):
        return [array for one in value for array in arrays(one)]
    return [value] if hasattr(value, "dtype") else []


def same(optimizer: Any) -> Any:
    return optimizer


EVERY = [pytest.param(name, same, id=name) for name in ENTRIES]
EVERY += [pytest.param("adam", wrap, id=name) for name, wrap in WRAPPERS.items()]


# ---- from one device to the other ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "wrap"), EVERY)
def test_training_goes_on_wherever_the_model_is_moved(name: str, wrap: Any) -> None:
    stayed, steady, there = begin(name, wrap, "cpu")
    moved, optimizer, here = begin(name, wrap, "cpu")
    for run, one, closure, places in (
        (stayed, steady, there, ["cpu"] * 3),
        (moved, optimizer, here, ["cpu", "cuda", "cpu"]),
    ):
        tg.manual_seed(1)
        for place in places:
            run.to(place)
            for _ in range(2):
                one.step(closure)
            for p in run.parameters():
                assert p.device is Device(place)
                state = list(one.state_of(p).values())
                assert {Device.of(array) for array in arrays(state)} <= {p.device}
    close(values(moved), values(stayed))


@pytest.mark.parametrize(("name", "wrap"), EVERY)
@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_is_resumed_on_the_other_device(
    name: str, wrap: Any, first: str, second: str
) -> None:
    model, optimizer, closure = begin(name, wrap, first)
    for _ in range(3):
        optimizer.step(closure)
    saved = pickle.dumps((model.state_dict(), optimizer.state_dict()))
    again, resumed, other = begin(name, wrap, second)
    for part, state in zip((again, resumed), pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    for one, call in ((optimizer, closure), (resumed, other)):
        tg.manual_seed(1)
        for _ in range(3):
            one.step(call)
    assert {p.device for p in again.parameters()} == {Device(second)}
    close(values(again), values(model))


def test_an_average_stays_where_it_is_and_takes_weights_from_anywhere() -> None:
    model, optimizer, closure = begin("adam", same, "cpu")
    average, twin = EMA(model, 0.5), EMA(model, 0.5)
    average.module.to("cuda")
    for place in ("cpu", "cuda", "cpu"):
        model.to(place)
        optimizer.step(closure)
        for one in (average, twin):
            one.update_parameters(model)
    assert {p.device for p in average.parameters()} == {Device("cuda")}
    close(values(average), values(twin))
    average.copy_to(model)
    assert {p.device for p in model.parameters()} == {Device("cpu")}
    close(values(model), values(twin))


# ---- two devices in one optimizer ---------------------------------------------------------------


def halves() -> list[Tensor]:
    """Two parameters with gradients; the second is on the CPU, and the first is not."""
    params = [ones(2, 2, requires_grad=True), ones(2, 2, device="cpu", requires_grad=True)]
    for p in params:
        p.grad = ones(2, 2, device=p.device)
    return params


@pytest.mark.parametrize("name", EASY)
def test_rules_that_look_at_a_parameter_at_a_time_work_on_two_devices(name: str) -> None:
    params = halves()
    optimizer = ENTRIES[name](params)
    for _ in range(2):
        optimizer.step()
    a, b = params
    assert a.device is not b.device
    np.testing.assert_allclose(host(a), host(b), rtol=1e-5)
    assert not (host(a) == 1).all()
    for p in params:
        state = list(optimizer.state_of(p).values())
        assert {Device.of(array) for array in arrays(state)} <= {p.device}


@pytest.mark.parametrize(
    ("owner", "act"),
    [
        ("clip_grad_norm_", lambda params, c: optim.clip_grad_norm_(params, 1.0)),
        ("normalize_", lambda params, c: optim.normalize_(params)),
        ("SAM", lambda params, c: SAM(SGD(params)).step(c)),
        ("Newton", lambda params, c: optim.Newton(params).step(c)),
        ("ConjugateGradient", lambda params, c: optim.ConjugateGradient(params).step(c)),
    ],
)
def test_what_looks_at_all_parameters_at_once_needs_them_on_one(owner: str, act: Any) -> None:
    params = halves()

    def closure() -> Any:
        for p in params:
            (p * p).sum().backward()
        return (params[0] * params[0]).sum()

    text = (
        f"{owner}: it looks at all parameters at once, and these are on cpu and cuda:0. Nothing "
        "moves by itself: move the whole model, or take an optimizer for each device."
    )
    with pytest.raises(DeviceError, match=re.escape(text)):
        act(params, closure)
    assert [p.tolist() for p in params] == [[[1.0, 1.0], [1.0, 1.0]]] * 2


def test_lbfgs_says_it_in_its_own_words() -> None:
    with pytest.raises(ValueError, match="these have float32 on cuda:0, float32 on cpu"):
        optim.LBFGS(halves())


def test_a_gradient_that_stayed_behind_is_named() -> None:
    a, b = halves()
    b.name = "1.weight"
    b.grad = a.grad
    optimizer = Adam([a, b])
    text = (
        'Adam: parameter 1 ("1.weight") is on cpu, its gradient on cuda:0. Move the parameter '
        "before backward(), or the gradient after it: model.to() does."
    )
    with pytest.raises(DeviceError, match=re.escape(text)):
        optimizer.step()
    assert a.tolist() == [[1.0, 1.0], [1.0, 1.0]] and optimizer.step_count == 0


# ---- the second GPU -----------------------------------------------------------------------------


@pytest.mark.on("standin", "kernels")
@pytest.mark.parametrize(("name", "wrap"), EVERY)
def test_on_the_second_gpu_while_the_first_is_current(name: str, wrap: Any) -> None:
    expected, steady, there = begin(name, wrap, "cpu")
    model, optimizer, here = begin(name, wrap, "cuda:1")
    for one, closure in ((steady, there), (optimizer, here)):
        tg.manual_seed(1)
        for _ in range(3):
            one.step(closure)
        one.load_state_dict(one.state_dict())
        one.step(closure)
        one.zero_grad(set_to_none=False)
    for p in model.parameters():
        state = list(optimizer.state_of(p).values())
        assert {p.device, *map(Device.of, arrays(state))} == {Device("cuda:1")}
    close(values(model), values(expected))


@pytest.mark.on("standin", "kernels")
def test_what_is_around_an_optimizer_works_on_the_second_gpu() -> None:
    results = []
    for device in ("cpu", "cuda:1"):
        model, optimizer, closure = begin("sgdschedulefree", same, device)
        for hook in (
            before_step(optim.clip_grad_norm_, 0.1),
            before_step(optim.clip_each_grad_norm_, 0.05),
            before_step(optim.clip_grad_value_, 0.02),
            before_step(optim.adaptive_clip_),
            before_step(optim.centralize_),
            before_step(optim.normalize_),
            before_step(optim.add_noise_, 0.01),
            before_step(optim.zero_nans_),
            before_step(optim.elastic_net_, 0.01, 0.01),
        ):
            optimizer.register_step_pre_hook(hook)
        tg.manual_seed(1)
        average = EMA(model, 0.5)
        for _ in range(3):
            closure()
            optimizer.step()
            optim.proximal_l1_(model.parameters(), 0.01, 0.1)
            optim.max_norm_(model.parameters(), 0.5)
            average.update_parameters(model)
        optimizer.eval()
        with average.in_place_of(model):
            averaged = values(model)
        assert {p.device for p in (*model.parameters(), *average.parameters())} == {Device(device)}
        results.append([*averaged, *values(model)])
    close(results[1], results[0])
