"""Seeing what a computation does: an array module that stands before a device's own.

Operations get their array module from the device. While an `Observer` stands in its place, it is
handed every operation, forward and backward, every backward pass and every step of an optimizer,
and runs them: a profiler looks at the clock before and after, a recorder runs them on arrays that
take notes. What is not observed pays nothing. Each thread is observed by itself: what one thread
looks at, or stops looking at, is nothing to the others.

Order: Observer · who sees what.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

from .locks import Lock

Function = Callable[..., Any]


class Observer:
    """Stands for an array module; whatever is asked of it that it does not know, is the module's.

    A subclass says what to do with `operation`, `recorded`, `backward`, `step` and `constant`.
    """

    replays = True  # whether captured steps may be replayed, of whose operations it sees nothing

    def __init__(self, device: Any) -> None:
        self.device, self.xp = device, seen_on(device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.xp, name)

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run a `Kernel`: the value of an operation (`kernel.name`) or one of its derivatives."""
        return kernel(self.xp, *inputs, **params)

    def recorded(self, node: Any) -> None:
        """See the node that an operation has left in the graph, after it was run."""
        if isinstance(self.xp, Observer):
            self.xp.recorded(node)

    def step(self, function: Function, *args: Any) -> Any:
        """Run what works on parameters behind the back of operations: a step of an optimizer."""
        with self.away():
            return function(*args)

    def backward(self, function: Function, *args: Any) -> None:
        """Run a backward pass that a person asked for."""
        function(*args)

    def constant(self, array: Any) -> Any:
        """An array that nobody may write into."""
        return array

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """See what this thread does on the device inside this block."""
        before = seen_on(self.device)
        stand_before(self.device, self)
        try:
            yield
        finally:
            stand_before(self.device, before)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """See nothing inside this block."""
        before = seen_on(self.device)
        stand_before(self.device, self.xp)
        try:
            yield
        finally:
            stand_before(self.device, before)


# ---- who sees what ----------------------------------------------------------------------------


class Observed(Observer):
    """Stands before a device while it is observed: each thread meets its own observer, or none."""

    def __init__(self, device: Any) -> None:
        self.device, self.module = device, device.xp
        self.observers: dict[int, Observer] = {}  # by thread

    @property
    def xp(self) -> Any:
        """What this thread is to see: its observer, or the array module itself."""
        return self.observers.get(get_ident(), self.module)

    def step(self, function: Function, *args: Any) -> Any:
        """Run a step under the eyes of this thread's observer, if it has one."""
        xp = self.xp
        return xp.step(function, *args) if isinstance(xp, Observer) else function(*args)

    def backward(self, function: Function, *args: Any) -> None:
        """Run a backward pass, likewise."""
        xp = self.xp
        if isinstance(xp, Observer):
            xp.backward(function, *args)
        else:
            function(*args)


_turn = Lock()


def seen_on(device: Any) -> Any:
    """What stands before a device for this thread: an observer, or the array module itself."""
    xp = device.xp
    return xp.xp if isinstance(xp, Observed) else xp


def may_replay(device: Any) -> bool:
    """Whether a captured step may be replayed before the eyes of this thread's observer."""
    seen = seen_on(device)
    return not isinstance(seen, Observer) or seen.replays


def module_of(device: Any) -> Any:
    """The array module of a device, behind all observers."""
    xp = device.xp
    return xp.module if isinstance(xp, Observed) else xp


def stand_before(device: Any, xp: Any) -> None:
    """Let an observer, or the array module itself, stand before a device for this thread."""
    with _turn:
        observed = device.xp if isinstance(device.xp, Observed) else Observed(device)
        observed.observers.pop(get_ident(), None)
        if isinstance(xp, Observer):
            observed.observers[get_ident()] = xp
        device.xp = observed if observed.observers else observed.module
