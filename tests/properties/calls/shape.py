"""Calls of what moves elements, joins, cuts and picks them: in every dtype, equal to the bit.

Order: new shapes · axes · joining and cutting · picking · repeating · the table.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tests.properties.strategies import (
    NUMBERS,
    Array,
    Call,
    Shape,
    Strategy,
    axes_of,
    axis_of,
    calls,
    indices,
    one,
    shapes,
)
from tinygrad_opt import ops, tensor

options = st.fixed_dictionaries
small = st.integers(0, 2)


def moved(name: str, params: Any, f: Any = None, reference: Any = None, **how: Any) -> Strategy:
    """The same elements elsewhere; NumPy's function has the same name, where no other is given."""
    min_dims = how.pop("min_dims", 0)
    how = {"fits": one(min_dims=min_dims), "params": params, "dtypes": NUMBERS} | how
    return calls(f or getattr(ops, name), reference or getattr(np, name), "real", **how)


# ---- new shapes -------------------------------------------------------------------------------


@st.composite
def reshaped(draw: Any, shape: Shape) -> Any:
    """Another shape for as many elements, one length perhaps left open."""
    rest, found = math.prod(shape), []
    while rest > 1 and draw(st.booleans()):
        found.append(draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
        rest //= found[-1]
    found += [rest] if rest != 1 or draw(st.booleans()) else []
    if found and math.prod(shape) and draw(st.booleans()):
        found[draw(st.integers(0, len(found) - 1))] = -1
    return {"shape": tuple(found)}


def flatten(x: Array, start_axis: int) -> Array:
    return x.reshape(*x.shape[:start_axis], math.prod(x.shape[start_axis:]))


def wider(shape: Shape) -> Strategy:
    """What this shape can be broadcast to."""
    old = st.tuples(*[st.integers(0, 3) if n == 1 else st.just(n) for n in shape])
    return options({"shape": st.builds(lambda new, old: new + old, shapes(max_dims=2), old)})


# ---- axes -------------------------------------------------------------------------------------


@st.composite
def ordered(draw: Any, shape: Shape) -> Any:
    order = draw(st.permutations(range(len(shape))))
    return {"axes": tuple(a - len(shape) * draw(st.booleans()) for a in order)}


def two_axes(shape: Shape) -> Strategy:
    return options({"axis1": axis_of(shape), "axis2": axis_of(shape)})


@st.composite
def moves(draw: Any, shape: Shape) -> Any:
    """One axis or several, and where they go."""
    n = draw(st.integers(0, len(shape)))
    if n == 0:
        return {"source": draw(axis_of(shape)), "destination": draw(axis_of(shape))}
    distinct = {"unique_by": lambda a: a % len(shape), "min_size": n, "max_size": n}
    several = st.lists(axis_of(shape), **distinct).map(tuple)
    return {"source": draw(several), "destination": draw(several)}


@st.composite
def shifts(draw: Any, shape: Shape) -> Any:
    axis, amount = draw(axes_of(shape)), st.integers(-4, 4)
    several = isinstance(axis, tuple)
    return {"shift": tuple(draw(amount) for _ in axis) if several else draw(amount), "axis": axis}


# ---- joining and cutting ----------------------------------------------------------------------


@st.composite
def alike_but_for_one(draw: Any) -> Any:
    """Shapes that differ in the length of their last axis."""
    shape = draw(shapes(max_dims=3))
    return tuple((*shape, draw(st.integers(0, 3))) for _ in range(draw(st.integers(1, 3))))


@st.composite
def joined(draw: Any, name: str) -> Call:
    """Some inputs, joined along an axis that they have or a new one, or flattened first."""
    if name == "stack":
        found = (draw(shapes(max_dims=3)),) * draw(st.integers(1, 3))
        axis = axis_of((*found[0], 1))
    else:
        found = draw(alike_but_for_one())
        axis = st.sampled_from([-1, len(found[0]) - 1, None])
    return draw(
        calls(
            lambda *parts, axis: getattr(ops, name)(parts, axis),
            lambda *parts, axis: getattr(np, name)(parts, axis),
            *["real"] * len(found),
            fits=st.just(found),
            params=lambda *_: options({"axis": axis}),
        )
    )


@st.composite
def cuts(draw: Any, shape: Shape) -> Any:
    """So many equal pieces, or the places between them."""
    axis = draw(axis_of(shape))
    n = shape[axis]
    equal = st.sampled_from([m for m in range(1, n + 1) if n % m == 0] or [1, 2])
    places = st.lists(st.integers(0, n), max_size=3).map(sorted)
    return {"sections": draw(st.one_of(equal, places)), "axis": axis}


def pieces(library: Any) -> Any:
    """All pieces in one result: joined in reverse."""
    return lambda x, sections, axis: library.concatenate(
        library.split(x, sections, axis)[::-1], axis
    )


def widths(shape: Shape) -> Strategy:
    pair, n = st.tuples(small, small), len(shape)
    each = st.lists(pair, min_size=n, max_size=n).map(tuple)
    width = st.one_of(small, pair, each) if shape else small
    return options({"pad_width": width, "value": st.sampled_from([0, 3])})


def pad(x: Array, pad_width: Any, value: float) -> Array:
    return np.pad(x, pad_width, constant_values=value) if x.ndim else x


# ---- picking ----------------------------------------------------------------------------------


def picked(shape: Shape) -> Strategy:
    return options({"index": indices(shape), "form": st.sampled_from([np.array, list, tensor])})


def in_the_form(index: Any, form: Any) -> Any:
    """The arrays of an index as they are, as lists or as Tensors."""
    if isinstance(index, tuple):
        return tuple(in_the_form(part, form) for part in index)
    if not isinstance(index, np.ndarray):
        return index
    return (
        index.tolist()
        if form is list and index.ndim and index.dtype != bool
        else (index if form is list else form(index))
    )


def getitem(x: Any, index: Any, form: Any) -> Any:
    return ops.getitem(x, in_the_form(index, form))


@st.composite
def taken(draw: Any, shape: Shape) -> Any:
    """Integers of any shape, some of them more than once."""
    axis = draw(st.one_of(st.none(), axis_of(shape)) if shape else st.none())
    n = math.prod(shape) if axis is None else shape[axis]
    found = draw(shapes(max_dims=2)) if n else (0,)
    places = draw(nps.arrays(np.intp, found, elements=st.integers(-n, max(0, n - 1))))
    return {"indices": places, "axis": axis}


@st.composite
def taken_along(draw: Any, shape: Shape) -> Any:
    axis = draw(axis_of(shape))
    n, found = shape[axis], list(shape)
    found[axis] = draw(st.integers(0, 3)) if n else 0
    places = draw(nps.arrays(np.intp, tuple(found), elements=st.integers(-n, max(0, n - 1))))
    return {"indices": places, "axis": axis}


@st.composite
def diagonals(draw: Any, shape: Shape) -> Any:
    a, b = draw(st.permutations(range(len(shape))))[:2]
    return {"offset": draw(st.integers(-3, 3)), "axis1": a, "axis2": b - len(shape)}


# ---- repeating --------------------------------------------------------------------------------


@st.composite
def times(draw: Any, shape: Shape) -> Any:
    axis = draw(st.one_of(st.none(), axis_of(shape)) if shape else st.none())
    n = math.prod(shape) if axis is None else shape[axis]
    return {
        "repeats": draw(st.one_of(small, st.lists(small, min_size=n, max_size=n))),
        "axis": axis,
    }


DTYPES = ("float64", "float32", "float16")
reordered = moved(
    "transpose",
    ordered,
    f=lambda x, axes: ops.transpose(x, axes),
    reference=lambda x, axes: np.transpose(x, axes),
)

SHAPE: dict[str, Strategy] = {
    "reshape": moved(
        "reshape",
        reshaped,
        f=lambda x, shape: ops.reshape(x, shape),
        reference=lambda x, shape: x.reshape(shape),
    ),
    "flatten": moved(
        "flatten",
        lambda shape: options({"start_axis": st.integers(0, max(0, len(shape) - 1))}),
        reference=flatten,
    ),
    "expand_dims": moved("expand_dims", lambda shape: options({"axis": axis_of((*shape, 1))})),
    "squeeze": moved("squeeze", lambda shape: options({"axis": axes_of(shape)})),
    "broadcast_to": moved("broadcast_to", wider),
    "transpose": reordered,
    "permute": reordered,
    "swapaxes": moved("swapaxes", two_axes, min_dims=1),
    "moveaxis": moved("moveaxis", moves, min_dims=1),
    "flip": moved("flip", lambda shape: options({"axis": axes_of(shape)})),
    "roll": moved("roll", shifts),
    "concatenate": joined("concatenate"),
    "stack": joined("stack"),
    "split": moved("split", cuts, pieces(ops), pieces(np), min_dims=1),
    "pad": moved("pad", widths, reference=pad),
    "getitem": moved("getitem", picked, getitem, lambda x, index, form: x[index]),
    "take": moved("take", taken),
    "take_along_axis": moved(
        "take_along_axis",
        taken_along,
        f=lambda x, indices, axis: ops.take_along_axis(x, tensor(indices), axis),
        min_dims=1,
    ),
    "diagonal": moved("diagonal", diagonals, min_dims=2),
    "repeat": moved("repeat", times),
    "tile": moved(
        "tile", lambda shape: options({"reps": st.one_of(small, st.lists(small, max_size=5))})
    ),
    "tril": moved("tril", lambda shape: options({"k": st.integers(-3, 3)}), min_dims=2),
    "triu": moved("triu", lambda shape: options({"k": st.integers(-3, 3)}), min_dims=2),
    "astype": moved(
        "astype",
        lambda shape: options({"dtype": st.sampled_from([*DTYPES, "int64", "bool"])}),
        reference=lambda x, dtype: x.astype(dtype),
        gradient=None,
    ),
}
