"""Flat storage: the parameters of a group side by side in one buffer, gradients and state likewise.

A parameter's array is a view of the buffer, so one call moves all of them. The parameter owns the
truth: where somebody gave it another array, the values are taken in and the view is put back.
Its gradient is computed right into its place or, where it lies somewhere else, moved there.

Order: buffers · runs · Flat.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from math import prod
from typing import Any

import numpy as np

from ..device import Device
from ..homes import Home
from ..observer import module_of
from ..operation import Variable, changed
from .denormals import INTERVAL, guard_for
from .engine import ENGINES, default_engine
from .engine.base import Engine
from .parameters import check_gradient
from .rule import Rule, each

PAGE, STAGGER = 4096, 832  # bytes; 832 is 13 cache lines

KNOWN = 32  # engines kept for runs that may come again

Entry = tuple[int, dict[str, Any]]  # of one parameter: its step count, and its state by letter


def buffer(size: int, dtype: np.dtype[Any], device: Device, place: int) -> Any:
    """Zeros in a row.

    On the CPU they begin at a cache line, and equal indices of buffers with different places are
    never at the same offset of a page: there the processor takes one for the other and waits.
    """
    if device.kind != "cpu":
        with device.activate():
            return device.xp.zeros(size, dtype)
    raw = np.frombuffer(bytearray(size * dtype.itemsize + PAGE), np.uint8)
    start = (place * STAGGER - raw.ctypes.data) % PAGE
    return raw[start : start + size * dtype.itemsize].view(dtype)


def part_of(flat: Any, start: int, shape: tuple[int, ...]) -> Any:
    """An array on a part of a buffer that is its own base: who holds a view of it holds it."""
    offset = start * flat.itemsize
    if isinstance(flat, np.ndarray):
        raw: Any = flat.base
        return np.ndarray(shape, flat.dtype, raw.base, flat.ctypes.data - raw.ctypes.data + offset)
    return type(flat)(shape, flat.dtype, flat.data + offset)


def same_shape(owner: str, who: str, p: Variable, shape: tuple[int, ...]) -> None:
    """ValueError for a parameter that was given an array of another shape."""
    if p._data.shape != shape:
        raise ValueError(
            f"{owner}: {who} has shape {p._data.shape} now and had {shape} when the optimizer was "
            "made. Make a new optimizer."
        )


class Run:
    """Neighbours that have stepped equally often and keep the same state: one call of an engine.

    These are parameters start … stop − 1. `moves`: they have gradients now; `made`: the letters of
    their state; `first`: some that are kept are not made yet; `scalars`: in the rule's order.
    """

    __slots__ = ("engine", "first", "made", "moves", "scalars", "start", "stop", "t")

    def __init__(self, start: int, stop: int, moves: bool, t: int, made: frozenset[str]) -> None:
        self.start, self.stop = start, stop
        self.moves, self.t, self.made = moves, t, made
        self.first = True
        self.scalars: tuple[Any, ...] = ()
        self.engine: Engine | None = None


class Moved(Exception):
    """A parameter has another dtype or device than its buffer."""


class Flat:
    """Parameters of one dtype on one device, their gradients and their state, in flat buffers."""

    def __init__(
        self, params: Sequence[Variable], labels: Sequence[str], rule: Rule, engine: str | None
    ) -> None:
        self.params, self.labels, self.rule = list(params), list(labels), rule
        self.device, self.dtype = params[0].device, params[0]._data.dtype
        self.shapes = [p._data.shape for p in params]
        self.bounds = [0, *accumulate(map(prod, self.shapes))]
        usual = default_engine(self.device, self.dtype, self.bounds[-1])
        self.kind = ENGINES[engine or usual]
        self.guard = guard_for(rule, self.device, self.dtype)
        self.p, self.g = self.buffer(0), self.buffer(1)
        self.state: dict[str, Any] = {}
        self.apart: list[dict[str, Any]] = [{} for _ in params]  # state of other shapes
        self.views = [self.piece(self.p, i) for i in range(len(params))]
        self.house()
        self.all_present = [True] * len(params)
        self.letters: tuple[str, ...] = ()
        self.values: tuple[Any, ...] | None = None
        self.runs: list[Run] = []
        self.engines: dict[Any, Engine] = {}
        self.take_in()
        self.load({})

    def buffer(self, place: int) -> Any:
        """Room for one number beside every number of the parameters."""
        return buffer(self.bounds[-1], self.dtype, self.device, place)

    def piece(self, flat: Any, i: int) -> Any:
        """The part of a flat buffer that belongs to a parameter, in its shape."""
        return flat[self.bounds[i] : self.bounds[i + 1]].reshape(self.shapes[i])

    def state_buffer(self, letter: str) -> Any:
        """The buffer of a letter, made when it is first asked for."""
        if letter not in self.state:
            self.state[letter] = self.buffer(2 + self.rule.letters.index(letter))
        return self.state[letter]

    # ---- before a step: values and gradients come in ------------------------------------------

    def house(self) -> None:
        """Give every gradient its place in the buffer."""
        places = zip(self.bounds, self.shapes, self.views)
        self.homes = [Home(part_of(self.g, start, shape), view) for start, shape, view in places]
        self.rows = list(zip(self.params, self.views, self.homes, self.shapes))
        for p, home in zip(self.params, self.homes):
            p._home = weakref.ref(home)

    def vacate(self) -> None:
        """Make every place free to be written into; who holds what is there keeps it as it is."""
        if any(home.room() is None for home in self.homes):
            before, self.g = self.g, self.buffer(1)
            self.g[...] = before
            self.house()
            self.engines.clear()
            for run in self.runs:
                run.engine = None

    def take_in(self) -> None:
        """Copy the values of parameters whose array is not the view, and make it the view again."""
        astray = [
            (i, p)
            for i, (p, view) in enumerate(zip(self.params, self.views))
            if p._data is not view
        ]
        for i, p in astray:
            same_shape(self.rule.name, self.labels[i], p, self.shapes[i])
            if p.device is not self.device or p._data.dtype != self.dtype:
                raise Moved
        for i, p in astray:
            self.views[i][...] = p._data
            p._data = self.views[i]

    def gather(self) -> None:
        """Copy the gradients into their buffer, and note which parameters have one."""
        present = self.all_present if self.gather_all() else self.gather_each()
        if present is not self.present and present != self.present:
            self.arrange(present)

    def gather_all(self) -> bool:
        """The usual case, as fast as it goes: all have a gradient, and none was rebound."""
        try:
            for p, view, home, shape in self.rows:
                g = p.grad._data
                if p._data is not view:
                    return False
                if g is not home.array:
                    if home.room() is None or g.shape != shape:
                        return False
                    self.move_in(p, home)
        except (AttributeError, TypeError, ValueError):
            return False
        return True

    def gather_each(self) -> list[bool]:
        """Any other case: take in what was rebound, skip None, or say what is wrong."""
        self.take_in()
        coming = []
        for p, home, label in zip(self.params, self.homes, self.labels):
            if p.grad is not None:
                check_gradient(self.rule.name, p, label)
                if p.grad.is_sparse:
                    raise TypeError(
                        f"{self.rule.name}: the gradient of {label} is one of rows, which "
                        "SparseAdam takes. Make the layer Embedding(…, sparse=False), or give "
                        "its weight to SparseAdam."
                    )
                if p.grad._data is not home.array:
                    coming.append(home)
        if any(home.room() is None for home in coming):
            self.vacate()
        for p, home in zip(self.params, self.homes):
            if p.grad is not None and p.grad._data is not home.array:
                self.move_in(p, home)
        return [p.grad is not None for p in self.params]

    def move_in(self, p: Variable, home: Home) -> None:
        """Copy a gradient into its place, where its tensor has it from now on."""
        home.array[...] = p.grad._data
        p.grad._data = home.array

    def arrange(self, present: list[bool]) -> None:
        """Split the parameters into the longest runs of equal presence, step count and state."""
        self.present = present
        self.moving = [p for p, moves in zip(self.params, present) if moves]
        keys = [
            (present[i], run.t, run.made, run.scalars)
            for run in self.runs
            for i in range(run.start, run.stop)
        ]
        self.runs = []
        for (moves, t, made, scalars), group in groupby(range(len(keys)), keys.__getitem__):
            members = list(group)
            run = Run(members[0], members[-1] + 1, moves, t, made)
            run.first, run.scalars = not made.issuperset(self.letters), scalars
            self.runs.append(run)

    # ---- the step -----------------------------------------------------------------------------

    def advance(self, values: tuple[Any, ...]) -> None:
        """Take one step with these options, in the order of `rule.options`."""
        if values is not self.values:
            self.use(values)
        settled = False
        for run in self.runs:
            if run.moves:
                engine = run.engine or self.equip(run)
                run.scalars = engine(run.t + 1, run.first, run.scalars, values)
                run.t += 1
                if not run.t % INTERVAL and self.guard:
                    self.guard(self.part(run, self.letters), run.t, run.scalars, values)
                if run.first:
                    run.made, run.first, settled = run.made.union(self.letters), False, True
        if settled and len(self.runs) > 1:
            self.arrange(self.present)  # neighbours may have become alike
        if self.moving:
            changed(self.moving, self.rule.cause)

    def arrays(self, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        """p, g and the flat state of each run that is about to move, with these options."""
        self.use(values)
        for run in self.runs:
            if run.moves:
                run.engine = run.engine or self.equip(run)
                yield self.part(run, ("p", "g", *self.state))

    def use(self, values: tuple[Any, ...]) -> None:
        """Keep the state that these options ask for from now on."""
        self.values = values
        letters = self.rule.kept(dict(zip(self.rule.options, values)))
        if letters != self.letters:
            self.letters = letters
            self.arrange(self.present)

    def equip(self, run: Run) -> Engine:
        """Make what state is missing, and an engine for this run's part of all buffers."""
        for letter in self.letters:
            if letter not in run.made:
                self.make(letter, run)
        arrays = self.part(run, ("p", "g", *self.letters))
        key = run.start, run.stop, self.letters
        if key not in self.engines:
            if len(self.engines) == KNOWN:
                self.engines.clear()
            shapes, apart = self.shapes[run.start : run.stop], self.apart[run.start : run.stop]
            self.engines[key] = self.kind(self.rule, module_of(self.device), arrays, shapes, apart)
        run.engine = self.engines[key]
        return run.engine

    def part(self, run: Run, letters: Sequence[str]) -> dict[str, Any]:
        """What belongs to a run in the flat buffers of these letters, of those that have one."""
        flat = {"p": self.p, "g": self.g} | self.state
        part = slice(self.bounds[run.start], self.bounds[run.stop])
        return {letter: flat[letter][part] for letter in letters if letter in flat}

    def make(self, letter: str, run: Run) -> None:
        """Put the state with this letter where it begins."""
        part = slice(self.bounds[run.start], self.bounds[run.stop])
        rule, options = self.rule, dict(zip(self.rule.options, self.values or ()))
        with self.device.activate():
            if letter in rule.apart:
                for i in range(run.start, run.stop):
                    new = rule.begin(letter, self.device.xp, self.views[i], options)
                    self.apart[i][letter] = new
            elif letter in rule.scalars:
                before = run.scalars[: rule.scalars.index(letter)]
                run.scalars = *before, rule.begin(letter, None, None, options)
            else:
                new = rule.begin(letter, self.device.xp, self.p[part], options)
                self.state_buffer(letter)[part] = new

    def begin(self, values: tuple[Any, ...]) -> None:
        """Make the state before the first step."""
        self.use(values)
        for run in self.runs:
            self.equip(run)
            run.made = run.made.union(self.letters)
            run.first = False

    # ---- state, parameter by parameter --------------------------------------------------------

    def entry(self, i: int) -> Entry:
        """Step count and state of a parameter; the arrays are views."""
        run = next(run for run in self.runs if i < run.stop)
        known = self.apart[i] | dict(zip(self.rule.scalars, run.scalars))
        known |= {letter: self.piece(flat, i) for letter, flat in self.state.items()}
        made = [letter for letter in self.rule.letters if letter in run.made]
        return run.t, {letter: known[letter] for letter in made}

    def taken(self, array: Any) -> Any:
        """A copy of an array, on this device and of this dtype."""
        return self.device.put(array).astype(self.dtype)

    def load(self, entries: Mapping[int, Entry]) -> None:
        """Continue from these step counts and states; parameters without one begin."""
        self.runs = []
        for i in range(len(self.params)):
            t, state = entries.get(i, (0, {}))
            run = Run(i, i + 1, True, t, frozenset(state))
            for letter, value in state.items():
                if letter in self.rule.apart:
                    self.apart[i][letter] = each(self.taken, value)
                elif letter not in self.rule.scalars:
                    self.piece(self.state_buffer(letter), i)[...] = self.device.put(value)
            run.scalars = tuple(state[letter] for letter in self.rule.scalars if letter in state)
            self.runs.append(run)
        self.arrange(self.all_present)
