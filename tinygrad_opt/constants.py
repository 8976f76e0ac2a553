"""Small constant arrays, made once: a Python number would be converted at every call.

`ones` turns a sum over the first axis into a product, ``ones.dot(a)``, several times faster than a
reduction for the sizes of layers. On a GPU constants are made anew: they belong to one device.
"""

from __future__ import annotations

import functools

import numpy


@functools.lru_cache(maxsize=1024)
def _cached(kind, n, dtype):
    return getattr(numpy, kind)(n, dtype=dtype)


def zero(xp, dtype):
    """0 as a 0-d array."""
    return _cached("zeros", (), dtype) if xp is numpy else xp.zeros((), dtype)


def ones(xp, n, dtype):
    """n ones."""
    return _cached("ones", n, dtype) if xp is numpy else xp.ones(n, dtype)


def positions(xp, n):
    """0, 1, … n − 1."""
    return _cached("arange", n, numpy.intp) if xp is numpy else xp.arange(n)
