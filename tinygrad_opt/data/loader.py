"""Batches: each example once in a pass, in an order that a seed decides and one can resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..device import Device, default_device
from ..operation import wrap
from ..tensor import Tensor
from .dataset import Array, Dataset, examples
from .residence import OnDevice, OnHost


class DataLoader:
    """Pairs of Tensors (x, y), a batch at a time, in a new order at each pass.

    ``data`` is a `Dataset` (from `prepare`: others are not scaled yet) or a pair x (N, ...),
    y (N, ...); the arrays keep their dtype. ``batch_size`` 1 is stochastic, None takes all examples
    at once, in their own order; the last batch is smaller, or left out with ``drop_last``. The
    order of pass e is drawn from (seed, e) and touches no other random numbers. ValueError for
    gaps, negative labels, unequal lengths, no data or no batch.

    The examples move to the device once and batches are gathered there, so that a pass uploads its
    order and no more. For data larger than the device, ``keep_on="host"`` uploads each batch while
    the GPU works on those before. Both give the same batches, to the bit.

    PyTorch's loader keeps the order and takes one example unless told otherwise.
    """

    def __init__(
        self,
        data: Dataset | tuple[Any, Any],
        batch_size: int | None = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        device: str | Device | None = None,
        keep_on: str = "device",
    ) -> None:
        x, y = examples("DataLoader", data)
        size = len(x) if batch_size is None else batch_size
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(
                f"DataLoader: batch_size is {batch_size!r}. Give the number of examples in a "
                "batch, 1 or more, or None for all of them."
            )
        if seed < 0:
            raise ValueError(f"DataLoader: seed is {seed}; it counts from 0.")
        if drop_last and size > len(x):
            raise ValueError(
                f"DataLoader: {len(x)} examples fill no batch of {size}, and drop_last leaves "
                "incomplete ones out."
            )
        if keep_on not in ("device", "host"):
            raise ValueError(
                f"DataLoader: keep_on is {keep_on!r}; the examples are kept on the 'device' or, if "
                "they are too large for it, on the 'host'."
            )
        self.device = default_device() if device is None else Device(device)
        self.batch_size = int(size)
        self.shuffle = shuffle
        self.seed = int(seed)
        self.drop_last = drop_last
        self.epoch = 0  # passes begun
        self.position = 0  # batches given out in this pass; 0 once it is over
        self._resumed = False
        self._count = len(x)
        self._examples: OnDevice | OnHost = (
            OnDevice(self.device, (x, y))
            if keep_on == "device" or self.device.kind == "cpu"
            else OnHost(self.device, (x, y), min(self.batch_size, len(x)))
        )

    def __len__(self) -> int:
        """The number of batches in a pass."""
        whole, rest = divmod(self._count, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self._resumed:
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        order = self._examples.order(self._order())
        for number in range(self.position, len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            self.position = number + 1
            x, y = self._examples.batch(rows)
            yield wrap(x, self.device), wrap(y, self.device)
        self.position = 0

    def _order(self) -> Array:
        n = self._count
        if not self.shuffle or self.batch_size >= n:
            return np.arange(n)
        return np.random.default_rng((self.seed, self.epoch)).permutation(n)

    def state_dict(self) -> dict[str, int]:
        """Where it stands, in six integers. In a loop the batch given out last counts as done."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "shuffle": int(self.shuffle),
            "batch_size": self.batch_size,
            "examples": self._count,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there: the next pass is the rest of the one that was under way, or a new one.

        ValueError for a state that was saved with other settings, whose order would be another.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        if missing:
            raise ValueError(f"DataLoader: the saved state lacks {', '.join(missing)}.")
        for name in ("shuffle", "batch_size", "examples"):
            if state[name] != own[name]:
                raise ValueError(
                    f"DataLoader: the state was saved with {name} {state[name]}, this loader has "
                    f"{own[name]}. Build it as it was."
                )
        if not (0 <= state["position"] <= len(self) and state["epoch"] >= 0):
            raise ValueError(
                f"DataLoader: epoch {state['epoch']} and position {state['position']} cannot be: "
                f"a pass has {len(self)} batches."
            )
        self.seed, self.epoch = int(state["seed"]), int(state["epoch"])
        self.position = int(state["position"])
        self._resumed = self.position > 0

    def __repr__(self) -> str:
        order = "shuffled" if self.shuffle else "in order"
        return (
            f"DataLoader({self._count} examples, {len(self)} batches of {self.batch_size}, "
            f"{order}, seed {self.seed}, {self.device})"
        )
