"""One recording: the program, what it depends on, and where gradients belong.

Order: making one · does it fit · finishing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from operator import is_
from threading import get_ident
from typing import Any

import numpy as np

from ..device import Device
from ..operation import Variable, is_grad_enabled, wrap
from . import watch
from .noted import Look, Noted
from .program import Stale, function_of, text_of
from .recorder import Recorder
from .tape import Unfollowed, owner
from .world import World


class Elsewhere(Exception):
    """The step works on a GPU."""


def record(function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Recording]:
    """Run a function for real, and record it; RuntimeError for what a replay would leave out."""
    world = World(function)
    if any(t.device.kind != "cpu" for t in world.tensors):
        raise Elsewhere
    recorder = Recorder(Device("cpu"), world)
    given = [*args, *(named[name] for name in sorted(named))]
    inputs = [np.array(x._data) if isinstance(x, Variable) else None for x in given]
    stand_ins = [
        x if array is None else _like(x, recorder.note(array, "x"))
        for x, array in zip(given, inputs)
    ]
    by_name = dict(zip(sorted(named), stand_ins[len(args) :]))
    try:
        with recorder.watching(), recorder.inhabiting(), watch.side_effects() as effects:
            returned = function(*stand_ins[: len(args)], **by_name)
            result, text = _result(recorder, returned)
            recorder.hand_over()
    except Unfollowed as error:
        raise RuntimeError(str(error)) from None
    faults = [*recorder.refused, *effects, *recorder.faults(given, inputs)]
    if faults:
        raise RuntimeError(
            f"capture: {faults[0]}: a replay would not do that again. Do it outside, with what the "
            "step returns."
        )
    return result, Recording(recorder, args, named, inputs, text)


def _like(x: Any, array: Any) -> Any:
    tensor = wrap(array, x.device)
    tensor.name = x.name
    return tensor


def _result(recorder: Recorder, value: Any) -> tuple[Any, str]:
    """What the caller gets now, and the text that makes it at a replay."""
    if value is None:
        return None, "None"
    if isinstance(value, Variable) and not value.is_sparse:
        array = recorder.real(value._data)
        recorder.objects["wrap"], recorder.objects["device"] = wrap, value.device
        return wrap(array.copy(), value.device), f"wrap({recorder.spelled(array)}.copy(), device)"
    if type(value) in (tuple, list):
        parts = [_result(recorder, part) for part in value]
        inside = ", ".join(text for _, text in parts)
        comma = "," if len(parts) == 1 else ""
        text = f"({inside}{comma})" if type(value) is tuple else f"[{inside}]"
        return type(value)(part for part, _ in parts), text
    if type(value) is dict:
        found = {key: _result(recorder, part) for key, part in value.items()}
        inside = ", ".join(f"{recorder.spelled(key)}: {text}" for key, (_, text) in found.items())
        return {key: part for key, (part, _) in found.items()}, f"{{{inside}}}"
    raise Look(
        f"capture: the step returns a {type(value).__name__}, which would be the same at every "
        "replay. Return Tensors, alone or in a tuple, list or dict."
    )


class Recording:
    """What one call did."""

    def __init__(
        self,
        recorder: Recorder,
        args: tuple[Any, ...],
        named: dict[str, Any],
        inputs: list[Any],
        result: str,
    ) -> None:
        self.recorder, self.world = recorder, recorder.world
        self.inputs, self.result = inputs, result
        self.names, self.key = sorted(named), key_of(args, named)
        self.objects = recorder.objects
        self.replay: Callable[..., Any]
        self.fast = all(isinstance(x, Variable) for x in args)
        self.lines = [
            line
            for line in recorder.lines
            if not line.fills or id(owner(self.objects[line.fills])) in recorder.written
        ]
        self.text = ""

    # ---- does it fit ----------------------------------------------------------------------------

    def fits(self, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        """Whether arguments are like those that were recorded."""
        return self.key == key_of(args, named)

    def why(self) -> str | None:
        """Why it would not be the same now, or None."""
        if not all(t._data is a for t, a in self.recorder.arrays.items()):
            return "a tensor is given another array"
        changed = self.world.difference()
        return None if changed is None else f"{changed} changes"

    def difference(self, other: Recording) -> str | None:
        """What two recordings do not have in common, or None."""
        for mine, others in zip(self.lines, other.lines):
            if mine != others:
                return f"`{mine.text}`, then `{others.text}`"
        if len(self.lines) != len(other.lines):
            return f"{len(self.lines)} array calls, then {len(other.lines)}"
        for name, mine in self.objects.items():
            theirs = other.objects.get(name)
            if not _equal(name, mine, theirs):
                return f"another {_word(mine)}"
        return None if self.result == other.result else "another result"

    # ---- finishing ------------------------------------------------------------------------------

    def finish(self, first: Recording) -> None:
        """Write the program, now that a second recording has shown what stays the same."""
        moved = self.move_gradients_home()
        self.objects |= {"Stale": Stale, "Variable": Variable, "is_": is_}
        cleared = first.recorder.earlier.keys() | self.recorder.earlier.keys()
        tests = [
            *self.tests_of_the_call(),
            *self.tests_of_tensors(cleared, moved),
            *(place.test(self.recorder.bind) for place in self.world.places),
        ]
        self.text = text_of(self.lines) + f"\nreturn {self.result}"
        source = [
            "if (" + "\n    or ".join(tests) + "): raise Stale",
            *self.take_in(moved),
            self.text,
        ]
        self.replay = function_of("\n".join(source), self.objects)

    def tests_of_the_call(self) -> list[str]:
        """What is true where arguments or circumstances are not like those that were recorded."""
        self.objects |= {"cpu": Device("cpu"), "grads": is_grad_enabled, "thread": get_ident}
        tests = [
            f"len(given) != {len(self.inputs)}",
            f"grads() is not {is_grad_enabled()}",
            f"thread() != {get_ident()}",
        ]
        for i, (x, key) in enumerate(zip(self.inputs, self.key)):
            if x is None:
                tests.append(f"given[{i}] is not {self.recorder.spelled(key)}")
            else:
                dtype = self.recorder.bind(x.dtype, "c")
                tests.append(
                    f"not isinstance(given[{i}], Variable) or given[{i}]._requires_grad or "
                    f"given[{i}].device is not cpu or "
                    f"(a{i} := given[{i}]._data).shape != {x.shape} or a{i}.dtype != {dtype}"
                )
        return tests

    def tests_of_tensors(self, cleared: Collection[Any], moved: dict[Any, str]) -> list[str]:
        """What is true where a tensor has another array, or a gradient that would be added to."""
        recorder, tests = self.recorder, []
        for t, array in recorder.arrays.items():
            name = recorder.bind(t, "t")
            if id(array) in recorder.used:
                tests.append(f"{name}._data is not {recorder.names[id(array)]}")
                tests.append(f"{name}._requires_grad is not {t._requires_grad}")
            if t._requires_grad and t not in cleared:
                tests.append(f"{name}.grad is not None")
            if t in moved:
                tests.append(f"{name}._home is not {recorder.bind(t._home, 'c')}")
        return tests

    def take_in(self, moved: dict[Any, str]) -> list[str]:
        """Copy arguments to where they are read, and make room for gradients."""
        names = self.recorder.names
        return [
            *(f"{names[id(x)]}[...] = a{i}" for i, x in enumerate(self.inputs) if x is not None),
            *(f"{names[id(t)]}.grad = None" for t in self.recorder.handed),
            *(f"if {home}.room() is None: raise Stale" for home in moved.values()),
        ]

    def move_gradients_home(self) -> dict[Any, str]:
        """Let gradients be computed where the optimizer reads them; the names of their homes."""
        recorder, moved = self.recorder, {}
        shown = Counter(id(owner(noted.array)) for noted in recorder.noted.values())
        for t, grad in recorder.handed.items():
            home = t._home and t._home()
            if (
                home is None
                or home.view is not t._data
                or not isinstance(getattr(grad, "_data", None), Noted)
            ):
                continue
            array, twin = grad._data.array, _twin(home.array)
            fits = array.dtype == home.array.dtype and array.flags.c_contiguous
            alone = id(array) in recorder.temporary and shown[id(array)] == 1
            if twin is None or not fits or not alone:
                continue
            name, its = recorder.names[id(array)], recorder.names[id(t)]
            moved[t] = recorder.bind(home, "home")
            copied = f"{its}.grad = wrap({name}.copy(), device)"
            there = f"{its}.grad = wrap({moved[t]}.array, device)"
            self.lines = [
                line._replace(text=there) if line.text == copied else line for line in self.lines
            ]
            self.objects[name] = twin
        return moved


def _twin(array: Any) -> Any:
    """Another array on the same memory, which does not hold this one."""
    room = array.base
    if type(room) is not bytearray:
        return None
    start = np.frombuffer(room, np.uint8).ctypes.data
    return np.ndarray(array.shape, array.dtype, room, array.ctypes.data - start)


def key_of(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """What of the arguments decides which recording it is."""
    given = (*args, *(named[name] for name in sorted(named)))
    shapes = [(x._data.shape, str(x._data.dtype)) if isinstance(x, Variable) else x for x in given]
    return (*shapes, len(args), *sorted(named), is_grad_enabled())


def _equal(name: str, mine: Any, theirs: Any) -> bool:
    if mine is theirs:
        return True
    if name.rstrip("0123456789") in ("v", "w", "x", "old", "ask"):
        return type(mine) is type(theirs)  # memory, and questions about it
    if isinstance(mine, np.ndarray):
        same = isinstance(theirs, np.ndarray) and mine.dtype == theirs.dtype
        same = same and name[0] == "k" and mine.shape == theirs.shape
        return bool(same and mine.tobytes() == theirs.tobytes())
    if isinstance(mine, Variable):
        return False
    if isinstance(mine, float):
        return repr(mine) == repr(theirs)  # NaN is NaN
    try:
        return bool(mine == theirs)
    except Exception:
        return False


def _word(thing: Any) -> str:
    if isinstance(thing, np.ndarray):
        if not thing.shape:
            return f"number than {thing}"
        return f"array of shape {thing.shape} that the step does not get as an argument"
    return getattr(thing, "name", None) or repr(thing)
