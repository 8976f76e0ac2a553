"""Who is timed: a module for each library, with the same functions (see `benchmarks.worker`)."""

from __future__ import annotations

import os


def processors(*settings: str) -> int:
    """How many threads a library takes that asks these variables first, then counts processors."""
    for name in settings:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas_threads() -> int:
    """How many threads a matrix product of NumPy takes, where its BLAS is OpenBLAS."""
    return processors("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
