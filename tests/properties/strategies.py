"""What hypothesis draws for operations: shapes, axes, indices, arrays in every layout, whole calls.

Values follow from one drawn seed, so that a failing example shrinks to small shapes soon.

Order: shapes · axes and indices · arrays · calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Strategy = st.SearchStrategy[Any]

# ---- shapes -----------------------------------------------------------------------------------


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 0) -> Strategy:
    """Of one array: no axes, empty ones and those of length 1 among them."""
    return nps.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3)


def one(**limits: int) -> Strategy:
    """The shape of a single input."""
    return shapes(**limits).map(lambda shape: (shape,))


def same(count: int, **limits: int) -> Strategy:
    """One shape for several inputs."""
    return shapes(**limits).map(lambda shape: (shape,) * count)


def broadcasting(count: int) -> Strategy:
    """Shapes that fit together as NumPy broadcasts."""
    drawn = nps.mutually_broadcastable_shapes(num_shapes=count, max_dims=4, max_side=3, min_side=0)
    return drawn.map(lambda found: found.input_shapes)


# ---- axes and indices -------------------------------------------------------------------------


def axis_of(shape: Shape) -> Strategy:
    """One axis, counted from either end."""
    return st.integers(-len(shape), len(shape) - 1)


def axes_of(shape: Shape) -> Strategy:
    """None, an axis, or several in any order, each counted from either end."""
    if not shape:
        return st.sampled_from([None, ()])
    several = st.lists(axis_of(shape), unique_by=lambda a: a % len(shape)).map(tuple)
    return st.one_of(st.none(), axis_of(shape), several)


@st.composite
def mixed_indices(draw: Any, shape: Shape) -> Any:
    """Slices with steps, integers, arrays of integers with repeats, and new axes, side by side."""
    length = draw(st.integers(0, 4))
    parts: list[Any] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        kinds = [st.slices(n), st.just(None)]
        if n:
            kinds.append(st.integers(-n, n - 1))
            kinds.append(nps.arrays(np.intp, length, elements=st.integers(-n, n - 1)))
        part = draw(st.one_of(kinds))
        parts += [part] if part is not None else [None, slice(None)]
    return tuple(parts)


@st.composite
def masks(draw: Any, shape: Shape) -> Any:
    """An array of truths for some axes, behind others that stay whole."""
    start = draw(st.integers(0, len(shape)))
    stop = draw(st.integers(start, len(shape)))
    return (slice(None),) * start + (draw(nps.arrays(bool, shape[start:stop])),)


def indices(shape: Shape) -> Strategy:
    """Whatever stands in the brackets of x[...]."""
    basic = nps.basic_indices(shape, min_dims=0, max_dims=6, allow_newaxis=True)
    return st.one_of(basic, mixed_indices(shape), masks(shape))


# ---- arrays -----------------------------------------------------------------------------------

FLOATS = ("float64", "float64", "float64", "float32", "float16")
INTEGERS = ("int64", "int32", "uint8")
NUMBERS = (*FLOATS, *INTEGERS, "bool")


def _apart(random: Any, shape: Shape) -> Array:
    """No two alike, and none nearer than 0.001 to a multiple of 1/20."""
    n = math.prod(shape)
    return 0.37 * (random.permutation(n) - n // 2 + 0.3).reshape(shape)


DOMAINS: dict[str, Callable[[Any, Shape], Array]] = {
    "real": lambda random, shape: random.normal(size=shape),
    "positive": lambda random, shape: random.uniform(0.5, 2.5, shape),
    "inside": lambda random, shape: random.uniform(-0.9, 0.9, shape),  # of −1 … 1
    "near one": lambda random, shape: random.uniform(0.8, 1.2, shape),
    "probability": lambda random, shape: random.uniform(0.1, 0.9, shape),
    "apart": _apart,
    "between": lambda random, shape: _apart(random, shape) + 0.1,  # those that are apart
    "few": lambda random, shape: random.integers(-2, 3, shape).astype(float),
    "special": lambda random, shape: random.choice([0.0, 1.5, np.nan, np.inf, -np.inf], shape),
    "class": lambda random, shape: random.integers(0, 3, shape),
    "sign": lambda random, shape: random.choice([-1, 1], shape),
    "truth": lambda random, shape: random.random(shape) < 0.5,
}
INTEGER_DOMAINS = {"few": (-2, 3), "special": (0, 5), "positive": (1, 4), "inside": (0, 1)}
UNIQUE = {"apart", "between"}  # what two equal values would put on a kink


def _read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": np.array,
    "fortran": lambda a: np.array(a, order="F"),
    "turned": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0) if a.ndim else a,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "strided": lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
    "read-only": _read_only,
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and len(a) else a,
}


@st.composite
def arrays(draw: Any, domain: str, shape: Shape, dtype: str) -> Array:
    """Values of a domain; integers and truths where the dtype is one of theirs."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = np.dtype(dtype).kind
    if DOMAINS[domain](random, (0,)).dtype.kind != "f":
        a = DOMAINS[domain](random, shape)
    elif kind == "f":
        a = DOMAINS[domain](random, shape).astype(dtype)
    elif kind == "b":
        a = (random.random(shape) < 0.5) | (domain == "positive")
    else:
        low, high = INTEGER_DOMAINS.get(domain, (-4, 5))
        a = random.integers(max(low, 0) if kind == "u" else low, high, shape).astype(dtype)
    layouts = [name for name in LAYOUTS if name != "repeated" or domain not in UNIQUE]
    return np.asarray(LAYOUTS[draw(st.sampled_from(layouts))](np.asarray(a)))


# ---- calls ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One call of an operation, and the same written with NumPy.

    ``exact``: NumPy's own function, so equal to the last bit; else a textbook formula.
    """

    f: Callable[..., Any]
    reference: Callable[..., Any]
    arrays: list[Array]
    params: dict[str, Any] = field(default_factory=dict)
    exact: bool = True
    gradient: bool = True

    def __repr__(self) -> str:
        inputs = [f"{a.dtype}{a.shape} strides {a.strides}" for a in self.arrays]
        return f"Call({', '.join([*inputs, *(f'{k}={v!r}' for k, v in self.params.items())])})"

    def value(self, *arrays: Array) -> Array:
        """What NumPy says."""
        return np.asarray(self.reference(*arrays, **self.params))


@st.composite
def calls(
    draw: Any,
    f: Callable[..., Any],
    reference: Callable[..., Any],
    *domains: str,
    fits: Strategy | None = None,
    params: Callable[..., Strategy] | None = None,
    dtypes: tuple[str, ...] = FLOATS,
    mixed: bool = False,
    exact: bool = True,
    gradient: bool = True,
) -> Call:
    """A call with inputs of these domains in shapes that fit, and parameters for these shapes.

    ``mixed`` draws a dtype for each input.
    """
    found = draw(broadcasting(len(domains)) if fits is None else fits)
    options = draw(params(*found)) if params else {}
    chosen = [draw(st.sampled_from(dtypes))] * len(domains)
    if mixed:
        chosen = [draw(st.sampled_from(dtypes)) for _ in domains]
    drawn = [draw(arrays(*each)) for each in zip(domains, found, chosen, strict=True)]
    return Call(f, reference, drawn, options, exact, gradient)
