"""One kernel a step: the text that the tracer writes, run and held equal to the rule itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import ELEMENTWISE, ENTRIES, accepted
from tests.standin import strict_cupy
from tests.standin.strict_cupy import watch
from tinygrad_opt import Tensor, nn, optim
from tinygrad_opt.device import Device
from tinygrad_opt.nn import functional as F
from tinygrad_opt.optim.engine.cuda import AHEAD, Cuda

pytestmark = pytest.mark.on("kernels", "cuda")

SHAPES = [(7, 5), (5,), (), (3, 1, 4), (0,)]

# Options that take other branches of a rule.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("sgd", {"momentum": 0.9, "dampening": 0.1}),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "maximize": ("adam", {"maximize": True}),
    "amsgrad": ("adam", {"amsgrad": True, "weight_decay": 0.1}),
    "centered": ("rmsprop", {"momentum": 0.9, "centered": True}),
    "decoupled decay": ("adamw", {"weight_decay": 0.1}),
    **{name: (name, {}) for name in ELEMENTWISE},
}


def walk(name: str, engine: str, dtype: str, steps: int = 9, **options: Any) -> Iterator[list[Any]]:
    """Parameters and state after each step: some are frozen for a while, and the rate changes."""
    rng = np.random.default_rng(0)
    params = [tg.tensor(rng.standard_normal(s), dtype=dtype, requires_grad=True) for s in SHAPES]
    optimizer = ENTRIES[name](params, **accepted(name, **options), engine=engine)
    assert optimizer.engine == engine
    for step in range(steps):
        for i, p in enumerate(params):
            g = tg.tensor(rng.standard_normal(p.shape), dtype=dtype)
            p.grad = None if step == 1 or (i == 1 and step in (2, 3, 4)) else g
        if step == 6 and "lr" in optimizer.param_groups[0]:
            optimizer.param_groups[0]["lr"] = 0.5 * optimizer.param_groups[0]["lr"]
        optimizer.step()
        state = [a for p in params for a in optimizer.state_of(p).values()]
        yield [np.array(host(a)) for a in (*params, *state)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernel_is_the_rule(variant: str, dtype: str, on_device: Device) -> None:
    """To the bit where nothing is contracted; a GPU makes one rounding of a * b + c."""
    name, options = VARIANTS[variant]
    rounding = 0 if on_device.xp is strict_cupy.cupy else 32 * np.finfo(dtype).eps
    pairs = zip(
        walk(name, "cuda", dtype, **options),
        walk(name, "reference", dtype, **options),
        strict=True,
    )
    for ours, truth in pairs:
        for a, b in zip(ours, truth, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding)


def test_it_is_what_a_gpu_takes_unless_told_otherwise() -> None:
    w = tg.ones(3, requires_grad=True)
    assert optim.Adam([w])._storages[0].flats[0].kind is Cuda
    half = tg.ones(3, dtype="float16", requires_grad=True)
    assert optim.SGD([half])._storages[0].flats[0].kind is not Cuda
    with tg.use_kernels(False):
        assert optim.Adam([w])._storages[0].flats[0].kind is not Cuda


def training(optimizer: optim.Optimizer, w: Tensor) -> Iterator[list[str]]:
    """What each step uploads."""
    while True:
        w.grad = tg.ones(3)
        with watch() as traffic:
            optimizer.step()
        assert traffic.syncs == []
        yield traffic.uploads


@pytest.mark.on("kernels")
def test_a_table_of_numbers_serves_many_steps() -> None:
    w = tg.ones(3, requires_grad=True)
    steps = training(optim.Adam([w]), w)
    assert [i for i in range(3 * AHEAD) if next(steps)] == [0, 1, 1 + AHEAD, 1 + 2 * AHEAD]


@pytest.mark.on("kernels")
def test_a_rate_that_changes_is_one_small_upload() -> None:
    w = tg.ones(3, requires_grad=True)
    optimizer = optim.Adam([w])
    steps = training(optimizer, w)
    for i in range(5):
        optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
        assert len(next(steps)) == 1


@pytest.mark.on("kernels")
def test_the_text_of_a_kernel_holds_no_number_of_the_step() -> None:
    texts = []
    for lr in (0.1, 0.2):
        w = tg.ones(3, requires_grad=True)
        optimizer = optim.Adam([w], lr=lr)
        w.grad = tg.ones(3)
        optimizer.step()
        texts.append(optimizer._storages[0].flats[0].runs[0].engine.kernel)
    assert texts[0] is texts[1]


@pytest.mark.on("kernels")
def test_a_training_step_takes_twenty_launches_and_waits_for_nothing() -> None:
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = optim.Adam(model.parameters())
    x, y = tg.rand(128, 784), tg.randint(0, 10, 128)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        step()
    with watch() as traffic:
        loss = step()
    assert traffic.syncs == [] and traffic.uploads == []
    assert len(traffic.launches) <= 20, traffic.launches
    assert loss.item() < 3
