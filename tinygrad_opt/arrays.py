"""From what people have, numbers, lists, arrays, to a raw array on a device."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .device import Device, DeviceError, default_device
from .operation import Variable, is_grad_enabled, there


def as_array(data: Any, dtype: Any, device: str | Device | None) -> tuple[Any, Device]:
    """A raw array of this dtype on this device, shared with the data where it already is one."""
    if isinstance(data, np.ndarray) or hasattr(data, "__cuda_array_interface__"):
        data = np.asarray(data) if isinstance(data, np.ndarray) else data  # no np.matrix
        home = Device.of(data)
        target = home if device is None else Device(device)
        array = (
            data
            if dtype is None
            else there(home, partial(data.astype, np.dtype(dtype), copy=False))
        )
        array = target.put(array)
    else:
        target = default_device() if device is None else Device(device)
        host = np.asarray(_plain(data), dtype)
        if dtype is None and host.dtype == np.float64 and not isinstance(data, np.generic):
            host = host.astype(np.float32)
        array = target.from_host(host)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Tensor: {array.dtype} data is not numeric; give floats, integers or truths."
        )
    return array, target


def raw_value(symbol: str, value: Any, device: Device) -> Any:
    """What is to be written into an array of this device: a number, or an array there."""
    raw = getattr(value, "_data", value)
    if isinstance(raw, (list, tuple)):
        return device.from_host(raw)
    if not isinstance(value, Variable) and not getattr(raw, "ndim", 0):
        return raw
    home = value.device if isinstance(value, Variable) else Device.of(raw)
    if home is not device:
        raise DeviceError(
            f"x {symbol} ...: x is on {device}, the value on {home}. Nothing moves by itself: "
            f'write tensor(value, device="{device}").'
        )
    return raw


def check_float(array: Any) -> None:
    """TypeError for integers and truths, which have no gradient."""
    if array.dtype.kind != "f":
        raise TypeError(
            f"requires_grad: {array.dtype} data has no gradient. Use float32: "
            'tensor(x, dtype="float32").'
        )


def _plain(data: Any) -> Any:
    """Nested sequences with numbers in place of Tensors."""
    if isinstance(data, Variable):
        if data._requires_grad and is_grad_enabled():
            raise RuntimeError(
                "Tensor: a tensor in this list requires a gradient, which would be lost. Write "
                "stack([...])."
            )
        return data.device.to_host(data._data)
    if isinstance(data, (list, tuple)):
        return [_plain(part) for part in data]
    return data
