"""What people hand to an optimizer, sorted into groups, or a sentence that says what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from ..device import DeviceError
from ..operation import Variable
from ..tensor import Tensor

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Mapping[str, Any]]


def groups_of(owner: str, params: Any) -> list[dict[str, Any]]:
    """Group dicts, one for all parameters where no groups were given."""
    found = listed(owner, params)
    if not found:
        raise ValueError(f"{owner}: there are no parameters. Pass model.parameters() or a list.")
    if isinstance(found[0], Mapping):
        return [dict(group) for group in found]
    return [{"params": found}]


def listed(owner: str, params: Any) -> list[Any]:
    """An iterable of parameters, read once; its order has to mean something."""
    if isinstance(params, (Tensor, np.ndarray)):
        raise TypeError(f"{owner}: params is a single {type(params).__name__}. Pass a list: [w].")
    if isinstance(params, Set):
        raise TypeError(
            f"{owner}: params is a set; its order changes from run to run and saved state would "
            "meet the wrong weights. Pass a list."
        )
    if isinstance(params, Mapping):
        raise TypeError(
            f"{owner}: params is a dict. Pass list(params.items()), or a group: [dict]."
        )
    if not isinstance(params, Iterable):
        raise TypeError(
            f"{owner}: params is a {type(params).__name__}. Write {owner}(model.parameters())."
        )
    return list(params)


def members(
    owner: str, params: Any, taken: Mapping[Tensor, str], leaves: bool = True
) -> dict[Tensor, str | None]:
    """The parameters of a group with the names given to them, if they may be optimized.

    A parameter that comes twice is warned of and taken once; one in an earlier group is an error.
    """
    found: dict[Tensor, str | None] = {}
    for i, item in enumerate([params] if isinstance(params, Tensor) else listed(owner, params)):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{owner}: parameter {i} is a {type(p).__name__}, not a Tensor. "
                "Wrap an array: tensor(array, requires_grad=True)."
            )
        who = f"{label(p, i, name)}, shape {p.shape},"
        if leaves and not p.is_leaf:
            raise ValueError(
                f"{owner}: {who} was computed from other tensors and is not a leaf. Optimize the "
                "tensors that it was computed from."
            )
        if not p.requires_grad:
            raise ValueError(
                f"{owner}: {who} does not require a gradient; it would never move. Make it a "
                "Parameter or set requires_grad."
            )
        if p in taken:
            raise ValueError(f"{owner}: {who} is in an earlier group already, as {taken[p]}.")
        if p in found:
            warnings.warn(
                f"{owner}: {who} was given twice; it is stepped once.", UserWarning, stacklevel=4
            )
        found.setdefault(p, name)
    if None in found.values() and len(set(found.values())) > 1:
        raise ValueError(
            f"{owner}: some parameters have names and some have none. Name all, or none."
        )
    return found


def label(p: Tensor, i: int, name: str | None = None) -> str:
    """How messages call a parameter."""
    name = name or p.name
    return f"parameter {i}" + (f' ("{name}")' if name else "")


def check_gradient(owner: str, p: Variable, who: str) -> None:
    """TypeError, DeviceError or ValueError for a gradient that cannot belong to its parameter."""
    g = p.grad
    if not isinstance(g, Tensor):
        raise TypeError(
            f"{owner}: the gradient of {who} is a {type(g).__name__}. "
            "Wrap it: p.grad = tensor(array)."
        )
    if g.device is not p.device:
        raise DeviceError(
            f"{owner}: {who} is on {p.device}, its gradient on {g.device}. Move the parameter "
            "before backward(), or the gradient after it: model.to() does."
        )
    if g.shape != p._data.shape:
        raise ValueError(f"{owner}: {who} has shape {p._data.shape}, its gradient {g.shape}.")
