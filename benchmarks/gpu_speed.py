"""How fast calls, optimizer steps and training steps are on a GPU: lines of times.

Order: launch · optimizer · mlp and large · kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.device import Device

from .timing import ON_CPU, OURS, Bench, Line, Maker, again, launches, timed
from .workloads import (
    NETWORKS,
    RULES,
    Network,
    Step,
    described,
    first_losses,
    stepper,
    update,
    weights_of,
)

COPY = "copy"
SMALL = NETWORKS["medium"]  # 784-256-128-10, batch 128, Adam


# ---- launch: what a call costs the host -------------------------------------------------------


def launch(bench: Bench) -> Iterator[Line]:
    """Calls with next to nothing to do: what counts is the time of the host."""
    xp = bench.device.xp
    kernel = xp.ElementwiseKernel("float32 a, float32 b", "float32 y", "y = a + b", "benchmark_add")
    for size in bench.sizes or [1024]:
        side = math.isqrt(size)
        for name, shape in (("add", (size,)), ("matmul", (side, side))):
            a, b = xp.ones(shape, xp.float32), xp.ones(shape, xp.float32)
            makers = {
                OURS: bench.ours(binary, name, shape),
                "CuPy": given(partial(getattr(xp, name), a, b)),
                "PyTorch": bench.theirs(binary, name, shape),
            }
            yield timed(bench, f"{name} {shape}", makers, shape=shape)
        a, b, y = (xp.ones(size, xp.float32) for _ in range(3))
        makers = {"CuPy": given(partial(kernel, a, b, y))}
        yield timed(bench, f"ElementwiseKernel ({size},)", makers, shape=(size,))


def binary(framework: Any, device: Any, name: str, shape: tuple[int, ...]) -> Step:
    """A function of two tensors of ones."""
    a, b = (framework.ones(shape, device=device) for _ in range(2))
    return partial(getattr(framework, name), a, b)


def given(step: Step) -> Maker:
    """What makes a step that is there already."""
    return lambda: step


# ---- optimizer: steps alone, against the bandwidth of a copy ----------------------------------

VARIANTS: dict[str, dict[str, bool]] = {
    "PyTorch": {"foreach": False, "fused": False},
    "PyTorch foreach": {"foreach": True},
    "PyTorch fused": {"fused": True},
}


def optimizer(bench: Bench) -> Iterator[Line]:
    """Steps over many parameters, in one tensor and in fifty.

    A rule moves `bytes` bytes a parameter at least. `copy` copies within the GPU what moves as
    many, half of them read and half written; `of_copy` is the share of its bandwidth.
    """
    rng = np.random.default_rng(0)
    for size in bench.sizes or [10**5, 10**6, 10**7, 10**8]:
        values = rng.standard_normal(size, np.float32)
        for tensors in (1, 50):
            parts = np.array_split(values, tensors)
            for rule, (kind, options, each) in RULES.items():
                makers: dict[str, Maker | None] = {
                    OURS: bench.ours(update, kind, parts, options),
                    COPY: partial(copy, bench.device.xp, size * each // 2),
                }
                for variant, flags in VARIANTS.items():
                    makers[variant] = bench.theirs(update, kind, parts, options | flags)
                name = f"{rule}, {size:,} parameters in {tensors}"
                line = timed(
                    bench, name, makers, rule=rule, parameters=size, tensors=tensors, bytes=each
                )
                yield with_bandwidth(line)


def copy(xp: Any, size: int) -> Step:
    """The copy of so many bytes into others."""
    source, target = xp.zeros(size, xp.uint8), xp.empty(size, xp.uint8)
    return partial(xp.copyto, target, source)


def with_bandwidth(line: Line) -> Line:
    """The line, with GB/s and the share of the copy's for every peer."""
    moved = line["bytes"] * line["parameters"]
    measured = [found for found in line["peers"].values() if found]
    for found in measured:
        found["GB_s"] = moved / found["device_us"]["median"] / 1e3
    for found in measured:
        found["of_copy"] = found["GB_s"] / line["peers"][COPY]["GB_s"]
    return line


# ---- mlp and large: whole training steps ------------------------------------------------------


def mlp(bench: Bench) -> Iterator[Line]:
    """784-w-w-10 at batch w, from small to large, and on our CPU too: where does a GPU pay?"""
    if not bench.sizes:
        yield training(bench, SMALL, with_cpu=True)
    for width in bench.sizes or [128, 256, 512, 1024, 2048]:
        yield training(bench, square(width, 784), with_cpu=True)


def large(bench: Bench) -> Iterator[Line]:
    """Matrix products alone count: three layers as wide as the batch is long."""
    for width in bench.sizes or [4096]:
        yield training(bench, square(width, width), with_cpu=False)


def square(width: int, features: int) -> Network:
    """A network of two hidden layers as wide as its batch is long."""
    return Network((features, width, width, 10), width, "CrossEntropyLoss", "Adam")


def training(bench: Bench, network: Network, with_cpu: bool) -> Line:
    """Times of a training step, and how far five losses of each peer are from ours."""
    sizes, batch, *_ = network

    def makers(lr: float) -> dict[str, Maker | None]:
        what = network, lr
        made: dict[str, Maker | None] = {OURS: bench.ours(stepper, *what)}
        if with_cpu:
            made[ON_CPU] = partial(stepper, tg, Device("cpu"), *what)
        made["PyTorch"] = bench.theirs(stepper, *what)
        made["PyTorch fused"] = bench.theirs(stepper, *what, fused=True)
        return made

    line = timed(bench, described(network), makers(1e-7), sizes=sizes, batch=batch)
    products = [a * b for a, b in pairwise(sizes)]
    flops = 2 * batch * (3 * sum(products) - products[0])  # nobody asks for the gradient of x
    reference: list[float] = []
    for step, found in again(line, makers(1e-4)):
        losses = first_losses(step, 5)
        reference = reference or losses
        found["loss_difference"] = max(abs(a - b) for a, b in zip(losses, reference))
        if found["device_us"]:
            found["TFLOP_s"] = flops / found["device_us"]["median"] / 1e6
    return line


# ---- kernels: how many launches a step is -----------------------------------------------------


def kernels(bench: Bench) -> Iterator[Line]:
    """What a training step of the small network, and the step of Adam in it, sends to the GPU."""
    for name, kind, what in (
        (described(SMALL), stepper, (SMALL, 1e-7)),
        ("Adam alone", update, ("Adam", list(weights_of(SMALL.sizes).values()), {})),
    ):
        makers = {OURS: bench.ours(kind, *what), "PyTorch": bench.theirs(kind, *what)}
        line: Line = {"name": name, "peers": dict.fromkeys(makers)}
        for peer, make in makers.items():
            if make:
                found = launches(bench.torch, bench.device, make())
                line["peers"][peer] = {"launches": found}
        yield line
