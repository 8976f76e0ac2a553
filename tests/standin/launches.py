"""How many kernels, copies and fills CuPy puts into the stream for one call.

Read in CuPy 14. One call of a library (a product of cuBLAS, a reduction or a scan of CUB, a sort)
is one, whatever the library does. Calls that stand nowhere below are one, and none where they give
a view. What a factorization of cuSOLVER needs around it is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .api import words

# Functions and methods that give a view where they can, or the array itself.
MAY_BE_VIEWS = words("""
    array_split asanyarray asarray ascontiguousarray asfortranarray as_strided astype atleast_1d
    atleast_2d atleast_3d broadcast_arrays broadcast_to conj conjugate diag diagonal dsplit
    expand_dims flip fliplr flipud hsplit matrix_transpose moveaxis permute_dims ravel real
    reduced_view reshape rollaxis rot90 sliding_window_view split squeeze swapaxes transpose view
    vsplit
    """)
JOINING = words("concatenate stack vstack hstack dstack column_stack")
CUB_DTYPES = words("int64 uint64 float16 float32 float64")


def count(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: bool) -> int:
    """Launches of a call; `fresh` says that its result is new memory."""
    if name in RULES:
        return RULES[name](*args, **kwargs)
    return int(fresh or name not in MAY_BE_VIEWS)


def by_cub(x: Any, axis: Any) -> bool:
    """Whether CUB does this reduction: over everything, or the axes that lie closest in memory."""
    everything = tuple(range(x.ndim))
    axes = everything if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(a % x.ndim for a in axes)) if x.ndim else ()
    if x.dtype.name not in CUB_DTYPES:
        return False
    if x.flags.c_contiguous:
        return axes == everything[len(everything) - len(axes) :]
    return x.flags.f_contiguous and axes == everything[: len(axes)]


def reduction(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, **_: Any) -> int:
    """CUB writes into memory of its own, which is then copied to `out`."""
    return 2 if out is not None and by_cub(x, axis) else 1


def selection(x: Any, axis: Any = None, *_: Any, **__: Any) -> int:
    """CUB finds a pair, whose index is then cast."""
    everything = axis is None or x.ndim == 1
    return 2 if everything and (x.flags.c_contiguous or x.flags.f_contiguous) else 1


def mean(x: Any, axis: Any = None, *_: Any, **__: Any) -> int:
    """CUB's sum, then a division; or one kernel."""
    return 2 if by_cub(x, axis) else 1


def variance(x: Any, axis: Any = None, *_: Any, **__: Any) -> int:
    """The mean, then one reduction."""
    return mean(x, axis) + 1


def deviation(x: Any, axis: Any = None, *_: Any, **__: Any) -> int:
    """The variance, then its root."""
    return variance(x, axis) + 1


def norm(x: Any, ord: Any = None, axis: Any = None, *_: Any, **__: Any) -> int:
    """x · x, sum, root; or, over axes, what the order needs."""
    if axis is None and (ord is None or (x.ndim == 1 and ord == 2) or ord in ("f", "fro")):
        return 3
    if ord in (None, 2, "f", "fro"):
        return 1
    return 2 if ord in (1, np.inf, -np.inf) else 3 if ord == 0 else 4


def joined(arrays: Any, *_: Any, **__: Any) -> int:
    """A copy for each array; more than eight small ones in one kernel that reads addresses."""
    return 1 if uploads_of_joining(arrays) else len(arrays)


def uploads_of_joining(arrays: Any) -> int:
    """The addresses, and where the lengths differ also these and the strides."""
    small = sum(x.nbytes for x in arrays) < 2**21 * len(arrays)
    if len(arrays) <= 8 or not small or len({x.dtype for x in arrays}) > 1:
        return 0
    equal = len({x.shape for x in arrays}) == 1 and all(x.flags.c_contiguous for x in arrays)
    return 1 if equal else 3


def matrix_product(a: Any, b: Any, out: Any = None, **_: Any) -> int:
    """One of cuBLAS, and copies of what it cannot read or write as it lies."""
    if a.ndim == 0 or b.ndim == 0 or a.size == 0 or b.size == 0:
        return 1
    dtype = np.promote_types(a.dtype, b.dtype)
    casts = (a.dtype != dtype) + (b.dtype != dtype)
    copied = out is not None and not (out.flags.c_contiguous and out.dtype == dtype)
    if max(a.ndim, b.ndim) <= 2:
        if prod(a.shape[:-1]) == 1 and (b.ndim == 1 or b.shape[1] == 1):
            return 2 + copied  # two vectors: multiply, sum
        lies_badly = sum(not (x.flags.c_contiguous or x.flags.f_contiguous) for x in (a, b))
        return 1 + lies_badly + casts + copied
    lies_badly = sum(not x.flags.c_contiguous and x.dtype == dtype for x in (a, b))
    broadcast = a.ndim != b.ndim or a.shape[:-2] != b.shape[:-2]
    addresses = 3 * (max(a.ndim, b.ndim) - 2) if broadcast else 0
    return 1 + lies_badly + casts + copied + addresses


def tensordot(a: Any, b: Any, axes: Any = 2) -> int:
    """A product of matrices, after copies where an operand is not one as it lies."""
    a, b = (getattr(x, "_host", x) for x in (a, b))
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    first, second = ([i] if isinstance(i, int) else list(i) for i in axes)
    summed = prod(a.shape[i] for i in first)
    flat = [
        np.moveaxis(x, inner, range(len(inner))).reshape(summed, -1)
        for x, inner in ((a, first), (b, second))
    ]
    copies = sum(not np.may_share_memory(x, y) for x, y in zip((a, b), flat))
    return copies + matrix_product(flat[0].T, flat[1])


def einsum(subscripts: str, *operands: Any, **_: Any) -> int:
    """A sum for what only one operand has, then products of two; copies for them are left out."""
    inputs, _arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    others = [set(output).union(*(terms[:i] + terms[i + 1 :])) for i in range(len(terms))]
    sums = sum(not set(term) <= other for term, other in zip(terms, others))
    return sums + len(operands) - 1


def rolled(x: Any, shift: Any, axis: Any = None) -> int:
    """Two pieces for each axis that moves."""
    return 2 ** (len(axis) if isinstance(axis, tuple) else 1)


def padded(x: Any, pad_width: Any, mode: str = "constant", **options: Any) -> int:
    """A fill and a copy of the array; another value than 0 is written side by side."""
    if mode == "constant" and not options.get("constant_values", 0):
        return 2
    return 1 + int(np.count_nonzero(np.broadcast_to(pad_width, (x.ndim, 2))))


def along_axis(x: Any, indices: Any, *_: Any) -> int:
    """A range for every other axis, and then several index arrays."""
    return (x.ndim - 1) + (1 if x.ndim == 1 else x.ndim + 2)


def always(times: int) -> Callable[..., int]:
    """A rule for calls whose launches do not depend on anything."""
    return lambda *args, **kwargs: times


RULES: dict[str, Callable[..., int]] = {
    **dict.fromkeys(words("sum prod max min amax amin"), reduction),
    **dict.fromkeys(words("argmax argmin"), selection),
    **dict.fromkeys(words("mean average"), mean),
    "var": variance,
    "std": deviation,
    "norm": norm,
    **dict.fromkeys(JOINING, joined),
    **dict.fromkeys(words("matmul dot"), matrix_product),
    "inner": lambda a, b: matrix_product(a, b.T),
    "tensordot": tensordot,
    "vdot": always(2),
    **dict.fromkeys(words("empty empty_like"), always(0)),
    "einsum": einsum,
    "roll": rolled,
    "pad": padded,
    "take_along_axis": along_axis,
    "put_along_axis": along_axis,
    **dict.fromkeys(words("eye identity tril triu append linspace logspace"), always(2)),
    **dict.fromkeys(words("allclose array_equal array_equiv"), always(2)),
    **dict.fromkeys(words("cumsum cumprod sort argsort"), always(2)),
}
