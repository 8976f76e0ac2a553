"""Optimizers as plain data, in PyTorch's layout, and back.

    {"state": {0: {"step": …, "exp_avg": …}, …}, "param_groups": [{"lr": …, "params": [0, …]}, …]}

Parameters are numbered over the groups in order; one that has no state has no entry.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import Device
from ..operation import Variable, there
from ..tensor import Tensor
from .flat import Entry
from .options import check, plain
from .parameters import label
from .rule import Rule, each

if TYPE_CHECKING:
    from .optimizer import Optimizer

NOT_OPTIONS = ("params", "param_names")


def state_dict(optimizer: Optimizer) -> dict[str, Any]:
    """A copy that shares nothing with the optimizer."""
    state: dict[int, dict[str, Any]] = {}
    groups = []
    number = count()
    for storage, group in zip(optimizer._storages, optimizer.param_groups):
        saved = _options(group)
        if "param_names" in group:
            saved["param_names"] = list(group["param_names"])
        saved["params"] = [next(number) for _ in group["params"]]
        groups.append(saved)
        for i, p in zip(saved["params"], group["params"]):
            t, known = storage.entry(p)
            entry: dict[str, Any] = {}
            for letter, value in known.items():
                entry |= _named(optimizer.state[letter], each(host_copy, value))
            if optimizer.saves_step and (t or entry):
                whole = optimizer.scope == "rows"  # as PyTorch does
                entry = {"step": t if whole else np.array(t, np.float32), **entry}
            if entry:
                state[i] = entry
    return {"state": state, "param_groups": groups}


def load(optimizer: Optimizer, saved: Mapping[str, Any], by_name: bool, strict: bool) -> None:
    """Check everything, then change everything."""
    if not {"state", "param_groups"} <= saved.keys():
        raise ValueError(
            f"{type(optimizer).__name__}: this is no state of an optimizer, which has 'state' and "
            f"'param_groups'; it has {', '.join(map(repr, saved)) or 'nothing'}."
        )
    find = _partners_by_name if by_name else _partners_by_position
    state = {int(number): entry for number, entry in saved["state"].items()}
    options, entries = [], []
    for storage, group, (source, numbers) in zip(
        optimizer._storages, optimizer.param_groups, find(optimizer, saved["param_groups"], strict)
    ):
        new = optimizer.defaults | _options(source or group) | optimizer.fixed
        check(type(optimizer), new)
        names = group.get("param_names") or (source or {}).get("param_names")
        options.append(new | ({"param_names": list(names)} if names else {}))
        known: dict[Tensor, Entry] = {}
        for i, (p, number) in enumerate(zip(group["params"], numbers)):
            if number is None:
                known[p] = storage.entry(p)
            elif number in state:
                saved_one = {"step": _count(source), **state[number]}
                known[p] = _entry(optimizer, p, label(p, i, names and names[i]), saved_one, new)
        entries.append(known)
    for group, new in zip(optimizer.param_groups, options):
        params = group["params"]
        group.clear()
        group.update(new, params=params)
    optimizer._restore(entries)


def host_copy(value: Any) -> np.ndarray[Any, Any]:
    """A copy on the host of an array or a number."""
    return np.array(Device.of(value).to_host(value) if hasattr(value, "dtype") else value)


def _count(group: Mapping[str, Any] | None) -> Any:
    """The count of steps that some optimizers keep in the group."""
    return (group or {}).get("step", (group or {}).get("k", 0))


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a group as plain values that are shared with nobody."""
    return {k: copy.deepcopy(plain(v)) for k, v in group.items() if k not in NOT_OPTIONS}


Partners = list[tuple[Mapping[str, Any] | None, list[int | None]]]  # for each group of ours


def _partners_by_position(optimizer: Optimizer, saved: Any, strict: bool) -> Partners:
    """Group by group, parameter by parameter."""
    ours = [len(group["params"]) for group in optimizer.param_groups]
    theirs = [len(group["params"]) for group in saved]
    if ours != theirs:
        raise ValueError(
            f"{type(optimizer).__name__}.load_state_dict: the file has groups of {theirs} "
            f"parameters, this optimizer has groups of {ours}. Build the same groups first."
        )
    return [(group, list(group["params"])) for group in saved]


def _partners_by_name(optimizer: Optimizer, saved: Any, strict: bool) -> Partners:
    """Whatever the order; a group takes its options from where its first partner was saved."""
    who = f"{type(optimizer).__name__}.load_state_dict"
    homes = {
        name: (group, number)
        for group in saved
        for name, number in zip(group.get("param_names", []), group["params"])
    }
    ours = [
        group.get("param_names") or [p.name for p in group["params"]]
        for group in optimizer.param_groups
    ]
    flat = [name for names in ours for name in names]
    if not homes or None in flat:
        place = "this optimizer" if homes else "the file"
        raise ValueError(
            f"{who}: {place} knows no names. Make optimizers from model.named_parameters()."
        )
    missing = [name for name in flat if name not in homes]
    extra = [name for name in homes if name not in flat]
    if strict and (missing or extra):
        parts = [f"Missing: {', '.join(missing)}."] if missing else []
        parts += [f"Not expected: {', '.join(extra)}."] if extra else []
        raise ValueError(f"{who}: the names differ. {' '.join(parts)}")
    partners = []
    for names in ours:
        found = [homes.get(name, (None, None)) for name in names]
        partners.append((next((g for g, _ in found if g is not None), None), [n for _, n in found]))
    return partners


def _entry(
    optimizer: Optimizer, p: Tensor, who: str, saved: Mapping[str, Any], options: dict[str, Any]
) -> Entry:
    """Step count and state of one parameter, in its dtype and on its device."""
    name, rule = type(optimizer).__name__, optimizer._rule
    saved = {
        key: value
        for key, value in saved.items()
        if value is not None and not key.startswith(optimizer.ignored)  # None: old files of SGD
    }
    shapes = {letter: _shape(rule, letter, p, options) for letter in rule.letters}
    keys = {s: list(_named(key, shapes[s])) for s, key in optimizer.state.items()}
    known = [key for names in keys.values() for key in names]
    extra = [key for key in saved if key not in known and key != "step"]
    missing = [k for s in keys if s not in rule.kept_if for k in keys[s] if k not in saved]
    if extra or missing:
        what = f"has {', '.join(extra)}" if extra else f"lacks {', '.join(missing)}"
        raise ValueError(
            f"{name}.load_state_dict: the state of {who} {what}, and {name} keeps "
            f"{', '.join(known)}. Was it saved by another optimizer?"
        )
    state: dict[str, Any] = {}
    for letter, shape in shapes.items():
        if shape is None or all(key in saved for key in keys[letter]):
            values = [saved[key] for key in keys[letter]]
            value = values if "{}" in optimizer.state[letter] else values[0] if values else None
            found = host_arrays(value, shape)
            if each(np.shape, found) != shape:
                raise ValueError(
                    f"{name}.load_state_dict: {keys[letter][0]} of {who} is "
                    f"{each(np.shape, found)} in the file and {shape} here."
                )
            number = letter in rule.scalars
            state[letter] = plain(found) if number else each(lambda a: a.astype(p.dtype), found)
    count = int(plain(saved["step"]))
    if count < 0:
        raise ValueError(
            f"{name}.load_state_dict: the step of {who} is {count}, and counts from 0."
        )
    return count, state


def _shape(rule: Rule, letter: str, p: Tensor, options: dict[str, Any]) -> Any:
    """The shape of the state with this letter, a list of shapes, or None where there is none."""
    if letter in rule.apart:
        begun = there(p.device, rule.begin, letter, p.device.xp, p._data, options)
        return each(lambda array: array.shape, begun)
    return () if letter in rule.scalars else p.shape


def _named(key: str, value: Any) -> dict[str, Any]:
    """A value by the name that it has in a file; "L_{}" names each in a list."""
    if isinstance(value, list) and "{}" in key:
        return {key.format(i): one for i, one in enumerate(value)}
    return {} if value is None else {key: value}


def host_arrays(value: Any, shape: Any) -> Any:
    """Host arrays from what a file may hold: arrays, lists, numbers, our tensors and PyTorch's."""
    if isinstance(shape, list):
        return [host_arrays(one, own) for one, own in zip(value, shape)]
    if shape is None:
        return None
    if isinstance(value, Variable):
        return value.device.to_host(value._data)
    return np.asarray(value)
