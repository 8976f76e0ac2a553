"""Where gradients go: to those of earlier passes, or where an optimizer wants them written.

Its places, in its buffer, are filled by backward if they are free. A place is not free while
somebody holds the gradient of an earlier pass, or a view of it: that one stays what it was. So
references are counted.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np


class Home:
    """The place for the gradient of a parameter; `view` is the array of it that is meant."""

    __slots__ = ("__weakref__", "array", "view")

    def __init__(self, array: Any, view: Any) -> None:
        self.array, self.view = array, view

    def room(self) -> Any:
        """The array, or None while somebody holds it."""
        return self.array if getrefcount(self.array) == FREE else None


def _references(home: Home) -> int:
    return getrefcount(home.array)


FREE = _references(Home(np.empty(0), None))  # the home's own, and the one that is counted


def room_for(leaf: Any) -> Any:
    """Where a leaf without a gradient wants it written as it arrives, or None."""
    if leaf._home is None or leaf.grad is not None or leaf._hooks is not None:
        return None
    home = leaf._home()
    if home is None or home.view is not leaf._data or getrefcount(home.array) != FREE:
        return None  # its optimizer is gone, or it has other values, perhaps on another device
    return home.array


def collect(x: Any, new: Any) -> None:
    """Add a gradient of x to those of earlier backward passes, in ``x.grad``."""
    if x.grad is not None:
        if np.shape(x.grad) != new.shape:
            raise ValueError(
                f"backward: {x.name or 'the tensor'} has shape {new.shape}, and its gradient from "
                f"before {np.shape(x.grad)}. Set .grad to None, or to a tensor of its shape."
            )
        new = x.grad + new
    x.grad = new
