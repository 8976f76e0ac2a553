"""PyTorch: eager with one of its three optimizer loops, or compiled."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ..operations import OPERATIONS, Operating, nothing, operated
from ..worker import Work
from ..workloads import RULES, Training, Update, parts_of, training, updating


def facts(**options: bool) -> dict[str, Any]:
    """The version, and the threads that it takes inside an operation."""
    threads = {"intra-op": torch.get_num_threads()}
    return {"versions": {"torch": str(torch.__version__)}, "threads": threads}


def train(task: Training, compiled: bool = False, **flags: bool) -> Work:
    """A training step, with the flags of its optimizer; compiled as far as PyTorch can."""
    step, x, y = training(torch, "cpu", task.network, task.lr, **flags)
    if compiled:
        step = torch.compile(step)
    return Work(partial(step, x, y), lambda loss: loss.item())


def update(task: Update, **flags: bool) -> Work:
    """A step of the optimizer alone."""
    kind, options, _ = RULES[task.rule]
    parts = parts_of(task.parameters, task.tensors)
    step, params = updating(torch, "cpu", kind, parts, task.lr, {**options, **flags})
    return Work(step, lambda _: params[0].detach()[:16].abs().sum().item(), nothing)


def operate(task: Operating) -> Work:
    """One operation."""
    return operated(torch, OPERATIONS[task.operation].torch, task)
