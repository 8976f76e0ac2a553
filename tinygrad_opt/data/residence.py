"""Where the examples of a `DataLoader` are kept, and how a batch of them gets onto the device.

Neither way waits for the GPU. Each batch is an array of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..device import Device, OutOfMemory
from ..operation import there
from .dataset import Array

DEPTH = 3  # the host fills one buffer while the GPU fetches another, and one lies between them


class OnDevice:
    """The arrays move to the device once and batches are gathered there: only the order travels."""

    def __init__(self, device: Device, arrays: Sequence[Array]) -> None:
        self.device = device
        try:
            self.arrays = [device.from_host(array) for array in arrays]
        except OutOfMemory as error:
            raise OutOfMemory(
                f'DataLoader: the examples do not fit. Write DataLoader(…, keep_on="host"). {error}'
            ) from None

    def order(self, rows: Array) -> Any:
        """The numbers of rows, where `batch` wants them."""
        return self.device.from_host(rows)

    def batch(self, rows: Any) -> list[Any]:
        """These rows of each array."""
        return [there(self.device, array.take, rows, 0) for array in self.arrays]


class OnHost:
    """Batches are gathered into page-locked buffers, which the GPU fetches by itself.

    The buffers take turns: one is filled again only when its copy has ended, as an event tells.
    While the GPU keeps up it always has. Copies stand in line with the kernels.
    """

    def __init__(self, device: Device, arrays: Sequence[Array], size: int) -> None:
        self.device, self.arrays = device, arrays
        self.turn = 0
        self.ring = [
            (
                there(device, partial(device.xp.cuda.Event, disable_timing=True)),
                [device.staging((size, *array.shape[1:]), array.dtype) for array in arrays],
            )
            for _ in range(DEPTH)
        ]
        weakref.finalize(self, _wait_for, self.ring).atexit = False

    def order(self, rows: Array) -> Array:
        """The numbers of rows, where `batch` wants them."""
        return rows

    def batch(self, rows: Array) -> list[Any]:
        """These rows of each array."""
        fetched, buffers = self.ring[self.turn]
        self.turn = (self.turn + 1) % DEPTH
        if not fetched.done:
            fetched.synchronize()
        try:
            return [
                there(self.device, self.upload, *pair, rows) for pair in zip(self.arrays, buffers)
            ]
        finally:
            there(self.device, fetched.record)

    def upload(self, array: Array, buffer: Array, rows: Array) -> Any:
        """These rows of one array, by way of its buffer."""
        part = buffer[: len(rows)]
        array.take(rows, axis=0, out=part, mode="clip")  # other modes copy once more
        on_device = self.device.xp.empty(part.shape, part.dtype)
        on_device.set(part)
        return on_device


def _wait_for(ring: Sequence[tuple[Any, list[Array]]]) -> None:
    """Hold the buffers until the GPU has fetched them: then others may be given their memory."""
    for fetched, _ in ring:
        if not fetched.done:
            fetched.synchronize()
