"""The floor: what an operation costs where it is written down in NumPy, derivative and all."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..operations import OPERATIONS, Operating, nothing, size_of
from ..worker import Work
from . import blas_threads


def facts() -> dict[str, Any]:
    """Versions and threads."""
    return {"versions": {"numpy": np.__version__}, "threads": {"BLAS": blas_threads()}}


def operate(task: Operating) -> Work:
    """One operation."""
    row, (inputs, g) = OPERATIONS[task.operation], task.arrays()
    g = g[()]  # a scalar where it is one

    def both() -> Any:
        y = row.value(np, *inputs)
        return row.slopes(np, g, y, *inputs)[0]

    step = both if task.backward else partial(row.value, np, *inputs)
    return Work(step, size_of, nothing)
