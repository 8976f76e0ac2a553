"""The recorded calls as a Python function: what is printed is what runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np


class Line(NamedTuple):
    """One call of the program."""

    text: str
    quiet: tuple[tuple[str, str], ...] = ()  # NumPy's errstate at the time, where it is not usual
    fills: str | None = None  # the array that it only gives its first values
    effect: bool = False  # whether it changes what lives outside of the program


class Stale(Exception):
    """Something that the recording depends on is not what it was."""


def text_of(lines: Sequence[Line]) -> str:
    """The lines, those that NumPy is to be quiet about in blocks."""
    found = []
    for quiet, block in groupby(lines, lambda line: line.quiet):
        indent = "    " if quiet else ""
        if quiet:
            options = ", ".join(f"{kind}={how!r}" for kind, how in quiet)
            found.append(f"with errstate({options}):")
        found += [f"{indent}{part}" for line in block for part in line.text.split("\n")]
    return "\n".join(found)


def function_of(text: str, objects: dict[str, Any]) -> Callable[..., Any]:
    """A function of `given` that runs these lines, with all objects at hand."""
    names = sorted(objects)
    body = "\n".join(f"        {line}" for line in text.splitlines()) or "        pass"
    source = f"def make({', '.join(names)}):\n    def replay(*given):\n{body}\n    return replay"
    scope: dict[str, Any] = {}
    exec(compile(source, "<captured step>", "exec"), {"errstate": np.errstate}, scope)
    replay: Callable[..., Any] = scope["make"](**objects)
    return replay
