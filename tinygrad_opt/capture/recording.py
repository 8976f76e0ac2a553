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
from ..observer import may_replay
from ..operation import Variable, changed, is_grad_enabled, wrap
from . import watch
from .noted import Look, Noted
from .program import Stale, function_of, text_of
from .recorder import EARLIER, Recorder
from .tape import Unfollowed, owner, sharing
from .world import World

CARRIED_OUT = "(This call was carried out.)"


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
        raise RuntimeError(f"{error}{_so_far(recorder)}") from None
    except Look as error:
        error.args = (f"{error}{_so_far(recorder)}",)
        raise
    if any(t in recorder.handed for t in recorder.stepped):
        raise RuntimeError(f"{EARLIER} {CARRIED_OUT}")
    shares = sharing(recorder.moving())
    if any(isinstance(x, Variable) and shares(x._data) for x in given):
        raise RuntimeError(
            "capture: it writes into the memory of an argument, or lets an optimizer move it, and "
            f"a replay reads a copy. Pass x.clone(). {CARRIED_OUT}"
        )
    faults = [*recorder.refused, *effects, *recorder.faults(inputs)]
    if faults:
        raise RuntimeError(
            f"capture: {faults[0]}: a replay would not do that again. Do it outside, with what the "
            f"step returns. {CARRIED_OUT}"
        )
    return result, Recording(recorder, args, named, inputs, text)


def _so_far(recorder: Recorder) -> str:
    return " (What the step did before that is done.)" if recorder.effects else ""


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
        self.objects |= {"Stale": Stale, "Variable": Variable, "is_": is_}
        cleared = first.recorder.earlier.keys() | self.recorder.earlier.keys()
        self.replay = self.program(cleared, {})
        moved = self.move_gradients_home()
        if moved:
            self.objects["copying"] = self.replay  # where a gradient of an earlier call is kept
            self.replay = self.program(cleared, moved)

    def program(self, cleared: Collection[Any], moved: dict[Any, str]) -> Callable[..., Any]:
        """The tests, and then the lines."""
        tests = [
            *self.tests_of_the_call(),
            *self.tests_of_tensors(cleared),
            *self.tests_of_optimizers(),
            *(place.test(self.recorder.bind) for place in self.world.places),
        ]
        self.text = text_of(self.lines) + f"\nreturn {self.result}"
        source = [
            "if (" + "\n    or ".join(tests) + "): raise Stale",
            *self.take_in(moved),
            self.text,
        ]
        return function_of("\n".join(source), self.objects)

    def tests_of_the_call(self) -> list[str]:
        """What is true where arguments or circumstances are not like those that were recorded."""
        self.objects |= {"cpu": Device("cpu"), "grads": is_grad_enabled, "thread": get_ident}
        self.objects |= {"np": np, "may_replay": may_replay}
        moving = self.recorder.moving()
        self.objects |= {"shares": sharing(moving), "roots": {*map(id, moving)}}
        tests = [
            f"len(given) != {len(self.inputs)}",
            f"grads() is not {is_grad_enabled()}",
            f"thread() != {get_ident()}",
            "cpu.xp is not np and not may_replay(cpu)",
        ]
        for i, (x, key) in enumerate(zip(self.inputs, self.key)):
            if isinstance(key, str):
                tests.append(f"not isinstance(given[{i}], str) or given[{i}] != {key!r}")
            elif x is None:
                tests.append(f"given[{i}] is not {key}")
            else:
                dtype = self.recorder.bind(x.dtype, "c")
                tests.append(
                    f"not isinstance(given[{i}], Variable) or given[{i}]._requires_grad or "
                    f"given[{i}].device is not cpu or "
                    f"(a{i} := given[{i}]._data).shape != {x.shape} or a{i}.dtype != {dtype}"
                )
                if moving:
                    tests.append(f"(a{i}.base is not None or id(a{i}) in roots) and shares(a{i})")
        return tests

    def tests_of_tensors(self, cleared: Collection[Any]) -> list[str]:
        """What is true where a tensor has another array, or a gradient that would be added to."""
        recorder, tests = self.recorder, []
        for t, array in recorder.arrays.items():
            name = recorder.bind(t, "t")
            if id(array) in recorder.used:
                tests.append(f"{name}._data is not {recorder.names[id(array)]}")
                tests.append(f"{name}._requires_grad is not {t._requires_grad}")
            if t not in cleared and (t._requires_grad or t in recorder.worked_on):
                tests.append(f"{name}.grad is not None")
            if t._requires_grad:
                hooks = recorder.bind([*t._hooks], "hooks") if t._hooks else None
                tests.append(f"{name}._hooks != {hooks}" if hooks else f"{name}._hooks")
        return tests

    def tests_of_optimizers(self) -> list[str]:
        """What is true where an optimizer, whose gradients are cleared, has other parameters."""
        bind, tests = self.recorder.bind, []
        for optimizer in self.world.optimizers:
            groups = getattr(optimizer, "param_groups", None)
            if groups is None:
                continue
            now = f"{bind(optimizer, 'optimizer')}.param_groups"
            tests.append(f"len({now}) != {len(groups)}")
            for i, group in enumerate(groups):
                saved = [*group["params"]]
                tests.append(f"len(its := {now}[{i}]['params']) != {len(saved)}")
                tests.append(f"not all(map(is_, its, {bind(saved, 'params')}))")
        return tests

    def take_in(self, moved: dict[Any, str]) -> list[str]:
        """Make room for gradients, copy arguments to where they are read, tell older graphs."""
        recorder = self.recorder
        names, shares = recorder.names, sharing(recorder.touched)
        written = [t for t in recorder.arrays if shares(t._data)]
        self.objects["changed"] = changed
        changes = [f"changed({recorder.bind(written, 'written')}, 'a captured step')"]
        return [
            *(f"{names[id(t)]}.grad = None" for t in recorder.handed),
            *(
                f"if {names[id(t)]}._home is not {recorder.bind(t._home, 'c')} or "
                f"{home}.room() is None: return copying(*given)"
                for t, home in moved.items()
            ),
            *(f"{names[id(x)]}[...] = a{i}" for i, x in enumerate(self.inputs) if x is not None),
            *(changes if written else ()),
        ]

    def move_gradients_home(self) -> dict[Any, str]:
        """Let gradients be computed where the optimizer reads them; the names of their homes."""
        recorder, moved = self.recorder, {}
        shown = Counter(id(owner(noted.array)) for noted in recorder.noted.values())
        for t, grad in recorder.handed.items():
            home = t._home and t._home()
            if (
                home is None
                or recorder.times[t] > 1  # an earlier step reads the place
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
