"""Small constant arrays, made once: a number would be converted, an array launched, at every call.

`ones` turns a sum over the first axis into a product, ``ones.dot(a)``, several times faster than a
reduction for the sizes of layers. Everybody holds the same arrays: nobody may write into them.
Layers ask for `zero` and `ones` at every step, which is why these take the short way on the CPU.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .observer import Observer

LARGE = 2**16  # arrays of more elements are made anew: what is kept stays small


@functools.lru_cache(maxsize=256)
def _on_cpu(kind: str, shape: Any, dtype: Any) -> Any:
    array = getattr(np, kind)(shape, dtype=dtype)
    array.flags.writeable = False
    return array


@functools.lru_cache(maxsize=256)
def _on_gpu(xp: Any, index: int, kind: str, shape: Any, dtype: Any) -> Any:
    return getattr(xp, kind)(shape, dtype=dtype)


def _constant(xp: Any, kind: str, shape: Any, dtype: Any) -> Any:
    if isinstance(xp, Observer):
        return xp.constant(_constant(xp.xp, kind, shape, dtype))
    if type(shape) is int and shape > LARGE:
        return getattr(xp, kind)(shape, dtype=dtype)
    if xp is np:
        return _on_cpu(kind, shape, dtype)
    return _on_gpu(xp, xp.cuda.runtime.getDevice(), kind, shape, dtype)


def zero(xp: Any, dtype: Any) -> Any:
    """0 as a 0-d array."""
    return _on_cpu("zeros", (), dtype) if xp is np else _constant(xp, "zeros", (), dtype)


def ones(xp: Any, shape: Any, dtype: Any) -> Any:
    """Ones of this shape."""
    if xp is np and (type(shape) is not int or shape <= LARGE):
        return _on_cpu("ones", shape, dtype)
    return _constant(xp, "ones", shape, dtype)


def positions(xp: Any, n: int) -> Any:
    """0, 1, … n − 1."""
    return _constant(xp, "arange", n, np.intp)
