"""Where a hyperparameter lives in a parameter group: "lr", "momentum", or ("betas", 0).

Order: in one group · in all groups of an optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from ..schedules.demands import demand, finite

Key = str | tuple[str, int]
T = TypeVar("T")


def read(group: Mapping[str, Any], key: Key) -> float:
    """The value as a Python float."""
    return number(group[key] if isinstance(key, str) else group[key[0]][key[1]])


def write(group: dict[str, Any], key: Key, value: float) -> None:
    """Replace the value; a one-element array is filled in place, a tuple is built anew."""
    if not isinstance(key, str):
        name, i = key
        group[name] = (*group[name][:i], value, *group[name][i + 1 :])
    elif hasattr(group[key], "__setitem__"):
        group[key][...] = value
    else:
        group[key] = value


def initial(key: Key) -> str:
    """Under which name the group keeps the value that schedules multiply: "initial_lr"."""
    return f"initial_{key}" if isinstance(key, str) else f"initial_{key[0]}_{key[1]}"


def number(value: Any) -> float:
    """A Python float from a number or a one-element array."""
    if type(value) is float:
        return value
    return float(value.item() if hasattr(value, "item") else value)


# ---- in all groups of an optimizer ------------------------------------------------------------


class HasGroups(Protocol):
    """What a scheduler needs of an optimizer: its groups, and how often it has stepped."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, each with its "lr"."""

    @property
    def step_count(self) -> int:
        """The number of calls of `step()` so far."""


def checked(owner: str, optimizer: HasGroups) -> HasGroups:
    """The optimizer; TypeError if it is none."""
    if not hasattr(optimizer, "param_groups") or not hasattr(optimizer, "step_count"):
        raise TypeError(
            f"{owner}: a scheduler drives an optimizer, got {type(optimizer).__name__}; write "
            f"{owner}(optimizer, …)"
        )
    return optimizer


def one_each(optimizer: HasGroups, value: T | Sequence[T], name: str) -> list[T]:
    """One value per group: the same for all, or as listed. ValueError if the list is too short."""
    groups = len(checked(name.split(":")[0], optimizer).param_groups)
    if not isinstance(value, list | tuple):
        return [cast(T, value)] * groups
    demand(
        len(value) == groups,
        f"{name}: {len(value)} given for {groups} parameter groups; give one each, or one for all",
    )
    return list(value)


def numbers_each(optimizer: HasGroups, value: float | Sequence[float], name: str) -> list[float]:
    """One finite number per group."""
    found = one_each(optimizer, value, name)
    for one in found:
        finite(name, one)
    return [float(one) for one in found]
