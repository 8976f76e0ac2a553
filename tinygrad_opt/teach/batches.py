"""Reading batches so that whoever reads them next finds them as they were."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .fit import Batches


def apart(owner: str, batches: Batches) -> Any:
    """A copy of a loader, which reads the same data and has a place and generators of its own.

    ValueError for what can be read only once, or is empty.
    """
    again = hasattr(batches, "__len__") and not isinstance(batches, (str, bytes))
    once: Any = iter(batches) if again else batches
    if once is batches or not len(batches):
        raise ValueError(
            f"{owner}: these batches cannot be read again from the start. Give a DataLoader, or a "
            "list of pairs (x, y)."
        )
    own = copy.copy(batches)
    for name, value in getattr(own, "__dict__", {}).items():
        if isinstance(value, (np.random.Generator, np.random.RandomState)):
            vars(own)[name] = copy.deepcopy(value)
    return own
