"""Keys of `x[key]`: as NumPy takes them, checked more strictly, and what they cost in CuPy.

Beyond CuPy: an index out of range raises (CuPy wraps it around), and so do repeated indices in an
assignment (which value wins is undefined there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .traffic import sync, upload


class Key:
    """What stands in the brackets, for an array of this shape."""

    def __init__(self, key: Any, shape: tuple[int, ...], operand: Callable[[Any], Any]) -> None:
        items = list(key) if isinstance(key, tuple) else [key]
        arrays = []
        for position, item in enumerate(items):
            if isinstance(item, (list, np.ndarray)):
                upload("host index array")
                arrays.append(np.asarray(item))
            elif hasattr(item, "_host"):
                arrays.append(operand(item))
            else:
                continue
            items[position] = arrays[-1]
        self.basic = not arrays
        self.masks = [array for array in arrays if array.dtype.kind == "b"]
        self.integers = [array for array in arrays if array.dtype.kind != "b"]
        if self.masks:
            sync("boolean-mask indexing")
        if self.integers:
            self._check_range(items, shape)
        if self.basic and not any(item is Ellipsis for item in items):
            items.append(Ellipsis)  # x[0] is a 0-d view, never a scalar
        self.items = tuple(items)

    def _check_range(self, items: list[Any], shape: tuple[int, ...]) -> None:
        consumed = [_consumed_axes(item) for item in items]
        axis = 0
        for item, axes in zip(items, consumed):
            if item is Ellipsis:
                axis += len(shape) - sum(consumed)
            elif isinstance(item, np.ndarray) and item.dtype.kind != "b" and item.size:
                length = shape[axis]
                if item.max() >= length or item.min() < -length:
                    raise IndexError(
                        f"index out of range for an axis of {length}: CuPy would wrap it around"
                    )
            axis += axes

    def check_distinct(self) -> None:
        """ValueError where an assignment would write one element twice."""
        indices = [array.ravel() for array in np.broadcast_arrays(*self.integers)]
        if indices and np.unique(np.stack(indices), axis=1).shape[1] != indices[0].size:
            raise ValueError("repeated indices in an assignment are undefined in CuPy: use add.at")

    def reads(self) -> int:
        """Launches of `x[key]`.

        Several index arrays are first combined into one, with a fill and a kernel for each. A mask
        is cast and scanned.
        """
        arrays = len(self.masks) + len(self.integers)
        if self.basic:
            return 0
        return (1 if arrays == 1 else arrays + 2) + 2 * len(self.masks)

    def writes(self, value: Any) -> int:
        """Launches of `x[key] = value`; a number becomes a 0-d array first where arrays select."""
        return 1 if self.basic else self.reads() + (not hasattr(value, "_host"))


def _consumed_axes(item: Any) -> int:
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, np.ndarray) and item.dtype.kind == "b":
        return item.ndim
    return 1
