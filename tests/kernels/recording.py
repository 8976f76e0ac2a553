"""The CUDA texts of the kernels that run, as CuPy hands them to the compiler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from cupy._core import core

HEADERS = "".join(f"#include <{header}>\n" for header in core._cupy_header_list)


class Source(NamedTuple):
    """A kernel's complete text, and the options of its compilation."""

    name: str
    text: str
    options: tuple[str, ...] = ()


_recordings: list[dict[str, Source]] = []


@contextlib.contextmanager
def recorded() -> Iterator[dict[str, Source]]:
    """Every text of a kernel that runs inside the block, once."""
    sources: dict[str, Source] = {}
    _recordings.append(sources)
    try:
        yield sources
    finally:
        _recordings[:] = [other for other in _recordings if other is not sources]


def record(name: str, text: str, options: tuple[str, ...] = ()) -> None:
    """A kernel runs."""
    for sources in _recordings:
        sources[text] = Source(name, text, options)
