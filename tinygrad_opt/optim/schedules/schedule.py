"""Schedule: a pure function of the step, f(t) -> factor, and the algebra that joins such functions.

Order: the function · the algebra · text and pictures · how it is written.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import math
import operator
from collections.abc import Callable, Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

from .demands import finite, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Recipe = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # a call: what, with what

_Joints = Callable[[float], list[float]]  # the joints before an end

SYMBOLS = {ast.RShift: operator.rshift, ast.Mult: operator.mul}


class Schedule:
    """A function f(t) of the step with a length; before 0 and after its end it stands still.

        f(t) = f(0) for t < 0        f(t) = f(length) for t > length

    `a >> b` plays b after a, and at the joint b counts; `a * b` and `a * 0.5` are products, as long
    as the longer factor; `repeat` restarts. A run of T steps uses f(0) … f(T−1), so a schedule of
    length T reaches its end just after the last step that is used. `Schedule(function, length)`
    wraps any function of t. A schedule prints, and is pickled, as the expression that made it.
    ValueError if the left side of `>>` is endless or a length is negative.
    """

    def __init__(self, function: Callable[[float], float], length: float | None = None) -> None:
        if not callable(function):
            raise TypeError(f"a schedule is made from a function of the step, got {function!r}")
        if length is not None:
            finite("the length of a schedule", length, 0)
        self.function = function
        self.length = length
        self._recipe: _Recipe = (Schedule, (function, *given(length)), {})
        self._joints: _Joints = lambda end: []

    def __call__(self, t: float) -> float:
        """The factor at step t, a Python float."""
        if hasattr(t, "item"):  # NumPy's powers round differently
            t = t.item()
        if t < 0:
            t = 0
        elif self.length is not None and t > self.length:
            t = self.length
        return float(self.function(t))

    # ---- the algebra --------------------------------------------------------------------------

    def __rshift__(self, after: Schedule) -> Schedule:
        if not isinstance(after, Schedule):
            return NotImplemented
        joint = self.length
        if joint is None:
            raise ValueError(f"{self} never ends, so nothing can follow it; give it a length")

        def joined(t: float) -> float:
            return self(t) if t < joint else after(t - joint)

        length = None if after.length is None else joint + after.length
        both = made(Schedule(joined, length), operator.rshift, self, after)
        both._joints = lambda end: [*self._joints(joint), joint, *_later(after, joint, end)]
        return both

    def __mul__(self, other: Schedule | float) -> Schedule:
        if not isinstance(other, Schedule | Real):
            return NotImplemented
        return made(_product(self, other), operator.mul, self, other)

    def __rmul__(self, other: float) -> Schedule:
        if not isinstance(other, Real):
            return NotImplemented
        return made(_product(self, other), operator.mul, other, self)

    def repeat(self, n: int | None = None, stretch: float = 1) -> Schedule:
        """Restart n times over (None: for ever), each cycle `stretch` times longer than the last.

        At a boundary the new cycle starts; after the last cycle its end is held.
        """
        first = self.length
        if not first:
            raise ValueError(f"repeat needs a schedule that ends after some steps; {self} does not")
        cycles = None if n is None else whole("repeat: n", n, 1)
        finite("repeat: stretch", stretch, 1)

        def repeated(t: float) -> float:
            start, size = cycle_at(t, first, stretch, cycles)
            return self((t - start) * first / size)

        length = None if cycles is None else _together(first, stretch, cycles)
        options = {} if stretch == 1 else {"stretch": stretch}
        cycle = made(Schedule(repeated, length), Schedule.repeat, self, *given(n), **options)
        cycle._joints = lambda end: _of_cycles(self, first, stretch, end)
        return cycle

    # ---- text and pictures --------------------------------------------------------------------

    def values(self, n: int) -> list[float]:
        """The first n values, [f(0), …, f(n − 1)], for a plot or a table."""
        return [self(t) for t in range(n)]

    def joints(self, end: float | None = None) -> list[float]:
        """The steps before `end` at which a part or a cycle follows another: for `a >> b`, a's end.

        Without `end`, those before the schedule's own; an endless one has to be given one.
        """
        end = self.length if end is None else end
        if end is None:
            raise ValueError(f"joints: {self} never ends; say up to which step")
        return sorted({t for t in self._joints(end) if 0 < t < end})

    def plot(self, steps: int | None = None) -> Figure:
        """The curve of the used steps as a matplotlib figure; without `steps`, up to its end.

        A point marks f(length), which a run of `length` steps does not use any more. ImportError
        with the line that installs matplotlib.
        """
        from .plot import figure

        return figure(self, steps)

    def sparkline(self, width: int = 60, steps: int | None = None) -> str:
        """The curve in a line of text; (warmup(10) >> cosine(50)) is ▂▄▅▇████▇▇▆▆▅▅▄▄▃▃▂▂▂▁▁▁."""
        from .plot import sparkline

        return sparkline(self, width, steps)

    def __str__(self) -> str:
        return ast.unparse(_tree(self))

    def __repr__(self) -> str:
        with contextlib.suppress(Exception):  # a function that raises is still to be printed
            return f"{self}  # {self.sparkline(30)}"
        return str(self)

    def __reduce__(self) -> tuple[Callable[[], Schedule], tuple[()]]:
        make, arguments, options = self._recipe
        return functools.partial(make, *arguments, **options), ()


def cycle_at(
    t: float, first: float, stretch: float, cycles: int | None = None
) -> tuple[float, float]:
    """Start and length of the cycle that t lies in; the last of `cycles` has no end."""
    last = math.inf if cycles is None else cycles - 1
    if stretch == 1:
        return first * min(t // first, last), first
    start, size, cycle = 0.0, float(first), 0
    while t >= start + size and cycle < last:  # adding up: a logarithm rounds at boundaries
        start, size, cycle = start + size, size * stretch, cycle + 1
    return start, size


def _later(after: Schedule, joint: float, end: float) -> list[float]:
    return [joint + t for t in after._joints(end - joint)] if end > joint else []


def _together(first: float, stretch: float, cycles: int) -> float:
    """How long so many cycles are, each `stretch` times as long as the one before."""
    if stretch == 1:
        return first * cycles
    if cycles <= 1000:
        return sum(first * stretch**k for k in range(cycles))
    try:
        return first * (float(stretch) ** cycles - 1) / (stretch - 1)
    except OverflowError:
        raise ValueError(
            f"repeat: {cycles:,} cycles, each {stretch:g} times longer than the last, never end. "
            "Leave n out."
        ) from None


def _of_cycles(inner: Schedule, first: float, stretch: float, end: float) -> list[float]:
    """The joints of every cycle up to the end, and where each ends."""
    found: list[float] = []
    start, size = 0.0, float(first)
    while start < end:
        found += [start + t * size / first for t in inner._joints(first)]
        start, size = start + size, size * stretch
        found.append(start)
    return found


def _product(a: Schedule, b: Schedule | float) -> Schedule:
    if not isinstance(b, Schedule):
        finite("a factor of a schedule", b)
        factor = float(b)
        product = Schedule(lambda t: a(t) * factor, a.length)
        product._joints = a._joints
        return product
    ends = [s.length for s in (a, b) if s.length is not None]
    product = Schedule(lambda t: a(t) * b(t), max(ends) if len(ends) == 2 else None)
    product._joints = lambda end: [*a._joints(end), *b._joints(end)]
    return product


# ---- how it is written ------------------------------------------------------------------------


def made(schedule: Schedule, make: Callable[..., Any], *args: Any, **options: Any) -> Schedule:
    """The same schedule, remembering the call that made it."""
    schedule._recipe = (make, args, options)
    return schedule


def given(value: float | None) -> tuple[float, ...]:
    """An argument as it is written in a call: None is left out."""
    return () if value is None else (value,)


def _tree(value: Any) -> ast.expr:
    """The syntax tree of the expression that made a value; unparsing it puts the parentheses."""
    if not isinstance(value, Schedule):
        if hasattr(value, "tolist"):  # a NumPy number or array
            value = value.tolist()
        elif isinstance(value, Iterable):
            value = list(value)
        name = getattr(value, "__qualname__", None)
        return ast.Name(name) if name else ast.Constant(value)
    make, arguments, options = value._recipe
    nodes = [_tree(argument) for argument in arguments]
    keywords = [ast.keyword(name, _tree(option)) for name, option in options.items()]
    for symbol, function in SYMBOLS.items():
        if make is function:
            return ast.BinOp(nodes[0], symbol(), nodes[1])
    if make is Schedule.repeat:
        return ast.Call(ast.Attribute(nodes[0], "repeat"), nodes[1:], keywords)
    return ast.Call(ast.Name(make.__name__), nodes, keywords)
