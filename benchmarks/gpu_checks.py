"""What a GPU must not spoil: the same bits again, memory that does not grow, a quick first step.

Order: determinism · memory · import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.device import Device

from .gpu_speed import SMALL, square
from .timing import OURS, Bench, Line, again, timed
from .workloads import Step, described, model_of, stepper

TRIES, STEPS = 20, 100
LARGE = square(1024, 784)
ROOT = Path(__file__).parents[1]


# ---- determinism: the same bits again? --------------------------------------------------------


def determinism(bench: Bench) -> Iterator[Line]:
    """Scatter-add, whose atomics come in any order; whole runs; and the CPU beside the GPU."""
    makers = {OURS: bench.ours(scatter), "PyTorch": bench.theirs(scatter)}
    line = timed(bench, "scatter-add of 65,536 rows into 1,000", makers)
    for gradient, found in again(line, makers):
        found |= repeated(bench, partial(bits, gradient))
    yield line
    found = repeated(bench, lambda: tuple(digits_losses(bench.device)))
    yield {"name": f"{STEPS} steps on digits", "peers": {OURS: found}}
    pairs = zip(digits_losses(bench.device), digits_losses(Device("cpu")))
    found = {"loss_difference": max(abs(a - b) for a, b in pairs)}
    yield {"name": f"{STEPS} steps on digits, GPU and CPU", "peers": {OURS: found}}


def repeated(bench: Bench, result: Callable[[], Any]) -> Line:
    """How many different results repetitions give."""
    tries = min(TRIES, bench.runs)
    different = len({result() for _ in range(tries)})
    return {"tries": tries, "different": different, "same_bits": different == 1}


def bits(step: Step) -> bytes:
    """What a step gives, bit for bit."""
    found: bytes = step().detach().cpu().numpy().tobytes()
    return found


def scatter(framework: Any, device: Any) -> Step:
    """The gradient of rows of a table that are looked up again and again."""
    rng = np.random.default_rng(0)
    table = np.zeros((1000, 64), np.float32)
    w = framework.tensor(table, device=device, requires_grad=True)
    rows = framework.tensor(rng.integers(0, 1000, 65536), device=device)
    c = framework.tensor(rng.standard_normal((65536, 64), np.float32), device=device)

    def step() -> Any:
        w.grad = None
        (w[rows] * c).sum().backward()
        return w.grad

    return step


def digits_losses(device: Device) -> list[float]:
    """The losses of the first steps of a small network, from a fixed seed."""
    tg.manual_seed(0)
    examples, _ = tg.data.prepare("digits")
    batches = tg.data.DataLoader(examples, batch_size=32, device=device)
    model = model_of(tg.nn, (64, 32, 10)).to(device)
    criterion, adam = tg.nn.CrossEntropyLoss(), tg.optim.Adam(model.parameters(), lr=1e-2)
    losses: list[Any] = []
    while len(losses) < STEPS:
        for x, y in islice(batches, STEPS - len(losses)):
            adam.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            adam.step()
            losses.append(loss.detach())
    return [loss.item() for loss in losses]


# ---- memory: does it grow, and how much is held -----------------------------------------------


def memory(bench: Bench) -> Iterator[Line]:
    """Bytes of live arrays after 10 and after 100 steps, and what the pool took from the driver."""
    gauges = {OURS: (bench.device.memory, lambda: sum(bench.device.memory_info()[:2]))}
    if bench.torch is not None:
        gauges["PyTorch"] = bench.torch.cuda.memory_allocated, bench.torch.cuda.memory_reserved
    models = [square(width, 784) for width in bench.sizes] if bench.sizes else [SMALL, LARGE]
    for model in models:
        what = stepper, model, 1e-7
        makers = {OURS: bench.ours(*what), "PyTorch": bench.theirs(*what)}
        line: Line = {"name": described(model), "peers": dict.fromkeys(makers)}
        for peer, make in makers.items():
            bench.clear()
            if make:
                line["peers"][peer] = growth(make(), *gauges[peer])
        yield line


def growth(step: Step, used: Callable[[], int], held: Callable[[], int]) -> Line:
    """Bytes after a few steps and after many."""
    after = []
    for steps in (10, STEPS - 10):
        for _ in range(steps):
            step()
        after.append(used())
    early, late = after
    return {"after_10": early, "after_100": late, "growth": late - early, "held": held()}


# ---- import: how long until the first step ----------------------------------------------------


def first_steps(bench: Bench) -> Iterator[Line]:
    """Seconds of two fresh processes: CuPy's cache of kernels is empty for the first."""
    with tempfile.TemporaryDirectory() as cache:
        for name in ("empty cache of kernels", "full cache of kernels"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.first_step"],
                env=os.environ | {"CUPY_CACHE_DIR": cache},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            yield {"name": name, "peers": {OURS: json.loads(done.stdout)}}
