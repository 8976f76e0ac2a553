"""Timing work on a GPU: how long a call keeps the host, and when the GPU is done with it.

A call that launches kernels returns long before they have run. So a run, a few calls in a row, has
two clocks: the host's, stopped when the last call returns, and two CUDA events around it. Events of
CuPy tell the time of PyTorch's work as well: both send it to the default stream.

Peers are timed by turns, and a line holds a result for each of them:

    {"name": "add (1024,)", …, "peers": {"tinygrad_opt": {"device_us": {…}, …}, "PyTorch": None}}

None stands for a peer that is not there. Where the memory of the GPU does not suffice for a line,
all are None and it has an "error".

Order: one run · runs by turns · what is reported · launches · the bench · a line.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.device import Device

from .workloads import Step

OURS, ON_CPU = "tinygrad_opt", "tinygrad_opt, CPU"
TORCH_DEVICE = "cuda"

WARM_UPS = 10
RUN = 2e-3  # seconds that a run should last, so that events and clocks are exact enough
MOST_CALLS = 100  # in a run: the queue of launches must not fill up
PATIENCE = 20.0  # seconds for all runs of a peer; a slow one gets fewer, but not less than three

Line = dict[str, Any]
Maker = Callable[[], Step]


# ---- one run ----------------------------------------------------------------------------------


def run(device: Device, call: Step, calls: int) -> tuple[float, float]:
    """Microseconds a call: until it returned, and until the device was done."""
    if device.kind == "cpu":
        microseconds = _host_time(call, calls)
        return microseconds, microseconds
    cuda = device.xp.cuda
    began, ended = cuda.Event(), cuda.Event()
    device.synchronize()
    began.record()
    host = _host_time(call, calls)
    ended.record()
    ended.synchronize()
    return host, cuda.get_elapsed_time(began, ended) / calls * 1e3


def _host_time(call: Step, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


# ---- runs by turns ----------------------------------------------------------------------------


@dataclass
class Times:
    """Microseconds a call of each run, and how many calls made a run."""

    calls: int
    spent: float = 0.0  # seconds
    host: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)

    def add(self, host: float, done: float) -> None:
        """Note one run."""
        self.host.append(host)
        self.done.append(done)
        self.spent += max(host, done) * self.calls / 1e6


def by_turns(steps: dict[str, tuple[Device, Step]], runs: int) -> dict[str, Times]:
    """Times of every peer: ten calls to warm up, then runs in turn, each round in another order."""
    times = {peer: Times(_calls_in_a_run(*step)) for peer, step in steps.items()}
    order = list(steps)
    for turn in range(runs):
        for peer in order:
            known = times[peer]
            if turn < 3 or known.spent < PATIENCE:
                device, call = steps[peer]
                known.add(*run(device, call, known.calls))
        order.append(order.pop(0))
    return times


def _calls_in_a_run(device: Device, call: Step) -> int:
    """Warm up, less often where that takes long, and see how many calls fill a run."""
    spent, slower = 0.0, 0.0
    for _ in range(WARM_UPS):
        slower = max(run(device, call, 1)) / 1e6
        spent += slower
        if spent > PATIENCE / 4:
            break
    return min(MOST_CALLS, max(1, round(RUN / slower)))


# ---- what is reported -------------------------------------------------------------------------


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median, and the quantiles between which four fifths of the runs lie."""
    p10, median, p90 = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
    return {"median": median, "p10": p10, "p90": p90}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Quartiles of ours over theirs, turn by turn: below 1, ours is faster."""
    pairs = [a / b for a, b in zip(ours, theirs)]
    q1, median, q3 = np.quantile(pairs, [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "q1": q1, "q3": q3}


# ---- launches ---------------------------------------------------------------------------------


def launches(torch: Any, device: Device, call: Step) -> int | None:
    """How many kernels, copies and fills a call sends to the GPU; None where nobody can tell.

    PyTorch's profiler asks the driver, which knows all that this process launches, CuPy's too. It
    may stay hooked in and slow down what follows: count after everything is timed.
    """
    if torch is None or not torch.cuda.is_available():
        return None
    profiler = torch.profiler
    call()
    for _ in range(2):  # the first session wakes the machinery, and may miss some
        device.synchronize()
        with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as profile:
            call()
            device.synchronize()
    on_gpu = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return len(on_gpu) or None


# ---- the bench --------------------------------------------------------------------------------


@dataclass
class Bench:
    """On what is measured, beside what, and how often; `torch` is None where it has no GPU."""

    device: Device
    torch: Any = None
    runs: int = 100
    sizes: list[int] | None = None

    def ours(self, make: Callable[..., Step], *what: Any) -> Maker:
        """What makes our step: ``make(framework, device, *what)``."""
        return partial(make, tg, self.device, *what)

    def theirs(self, make: Callable[..., Step], *what: Any, **options: Any) -> Maker | None:
        """The same for PyTorch, with options that only it needs."""
        if self.torch is None:
            return None
        return partial(make, self.torch, TORCH_DEVICE, *what, **options)

    @property
    def shortages(self) -> tuple[type[Exception], ...]:
        """What is raised where the memory of the GPU does not suffice."""
        theirs = () if self.torch is None else (self.torch.cuda.OutOfMemoryError,)
        return MemoryError, *theirs

    def clear(self) -> None:
        """Give memory that nobody uses back to the driver."""
        gc.collect()
        self.device.empty_cache()
        if self.torch is not None:
            self.torch.cuda.empty_cache()


# ---- a line -----------------------------------------------------------------------------------


def timed(bench: Bench, name: str, makers: dict[str, Maker | None], **facts: Any) -> Line:
    """A line with the times of the steps that these functions make, taken by turns."""
    line: Line = {"name": name, **facts, "peers": dict.fromkeys(makers)}
    bench.clear()
    try:
        steps = {peer: make() for peer, make in makers.items() if make}
        line["peers"] |= timed_peers(bench, steps)
    except bench.shortages as error:
        line["error"] = str(error)
    return line


def timed_peers(bench: Bench, steps: dict[str, Step]) -> dict[str, Line]:
    """Of every peer: its times, and our time over its."""
    cpu = Device("cpu")
    places = {peer: cpu if peer == ON_CPU else bench.device for peer in steps}
    times = by_turns({peer: (places[peer], step) for peer, step in steps.items()}, bench.runs)
    ours = times.get(OURS)
    found = {}
    for peer, known in times.items():
        found[peer] = {
            "runs": len(known.done),
            "calls": known.calls,
            "host_us": spread(known.host),
            "device_us": None if places[peer] is cpu else spread(known.done),
            "ratio": ratio(ours.done, known.done) if ours and peer != OURS else None,
        }
    return found


def again(line: Line, makers: dict[str, Maker | None]) -> Iterator[tuple[Step, Line]]:
    """Of every peer that has results: a new step, and the results, which may grow."""
    for peer, make in makers.items():
        if make and line["peers"][peer]:
            yield make(), line["peers"][peer]
