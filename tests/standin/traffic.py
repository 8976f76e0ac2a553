"""What a GPU is asked for: waits, uploads and launches, written down or, in a capture, refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field


class CaptureError(RuntimeError):
    """The operation is illegal while a CUDA graph is being captured."""


@dataclass
class Traffic:
    """What a `watch` block asked for, by name and in order."""

    syncs: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    launches: list[str] = field(default_factory=list)


@dataclass
class State:
    """The one thing that is global here, as it is in CUDA."""

    device: int = 0
    watchers: list[Traffic] = field(default_factory=list)
    capturing: bool = False
    own_blas: bool = False


state = State()


@contextlib.contextmanager
def watch() -> Iterator[Traffic]:
    """Write down what the block makes the host wait for, what it uploads and what it launches."""
    traffic = Traffic()
    state.watchers.append(traffic)
    try:
        yield traffic
    finally:
        state.watchers = [other for other in state.watchers if other is not traffic]


@contextlib.contextmanager
def capturing(own_blas: bool = False) -> Iterator[None]:
    """Refuse what the capture of a CUDA graph refuses.

    CuPy refuses its own matrix products there; with `own_blas` they are allowed, for code that
    calls cuBLAS through a handle of its own.
    """
    before = state.capturing, state.own_blas
    state.capturing, state.own_blas = True, own_blas
    try:
        yield
    finally:
        state.capturing, state.own_blas = before


def sync(what: str) -> None:
    """The host waits until the GPU has come this far."""
    if state.capturing:
        raise CaptureError(f"{what} waits for the GPU: illegal while the stream is capturing")
    for traffic in state.watchers:
        traffic.syncs.append(what)


def upload(what: str) -> None:
    """Data of the host go to the GPU."""
    if state.capturing:
        raise CaptureError(f"{what} copies from the host: illegal while the stream is capturing")
    for traffic in state.watchers:
        traffic.uploads.append(what)


def launch(what: str, times: int = 1) -> None:
    """Kernels, copies and fills are put into the stream."""
    for traffic in state.watchers:
        traffic.launches += [what] * times


def library(what: str) -> None:
    """A call that CuPy does not make during a capture."""
    if state.capturing:
        raise NotImplementedError(f"CuPy does not call {what} while the stream is capturing")
