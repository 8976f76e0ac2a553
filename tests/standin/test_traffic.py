"""Waits, uploads and launches are written down; in a capture, what is illegal there raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.standin import strict_cupy
from tests.standin.strict_cupy import CaptureError, capturing, watch

pytestmark = pytest.mark.host

Call = Callable[[Any, Any], Any]
HOST = np.ones((2, 3), np.float32)


@pytest.fixture
def xp() -> Iterator[Any]:
    with strict_cupy.installed() as module:
        yield module


@pytest.fixture
def x(xp: Any) -> Any:
    return xp.arange(6, dtype=np.float32).reshape(2, 3)


def selected(xp: Any, x: Any) -> Any:
    x[x > 2] = 0.0


@pytest.mark.parametrize(
    "wait",
    {
        "float": lambda xp, x: float(x.sum()),
        "if": lambda xp, x: bool(x.sum() > 0),
        "item": lambda xp, x: x.sum().item(),
        "get": lambda xp, x: x.get(),
        "print": lambda xp, x: repr(x),
        "mask read": lambda xp, x: x[x > 2],
        "mask write": selected,
        "nonzero": lambda xp, x: xp.nonzero(x),
        "where": lambda xp, x: xp.where(x > 2),
        "unique": lambda xp, x: xp.unique(x),
        "bincount": lambda xp, x: xp.bincount(xp.arange(3)),
        "repeat": lambda xp, x: x.repeat(repeats=xp.arange(3), axis=1),
    }.items(),
    ids=lambda item: item[0],
)
def test_waits(xp: Any, x: Any, wait: tuple[str, Call]) -> None:
    with watch() as traffic:
        wait[1](xp, x)
    assert traffic.syncs
    with capturing(), pytest.raises(CaptureError, match="waits for the GPU"):
        wait[1](xp, x)


@pytest.mark.parametrize(
    "upload",
    {
        "asarray": lambda xp, x: xp.asarray(HOST),
        "array of a list": lambda xp, x: xp.array([1.0, 2.0]),
        "set": lambda xp, x: x.set(HOST),
        "host index": lambda xp, x: x[np.array([0, 1])],
        "more than eight arrays joined": lambda xp, x: xp.concatenate([x] * 9),
    }.items(),
    ids=lambda item: item[0],
)
def test_uploads(xp: Any, x: Any, upload: tuple[str, Call]) -> None:
    with watch() as traffic:
        upload[1](xp, x)
    assert len(traffic.uploads) == 1 and not traffic.syncs
    with capturing(), pytest.raises(CaptureError, match="copies from the host"):
        upload[1](xp, x)


def test_capture_refuses_library_calls(xp: Any, x: Any) -> None:
    with capturing():
        with pytest.raises(NotImplementedError, match="cuBLAS"):
            x @ x.T
        with pytest.raises(NotImplementedError, match="cuSOLVER"):
            xp.linalg.svd(x)
        with pytest.raises(NotImplementedError, match="cuRAND"):
            xp.random.random(3)
        x += xp.exp(x).sum()  # kernels are welcome
        x += x[0] @ x[1]  # two vectors: a kernel and a sum, no cuBLAS
        x[xp.arange(2), xp.arange(2)] = 0.0  # a number is a kernel argument, no upload
    with capturing(own_blas=True):
        x @ x.T


def add_to_row(xp: Any, x: Any) -> None:
    x[0] += 1


def assigned(xp: Any, x: Any) -> None:
    x[0] = x[1]


@pytest.mark.parametrize(
    "times, call",
    [
        (0, lambda xp, x: (x[0], x.T, x.reshape(3, 2), x.ravel(), x[None], x.shape, x.dtype)),
        (0, lambda xp, x: (xp.empty(3), xp.empty_like(x), xp.asarray(x), xp.moveaxis(x, 0, 1))),
        (0, lambda xp, x: (x.astype(np.float32, copy=False), xp.result_type(x, 1.0))),
        (1, lambda xp, x: x + 1),
        (1, lambda xp, x: xp.exp(x, out=x)),
        (1, lambda xp, x: x.astype(np.float64)),
        (1, lambda xp, x: x.T.ravel()),
        (1, lambda xp, x: x.fill(0)),
        (1, lambda xp, x: x.copy()),
        (1, lambda xp, x: xp.copyto(x, 1.0)),
        (1, lambda xp, x: xp.zeros(3)),
        (1, lambda xp, x: xp.clip(x, 0, 1)),
        (2, lambda xp, x: xp.where(x > 2, x, 0)),
        (1, add_to_row),
        (1, assigned),
        (1, lambda xp, x: x.sum(axis=0)),
        (1, lambda xp, x: x.max()),
        (2, lambda xp, x: xp.sum(x, axis=1, out=xp.empty(2, np.float32))),
        (2, lambda xp, x: x.mean()),
        (1, lambda xp, x: x.mean(axis=0)),
        (3, lambda xp, x: x.var(axis=1)),
        (4, lambda xp, x: x.std(axis=1)),
        (2, lambda xp, x: x.var(axis=0)),
        (3, lambda xp, x: xp.linalg.norm(x)),
        (1, lambda xp, x: x @ x.T),
        (3, lambda xp, x: x[:, ::2] @ x[:, 0:2].T),
        (2, lambda xp, x: x[0] @ x[1]),
        (1, lambda xp, x: xp.matmul(x, x.T, out=xp.empty((2, 2), np.float32))),
        (2, lambda xp, x: xp.matmul(x, x.T, out=xp.empty((2, 4), np.float32)[:, ::2])),
        (5, lambda xp, x: xp.matmul(x[None], x.T)),
        (1, lambda xp, x: xp.tensordot(x, x, ((0,), (0,)))),
        (3, lambda xp, x: xp.concatenate([x, x, x])),
        (1, lambda xp, x: xp.stack([x] * 9)),
        (1, lambda xp, x: xp.take(x, xp.empty(0, int), axis=1)),
    ],
)
def test_launches(xp: Any, x: Any, times: int, call: Call) -> None:
    with watch() as traffic:
        call(xp, x)
    assert len(traffic.launches) == times, traffic.launches


def test_launches_of_indexing(xp: Any, x: Any) -> None:
    rows, columns = xp.asarray([0, 1]), xp.asarray([2, 0])
    mask = x > 2
    for times, call in [
        (1, lambda: x[rows]),
        (4, lambda: x[rows, columns]),
        (3, lambda: x[mask]),
        (2, lambda: x.__setitem__(rows, 0.0)),
        (1, lambda: x.__setitem__(rows, x)),
        (1, lambda: xp.add.at(x, rows, x)),
    ]:
        with watch() as traffic:
            call()
        assert len(traffic.launches) == times, traffic.launches


def test_blocks_that_watch_may_be_nested(x: Any) -> None:
    with watch() as outer:
        with watch() as inner:
            x + 1
        x * 2
    assert inner.launches == ["add"]
    assert outer.launches == ["add", "multiply"]
