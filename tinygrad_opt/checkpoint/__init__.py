"""Checkpoints: everything that a run needs to go on to the bit, in one file.

    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": batches}
    tg.save("run.npz", **parts, epoch=3)
    epoch = tg.load("run.npz", **parts)["epoch"]

    tg.save("weights.safetensors", model)          # weights alone, under PyTorch's names
    tg.load("weights.safetensors", model)

In a file, arrays have names with dots, ``model.0.weight``, ``optimizer.0.weight.exp_avg``, and
``meta.json`` says the rest: it can be read without this package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import random_numbers
from .by_name import Names, kind_of, load_by_name, names_in, state_by_name
from .container import CheckpointError, NewerVersion, read, write
from .folder import Checkpoints
from .tree import Arrays, apart, together

__all__ = ["CheckpointError", "Checkpoints", "load", "save"]

FORMAT = "tinygrad_opt.checkpoint"
VERSION = 1
RANDOM, KINDS = "random_numbers", "kinds"  # what is always saved beside the parts


def save(path: str | os.PathLike[str], weights: Any = None, /, **parts: Any) -> None:
    """Write a checkpoint of these parts or, given one thing by position, its weights alone.

    A part is what has ``state_dict()``: a model, an optimizer or a wrapper, a scheduler, a loader;
    a NumPy generator; or plain data: numbers, text, arrays, lists, dicts. The random numbers of
    `manual_seed` are always among them. Optimizer state stands under the names of ``model``. The
    file ends in .npz or, with the extra ``safetensors``, in .safetensors; it is written beside its
    place and then moved there, so that at every moment there is a whole one. Nothing is pickled.
    ValueError for another ending or a name that is taken, TypeError for what cannot be saved,
    OSError where writing fails; then what was there before is untouched.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"save: {type(path).__name__} is no path. The file comes first: save(path, model)."
        )
    path = Path(path)
    arrays: Arrays = {}
    if weights is not None:
        if parts:
            raise ValueError(
                "save: weights alone, or parts by name: save(path, model) or save(path, "
                "model=model, optimizer=optimizer)."
            )
        for name, array in _weights(weights).items():
            apart(np.asarray(array), name, arrays)
        said = None
    else:
        for name in parts.keys() & {RANDOM, KINDS}:
            raise ValueError(
                f"save: a part called {name} is always there. Give yours another name."
            )
        names = names_in(parts)
        tree = {name: _state(part, names) for name, part in parts.items()}
        tree[RANDOM] = random_numbers.state_dict()
        tree[KINDS] = _kinds(parts)
        said = {name: apart(one, name, arrays) for name, one in tree.items()}
    meta = {"format": FORMAT, "version": VERSION, "parts": said}
    write(path, arrays, json.dumps(meta, allow_nan=False))


def load(path: str | os.PathLike[str], weights: Any = None, /, **parts: Any) -> dict[str, Any]:
    """Take a checkpoint into these parts, and return what else is in it, by name.

    With an ``optimizer`` training goes on, so the random numbers of `manual_seed` do, too. Given
    one thing by position, it takes in the weights of a file of any origin, PyTorch's among them;
    without anything a file of weights is returned as a dict of arrays. CheckpointError, a
    ValueError, for a file that is damaged or is none; ValueError for parts of other shapes, names
    or kinds; then nothing is changed.
    """
    if weights is not None:
        parts = {"model": weights, **parts}
    return take_in(Path(path), *contents(Path(path)), parts)


# ---- files ------------------------------------------------------------------------------------


def contents(path: Path) -> tuple[dict[str, Any] | None, Arrays]:
    """What a file holds, by the names of its parts, None where it is weights alone; its arrays."""
    arrays, text = read(path)
    return _tree(path, arrays, text), arrays


def take_in(
    path: Path, tree: dict[str, Any] | None, arrays: Arrays, parts: dict[str, Any]
) -> dict[str, Any]:
    """Take the `contents` of a file into these parts; what is left."""
    if tree is None:
        if not parts.keys() <= {"model"}:
            raise ValueError(
                f"load: {path} holds weights alone, so only a model can take them: load(path, "
                "model)."
            )
        tree = {"model": dict(arrays)} if parts else dict(arrays)
    kinds = tree.pop(KINDS, {})
    missing = [name for name in parts if name not in tree]
    if missing:
        raise ValueError(
            f"load: {path} has no {', '.join(missing)}; it has {', '.join(tree) or 'nothing'}."
        )
    _compare(path, kinds, _kinds(parts))
    names = names_in(parts)
    steps = [(part, tree.pop(name)) for name, part in sorted(parts.items(), key=_is_read_from)]
    resumed = tree.pop(RANDOM, None) if RANDOM in tree else None
    if "optimizer" in parts:
        steps.append((random_numbers, resumed))
    _load_all(path, steps, names)
    return tree


# ---- parts ------------------------------------------------------------------------------------


def _weights(thing: Any) -> Mapping[str, Any]:
    found = thing.state_dict() if hasattr(thing, "state_dict") else thing
    if not isinstance(found, Mapping) or hasattr(thing, "param_groups"):
        raise TypeError(
            f"save: {type(thing).__name__} by position; weights are a model, or a dict of arrays. "
            "Give other parts by name."
        )
    return found


def _kinds(parts: Mapping[str, Any]) -> dict[str, str]:
    """What optimizers and schedulers are, whose states look alike."""
    alike = ("param_groups", "get_last_lr")
    return {
        name: kind_of(part)
        for name, part in parts.items()
        if hasattr(part, "state_dict") and any(hasattr(part, what) for what in alike)
    }


def _compare(path: Path, there: Any, here: dict[str, str]) -> None:
    """ValueError where a part was saved by another class."""
    for name, kind in here.items():
        was = there.get(name, kind) if isinstance(there, dict) else kind
        if was != kind:
            raise ValueError(
                f"load: {path} does not fit. Its {name} was {was}, and this is {kind}. Build the "
                "one that was saved."
            )


def _is_read_from(named: tuple[str, Any]) -> bool:
    """A loader comes last: once it has been told its place, that cannot be taken back in a loop."""
    return hasattr(named[1], "__iter__") and not hasattr(named[1], "named_parameters")


def _state(part: Any, names: Names) -> Any:
    """What is saved of a part."""
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    if hasattr(part, "param_groups") and hasattr(part, "state_dict"):
        return state_by_name(part, names)
    return part.state_dict() if hasattr(part, "state_dict") else part


def _loader(part: Any, names: Names) -> Callable[[Any], Any]:
    """The function that takes the state of a part in."""
    if isinstance(part, np.random.Generator):
        return lambda state: setattr(part.bit_generator, "state", state)
    if hasattr(part, "param_groups") and hasattr(part, "state_dict"):
        return lambda state: load_by_name(part, state, names)
    if hasattr(part, "load_state_dict"):
        taken: Callable[[Any], Any] = part.load_state_dict
        return taken
    raise TypeError(
        f"load: a {type(part).__name__} cannot take in a state. Plain data are in the dict that "
        "load returns."
    )


def _load_all(path: Path, steps: list[tuple[Any, Any]], names: Names) -> None:
    """All of them, or none."""
    loaders = [_loader(part, names) for part, _ in steps]
    before = [_state(part, names) for part, _ in steps]
    done = 0
    try:
        for loader, (_, state) in zip(loaders, steps):
            done += 1
            loader(state)
    except Exception as error:
        for loader, state in zip(loaders[:done], before):
            loader(state)
        if isinstance(error, ValueError):
            raise ValueError(f"load: {path} does not fit. {error}") from None
        kind = type(steps[done - 1][0]).__name__
        raise ValueError(
            f"load: {path} does not fit: what it holds is no state of this {kind}."
        ) from error


def _tree(path: Path, arrays: Arrays, text: str | None) -> dict[str, Any] | None:
    """What a file says about its arrays; None where it is weights alone."""
    if text is None:
        return None
    try:
        meta = json.loads(text)
        if meta["format"] != FORMAT:
            raise KeyError
        if meta["version"] > VERSION:
            raise NewerVersion(
                f"load: {path} is of version {meta['version']}, and this package reads up to "
                f"{VERSION}. Update tinygrad-opt."
            )
        said = meta["parts"]
        return None if said is None else {k: together(v, arrays) for k, v in said.items()}
    except CheckpointError:
        raise
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError):
        raise CheckpointError(f"load: {path} is no checkpoint of tinygrad_opt.") from None
