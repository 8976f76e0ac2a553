"""The arrays in what operations are given and give, and whether they are finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..device import Device
from ..operation import Variable, there


def arrays(x: Any) -> Iterator[Any]:
    """The raw arrays in a tensor, an array, or several of them."""
    if isinstance(x, (tuple, list)):
        for one in x:
            yield from arrays(one)
    elif isinstance(x, Variable):
        yield x.values if x.is_sparse else x._data  # type: ignore[attr-defined]
    elif hasattr(x, "dtype"):
        yield x


def floats(x: Any) -> Iterator[Any]:
    """The raw arrays of floats among them."""
    return (array for array in arrays(x) if array.dtype.kind == "f")


def is_finite(device: Device, x: Any) -> bool:
    """Whether all the floats in it are numbers, and not infinite."""
    return all(bool(there(device, device.xp.isfinite, array).all()) for array in floats(x))


def as_host(x: Any) -> np.ndarray[Any, Any]:
    """The numbers in it on the host: the first array of several, of floats if there is one."""
    array = next(floats(x), next(arrays(x), x))
    return np.asarray(Device.of(array).to_host(array) if hasattr(array, "get") else array)
