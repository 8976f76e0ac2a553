"""Which line of the user's program recorded a node of the graph.

with Places() as places:
    loss = f(model(x), y)
places.of(loss._node)                   # "train.py:12"
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import operation
from ..device import Device, default_device
from ..observer import Observer

PACKAGE = str(Path(__file__).resolve().parents[1])
EXAMPLES = str(Path(__file__).resolve().with_name("examples.py"))  # written as a user would


class Places:
    """While it is open, every operation notes the line outside this package that asked for it.

    Nodes are numbered by one clock, and so are the notes: a node belongs to the latest note before
    it. Without it, nothing is noted and nothing costs time.
    """

    def __init__(self) -> None:
        self.times: list[int] = []
        self.lines: list[str | None] = []
        self._open = ExitStack()

    def __enter__(self) -> Places:
        default_device()  # known from now on, where the environment names it
        self._open = ExitStack()
        for device in Device.known():
            self._open.enter_context(_Notes(device, self).watching())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def note(self) -> None:
        """Remember where the program is."""
        self.times.append(operation._tick())
        self.lines.append(user_line())

    def of(self, node: Any) -> str | None:
        """The file and line that made a node, "train.py:12"; None where nobody looked."""
        latest = bisect_left(self.times, -node[0]) - 1
        return self.lines[latest] if latest >= 0 else None


class _Notes(Observer):
    """Stands before a device and notes where each operation was called."""

    def __init__(self, device: Device, places: Places) -> None:
        super().__init__(device)
        self.places = places

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Note the line, and run what was asked for."""
        if not kernel.name.endswith(" backward"):
            self.places.note()
        if isinstance(self.xp, Observer):
            return self.xp.operation(kernel, *inputs, **params)
        return kernel(self.xp, *inputs, **params)


def user_line() -> str | None:
    """The nearest line of the program that is not in this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(PACKAGE) or path == EXAMPLES:
            return f"{Path(path).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
