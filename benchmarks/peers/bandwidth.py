"""The roof: loops that move what Adam, or SGD with momentum, has to move, and compute nothing.

They take as many threads as are quickest here, for a machine's bandwidth is the most that it gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from ..operations import nothing
from ..worker import Work
from ..workloads import Update
from . import processors


def facts() -> dict[str, Any]:
    """The version, and the most threads that are tried."""
    threads = {"at most": processors("TINYGRAD_OPT_THREADS")}
    return {"versions": {"numba": numba.__version__}, "threads": threads}


@numba.njit(nogil=True, error_model="numpy")
def adam(p: Any, g: Any, m: Any, v: Any) -> None:
    """Reads p, g, m, v; writes p, m, v."""
    for i in range(p.size):
        a, b, c = p[i], m[i], v[i]
        p[i], m[i], v[i] = b, c, a ^ g[i]


@numba.njit(nogil=True, error_model="numpy")
def momentum(p: Any, g: Any, b: Any) -> None:
    """Reads p, g, b; writes p, b."""
    for i in range(p.size):
        a, c = p[i], b[i]
        p[i], b[i] = c, a ^ g[i]


LOOPS: dict[str, tuple[Callable[..., None], int]] = {"Adam": (adam, 4), "momentum": (momentum, 3)}


def update(task: Update) -> Work:
    """A pass over as many numbers."""
    loop, count = LOOPS[task.rule]
    arrays = [staggered(task.parameters, i) for i in range(count)]
    most = processors("TINYGRAD_OPT_THREADS")
    passes = [shared(loop, arrays, threads) for threads in range(1, most + 1)]
    return Work(min(passes, key=seconds), lambda _: 0.0, nothing)


def staggered(size: int, index: int) -> Any:
    """Whole numbers, which know no slow values, apart by some lines of the cache."""
    room = np.ones(size + 16 + 208 * index, np.int32)
    start = -room.ctypes.data % 64 // 4 + 208 * index
    return room[start : start + size]


def shared(loop: Callable[..., None], arrays: list[Any], threads: int) -> Callable[[], None]:
    """The loop, shared between this thread and others."""
    parts = list(zip(*(np.array_split(array, threads) for array in arrays)))
    mine, *others = parts
    if not others:
        return lambda: loop(*mine)
    pool = ThreadPoolExecutor(len(others))

    def run() -> None:
        waiting = [pool.submit(loop, *part) for part in others]
        loop(*mine)
        for part in waiting:
            part.result()

    return run


def seconds(run: Callable[[], None]) -> float:
    """The shortest of some passes."""
    times = []
    for _ in range(20):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)
