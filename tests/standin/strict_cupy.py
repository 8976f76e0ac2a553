"""A strict stand-in for CuPy: NumPy's arithmetic behind CuPy's names, parameters and refusals.

It shows that code is clean for CuPy on a machine that has neither a GPU nor CuPy:

- a name, parameter or method that CuPy lacks raises: every look-up is answered from
  `cupy_api.json`, which was read out of CuPy itself;
- host and device arrays do not mix, and nothing converts silently in either direction;
- what makes the host wait, uploads and kernel launches are written down by `watch`; inside
  `capturing` the first two raise, together with the library calls that CuPy refuses there;
- there are two devices, so that "allocated on the wrong GPU" shows, and their memory may run out;
- `empty` holds NaN, as reused memory might; no floating-point warning is ever given.

On purpose stricter than CuPy: `numpy.f(device_array)` raises (CuPy dispatches it, slowly); an index
out of range raises (CuPy wraps it around); repeated indices in an assignment raise (CuPy leaves the
result undefined); arrays of two devices do not mix (CuPy copies between them, and warns).

It cannot see: the order of streams, asynchronous errors, the order of reductions and of atomics,
fused multiply-add, speed, and CuPy's own bugs.

    with strict_cupy.installed():
        import cupy as xp                   # the stand-in; `import cupyx` works too
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from .api import VERSION, Module
from .array import compute, ndarray, operand, wrap
from .cuda import PinnedMemoryPool, cuda, current, fresh, memory_limit
from .functions import (
    Functions,
    Generator,
    RandomState,
    asnumpy,
    from_dlpack,
    ufunc,
)
from .traffic import CaptureError, Traffic, capturing, launch, watch

__all__ = [
    "CaptureError",
    "Traffic",
    "capturing",
    "cupy",
    "cupyx",
    "installed",
    "memory_limit",
    "watch",
]


def get_array_module(*arrays: Any) -> types.ModuleType:
    """`cupy.get_array_module`."""
    return cupy if any(isinstance(array, ndarray) for array in arrays) else np


cupy = Functions(
    "cupy",
    asnumpy=asnumpy,
    cuda=cuda,
    fft=Functions("cupy.fft"),
    from_dlpack=from_dlpack,
    get_array_module=get_array_module,
    get_default_memory_pool=lambda: current.pool,
    get_default_pinned_memory_pool=PinnedMemoryPool,
    is_available=lambda: True,
    lib=Module("cupy.lib", stride_tricks=Functions("cupy.lib.stride_tricks")),
    linalg=Functions("cupy.linalg"),
    ndarray=ndarray,
    random=Functions(
        "cupy.random", Generator=Generator, RandomState=RandomState, default_rng=Generator
    ),
    ufunc=ufunc,
)
cupy.__version__ = VERSION


@contextlib.contextmanager
def errstate(*, linalg: str | None = None, **other: Any) -> Iterator[None]:
    """`cupyx.errstate`, which knows `linalg` only."""
    if any(value is not None for value in other.values()):
        raise NotImplementedError("cupyx.errstate knows linalg= only")
    yield


def rsqrt(x: Any) -> Any:
    """`cupyx.rsqrt`."""
    result = wrap(compute(lambda host: 1 / np.sqrt(host), operand(x)))
    launch("rsqrt")
    return result


cupyx = Module(
    "cupyx",
    empty_like_pinned=np.empty_like,
    empty_pinned=np.empty,
    errstate=errstate,
    rsqrt=rsqrt,
    scatter_add=lambda a, slices, value: a.scatter("add", slices, value),
    zeros_like_pinned=np.zeros_like,
    zeros_pinned=np.zeros,
)


def _modules(module: types.ModuleType) -> Iterator[types.ModuleType]:
    yield module
    for member in vars(module).values():
        if isinstance(member, Module):
            yield from _modules(member)


MODULES = {module.__name__: module for top in (cupy, cupyx) for module in _modules(top)}


@contextlib.contextmanager
def installed() -> Iterator[types.ModuleType]:
    """Inside the block, `import cupy` and `import cupyx` give the stand-in, on a fresh machine."""
    before = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(MODULES)
    try:
        with fresh():
            yield cupy
    finally:
        for name, real in before.items():
            if real is None:
                del sys.modules[name]
            else:
                sys.modules[name] = real
