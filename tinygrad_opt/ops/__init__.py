"""The operations, under NumPy's names: what stands for ``xp`` where a rule gets Tensors."""

from __future__ import annotations

from ..operation import clone, there, wrap
from . import activation, classification, elementwise, fused, linalg, noise, reduce, shape
from .activation import *
from .classification import *
from .elementwise import *
from .fused import *
from .linalg import *
from .noise import *
from .reduce import *
from .shape import *
from .shape import raw_index, scatter_add

__all__ = ["clone"]
__all__ += elementwise.__all__
__all__ += activation.__all__
__all__ += reduce.__all__
__all__ += shape.__all__
__all__ += linalg.__all__
__all__ += fused.__all__
__all__ += classification.__all__
__all__ += noise.__all__


def zeros_like(x):
    """Zeros of the shape, dtype and device of x."""
    return wrap(there(x.device, x.device.xp.zeros, x.shape, x.dtype), x.device)


def ones_like(x):
    """Ones of the shape, dtype and device of x."""
    return wrap(there(x.device, x.device.xp.ones, x.shape, x.dtype), x.device)
