"""What a function can see: the tensors it may use, and the Python values that it may depend on.

The values are held against what they were: a step that changes them has an effect that a replay
would leave out, and a step that finds others is another step.

Order: World · walking · what is whose.
"""

from __future__ import annotations

import dis
import functools
import os
import random
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..operation import Variable

Function = Callable[..., Any]


SMALL = 1024  # elements of an array that is compared at every call
UNSTEADY = (Iterator, random.Random, np.random.Generator, np.random.RandomState)


class Place(NamedTuple):
    """Values that stand together: the cells of a function, the attributes of an object, a list."""

    name: str
    look: Callable[[], Collection[Any]]
    saved: list[Any]
    names: Callable[[int], str]  # of the value with this number
    home: dict[str, Any] | None = None  # whose values they are, in their order

    def same(self) -> bool:
        """Whether all are the very objects that they were, or equal numbers or words."""
        now = self.look()
        return len(now) == len(self.saved) and all(map(_alike, now, self.saved))

    def difference(self) -> str:
        """Which value is another one."""
        now = list(self.look())
        if len(now) != len(self.saved):
            return self.name
        i = next(i for i, pair in enumerate(zip(now, self.saved)) if not _alike(*pair))
        return self.names(i)

    def test(self, bind: Callable[[Any, str], str]) -> str:
        """The text of a test that is true where something has changed; quick where nothing has."""
        place = bind(self, "place")
        if self.home is None:
            return f"not {place}.same()"
        home = bind(self.home, "attributes")
        if not self.saved:
            return home
        saved = bind(self.saved, "saved")
        return (
            f"(len({home}) != {len(self.saved)} or not all(map(is_, {home}.values(), {saved}))) "
            f"and not {place}.same()"
        )


class World:
    """Everything that can be reached from a function by names, attributes, lists and dicts."""

    def __init__(self, function: Function) -> None:
        self.tensors: list[Any] = []
        self.places: list[Place] = []
        self.optimizers: list[Any] = []
        self.unsteady: list[str] = []  # what may give something else each time, unseen
        self.seen: dict[int, Any] = {}
        waiting: deque[tuple[Any, str]] = deque([(function, "")])
        while waiting:
            thing, name = waiting.popleft()
            if id(thing) not in self.seen:
                self.seen[id(thing)] = thing
                waiting.extend(self.visit(thing, name))

    def add(self, *tensors: Any) -> None:
        """Count these tensors as visible."""
        for tensor in tensors:
            if id(tensor) not in self.seen:
                self.seen[id(tensor)] = tensor
                self.tensors.append(tensor)

    def difference(self) -> str | None:
        """What is not what it was, or None."""
        for place in self.places:
            if not place.same():
                return place.difference()
        return None

    def options(self) -> list[Any]:
        """The options of the optimizers in it, such as lr."""
        return [
            {name: value for name, value in group.items() if name != "params"}
            for optimizer in self.optimizers
            for group in getattr(optimizer, "param_groups", ())
        ]

    # ---- walking --------------------------------------------------------------------------------

    def visit(self, thing: Any, name: str) -> Iterator[tuple[Any, str]]:
        """Note the values of a thing; give what else is to be visited, with its name."""
        if isinstance(thing, Variable):
            self.tensors.append(thing)
            yield from ((hook, "a hook") for hook in thing._hooks or ())
        elif isinstance(thing, types.FunctionType):
            if is_theirs(thing.__code__.co_filename):
                yield from self.function(thing)
        elif isinstance(thing, np.ndarray) and thing.size <= SMALL:
            yield from self.note(name, lambda: [thing.tobytes()], lambda i: name)
        elif isinstance(thing, (*UNSTEADY, np.ndarray)):
            self.unsteady.append(f"{name}, a {type(thing).__name__}")
        elif isinstance(thing, types.MethodType):
            yield from ((thing.__self__, "self"), (thing.__func__, name))
        elif isinstance(thing, (staticmethod, classmethod)):
            yield thing.__func__, name
        elif isinstance(thing, property):
            yield thing.fget, name
        elif isinstance(thing, functools.partial):
            yield from ((part, name) for part in (thing.func, thing.args, thing.keywords))
        elif isinstance(thing, dict):
            keys = [_key(key) for key in thing]
            yield from self.note(name, thing.values, lambda i: f"{name}[{keys[i]}]", thing)
        elif isinstance(thing, (list, deque, set)):
            yield from self.note(name, lambda: thing, lambda i: f"{name}[{i}]")
        elif isinstance(thing, (tuple, frozenset)):
            yield from ((part, name) for part in thing)
        elif isinstance(thing, type):
            if _is_their_class(thing):
                yield from self.note(thing.__name__, lambda: _values(thing), lambda i: name)
        elif type(thing).__module__.startswith(f"{_ROOT}.capture"):
            return
        elif is_of_optim(thing):
            self.optimizers.append(thing)
            if hasattr(thing, "parameters"):
                yield from ((p, "") for p in thing.parameters())
        elif hasattr(type(thing), "__mro__") and not _is_plain(type(thing)):
            yield from self.object(thing, name)

    def note(
        self,
        name: str,
        look: Callable[[], Any],
        names: Callable[[int], str],
        home: dict[str, Any] | None = None,
    ) -> Iterator[tuple[Any, str]]:
        """Save the values of a place."""
        saved = list(look())
        self.places.append(Place(name, look, saved, names, home))
        return ((value, names(i)) for i, value in enumerate(saved))

    def function(self, f: types.FunctionType) -> Iterator[tuple[Any, str]]:
        """What the text of a function names: its cells, defaults, globals."""
        cells, code = f.__closure__ or (), f.__code__
        if cells:
            yield from self.note(
                f.__qualname__, lambda: [_content(c) for c in cells], code.co_freevars.__getitem__
            )
        yield from ((value, f.__qualname__) for value in f.__defaults__ or ())
        yield from ((value, f.__qualname__) for value in (f.__kwdefaults__ or {}).values())
        found = sorted(n for n in _names(code, GLOBALS) if n in f.__globals__)
        if found:
            yield from self.note(
                f.__module__, lambda: [f.__globals__.get(n) for n in found], found.__getitem__
            )
        for n in found:
            module = f.__globals__[n]
            if isinstance(module, types.ModuleType) and is_theirs(_file_of(module)):
                inside = sorted(a for a in _names(code, ATTRIBUTES) if a in vars(module))
                yield from self.note(
                    n,
                    lambda m=module, inside=inside: [vars(m).get(a) for a in inside],  # type: ignore[misc]
                    lambda i, n=n, inside=inside: f"{n}.{inside[i]}",  # type: ignore[misc]
                )

    def object(self, thing: Any, name: str) -> Iterator[tuple[Any, str]]:
        """The attributes of an object, and the functions of its class."""
        own = getattr(thing, "__dict__", None)
        if own is not None:
            keys = list(own)
            yield from self.note(name, own.values, lambda i: f"{name}.{keys[i]}", own)
        slots = [s for k in type(thing).__mro__ for s in _slots(k)]
        if slots:
            yield from self.note(
                name,
                lambda: [getattr(thing, s, None) for s in slots],
                lambda i: f"{name}.{slots[i]}",
            )
        yield from ((kind, kind.__name__) for kind in type(thing).__mro__)


# ---- what is whose ------------------------------------------------------------------------------

PACKAGE = str(Path(__file__).parents[1])
_NOT_THEIRS = (
    f"{PACKAGE}{os.sep}",
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<frozen",
)


def is_of_optim(thing: Any) -> bool:
    """Whether it is an optimizer, a scheduler or an average, which live through replays."""
    return any(k.__module__.startswith(f"{_ROOT}.optim") for k in type(thing).__mro__)


_ROOT = __name__.split(".")[0]


@functools.lru_cache(maxsize=4096)
def is_theirs(file: str) -> bool:
    """Whether code from this file is the user's."""
    return not file.startswith(_NOT_THEIRS)


def _file_of(module: Any) -> str:
    """Where a module is written; what has no file, such as `time`, is Python's, but for scripts."""
    default = "" if getattr(module, "__name__", "__main__") == "__main__" else PACKAGE
    return getattr(module, "__file__", None) or default


def _is_their_class(kind: type) -> bool:
    top = kind.__module__.split(".")[0]
    module = sys.modules.get(kind.__module__)
    return top not in (_ROOT, *sys.stdlib_module_names) and is_theirs(_file_of(module))


def _is_plain(kind: type) -> bool:
    """Whether its objects hold nothing that a user has put there by name."""
    top = kind.__module__.split(".")[0]
    return top in sys.stdlib_module_names or top in ("numpy", "cupy")


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ()) if _is_their_class(kind) else ()
    named = [slots] if isinstance(slots, str) else slots
    return [s for s in named if s not in ("__dict__", "__weakref__")]


def _values(kind: type) -> list[Any]:
    return [value for name, value in vars(kind).items() if not name.startswith("__")]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not yet set


def draws_from_numpy(code: types.CodeType, scope: dict[str, Any]) -> bool:
    """Whether a text reads ``np.random``."""
    if "random" not in _names(code, ATTRIBUTES):
        return False
    return any(scope.get(name) is np for name in _names(code, GLOBALS))


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType, kinds: tuple[str, ...]) -> frozenset[str]:
    """The names that a text, with the texts inside it, loads by instructions of these kinds."""
    inside = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    here = {i.argval for i in dis.get_instructions(code) if i.opname in kinds}
    return frozenset(here).union(*(_names(each, kinds) for each in inside))


GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")


def _key(key: Any) -> str:
    return repr(key) if isinstance(key, (str, int)) else f"a {type(key).__name__}"


def _alike(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, (int, float, str, bytes)) and a == b)
