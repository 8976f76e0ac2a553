"""tinygrad: the step captured by its TinyJit, on the CPU."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from itertools import chain
from typing import Any

from tinygrad import Context, Device, Tensor, TinyJit, nn

from ..worker import Absent, Work
from ..workloads import Training, batch_of, layers_of


def facts() -> dict[str, Any]:
    """The version; Absent where it finds no compiler for the CPU."""
    try:
        (Tensor([1.0]) + 1).tolist()
    except Exception as error:
        raise Absent(f"tinygrad does not run here: {error}.") from None
    versions = {"tinygrad": importlib.metadata.version("tinygrad")}
    return {"versions": versions, "threads": {"device": Device.DEFAULT}}


def train(task: Training) -> Work:
    """A training step, whole in one TinyJit."""
    network = task.network
    x, y = (Tensor(array).realize() for array in batch_of(network))
    params = [Tensor(array).realize() for array in chain.from_iterable(layers_of(network.sizes))]
    move = getattr(nn.optim, network.optimizer)(params, lr=task.lr)

    @TinyJit
    def program(x: Any, y: Any) -> Any:
        move.zero_grad()
        out = x
        for w, b in zip(params[::2], params[1::2]):
            out = out.linear(w.T, b)
            if b is not params[-1]:
                out = out.relu()
        loss = (out - y).square().mean() if y.ndim > 1 else out.sparse_categorical_crossentropy(y)
        loss.backward()
        with Context(TRAINING=1):
            return loss.realize(*move.schedule_step())

    return Work(partial(program, x, y), lambda loss: loss.item())
