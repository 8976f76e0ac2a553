"""Where the time of a block goes: one row for each operation, the optimizer, and everything else.

Order: `profile` · what it measured · the table · the clock.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

from .device import Device, default_device
from .observer import Function, Observer, stand_before

EVERYTHING_ELSE = "everything else"
BACKWARD = " backward"  # stands behind the name of an operation in those of its derivatives


@contextlib.contextmanager
def profile(show: bool = True) -> Iterator[Profile]:
    """Measure the operations inside this block, forward and backward, and print them as a table.

        with tg.profile() as p:
            train()

    Forward calls are those of the operation, backward calls those of its derivatives: one for each
    input that wants a gradient, and one for what they share. Gradients of gradients are made of
    forward calls. A step of an optimizer is a row too; what its closure computes is not in it.
    Everything else is recording the graph, adding up gradients, the data, the loop, and the replay
    of a captured step. So the times add up to that of the block, also where an exception ends it.

    What other threads do is not counted, nor what runs on a device that is first used inside the
    block, which the table says. Looking costs some three microseconds a call, most of which count
    as everything else. A GPU is waited for at each, so that the block takes longer than it would
    without, and the first call of an operation holds the compilation of its kernels. RuntimeError
    inside another `profile`, or where a step is being captured.
    """
    result = Profile()
    result.begin()
    try:
        yield result
    finally:
        result.end()
        if show:
            print(result)


# ---- what it measured -------------------------------------------------------------------------


class Row(NamedTuple):
    """An operation with its two parts, an optimizer's step, or everything else; in seconds."""

    name: str
    calls: int
    forward: float
    backward_calls: int
    backward: float
    seconds: float


class Tally:
    """Calls, and the seconds that they took together."""

    __slots__ = ("calls", "seconds")

    def __init__(self) -> None:
        self.calls, self.seconds = 0, 0.0

    def add(self, seconds: float) -> None:
        """One more call."""
        self.calls += 1
        self.seconds += seconds


class Profile:
    """The time of a block in parts: ``print(p)``, or ``p.rows`` and ``p.seconds`` for programs."""

    def __init__(self) -> None:
        default_device()  # known from now on, where the environment names it
        self.clocks = [Clock(device, self) for device in Device.known()]
        self.operations: dict[str, Tally] = defaultdict(Tally)  # by the names of their kernels
        self.steps: dict[str, Tally] = defaultdict(Tally)
        self.began = self.ended = 0.0
        self.unseen: list[Device] = []

    def begin(self) -> None:
        """Start the clock."""
        for clock in self.clocks:
            if isinstance(clock.xp, Observer):
                raise RuntimeError(
                    f"profile: {clock.device} is watched already, by another profile(), lint(), "
                    "detect_anomaly() or capture. Begin around that, or when it has ended."
                )
        self.synchronize()
        self.watch()
        self.began = perf_counter()

    def end(self) -> None:
        """Stop the clock."""
        self.synchronize()
        self.ended = perf_counter()
        self.rest()
        seen = {clock.device for clock in self.clocks}
        self.unseen = [device for device in Device.known() if device not in seen]

    def synchronize(self) -> None:
        """Wait for all devices."""
        for clock in self.clocks:
            clock.device.synchronize()

    def watch(self) -> None:
        """See what happens on the devices, until the block ends."""
        if not self.ended:
            for clock in self.clocks:
                stand_before(clock.device, clock)

    def rest(self) -> None:
        """See nothing."""
        for clock in self.clocks:
            stand_before(clock.device, clock.xp)

    @property
    def seconds(self) -> float:
        """How long the block took, or has taken so far."""
        return (self.ended or perf_counter()) - self.began

    @property
    def rows(self) -> list[Row]:
        """The longest first, everything else last: their seconds add up to those of the block."""
        total = self.seconds
        rows = [Row(name, n.calls, 0.0, 0, 0.0, n.seconds) for name, n in self.steps.items()]
        for name in dict.fromkeys(name.removesuffix(BACKWARD) for name in self.operations):
            there, back = (self.operations.get(name + part, Tally()) for part in ("", BACKWARD))
            seconds = there.seconds + back.seconds
            rows.append(Row(name, there.calls, there.seconds, back.calls, back.seconds, seconds))
        rows.sort(key=lambda row: row.seconds, reverse=True)
        rest = total - sum(row.seconds for row in rows)
        return [*rows, Row(EVERYTHING_ELSE, 0, 0.0, 0, 0.0, rest)]

    def to_json(self, **options: Any) -> str:
        """``seconds`` and ``rows`` as JSON."""
        rows = [row._asdict() for row in self.rows]
        return json.dumps({"seconds": sum(row["seconds"] for row in rows), "rows": rows}, **options)

    def __str__(self) -> str:
        lines = [table(self.rows)]
        if self.unseen:
            names = ", ".join(map(repr, self.unseen))
            lines.append(f"Not seen: what ran on {names}, first used inside the block.")
        return "\n".join(lines)


# ---- the table --------------------------------------------------------------------------------


def table(rows: list[Row]) -> str:
    """The rows as lines of text, with their sum."""
    total = sum(row.seconds for row in rows)
    digits = 3 if total < 0.1 else 1

    def number(count: int) -> str:
        return f"{count:,}" if count else ""

    def ms(seconds: float) -> str:
        return f"{1e3 * seconds:,.{digits}f}" if seconds else ""

    def line(row: Row) -> list[str]:
        name, calls, forward, backward_calls, backward, seconds = row
        parts = [number(calls), ms(forward), number(backward_calls), ms(backward)]
        return [name, *parts, ms(seconds), f"{seconds / total:.1%}"]

    cells = [
        ["", "", "forward", "", "backward", "", ""],
        ["operation", "calls", "ms", "calls", "ms", "ms", "share"],
        *map(line, rows),
        line(Row("total", 0, 0.0, 0, 0.0, total)),
    ]
    name, *numbers = (max(map(len, column)) for column in zip(*cells))
    lines = (
        [words[0].ljust(name), *(word.rjust(n) for word, n in zip(words[1:], numbers))]
        for words in cells
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)


# ---- the clock --------------------------------------------------------------------------------


class Clock(Observer):
    """Stands before a device and looks at the time around everything that is done there."""

    def __init__(self, device: Device, profile: Profile) -> None:
        super().__init__(device)
        self.profile = profile
        self.wait = device.kind != "cpu"

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run a kernel, and note how long until the device had done it."""
        if self.wait:
            self.device.synchronize()
        began = perf_counter()
        result = kernel(self.xp, *inputs, **params)
        if self.wait:
            self.device.synchronize()
        self.profile.operations[kernel.name].add(perf_counter() - began)
        return result

    def step(self, function: Function, *args: Any) -> Any:
        """Run an optimizer's step, and note its time without that of its closure."""
        *before, step, closure = args
        in_closure = 0.0

        def watched() -> Any:
            nonlocal in_closure
            self.profile.watch()
            began = perf_counter()
            try:
                return closure()
            finally:
                self.profile.synchronize()
                in_closure += perf_counter() - began
                self.profile.rest()

        self.profile.synchronize()
        self.profile.rest()
        began = perf_counter()
        try:
            return function(*before, step, closure and watched)
        finally:
            self.profile.synchronize()
            name = f"{type(step.__self__).__name__}.step()"
            self.profile.steps[name].add(perf_counter() - began - in_closure)
            self.profile.watch()
