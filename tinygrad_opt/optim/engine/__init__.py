"""What runs a rule: as it stands, or traced once and run as array calls, a loop or a GPU's kernel.

Order: what all look like · the reference · tracing · blocks of NumPy calls · a compiled loop · one
CUDA kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Device
from ...kernels import C_TYPES, has_kernels
from .base import Engine
from .blocks import Blocks
from .compiled import PAYS, Compiled, installed
from .cuda import Cuda
from .reference import Reference

ENGINES: dict[str, type[Engine]] = {
    "reference": Reference,
    "blocks": Blocks,
    "numba": Compiled,
    "cuda": Cuda,
}


def default_engine(device: Device, dtype: np.dtype[Any], size: int = 0) -> str:
    """The name of the fastest engine for this many numbers, of those that are installed."""
    if device.kind == "cpu":
        return "numba" if size >= PAYS and dtype.itemsize > 2 and installed() else "blocks"
    return "cuda" if has_kernels(device.xp) and dtype in C_TYPES else "reference"
