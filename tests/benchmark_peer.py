"""A peer for tests of the benchmarks: as honest, present and healthy as its options say."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Any

from benchmarks.worker import Work

STEPS = count(1)  # of this process


def facts(slow: float = 0.0, **faults: Any) -> dict[str, Any]:
    """What a peer tells of itself."""
    return {"versions": {"made_up": "1.0"}, "threads": {"BLAS": os.environ["OMP_NUM_THREADS"]}}


def train(
    task: Any,
    slow: float = 0.0,
    lie: float = 1.0,
    breaks: str = "",
    dies: bool = False,
    sleeps: float = 0.0,
    compiles: float = 0.0,
) -> Work:
    """Numbers that fall from step to step."""
    if breaks == "at once":
        raise ValueError("it does not know how")
    time.sleep(sleeps)
    taken = 0

    def step() -> float:
        nonlocal taken
        taken += 1
        if next(STEPS) > 12 and breaks:
            raise ValueError("it is tired")
        if taken > 1 and dies:
            os._exit(3)
        time.sleep(compiles if taken == 1 else slow)
        return lie * task.lr / taken

    return Work(step, float)
