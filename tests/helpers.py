"""What tests on every device share."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_opt import Tensor, tensor
from tinygrad_opt.device import Device


def host(values: Any) -> np.ndarray[Any, Any]:
    """The values of a tensor, a raw array of any device or a list of such, as a NumPy array."""
    if isinstance(values, Tensor):
        return values.device.to_host(values._data)
    if isinstance(values, (list, tuple)):
        return np.array([host(value) for value in values])
    if type(values).__module__.startswith("cupy"):
        return Device.of(values).to_host(values)
    return np.asarray(values)


def cotangent(y: Tensor) -> Tensor:
    """A gradient to arrive at y that is no constant."""
    return tensor(np.cos(np.arange(y.size)).astype(y.dtype).reshape(y.shape))


def is_array(t: Tensor) -> bool:
    """Whether a tensor holds an array of its device, also where it is one number."""
    return isinstance(t.data, t.device.xp.ndarray)


def is_writable(t: Tensor) -> bool:
    """Whether the array of a tensor may be written into, as every one on a GPU may."""
    return t.device.kind != "cpu" or bool(t.data.flags.writeable)


def share_memory(t: Tensor, other: Tensor) -> bool:
    """Whether two tensors show the same memory."""
    return bool(t.device.xp.shares_memory(t.data, other.data))
