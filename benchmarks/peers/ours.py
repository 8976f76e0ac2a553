"""tinygrad_opt through its public interface."""

from __future__ import annotations

import importlib
import logging
from functools import partial
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.capture import capture
from tinygrad_opt.threads import threads

from ..operations import OPERATIONS, Operating, nothing, operated
from ..worker import Work
from ..workloads import RULES, Training, Update, parts_of, training, updating
from . import blas_threads


def facts(engine: str = "blocks", captured: bool = False) -> dict[str, Any]:
    """Versions and threads."""
    versions = {"tinygrad_opt": tg.__version__, "numpy": np.__version__}
    if engine == "numba":
        versions["numba"] = importlib.import_module("numba").__version__
        logging.getLogger("tinygrad_opt").addHandler(Refusal())
    return {"versions": versions, "threads": {"BLAS": blas_threads(), "optimizer": threads()}}


class Refusal(logging.Handler):
    """An engine that is replaced by another says so in the log: here, that is an error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Fail with its words."""
        raise RuntimeError(record.getMessage())


def train(task: Training, engine: str = "blocks", captured: bool = False) -> Work:
    """A training step; the losses are read once a block, as `loss.item()`."""
    step, x, y = training(tg, "cpu", task.network, task.lr, engine=engine)
    if captured:
        step = capture(step)
    return Work(partial(step, x, y), lambda loss: loss.item())


def update(task: Update, engine: str = "blocks") -> Work:
    """A step of the optimizer alone."""
    kind, options, _ = RULES[task.rule]
    parts = parts_of(task.parameters, task.tensors)
    step, params = updating(tg, "cpu", kind, parts, task.lr, {**options, "engine": engine})
    return Work(step, lambda _: float(np.abs(params[0].data[:16]).sum()), nothing)


def operate(task: Operating) -> Work:
    """One operation."""
    return operated(tg, OPERATIONS[task.operation].ours, task)
