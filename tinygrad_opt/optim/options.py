"""The options of optimizers: what they may be, and how they are read at each step.

Order: the table of what is allowed · checking · reading.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np


class Flags(TypedDict, total=False):
    """What most optimizers accept besides the numbers of their rule.

    `maximize` climbs. `foreach=False` or `engine="reference"` runs the rule as it stands, tensor by
    tensor; `engine="blocks"` runs it over flat buffers, the default on a CPU. `differentiable=True`
    runs it on Tensors and records it. `fused` and `capturable` are kept for PyTorch's checkpoints.
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


AT_LEAST_0 = Allowed("at least 0", lambda x, _: x >= 0)

ALLOWED = {
    "lr": AT_LEAST_0,
    "eps": AT_LEAST_0,
    "weight_decay": AT_LEAST_0,
    "momentum": AT_LEAST_0,
    "lr_decay": AT_LEAST_0,
    "initial_accumulator_value": AT_LEAST_0,
    "alpha": AT_LEAST_0,
    "dampening": Allowed("a number", lambda x, _: x == x),
    "betas": Allowed("at least 0 and below 1", lambda x, _: 0 <= x < 1),
    "rho": Allowed("between 0 and 1", lambda x, _: 0 <= x <= 1),
    "nesterov": Allowed(
        "False unless momentum is above 0 and dampening is 0",
        lambda on, o: not on or (plain(o["momentum"]) > 0 and plain(o["dampening"]) == 0),
    ),
}


def check(kind: type[Any], options: Mapping[str, Any]) -> None:
    """ValueError or TypeError for the first option that is not what the table allows."""
    owner, signature = kind.__name__, inspect.signature(kind).parameters
    for name in (name for name in signature if name in ALLOWED):
        value, default = options[name], signature[name].default
        parts = {name: plain(value)}
        if isinstance(default, tuple):
            if not isinstance(value, (tuple, list)) or len(value) != len(default):
                form = f"{len(default)} numbers"
                raise ValueError(f"{owner}: {name} is {value!r}; it has to be {form}.")
            parts = {f"{name}[{i}]": plain(part) for i, part in enumerate(value)}
        for who, part in parts.items():
            if not isinstance(part, (int, float)):
                raise TypeError(f"{owner}: {who} is {part!r}; it has to be a number.")
            if not ALLOWED[name].holds(part, options):
                words = ALLOWED[name].words
                raise ValueError(f"{owner}: {who} is {part!r}; it has to be {words}.")


def warn_of_small_eps(owner: str, group: Mapping[str, Any]) -> None:
    """Warn where eps is zero in the dtype of a parameter: a gradient of zero then gives 0/0."""
    eps = plain(group.get("eps"))
    for dtype in {p.dtype for p in group["params"]} if eps else ():
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
