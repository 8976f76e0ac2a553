"""What runs a rule. An engine is made for neighbouring parameters and called once a step:

    run = Engine(rule, xp, {"p": …, "g": …, "m": …}, shapes, apart)
    scalars = run(t, first, scalars, options)

The arrays are flat and changed in place; `g` is read only. `apart` holds, for each parameter, its
state of other shapes. Scalars and options come in the order of `rule.scalars` and `rule.options`;
the same tuple of options means that nothing changed.

Order: the reference · tracing · blocks of NumPy calls · one CUDA kernel.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ...device import Device
from ...kernels import C_TYPES, has_kernels
from .blocks import Blocks
from .cuda import Cuda
from .reference import Reference


class Engine(Protocol):
    """What an engine looks like to the optimizer."""

    def __init__(
        self,
        rule: Any,
        xp: Any,
        arrays: dict[str, Any],
        shapes: list[tuple[int, ...]],
        apart: list[dict[str, Any]],
    ) -> None: ...

    def __call__(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Take one step; gives the new scalars."""


ENGINES: dict[str, type[Engine]] = {"reference": Reference, "blocks": Blocks, "cuda": Cuda}


def default_engine(device: Device, dtype: np.dtype[Any]) -> str:
    """The name of the fastest engine that needs nothing but the array library of this device."""
    if device.kind == "cpu":
        return "blocks"
    return "cuda" if has_kernels(device.xp) and dtype in C_TYPES else "reference"
