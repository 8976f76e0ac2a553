"""The CUDA texts of the kernels that run, as CuPy hands them to the compiler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from cupy._core import core

HEADERS = "".join(f"#include <{header}>\n" for header in core._cupy_header_list)


class Source(NamedTuple):
    """A kernel's text, what CuPy puts before it, and the options of its compilation."""

    name: str
    text: str
    headers: str = ""
    options: tuple[str, ...] = ()

    @property
    def complete(self) -> str:
        """What the compiler gets."""
        return self.headers + self.text


_recordings: list[dict[Source, None]] = []


@contextlib.contextmanager
def recorded() -> Iterator[dict[Source, None]]:
    """Every text of a kernel that runs inside the block, once and in order."""
    sources: dict[Source, None] = {}
    _recordings.append(sources)
    try:
        yield sources
    finally:
        _recordings[:] = [other for other in _recordings if other is not sources]


def record(source: Source) -> None:
    """A kernel runs."""
    for sources in _recordings:
        sources[source] = None
