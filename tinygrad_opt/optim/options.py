"""The options of optimizers: what they may be, and how they are read at each step.

Order: the table of what is allowed · checking · reading · printing.
"""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np


class Flags(TypedDict, total=False):
    """What most optimizers accept besides the numbers of their rule.

    `maximize` climbs. `foreach=False` or `engine="reference"` runs the rule as it stands, tensor by
    tensor; `engine="blocks"` runs it over flat buffers, the default on a CPU, and `engine="numba"`
    as a compiled loop, the default there for many parameters where Numba is installed; without it
    one line in the log says so and blocks do the work. `differentiable=True` runs it on Tensors and
    records it. `fused` and `capturable` are kept for PyTorch's checkpoints.
    """

    maximize: bool
    foreach: bool | None
    capturable: bool
    differentiable: bool
    fused: bool | None
    engine: str | None


FLAGS = {
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
}


class Allowed(NamedTuple):
    """One row of the table: the range in words, and a test of a value among other options."""

    words: str
    holds: Callable[[Any, Mapping[str, Any]], bool]
    number: bool = True  # nothing else makes sense


def one_of(*choices: str | None) -> Allowed:
    """One of these words."""
    listed = " or ".join(map(repr, choices))
    return Allowed(listed, lambda x, _: any(x is c or x == c for c in choices), number=False)


ABOVE_0 = Allowed("above 0", lambda x, _: x > 0)
ABOVE_1 = Allowed("above 1", lambda x, _: x > 1)
BETWEEN_0_AND_1 = Allowed("above 0 and below 1", lambda x, _: 0 < x < 1)
BELOW_1 = Allowed("at least 0 and below 1", lambda x, _: 0 <= x < 1)
ANY_NUMBER = Allowed("a number", lambda x, _: x == x)
AT_LEAST_0 = Allowed("at least 0", lambda x, _: 0 <= x < math.inf)
UNIT = Allowed("between 0 and 1", lambda x, _: 0 <= x <= 1)
COUNT = Allowed("an integer of at least 1", lambda x, _: isinstance(x, int) and x >= 1)

Rows = dict[str, Allowed | tuple[Allowed, ...]]

ALLOWED: Rows = {
    "lr": AT_LEAST_0,
    "eps": AT_LEAST_0,
    "weight_decay": AT_LEAST_0,
    "momentum": AT_LEAST_0,
    "lr_decay": AT_LEAST_0,
    "momentum_decay": AT_LEAST_0,
    "initial_accumulator_value": AT_LEAST_0,
    "alpha": AT_LEAST_0,
    "dampening": ANY_NUMBER,
    "betas": BELOW_1,
    "rho": UNIT,
    "nesterov": Allowed(
        "False unless momentum is above 0 and dampening is 0",
        lambda on, o: not on or (plain(o["momentum"]) > 0 and plain(o.get("dampening", 0)) == 0),
    ),
}


def check(kind: type[Any], options: Mapping[str, Any]) -> None:
    """ValueError or TypeError for the first option that is not what the table allows."""
    owner, signature = kind.__name__, inspect.signature(kind).parameters
    for name, row in (ALLOWED | kind.allowed).items():
        if name not in signature:
            continue
        value, usual = options[name], signature[name].default
        values: Sequence[Any] = [value]
        usuals, names = (usual,), [name]
        if isinstance(usual, tuple):
            if not isinstance(value, (tuple, list)) or len(value) != len(usual):
                form = f"{len(usual)} numbers"
                raise ValueError(f"{owner}: {name} is {value!r}; it has to be {form}.")
            values, usuals, names = value, usual, [f"{name}[{i}]" for i in range(len(usual))]
        rows = (row,) * len(names) if isinstance(row, Allowed) else row
        for who, part, default, allowed in zip(names, values, usuals, rows):
            if part is not None or default is not None:
                demand(owner, who, part, allowed, options)


def demand(
    owner: str, name: str, value: Any, allowed: Allowed, others: Mapping[str, Any] | None = None
) -> None:
    """ValueError or TypeError for a value that is not what is allowed."""
    value = plain(value)
    if allowed.number and not isinstance(value, (int, float)):
        raise TypeError(f"{owner}: {name} is {value!r}; it has to be a number.")
    if not allowed.holds(value, others or {}):
        words = f"{allowed.words} and finite" if value == math.inf else allowed.words
        raise ValueError(f"{owner}: {name} is {value!r}; it has to be {words}.")


NO_OPTIONS = {"params", "param_names", "name", "initial_lr", "swa_lr", "layer"}
NO_OPTIONS |= {"max_lr", "min_lr", "max_momentum", "base_momentum"}
NO_OPTIONS |= {"maximize", "flatten"}  # which some groups have only when they are on


def warn_of_strangers(owner: str, group: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """UserWarning for options of a group that no optimizer has: misspelt, most likely."""
    for name in group.keys() - defaults.keys() - ALLOWED.keys() - NO_OPTIONS:
        warnings.warn(
            f"{owner}: a group has {name!r}, which nothing here reads. The options are "
            f"{', '.join(defaults)}.",
            UserWarning,
            stacklevel=4,
        )


def warn_of_small_eps(owner: str, group: Mapping[str, Any]) -> None:
    """Warn where eps is zero in the dtype of a parameter: a gradient of zero then gives 0/0."""
    eps = plain(group.get("eps"))
    for dtype in {p.dtype for p in group["params"]} if isinstance(eps, float) and eps else ():
        if dtype.type(eps) == 0:
            warnings.warn(
                f"{owner}: eps is {eps}, which is 0 in {dtype}, so a gradient of 0 gives 0/0. "
                f"Take eps={np.finfo(dtype).tiny:.0e} or more.",
                UserWarning,
                stacklevel=4,
            )


# ---- reading ----------------------------------------------------------------------------------

PLAIN = {float, int, bool, str, type(None)}


def plain(value: Any) -> Any:
    """A Python value: a number for an array of one element, tuples for lists and longer arrays."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    if not hasattr(value, "tolist"):
        return value
    try:
        return value.item()
    except (ValueError, RuntimeError):
        return tuple(value.tolist())


class Reader:
    """Reads options from a group, at each step; gives the same tuple as long as nothing changed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.pick = operator.itemgetter(*names)
        self.values: tuple[Any, ...] = ()

    def __call__(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of the group."""
        values = self.pick(group)
        if values != self.values:
            self.values = tuple(map(plain, values))
        return self.values


# ---- printing -----------------------------------------------------------------------------------


def described(group: dict[str, Any]) -> str:
    """A group in one line: its size, and the options that say something."""
    params = group["params"]
    shown = (
        f"{name}={value!r}"
        for name, value in group.items()
        if name not in ("params", "param_names") and value is not FLAGS.get(name, ...)
    )
    numbers = sum(p.size for p in params)
    return f"{_count(len(params), 'tensor')}, {_count(numbers, 'number')}; {', '.join(shown)}"


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
