"""The tape: lines, the names in them, and the arrays that they are about.

Results keep the memory that they got: a replay computes into it again, so views are made once and
nothing is allocated.

Order: names · arrays · results.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from threading import get_ident
from typing import Any

import numpy as np

from ..observer import Observer
from .noted import AFTERWARDS, Look, Noted
from .program import Line

USUAL = np.geterr()
Array = np.ndarray[Any, Any]


class Unfollowed(Exception):
    """A call that cannot be recorded by itself."""


class Tape(Observer):
    """What was written down so far."""

    def __init__(self, device: Any) -> None:
        super().__init__(device)
        self.xp, self.thread = np, get_ident()
        self.lines: list[Line] = []
        self.objects: dict[str, Any] = {}  # by their names in the program
        self.names: dict[int, str] = {}  # of those, by id
        self.counts: Counter[str] = Counter()  # of names, by their letters
        self.noted: dict[int, Noted] = {}  # by the id of their arrays
        self.numbers: dict[Any, Array] = {}
        self.keep: list[Any] = []  # what ids are of, so that none is given out twice
        self.memories: set[int] = set()  # owners of known memory,
        self.temporary: set[int] = set()  # those that the program owns,
        self.written: set[int] = set()  # and those that it writes into again
        self.touched: list[Array] = []  # what of the world it writes into
        self.over = False  # the recording
        self.used: set[int] = set()  # arrays that took part
        self.forbidden: dict[int, str] = {}  # arrays that the step may not read, and why
        self.effects = False  # whether a line so far has changed anything outside of the program

    @property
    def elsewhere(self) -> bool:
        """Whether this is another thread than the one that is recorded."""
        return get_ident() != self.thread

    # ---- names ----------------------------------------------------------------------------------

    def bind(self, thing: Any, letter: str) -> str:
        """A name for this object in the program."""
        name = self.names.get(id(thing))
        if name is None:
            name = self.names[id(thing)] = f"{letter}{self.counts[letter]}"
            self.counts[letter] += 1
            self.objects[name] = thing
            self.keep.append(thing)
        return name

    def function_name(self, function: Any) -> str:
        """Its NumPy name."""
        name = function.__name__
        if self.objects.setdefault(name, function) is not function:
            return self.bind(function, "f")
        return str(name)

    def spelled(self, x: Any) -> str:
        """An operand in the text of the program."""
        if isinstance(x, np.ndarray):
            return self.bind(x, "v")
        if isinstance(x, tuple):
            inside = ", ".join(map(self.spelled, x))
            return f"({inside},)" if len(x) == 1 else f"({inside})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.spelled, x))}]"
        if isinstance(x, slice):
            return f"slice({', '.join(self.spelled(p) for p in (x.start, x.stop, x.step))})"
        if x is Ellipsis:
            return "..."
        if x is None or type(x) in (bool, int, str) or (type(x) is float and math.isfinite(x)):
            return repr(x)
        return self.bind(x, "c")

    def write(self, text: str, fills: str | None = None, effect: bool = False) -> None:
        """One more line."""
        state = np.geterr()
        quiet = tuple(sorted((kind, str(how)) for kind, how in state.items()))
        quiet = () if state == USUAL else quiet
        self.lines.append(Line(text, quiet, fills, effect))
        self.effects |= effect

    # ---- arrays ---------------------------------------------------------------------------------

    def note(self, array: Array, letter: str = "v", own: bool = False) -> Noted:
        """The one that takes notes for this array."""
        found = self.noted.get(id(array))
        if found is None:
            found = self.noted[id(array)] = Noted(self, array)
            self.bind(array, letter)
            memory = owner(array)
            self.keep.append(memory)
            self.memories.add(id(memory))
            if own:
                self.temporary.add(id(memory))
        return found

    def known(self, base: Any) -> Any:
        """What stands for the base of an array."""
        return self.noted.get(id(base), base)

    def constant(self, array: Array) -> Any:
        """An array that nobody writes into."""
        return array if self.elsewhere else self.note(array, "k")

    def real(self, x: Any) -> Any:
        """The real arrays in arguments, at any depth."""
        if isinstance(x, Noted):
            if x.recorder.over:
                raise Look(AFTERWARDS)
            if x.recorder is not self or get_ident() != self.thread:
                raise Look("capture: a tensor of a step that is being recorded was used outside.")
            if id(x.array) in self.forbidden:
                raise Look(self.forbidden[id(x.array)])
            self.used.add(id(x.array))
            return x.array
        if isinstance(x, np.ndarray):
            if id(x) in self.noted:
                return self.real(self.noted[id(x)])
            raise Unfollowed(
                f"capture: the step makes an array of shape {x.shape} from Python data, or uses a "
                "tensor that it does not get by name. A replay would use the same numbers for "
                "ever: make it outside and pass it as an argument."
            )
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.real, x))
        if isinstance(x, dict):
            return {key: self.real(value) for key, value in x.items()}
        if isinstance(x, slice):
            return slice(*map(self.real, (x.start, x.stop, x.step)))
        return x

    def result(self, value: Any, text: str, template: str | None = None) -> Any:
        """A new array, or a view of what is known, from a call with this text.

        The template is the call that writes into memory that is given.
        """
        if isinstance(value, np.generic):
            value = np.asarray(value)
        if not isinstance(value, np.ndarray):
            raise Look(f"capture: {text} gives a {type(value).__name__}, no array.")
        if id(value) in self.noted:
            return self.noted[id(value)]
        if id(owner(value)) in self.memories:
            return self.note(value, "w")  # a view, made once
        noted = self.note(value, own=True)
        name = self.names[id(value)]
        line = template.format(name) if template else f"{name}[...] = {text}"
        self.write(line)
        return noted

    def touch(self, array: Array) -> bool:
        """Note that this memory is written into, and say whether it is the world's."""
        memory = id(owner(array))
        self.written.add(memory)
        if memory in self.temporary:
            return False
        self.touched.append(array)
        return True

    def number(self, x: float, dtype: Any) -> Array:
        """A number as the one 0-d array of this dtype."""
        key = (x, math.copysign(1, x), dtype)
        if key not in self.numbers:
            self.numbers[key] = np.array(x, dtype)
            self.note(self.numbers[key], "k")
        return self.numbers[key]


def sharing(arrays: list[Array]) -> Callable[[Any], bool]:
    """A test whether an array may show memory of these; quick where it does not."""
    roots = {id(_root(array)) for array in arrays}

    def shares(array: Any) -> bool:
        return id(_root(array)) in roots and any(np.may_share_memory(array, a) for a in arrays)

    return shares


def _root(thing: Any) -> Any:
    """What the memory of an array belongs to."""
    while (base := getattr(thing, "base", None)) is not None:
        thing = base
    return thing


def owner(array: Array) -> Array:
    """The array whose memory this one shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
