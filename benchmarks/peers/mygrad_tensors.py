"""MyGrad: tensors on NumPy, its guards of memory off, and a textbook's optimizer."""

from __future__ import annotations

from itertools import chain
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import losses

from ..worker import Work
from ..workloads import Training, batch_of, layers_of
from . import blas_threads
from .textbook import OPTIMIZERS


def facts() -> dict[str, Any]:
    """Versions and threads."""
    versions = {"mygrad": mg.__version__, "numpy": np.__version__}
    return {"versions": versions, "threads": {"BLAS": blas_threads()}}


def train(task: Training) -> Work:
    """A training step."""
    mg.turn_memory_guarding_off()
    network = task.network
    x, y = batch_of(network)
    params = [mg.tensor(array) for array in chain.from_iterable(layers_of(network.sizes))]
    move = OPTIMIZERS[network.optimizer]([p.data for p in params], task.lr)

    def step() -> Any:
        out = x
        for w, b in zip(params[::2], params[1::2]):
            out = mg.matmul(out, w.T) + b
            if b is not params[-1]:
                out = mg.nnet.relu(out)
        loss = mg.mean((out - y) ** 2) if y.ndim > 1 else losses.softmax_crossentropy(out, y)
        loss.backward()
        move([p.grad for p in params])
        for p in params:
            p.null_grad()
        return loss

    return Work(step, lambda loss: loss.item())
