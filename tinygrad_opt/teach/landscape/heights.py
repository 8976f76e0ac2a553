"""What a landscape shows: a network on its data, or a function. What it is given stays as it is."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...data import DataLoader, Dataset
from ...device import default_device
from ...nn import Module
from ...tensor import Tensor
from ..batches import apart
from ..fit import Batches, Loss, evaluate
from ..history import Array, History
from ..surfaces import Surface

Data = Batches | Dataset | tuple[Any, Any]


class Network:
    """A copy of a model, and the data on which its loss is computed.

    ``centre`` (D,): its weights; ``shapes``: of its parameters; ``path`` (T, D) or None.
    """

    box, minimum, name = None, None, "network"

    def __init__(
        self,
        model: Module,
        data: Data | None,
        loss: Loss | None,
        history: History | None,
    ) -> None:
        if data is None:
            raise ValueError("landscape: a model has a loss on data only. Give data=.")
        try:
            self.model = copy.deepcopy(model)
        except TypeError as error:
            raise TypeError(
                f"landscape: it works on a copy of the model, which cannot be copied: {error}. "
                "Make what cannot be copied, such as a lock or a file, outside of the model."
            ) from None
        self.parameters = list(self.model.parameters())
        batches: Any = data
        if isinstance(data, (Dataset, tuple)):
            batches = DataLoader(data, batch_size=None, device=self.parameters[0].device)
        self.batches, self.criterion = list(apart("landscape", batches)), loss
        self.shapes = [p.shape for p in self.parameters]
        hosts = [p.device.to_host(p._data).reshape(-1) for p in self.parameters]
        self.centre = np.concatenate(hosts).astype(np.float64)
        if not np.isfinite(self.centre).all():
            raise ValueError(
                "landscape: weights of the model are not finite, so that there is nothing to see. "
                "Train anew, with a tenth of the learning rate."
            )
        rows = [] if history is None else [w for _, w in history.snapshots]
        self.path = _finite(np.array(rows)) if rows else None
        if self.path is not None and self.path.shape[1:] != self.centre.shape:
            raise ValueError(
                f"landscape: the snapshots of the history hold {self.path.shape[1]:,} numbers and "
                f"the model has {len(self.centre):,}. Give the history of this model."
            )
        if history is not None and "task" in history.meta:
            self.name = str(history.meta["task"])

    def loss(self, w: Array) -> float:
        """The loss with these weights."""
        begin = 0
        for p in self.parameters:
            part = w[begin : begin + p.size].reshape(p.shape).astype(p.dtype)
            p.data = p.device.from_host(part)
            begin += p.size
        return evaluate(self.model, self.batches, self.criterion)["loss"]


class Function:
    """A function of a few numbers: a surface, which says where to look, or one with a path."""

    shapes = None

    def __init__(self, f: Any, history: History | None) -> None:
        self.f, self.path = f, None
        if history is not None and history.w is not None and history.final_w is not None:
            self.path = _finite(np.vstack([history.w, history.final_w]))
        if self.path is None and not isinstance(f, Surface):
            raise ValueError(
                "landscape: where to look at a function is known from its path. Give history=, "
                "from trace, or take a surface."
            )
        self.centre: Array = np.array(f.start) if self.path is None else self.path[-1]
        self.box = f.box if isinstance(f, Surface) else None
        self.minimum = getattr(f, "minimum", None)
        self.name = getattr(f, "name", getattr(f, "__name__", "f"))

    def loss(self, w: Array) -> float:
        """The loss at w."""
        return float(self.f(Tensor(w, device=repr(default_device()))).item())


def _finite(path: Array) -> Array:
    """A path up to where it is lost."""
    lost = np.flatnonzero(~np.isfinite(path).all(axis=1))
    return path[: lost[0]] if len(lost) else path
