"""Where the user's program is: the line outside this package that asked for what is going on.

    user_line()                             # "train.py:12"

    with Places() as places:
        loss = f(model(x), y)
    places.of(loss._node)                   # the line that recorded a node of the graph

Order: the way to the user · the lines of a graph.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from .device import Device, default_device
from .observer import Observer
from .operation import PICK

PACKAGE = os.path.join(Path(__file__).resolve().parent, "")  # each with a slash at its end
COMMANDS = os.path.join(PACKAGE, "cli", "")  # behind the command line there is no user's program
EXAMPLES = os.path.join(PACKAGE, "teach", "examples.py")  # written as a user would
BETWEEN = (contextlib.__file__, functools.__file__, "<frozen runpy>")  # decorators, and python -m
KEPT = 2**18  # nodes, after which the older half is forgotten: a program may run for days

# ---- the way to the user ----------------------------------------------------------------------


def frames() -> Iterator[tuple[Any, bool]]:
    """The frames from here outwards, and whether each is the user's, with which they end.

    Not to be kept, for a frame keeps alive whatever it holds.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(COMMANDS):
            return
        if not path.startswith(PACKAGE) or path == EXAMPLES:
            if path not in BETWEEN:
                yield frame, True
                return
        else:
            yield frame, False
        frame = frame.f_back


def line_of(frame: Any) -> str:
    """The file and the line where a frame is, "train.py:12"."""
    return sys.intern(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")


def user_line() -> str | None:
    """The nearest line of the user's program; None where there is none."""
    for frame, is_users in frames():
        if is_users:
            return line_of(frame)
    return None


# ---- the lines of a graph ---------------------------------------------------------------------


class Places:
    """While it is open, the line outside this package is noted at which this thread makes a node.

    Without it, nothing is noted and nothing costs time.
    """

    def __init__(self) -> None:
        self.lines: dict[int, str | None] = {}  # by the number of a node
        self._open = ExitStack()

    def __enter__(self) -> Places:
        default_device()  # known from now on, where the environment names it
        self._open = ExitStack()
        for device in Device.known():
            self._open.enter_context(_Notes(device, self).watching())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def note(self, node: Any) -> None:
        """Remember where the program is that has made this node."""
        self.lines[node[0]] = user_line()
        if len(self.lines) > KEPT:
            for number in list(islice(self.lines, KEPT // 2)):
                del self.lines[number]

    def of(self, node: Any) -> str | None:
        """The file and line that made a node, "train.py:12"; None where nobody looked."""
        whole = node[2][0] if node[1] is PICK else node
        return self.lines.get(whole[0])


class _Notes(Observer):
    """Stands before a device and notes where each node was made."""

    def __init__(self, device: Device, places: Places) -> None:
        super().__init__(device)
        self.places = places

    def recorded(self, node: Any) -> None:
        """Note its line."""
        self.places.note(node)
        super().recorded(node)
