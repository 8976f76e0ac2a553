"""The state of an optimizer under the names of its parameters, whatever their order; and back.

PyTorch's layout numbers the parameters. A file that is keyed by names survives another order, can
be read without the model, and holds what that layout leaves out: all step counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from ..optim import LBFGS, MultiOptimizer
from ..optim.wrapper import Wrapper
from ..tensor import Tensor

Names = Mapping[Tensor, str]


def names_in(parts: Mapping[str, Any]) -> dict[Tensor, str]:
    """What the parameters of all models are called; those of `model` by their own names."""
    names: dict[Tensor, str] = {}
    for part, value in parts.items():
        if hasattr(value, "named_parameters"):
            before = "" if part == "model" else f"{part}."
            for name, p in value.named_parameters():
                names.setdefault(p, before + name)
    return names


def kind_of(part: Any) -> str:
    """The class of an optimizer or a scheduler, with those in and beside it."""
    if isinstance(part, MultiOptimizer):
        inside = part.optimizers
    elif isinstance(part, Wrapper):
        inside = [part.optimizer]
    else:
        inside = getattr(part, "_schedulers", [])
    name = type(part).__name__
    return f"{name}({', '.join(map(kind_of, inside))})" if inside else name


def state_by_name(optimizer: Any, names: Names) -> Any:
    """The state of an optimizer, or of several in and beside each other."""
    if isinstance(optimizer, MultiOptimizer):
        inner = [state_by_name(one, names) for one in optimizer.optimizers]
        return {"optimizers": inner, "step_count": optimizer.step_count}
    saved = optimizer.state_dict()
    if isinstance(optimizer, Wrapper):
        called = _called(optimizer, names)
        own = {key: value for key, value in saved.items() if key != "optimizer"}
        for key, value in own.items():
            if _is_by_parameter(optimizer, key):
                own[key] = {name: array for name, array in zip(called, value) if array is not None}
        return {"optimizer": state_by_name(optimizer.optimizer, names), **own}
    called = _called(optimizer, names)
    state = {called[number]: dict(entry) for number, entry in saved["state"].items()}
    if not optimizer.saves_step:
        for name, p in zip(called, optimizer.parameters()):
            if t := optimizer.state_of(p)["t"]:
                state.setdefault(name, {})["step"] = t
    groups = [
        group | {"params": [called[number] for number in group["params"]]}
        for group in saved["param_groups"]
    ]
    return {"state": state, "param_groups": groups, "step_count": optimizer.step_count}


def load_by_name(optimizer: Any, saved: Any, names: Names) -> None:
    """Take in what `state_by_name` gave; ValueError for another optimizer or other parameters.

    A part of it may then have been taken in.
    """
    _demand(isinstance(saved, dict), optimizer)
    if isinstance(optimizer, MultiOptimizer):
        inner = saved.get("optimizers")
        _demand(isinstance(inner, list) and len(inner) == len(optimizer.optimizers), optimizer)
        for one, state in zip(optimizer.optimizers, inner):
            load_by_name(one, state, names)
        _demand(_is_count(saved.get("step_count")), optimizer)
        optimizer.step_count = saved["step_count"]
        return
    if isinstance(optimizer, Wrapper):
        _demand("optimizer" in saved, optimizer)
        inner, called = optimizer.optimizer, _called(optimizer, names)
        load_by_name(inner, saved["optimizer"], names)
        own = {"optimizer": inner.state_dict()}
        for key, value in saved.items():
            if key != "optimizer":
                by_parameter = _is_by_parameter(optimizer, key)
                own[key] = [value.get(name) for name in called] if by_parameter else value
        optimizer.load_state_dict(own)
        load_by_name(inner, saved["optimizer"], names)  # again, for PyTorch's layout has no counts
        return
    _demand({"state", "param_groups"} <= saved.keys(), optimizer)
    _demand(isinstance(saved["state"], dict) and _is_count(saved["step_count"]), optimizer)
    optimizer.load_state_dict(_numbered(optimizer, saved, names))
    optimizer.step_count = saved["step_count"]


def _numbered(optimizer: Any, saved: Any, names: Names) -> dict[str, Any]:
    """PyTorch's layout, in the order of this optimizer."""
    who, called = type(optimizer).__name__, _called(optimizer, names)
    theirs = [name for group in saved["param_groups"] for name in group["params"]]
    if all(isinstance(name, int) for name in called) and set(called) != set(theirs):
        raise ValueError(
            f"{who}: in the file its parameters have names, {theirs[0]} the first. Load it "
            "together with the model: load(path, model=…, optimizer=…)."
        )
    missing = [str(name) for name in called if name not in theirs]
    extra = [str(name) for name in theirs if name not in called]
    if missing or extra:
        parts = [f"it lacks {', '.join(missing)}"] if missing else []
        parts += [f"it has {', '.join(extra)}, which are not here"] if extra else []
        raise ValueError(
            f"{who}: the file is of other parameters: {' and '.join(parts)}. Give the model and "
            "the optimizer that were saved."
        )
    if isinstance(optimizer, LBFGS) and called != theirs:
        raise ValueError(
            f"{who}: the history runs through all parameters in a row, and in the file their order "
            "is another. Build the optimizer as it was."
        )
    homes = {name: group for group in saved["param_groups"] for name in group["params"]}
    number, groups = count(), []
    for i, group in enumerate(optimizer.param_groups):
        numbers = [next(number) for _ in group["params"]]
        source = homes[called[numbers[0]]] if numbers else group
        if numbers and set(source["params"]) != {called[n] for n in numbers}:
            raise ValueError(
                f"{who}: group {i} is {', '.join(str(called[n]) for n in numbers)}, and in the "
                f"file {called[numbers[0]]} shares lr and the like with "
                f"{', '.join(map(str, source['params']))}. Build the groups that were saved."
            )
        groups.append({k: v for k, v in source.items() if k != "param_names"} | {"params": numbers})
    state = {i: saved["state"][name] for i, name in enumerate(called) if name in saved["state"]}
    return {"state": state, "param_groups": groups}


def _called(optimizer: Any, names: Names) -> list[Any]:
    """What each parameter is called: by the models, by the optimizer, else its number."""
    own = [
        name
        for group in optimizer.param_groups
        for name in group.get("param_names", [None] * len(group["params"]))
    ]
    found = [names.get(p, name) for p, name in zip(optimizer.parameters(), own)]
    if None in found or len(set(found)) < len(found):
        return list(range(len(found)))
    return found


def _is_by_parameter(wrapper: Wrapper, name: str) -> bool:
    return name in wrapper.saved and isinstance(getattr(wrapper, name), dict)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _demand(fits: bool, optimizer: Any) -> None:
    if not fits:
        raise ValueError(
            f"{type(optimizer).__name__}: the file was saved by another optimizer. Build the one "
            "that was saved."
        )
