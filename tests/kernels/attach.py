"""The kernels of CuPy on the stand-in, run by the C++ compiler."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import cupy as real_cupy

from tests.standin.array import ndarray
from tests.standin.strict_cupy import cupy as stand_in

from . import elementwise_on_cpu
from .raw_on_cpu import RawKernel

if shutil.which("g++") is None:
    raise ImportError("there is no C++ compiler g++")

HOOK = "__cupy_override_elementwise_kernel__"


@contextlib.contextmanager
def attached() -> Iterator[None]:
    """Inside the block the stand-in has `ElementwiseKernel`, which is CuPy's, and `RawKernel`."""
    names = {"ElementwiseKernel": real_cupy.ElementwiseKernel, "RawKernel": RawKernel}
    vars(stand_in).update(names)
    setattr(ndarray, HOOK, elementwise_on_cpu.call)
    try:
        yield
    finally:
        delattr(ndarray, HOOK)
        for name in names:
            del vars(stand_in)[name]
