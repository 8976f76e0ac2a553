"""What a function can see: the tensors it may use, and the Python values that it may depend on.

The values are held against what they were: a step that changes them has an effect that a replay
would leave out, and a step that finds others is another step.

Order: World · walking · by word · what is whose.
"""

from __future__ import annotations

import ctypes
import dis
import functools
import logging
import os
import queue
import random
import sys
import sysconfig
import types
from array import array
from collections import deque
from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, ValuesView
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..operation import Op, Variable

Function = Callable[..., Any]


SMALL = 1024  # elements of an array that is compared at every call
CHANCE = (random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState)
FOREIGN = (queue.SimpleQueue, ctypes.Array, ctypes.Structure, ctypes.Union, ctypes._SimpleCData)
UNSTEADY = (Iterator, *CHANCE, *FOREIGN)
PARTIAL = (functools.partial, functools.partialmethod)
ALIVE = " (which the step can read: pass it as a Tensor)"


class Place(NamedTuple):
    """Values that stand together: the cells of a function, the attributes of an object, a list."""

    name: str
    look: Callable[[], Collection[Any]]
    saved: list[Any]
    names: Callable[[int], str]  # of the value with this number
    home: dict[Any, Any] | None = None  # whose values they are, in their order,
    keys: tuple[Any, ...] = ()  # by these keys

    def same(self) -> bool:
        """Whether all are the very objects that they were, or equal numbers or words."""
        now = self.look()
        if len(now) != len(self.saved) or not all(map(_alike, now, self.saved)):
            return False
        return self.home is None or all(map(_alike, self.home, self.keys))

    def difference(self) -> str:
        """Which value is another one."""
        now = list(self.look())
        if len(now) != len(self.saved):
            return self.name
        pairs = enumerate(zip(now, self.saved))
        return next((self.names(i) for i, pair in pairs if not _alike(*pair)), self.name)

    def test(self, bind: Callable[[Any, str], str]) -> str:
        """The text of a test that is true where something has changed; quick where nothing has."""
        place = bind(self, "place")
        if self.home is None:
            return f"not {place}.same()"
        home = bind(self.home, "attributes")
        if not self.saved:
            return home
        saved, keys = bind(self.saved, "saved"), bind(self.keys, "keys")
        return (
            f"(len({home}) != {len(self.saved)} or not all(map(is_, {home}.values(), {saved})) "
            f"or not all(map(is_, {home}, {keys}))) and not {place}.same()"
        )


class World:
    """Everything that can be reached from a function by names, attributes, lists and dicts.

    Of modules, optimizers and tensors it is what the user's code has a word for.
    """

    def __init__(self, function: Function) -> None:
        self.tensors: list[Any] = []
        self.places: list[Place] = []
        self.optimizers: list[Any] = []
        self.unsteady: list[str] = []  # what may give something else each time, unseen
        self.seen: dict[int, Any] = {}
        self.words: set[str] = set()  # names and strings in the user's code
        self.by_word: list[tuple[Any, str]] = []  # modules, optimizers, tensors
        self.looked_up: set[tuple[int, str]] = set()
        waiting: deque[tuple[Any, str]] = deque([(function, "")])
        while waiting:
            thing, name = waiting.popleft()
            if id(thing) not in self.seen:
                self.seen[id(thing)] = thing
                waiting.extend(self.visit(thing, name))
            if not waiting:
                waiting.extend(x for x in self.look_up() if id(x[0]) not in self.seen)

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
            self.by_word.append((thing, name))
            yield from ((hook, "a hook") for hook in thing._hooks or ())
        elif isinstance(thing, types.FunctionType):
            yield from self.function(thing)
        elif isinstance(thing, types.ModuleType):
            self.by_word.append((thing, name))
        elif isinstance(thing, UNSTEADY):
            self.unsteady.append(f"{name}, a {type(thing).__name__}")
        elif isinstance(thing, (np.ndarray, array, bytearray)):
            yield from self.numbers(thing, name)
        elif isinstance(thing, ContextVar):
            yield from self.note(name, lambda: [thing.get(None)], lambda i: name)
        elif isinstance(thing, functools._lru_cache_wrapper):
            if is_closure(thing.__wrapped__):
                self.unsteady.append(f"{name}, which remembers what it gave")
        elif isinstance(thing, types.MethodType):
            yield from ((thing.__self__, "self"), (thing.__func__, name))
        elif isinstance(thing, types.BuiltinMethodType):
            if not isinstance(thing.__self__, (types.ModuleType, type)):
                yield thing.__self__, name
        elif isinstance(thing, (staticmethod, classmethod)):
            yield thing.__func__, name
        elif isinstance(thing, property):
            yield thing.fget, name
        elif isinstance(thing, type):
            if _is_their_class(thing):
                yield from self.note(thing.__name__, lambda: _values(thing), lambda i: name)
        elif is_of_optim(thing):
            self.optimizers.append(thing)
            self.by_word.append((thing, name or type(thing).__name__))
            if hasattr(thing, "parameters"):
                yield from ((p, "") for p in thing.parameters())
        elif not isinstance(thing, HARMLESS) and not _is_of_capture(thing):
            yield from self.contents(thing, name)
            yield from self.object(thing, name)

    def contents(self, thing: Any, name: str) -> Iterator[tuple[Any, str]]:
        """What a collection holds."""
        if isinstance(thing, dict):
            keys = tuple(thing)
            yield from ((key, name) for key in keys)
            yield from self.note(name, thing.values, lambda i: f"{name}[{_key(keys[i])}]", thing)
        elif isinstance(thing, (list, deque, set)):
            yield from self.note(name, lambda: thing, lambda i: f"{name}[{i}]")
        elif isinstance(thing, (tuple, frozenset)):
            yield from ((part, name) for part in thing)
        elif isinstance(thing, (KeysView, ValuesView, ItemsView, types.MappingProxyType)):
            shown: Any = getattr(thing, "mapping", thing)  # a dict, behind a proxy
            yield from self.note(name, lambda: [*shown.keys(), *shown.values()], lambda i: name)
        elif isinstance(thing, PARTIAL):
            yield from ((part, name) for part in (thing.func, thing.args, thing.keywords))

    def numbers(self, thing: Any, name: str) -> Iterator[tuple[Any, str]]:
        """An array that belongs to no tensor: held against what it was, if it is small."""
        size = thing.size if isinstance(thing, np.ndarray) else len(thing)
        if size > SMALL or getattr(getattr(thing, "dtype", None), "hasobject", False):
            self.unsteady.append(f"{name}, a {type(thing).__name__}")
            return iter(())
        read = bytes if isinstance(thing, bytearray) else type(thing).tobytes
        return self.note(name, lambda: [read(thing)], lambda i: name)

    def note(
        self,
        name: str,
        look: Callable[[], Any],
        names: Callable[[int], str],
        home: dict[Any, Any] | None = None,
    ) -> Iterator[tuple[Any, str]]:
        """Save the values of a place."""
        saved = list(look())
        self.places.append(Place(name, look, saved, names, home, tuple(home or ())))
        return ((value, names(i)) for i, value in enumerate(saved))

    def function(self, f: types.FunctionType) -> Iterator[tuple[Any, str]]:
        """What the text of a function names: its cells, defaults, globals; its own attributes."""
        code, own, name = f.__code__, f.__dict__, f.__qualname__
        if isinstance(own.get("op"), Op):
            return  # a replay runs it as it is
        if not is_theirs(code.co_filename):
            yield own.get("__wrapped__"), name
            if f is os.getenv:
                yield os.environ, "os.environ"
            return
        self.words |= _words(code)
        yield from self.attributes(own, name)
        if f.__closure__:
            cells = f.__closure__
            yield from self.note(
                name, lambda: [_content(c) for c in cells], code.co_freevars.__getitem__
            )
        if f.__defaults__ or f.__kwdefaults__:
            yield from self.note(
                name, lambda: [f.__defaults__, f.__kwdefaults__], lambda i: f"a default of {name}"
            )
        found = sorted(n for n in _names(code, GLOBALS) if n in f.__globals__)
        if found:
            yield from self.note(
                f.__module__, lambda: [f.__globals__.get(n) for n in found], found.__getitem__
            )
        package = f.__globals__.get("__package__")
        for n in _names(code, ("IMPORT_NAME",)):
            for path in (n, n.split(".")[0], f"{package}.{n}"):
                yield sys.modules.get(path), n

    def object(self, thing: Any, name: str) -> Iterator[tuple[Any, str]]:
        """The attributes of an object, and the functions of its class."""
        own = getattr(thing, "__dict__", None)
        if isinstance(own, dict):
            yield from self.attributes(own, name)
        slots = [s for k in type(thing).__mro__ for s in _slots(k)]
        if slots:
            yield from self.note(
                name,
                lambda: [getattr(thing, s, None) for s in slots],
                lambda i: f"{name}.{slots[i]}",
            )
        yield from ((kind, kind.__name__) for kind in type(thing).__mro__)

    def attributes(self, own: dict[str, Any], name: str) -> Iterator[tuple[Any, str]]:
        """All that an object has."""
        keys = tuple(own)
        return self.note(name, own.values, lambda i: f"{name}.{keys[i]}", own)

    # ---- by word --------------------------------------------------------------------------------

    def look_up(self) -> Iterator[tuple[Any, str]]:
        """What modules, optimizers and tensors have that the code has a word for, so far."""
        for thing, name in list(self.by_word):
            own = getattr(thing, "__dict__", {})
            new = [
                n
                for n in sorted(self.words & own.keys())
                if (id(thing), n) not in self.looked_up and _is_read(thing, n, own[n])
            ]
            self.looked_up.update((id(thing), n) for n in new)
            alive = ALIVE if is_of_optim(thing) else ""
            if alive:
                yield from ((x, f"{name}.{n}") for n, x in own.items() if is_of_optim(x))
                if "param_groups" in own and self.words & {"param_groups"}:
                    yield from self.options_of(own["param_groups"], name)
            if thing is os and "getenv" in self.words:
                yield os.environ, "os.environ"
            if new:
                for value, its in self.note(
                    name,
                    lambda own=own, new=new: [own.get(n) for n in new],  # type: ignore[misc]
                    lambda i, name=name, new=new, alive=alive: f"{name}.{new[i]}{alive}",  # type: ignore[misc]
                ):
                    yield value, its.removesuffix(alive)

    def options_of(self, groups: list[dict[str, Any]], name: str) -> Iterator[tuple[Any, str]]:
        """The options of parameter groups that are read: those named, or all where none is."""
        for i, group in enumerate(groups):
            named = self.words & group.keys()
            every = not named or self.words & {"items", "values"}
            for key in sorted((group.keys() if every else named) - {"params"}):
                if (id(group), key) not in self.looked_up:
                    self.looked_up.add((id(group), key))
                    self.seen[id(group)] = group
                    its = f"{name}.param_groups[{i}][{key!r}]{ALIVE}"
                    yield from self.note(
                        its,
                        lambda group=group, key=key: [group.get(key)],  # type: ignore[misc]
                        lambda _, its=its: its,  # type: ignore[misc]
                    )


# ---- what is whose ------------------------------------------------------------------------------

PACKAGE = str(Path(__file__).parents[1])
_NOT_THEIRS = (
    f"{PACKAGE}{os.sep}",
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<frozen",
)


HARMLESS = (logging.Logger, logging.Handler)  # whose calls are noticed by themselves


def is_closure(x: Any) -> bool:
    """Whether it is a function that the user wrote."""
    return isinstance(x, types.FunctionType) and is_theirs(x.__code__.co_filename)


def _is_of_capture(thing: Any) -> bool:
    return type(thing).__module__.startswith(f"{_ROOT}.capture")


def _is_read(thing: Any, name: str, value: Any) -> bool:
    """Whether what a module, an optimizer or a tensor has by this name is to be held."""
    if isinstance(thing, Variable):
        return not name.startswith("_") and not hasattr(type(thing), name)
    if is_of_optim(thing):
        return name != "param_groups"
    if is_theirs(_file_of(thing)):
        return True
    top = thing.__name__.split(".")[0]
    return isinstance(value, types.ModuleType) or not (callable(value) or top in _KNOWN)


def is_of_optim(thing: Any) -> bool:
    """Whether it is an optimizer, a scheduler or an average, which live through replays."""
    return any(k.__module__.startswith(f"{_ROOT}.optim") for k in type(thing).__mro__)


_ROOT = __name__.split(".")[0]
_KNOWN = (_ROOT, "numpy", "cupy")


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


def _slots(kind: type) -> list[str]:
    top = kind.__module__.split(".")[0]
    if top in _KNOWN or top in sys.stdlib_module_names:
        return []
    slots = vars(kind).get("__slots__", ())
    named = [slots] if isinstance(slots, str) else slots
    private = f"_{kind.__name__.lstrip('_')}"
    return [
        f"{private}{s}" if s.startswith("__") else s
        for s in named
        if s not in ("__dict__", "__weakref__")
    ]


def _values(kind: type) -> list[Any]:
    return [x for pair in vars(kind).items() if not pair[0].startswith("__") for x in pair]


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


GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "STORE_ATTR", "DELETE_ATTR")


@functools.lru_cache(maxsize=1024)
def _words(code: types.CodeType) -> frozenset[str]:
    """Attributes, imported names and strings in a text."""

    def strings(constant: Any) -> Iterator[str]:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, (tuple, frozenset)):
            for part in constant:
                yield from strings(part)
        elif isinstance(constant, types.CodeType):
            yield from _words(constant)

    return frozenset(strings(code.co_consts)) | _names(code, (*ATTRIBUTES, "IMPORT_FROM"))


def _key(key: Any) -> str:
    return repr(key) if isinstance(key, (str, int)) else f"a {type(key).__name__}"


def _alike(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (float, complex)):
        return repr(a) == repr(b)  # 0.0 is not -0.0
    return isinstance(a, (int, str, bytes)) and a == b
