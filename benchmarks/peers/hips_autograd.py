"""HIPS autograd: functions of NumPy arrays, and a textbook's optimizer."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from itertools import chain
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad

from ..operations import OPERATIONS, Operating, cross_entropy, is_float, nothing, size_of
from ..worker import Work
from ..workloads import Training, batch_of, layers_of
from . import blas_threads
from .textbook import OPTIMIZERS


def facts() -> dict[str, Any]:
    """Versions and threads."""
    versions = {"autograd": importlib.metadata.version("autograd"), "numpy": np.__version__}
    return {"versions": versions, "threads": {"BLAS": blas_threads()}}


def train(task: Training) -> Work:
    """A training step."""
    network = task.network
    x, y = batch_of(network)
    params = list(chain.from_iterable(layers_of(network.sizes)))
    move = OPTIMIZERS[network.optimizer](params, task.lr)

    def loss_of(params: list[Any]) -> Any:
        out = anp.dot(x, params[0].T) + params[1]
        for layer in range(2, len(params), 2):
            out = anp.dot(anp.maximum(out, 0), params[layer].T) + params[layer + 1]
        return anp.mean((out - y) ** 2) if y.ndim > 1 else cross_entropy(anp, out, y)

    both = value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = both(params)
        move(gradients)
        return loss

    return Work(step, float)


def operate(task: Operating) -> Work:
    """One operation: the text of the bare one, on autograd's NumPy."""
    inputs, g = task.arrays()
    function = partial(OPERATIONS[task.operation].value, anp)
    if not task.backward:
        return Work(partial(function, *inputs), size_of, nothing)
    wanted = tuple(i for i, array in enumerate(inputs) if is_float(array))
    g = g if g.ndim else g.item()

    def step() -> Any:
        back, _ = make_vjp(function, wanted)(*inputs)
        return back(g)[0]

    return Work(step, size_of, nothing)
