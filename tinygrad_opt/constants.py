"""Small constant arrays, made once: a Python number would be converted at every call.

`ones` turns a sum over the first axis into a product, ``ones.dot(a)``, several times faster than a
reduction for the sizes of layers. On a GPU constants are made anew: they belong to one device.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


@functools.lru_cache(maxsize=1024)
def _cached(kind: str, shape: Any, dtype: Any) -> Any:
    array = getattr(np, kind)(shape, dtype=dtype)
    array.flags.writeable = False  # everybody holds the same one
    return array


def zero(xp: Any, dtype: Any) -> Any:
    """0 as a 0-d array."""
    return _cached("zeros", (), dtype) if xp is np else xp.zeros((), dtype)


def ones(xp: Any, shape: Any, dtype: Any) -> Any:
    """Ones of this shape."""
    return _cached("ones", shape, dtype) if xp is np else xp.ones(shape, dtype)


def positions(xp: Any, n: int) -> Any:
    """0, 1, … n − 1."""
    return _cached("arange", n, np.intp) if xp is np else xp.arange(n)
