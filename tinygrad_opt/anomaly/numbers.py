"""The float arrays in what operations are given and give, and whether they are finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..device import Device
from ..operation import Variable, there


def floats(x: Any) -> Iterator[Any]:
    """The raw float arrays in a tensor, an array, or several of them."""
    if isinstance(x, (tuple, list)):
        for one in x:
            yield from floats(one)
    elif isinstance(x, Variable):
        yield from floats(x.values if x.is_sparse else x._data)  # type: ignore[attr-defined]
    elif getattr(getattr(x, "dtype", None), "kind", "") == "f":
        yield x


def is_finite(device: Device, x: Any) -> bool:
    """Whether all the floats in it are numbers, and not infinite."""
    return all(bool(there(device, device.xp.isfinite, array).all()) for array in floats(x))


def as_host(x: Any) -> np.ndarray[Any, Any]:
    """The floats in it on the host: the first array of several."""
    array = next(floats(x), x)
    return np.asarray(Device.of(array).to_host(array) if hasattr(array, "get") else array)
