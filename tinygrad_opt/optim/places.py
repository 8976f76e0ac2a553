"""Arrays of parameters on any device: copied and written there, and numbers fetched from there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..device import Device, DeviceError
from ..operation import Variable, there


def copied(t: Variable) -> Any:
    """A copy of the array of a tensor, on its device."""
    return there(t.device, t._data.copy)


def taken(t: Variable, array: Any) -> Any:
    """A copy of an array of any device, on the device and in the dtype of a tensor."""
    return there(t.device, t.device.put(array).astype, t._data.dtype)


def write(t: Variable, values: Any) -> None:
    """Write a number, or an array of its device, into the array of a tensor."""
    there(t.device, t._data.__setitem__, ..., values)


def square(array: Any) -> Any:
    """‖a‖², as an array of its device."""
    return there(Device.of(array), lambda: (array * array).sum())


def numbers(*values: Any) -> list[float]:
    """Python numbers from numbers and arrays of one number: at most one wait for each GPU."""
    found = list(values)
    away: dict[Device, list[int]] = {}
    for i, value in enumerate(values):
        if isinstance(value, (np.generic, np.ndarray)):
            found[i] = value.item()
        elif hasattr(value, "dtype"):
            away.setdefault(Device.of(value), []).append(i)
    for device, places in away.items():
        arrays = [values[i].reshape(()) for i in places]
        for i, number in zip(places, there(device, device.xp.stack, arrays).tolist()):
            found[i] = number
    return found


def one_device(owner: str, tensors: Iterable[Variable]) -> Device:
    """The device of all these tensors, of which there is one; DeviceError if they have several."""
    found: set[Device] = {t.device for t in tensors}
    if len(found) > 1:
        names = " and ".join(sorted(map(repr, found)))
        raise DeviceError(
            f"{owner}: it looks at all parameters at once, and these are on {names}. Nothing moves "
            "by itself: move the whole model, or take an optimizer for each device."
        )
    (device,) = found
    return device
