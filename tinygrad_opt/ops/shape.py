"""Operations that move elements without changing them: the gradient moves back the same way.

Order: new shapes · axes · joining and cutting · picking elements · repeating · triangles · dtype.
"""

from __future__ import annotations

import builtins
import math
from itertools import pairwise

import numpy

from ..constants import positions
from ..device import DeviceError
from ..operation import Variable, op, there, wrap
from .checks import axes_of

__all__ = [
    "reshape",
    "flatten",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "transpose",
    "permute",
    "swapaxes",
    "moveaxis",
    "flip",
    "roll",
    "concatenate",
    "stack",
    "split",
    "pad",
    "getitem",
    "take",
    "take_along_axis",
    "diagonal",
    "repeat",
    "tile",
    "tril",
    "triu",
    "astype",
]

# ---- new shapes -------------------------------------------------------------------------------


@op(lambda xp, g, y, x, shape: xp.reshape(g, x.shape))
def _reshape(xp, x, shape):
    return xp.reshape(x, shape)


def reshape(x, *shape):
    """The same elements, row by row, in another shape; -1 stands for what is left."""
    return _reshape(x, shape=_as_tuple(shape))


def flatten(x, start_axis=0):
    """All axes from start_axis on become one."""
    (start,) = axes_of(start_axis, max(1, x.ndim), "flatten")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:])))


def expand_dims(x, axis):
    """A new axis of length 1."""
    (axis,) = axes_of(axis, x.ndim + 1, "expand_dims")
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x, axis=None):
    """Without the axes of length 1: all of them, or those named, which must have length 1."""
    axes = axes_of(axis, x.ndim, "squeeze")
    if axis is not None and builtins.any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"squeeze: axis {axis} of {x.shape} does not have length 1.")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in axes))


def _to_shape(xp, g, y, x, shape):
    """The engine adds up broadcast axes where shapes differ, which is all that is needed."""
    return g


@op(_to_shape)
def _broadcast_to(xp, x, shape):
    return xp.broadcast_to(x, shape)


def broadcast_to(x, shape):
    """x repeated along new axes and those of length 1, as NumPy broadcasts."""
    return _broadcast_to(x, shape=_as_tuple((shape,)))


# ---- axes -------------------------------------------------------------------------------------


def _transpose_back(xp, g, y, x, axes):
    return xp.transpose(g, tuple(sorted(range(len(axes)), key=axes.__getitem__)))


@op(_transpose_back)
def _transpose(xp, x, axes):
    return xp.transpose(x, axes)


def transpose(x, *axes):
    """The axes in this order; reversed when none are given."""
    order = _as_tuple(axes) if axes and axes != (None,) else range(x.ndim)[::-1]
    return _transpose(x, axes=axes_of(order, x.ndim, "transpose"))


permute = transpose


def swapaxes(x, axis1, axis2):
    """Two axes exchanged."""
    a, b = axes_of((axis1, axis2), x.ndim, "swapaxes")
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x, source, destination):
    """Axes moved to other places; the rest keep their order."""
    source = axes_of(source, x.ndim, "moveaxis")
    destination = axes_of(destination, x.ndim, "moveaxis")
    order = [a for a in range(x.ndim) if a not in source]
    for to, a in sorted(zip(destination, source, strict=True)):
        order.insert(to, a)
    return transpose(x, order) if order else x


@op(lambda xp, g, y, x, axis: xp.flip(g, axis))
def _flip(xp, x, axis):
    return xp.flip(x, axis)


def flip(x, axis=None):
    """The elements in reverse along an axis, some axes or all."""
    return _flip(x, axis=axis)


def _roll_back(xp, g, y, x, shift, axis=None):
    """g, rolled back."""
    back = tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift
    return xp.roll(g, back, axis)


@op(_roll_back)
def roll(xp, x, shift, axis=None):
    """The elements moved along an axis; what leaves at the end comes in at the start."""
    return xp.roll(x, shift, axis)


# ---- joining and cutting ----------------------------------------------------------------------


def _piece(i):
    """The derivative for the i-th of the joined tensors: its part of the gradient."""

    def cut(xp, g, y, *inputs, axis):
        # Only shapes are read here, and those are kept even where arrays are not.
        start = builtins.sum(x.shape[axis] for x in inputs[:i])
        here = [slice(None)] * (axis % g.ndim) + [slice(start, start + inputs[i].shape[axis])]
        return g[tuple(here)]

    return cut


def _explain_concatenate(name, *shapes, axis):
    if len({s[:axis] + s[axis:][1:] for s in shapes}) == 1:
        return None
    return f"concatenate: {', '.join(map(str, shapes))} must agree in every axis but {axis}."


def _concatenate(xp, *inputs, axis):
    return xp.concatenate(inputs, axis)


_concatenate = op(each=_piece, explain=_explain_concatenate, shapes_only=True)(_concatenate)


def concatenate(tensors, axis=0):
    """Tensors joined along an axis that they have; axis None flattens them first."""
    tensors = list(tensors)
    if not tensors:
        raise ValueError("concatenate: there is nothing to join.")
    if axis is None:
        return concatenate([reshape(t, (-1,)) for t in tensors])
    return _concatenate(*tensors, axis=axis)


def stack(tensors, axis=0):
    """Tensors of one shape joined along a new axis."""
    tensors = list(tensors)
    if builtins.any(t.shape != tensors[0].shape for t in tensors):
        shapes = ", ".join(str(t.shape) for t in tensors)
        raise ValueError(f"stack: all shapes must be equal, and these are {shapes}.")
    return concatenate([expand_dims(t, axis) for t in tensors], axis=axis)


def split(x, sections, axis=0):
    """Cut along an axis: into that many equal parts, or before each of these positions."""
    (axis,) = axes_of(axis, x.ndim, "split")
    n = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ValueError(f"split: {n} along axis {axis} do not make {sections} equal parts.")
        sections = [i * (n // sections) for i in range(1, sections)]
    before = (slice(None),) * axis
    edges = [0, *sections, n]
    return [x[(*before, slice(a, b))] for a, b in pairwise(edges)]


def _pad_back(xp, g, y, x, pad_width, value=0):
    return g[tuple(slice(a, a + n) for (a, _), n in zip(pad_width, x.shape, strict=True))]


@op(_pad_back)
def _pad(xp, x, pad_width, value):
    return xp.pad(x, pad_width or 0, constant_values=value)


def pad(x, pad_width, value=0):
    """A constant put around x: one width, (before, after), or one such pair for each axis."""
    widths = numpy.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    return _pad(x, pad_width=tuple(map(tuple, widths)), value=value)


# ---- picking elements -------------------------------------------------------------------------


def raw_index(name, x, index):
    """An index with raw arrays of x's device in place of Tensors, lists and NumPy arrays.

    They are copies, which nobody changes afterwards.
    """
    if isinstance(index, tuple):
        return tuple(raw_index(name, x, i) for i in index)
    if isinstance(index, Variable):
        if index.device is not x.device:
            raise DeviceError(
                f"{name}: the tensor is on {x.device}, the index on {index.device}. Nothing moves "
                f'by itself: write index.to("{x.device}").'
            )
        return there(x.device, index._data.copy)
    if isinstance(index, (list, numpy.ndarray)):
        nothing = isinstance(index, list) and not index
        return x.device.from_host(numpy.array(index, numpy.intp if nothing else None))
    return index


def _is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    basic = (int, numpy.integer, slice, type(None), type(Ellipsis))
    return builtins.all(isinstance(i, basic) and not isinstance(i, bool) for i in parts)


@op(lambda xp, g, y, x, index, shape: g[index])
def scatter_add(xp, x, index, shape):
    """Zeros of this shape with x added at an index; repeated places add up."""
    out = xp.zeros(shape, x.dtype)
    if _is_basic(index):
        out[index] = x  # no place is named twice
    else:
        xp.add.at(out, index, x)
    return out


@op(lambda xp, g, y, x, index: scatter_add.within(xp, g, index=index, shape=x.shape))
def _getitem(xp, x, index):
    return x[index]


def getitem(x, index):
    """x[index], basic or advanced; elements picked twice receive both gradients.

    On a GPU a mask of truths waits, for only the GPU knows how many it picks; lists and NumPy
    arrays are copied to it; and gradients that meet in one element are added in any order, so that
    their last digit may differ from run to run.
    """
    return _getitem(x, index=raw_index("getitem", x, index))


def take(x, indices, axis=None):
    """Elements (axis None: of the flattened tensor) or slices at these indices."""
    if axis is None:
        return reshape(x, (-1,))[indices]
    (axis,) = axes_of(axis, x.ndim, "take")
    return x[(slice(None),) * axis + (indices,)]


def take_along_axis(x, indices, axis):
    """For each place along the other axes, the elements of this axis at its own indices."""
    (axis,) = axes_of(axis, x.ndim, "take_along_axis")
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: indices {indices.shape} need as many axes as {x.shape}."
        )
    places = [_range(x, n).reshape(n, *[1] * (x.ndim - 1 - a)) for a, n in enumerate(x.shape)]
    places[axis] = indices
    return x[tuple(places)]


def _range(x, n):
    """0, 1, … n − 1 on the device of x."""
    return wrap(there(x.device, positions, x.device.xp, n), x.device)


def diagonal(x, offset=0, axis1=0, axis2=1):
    """The diagonal of two axes, as the last axis; offset > 0 lies above the main one."""
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    down, right = builtins.max(-offset, 0), builtins.max(offset, 0)
    i = _range(x, builtins.max(0, builtins.min(rows - down, columns - right)))
    return x[..., i + down, i + right]


# ---- repeating --------------------------------------------------------------------------------


def repeat(x, repeats, axis=None):
    """Each element, or each slice of an axis, that many times in a row.

    Numbers of times in a Tensor make the host wait for a GPU.
    """
    if axis is None:
        return repeat(reshape(x, (-1,)), repeats, 0)
    repeats = repeats.tolist() if hasattr(repeats, "tolist") else repeats
    places = there(x.device, x.device.xp.repeat, _range(x, x.shape[axis])._data, repeats)
    return take(x, wrap(places, x.device), axis)


def tile(x, reps):
    """The whole tensor side by side, so many times along each axis."""
    reps = _as_tuple((reps,))
    x = reshape(x, (1,) * (len(reps) - x.ndim) + x.shape)
    reps = (1,) * (x.ndim - len(reps)) + reps
    apart = tuple(m for n in x.shape for m in (1, n))
    copies = tuple(m for r, n in zip(reps, x.shape, strict=True) for m in (r, n))
    joined = tuple(r * n for r, n in zip(reps, x.shape, strict=True))
    return reshape(broadcast_to(reshape(x, apart), copies), joined)


# ---- triangles --------------------------------------------------------------------------------


@op(lambda xp, g, y, x, k=0: xp.tril(g, k))
def tril(xp, x, k=0):
    """The lower triangle of the last two axes up to the k-th diagonal, zeros above."""
    return xp.tril(x, k)


@op(lambda xp, g, y, x, k=0: xp.triu(g, k))
def triu(xp, x, k=0):
    """The upper triangle of the last two axes from the k-th diagonal on, zeros below."""
    return xp.triu(x, k)


# ---- dtype ------------------------------------------------------------------------------------


@op(lambda xp, g, y, x, dtype, back: g.astype(back), casts=True)
def _to_float(xp, x, dtype, back):
    return x.astype(dtype)


@op(None, casts=True)
def _to_other(xp, x, dtype):
    return x.astype(dtype)


def astype(x, dtype):
    """x in another dtype; no gradient flows through integers and booleans."""
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        return _to_float(x, dtype=dtype, back=x.dtype)
    return _to_other(x, dtype=dtype)


def _as_tuple(given):
    """(2, 3) from f(2, 3), f((2, 3)) or f([2, 3])."""
    if len(given) == 1 and isinstance(given[0], (tuple, list, range)):
        return tuple(given[0])
    return tuple(given)
