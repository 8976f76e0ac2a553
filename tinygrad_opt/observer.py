"""Seeing what a computation does: an array module that stands before a device's own.

Operations get their array module from the device. While an `Observer` stands in its place, it is
handed every operation, forward and backward, every backward pass and every step of an optimizer,
and runs them: a profiler looks at the clock before and after, a recorder runs them on arrays that
take notes. What is not observed pays nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

Function = Callable[..., Any]


class Observer:
    """Stands for an array module; whatever is asked of it that it does not know, is the module's.

    A subclass says what to do with `operation`, `backward`, `step` and `constant`.
    """

    def __init__(self, device: Any) -> None:
        self.device, self.xp = device, device.xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self.xp, name)

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run a `Kernel`: the value of an operation (`kernel.name`) or one of its derivatives."""
        return kernel(self.xp, *inputs, **params)

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
        """See what happens on the device inside this block."""
        before, self.device.xp = self.device.xp, self
        try:
            yield
        finally:
            self.device.xp = before

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """See nothing inside this block."""
        before, self.device.xp = self.device.xp, self.xp
        try:
            yield
        finally:
            self.device.xp = before
