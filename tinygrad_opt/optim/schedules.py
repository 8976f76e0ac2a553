"""Schedules: pure functions of the step, f(t) -> factor, and the algebra that joins them.

`warmup(100) >> cosine(900)` rises for 100 steps and falls for 900. A schedule knows no
optimizer: it multiplies a learning rate, a momentum, or whatever it is handed to.

Order: Schedule · the families, in the order of a lecture · reading a schedule from text.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, NamedTuple, ParamSpec

_Recipe = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # a call: what, with what

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
            _require("the length of a schedule", length, 0)
        self.function = function
        self.length = length
        self._recipe: _Recipe = (Schedule, (function, *_given(length)), {})

    def __call__(self, t: float) -> float:
        """The factor at step t, a Python float."""
        t = t.item() if hasattr(t, "item") else t  # NumPy's powers round differently
        end = math.inf if self.length is None else self.length
        return float(self.function(min(max(t, 0), end)))

    def __rshift__(self, after: Schedule) -> Schedule:
        if not isinstance(after, Schedule):
            return NotImplemented
        joint = self.length
        if joint is None:
            raise ValueError(f"{self} never ends, so nothing can follow it; give it a length")

        def joined(t: float) -> float:
            return self(t) if t < joint else after(t - joint)

        length = None if after.length is None else joint + after.length
        return _made(Schedule(joined, length), operator.rshift, self, after)

    def __mul__(self, other: Schedule | float) -> Schedule:
        if not isinstance(other, Schedule | Real):
            return NotImplemented
        return _made(_product(self, other), operator.mul, self, other)

    def __rmul__(self, other: float) -> Schedule:
        if not isinstance(other, Real):
            return NotImplemented
        return _made(_product(self, other), operator.mul, other, self)

    def repeat(self, n: int | None = None, stretch: float = 1) -> Schedule:
        """Restart n times over (None: for ever), each cycle `stretch` times longer than the last.

        At a boundary the new cycle starts; after the last cycle its end is held.
        SGDR (Loshchilov & Hutter 2016, arXiv:1608.03983) is `cosine(T).repeat(stretch=m)`.
        """
        if not self.length:
            raise ValueError(f"repeat needs a schedule that ends after some steps; {self} does not")
        if n is not None and not (n >= 1 and n % 1 == 0):
            raise ValueError(f"repeat: n must be a whole number ≥ 1 or None, got {n!r}")
        _require("repeat: stretch", stretch, 1)
        first = self.length
        last = math.inf if n is None else int(n) - 1

        def repeated(t: float) -> float:
            if stretch == 1:
                return self(t - first * min(t // first, last))
            start, size, cycle = 0.0, float(first), 0
            while t >= start + size and cycle < last:  # adding up: a logarithm rounds at boundaries
                start, size, cycle = start + size, size * stretch, cycle + 1
            return self((t - start) * first / size)

        length = None if n is None else sum(first * stretch**k for k in range(int(n)))
        options = {} if stretch == 1 else {"stretch": stretch}
        return _made(Schedule(repeated, length), Schedule.repeat, self, *_given(n), **options)

    def values(self, n: int) -> list[float]:
        """The first n values, [f(0), …, f(n − 1)], for a plot or a table."""
        return [self(t) for t in range(n)]

    def __repr__(self) -> str:
        return ast.unparse(_tree(self))

    def __reduce__(self) -> tuple[Callable[[], Schedule], tuple[()]]:
        make, arguments, options = self._recipe
        return functools.partial(make, *arguments, **options), ()


def _made(schedule: Schedule, make: Callable[..., Any], *args: Any, **options: Any) -> Schedule:
    """The same schedule, remembering the call that made it."""
    schedule._recipe = (make, args, options)
    return schedule


def _given(value: float | None) -> tuple[float, ...]:
    """An argument as it is written in a call: None is left out."""
    return () if value is None else (value,)


def _product(a: Schedule, b: Schedule | float) -> Schedule:
    factor = b if isinstance(b, Schedule) else constant(b, steps=0)  # a number makes nothing longer
    ends = [s.length for s in (a, factor) if s.length is not None]
    return Schedule(lambda t: a(t) * factor(t), max(ends) if len(ends) == 2 else None)


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


def _require(name: str, value: Any, low: float, above: bool = False) -> None:
    number = float(value) if isinstance(value, Real) else math.nan
    if not low <= number < math.inf or (above and number == low):
        bound = f"above {low}" if above else f"≥ {low}"
        raise ValueError(f"{name} must be a finite number {bound}, got {value!r}")


# ---------------------------------------------------------------------------- the families


class Family(NamedTuple):
    """One row of the table of schedules: the function, its formula, and when it helps."""

    function: Callable[..., Schedule]
    formula: str
    helps: str


SCHEDULES: dict[str, Family] = {}

P = ParamSpec("P")


def _family(define: Callable[P, Schedule]) -> Callable[P, Schedule]:
    """Enter a family in the table; what it makes prints as the call that made it."""

    @functools.wraps(define)
    def make(*args: P.args, **options: P.kwargs) -> Schedule:
        try:
            schedule = define(*args, **options)
        except ValueError as error:
            raise ValueError(f"{define.__name__}: {error}") from None
        return _made(schedule, make, *args, **options)

    helps, formula, *_ = (inspect.getdoc(define) or "\n\n").split("\n\n")
    SCHEDULES[define.__name__] = Family(make, formula.strip(), helps.replace("\n", " "))
    return make


def _over(T: float, shape: Callable[[float], float]) -> Schedule:
    """shape(p) with p = t/T from 0 to 1; a schedule of no steps is already over, at p = 1."""
    _require("T", T, 0)
    return Schedule(lambda t: shape(t / T if T else 1.0), T)


@_family
def constant(c: float = 1.0, steps: float | None = None) -> Schedule:
    """A level: the plateau of a trapezoid, or no schedule at all.

    f(t) = c
    """
    return Schedule(lambda t: c, steps)


@_family
def linear(T: float, start: float = 1.0, end: float = 0.0) -> Schedule:
    """A straight line: to zero, a strong default for a fixed budget (Li et al. 2019, 1905.04753).

    f(t) = start + (end − start) t/T
    """
    return _over(T, lambda p: start * (1 - p) + end * p)  # this form meets both ends exactly


@_family
def warmup(T: float, start: float | None = None) -> Schedule:
    """A rise to the full rate, while gradients and the moments of Adam are still unreliable.

        f(t) = start + (1 − start) t/T,  start = 1/(T + 1)

    The default start wastes no step: T steps lie below the full rate, the first above zero.
    `start=0.0` gives the common t/T, whose first step does nothing.
    """
    _require("T", T, 0)
    return linear(T, 1 / (T + 1) if start is None else start, 1.0)


@_family
def cosine(T: float, end: float = 0.0) -> Schedule:
    """Half a cosine wave, slow at both ends: the usual choice for a run of known length.

        f(t) = end + (1 − end)(1 + cos πt/T)/2

    Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts.
    """
    return _over(T, lambda p: end + (1 - end) * (1 + math.cos(math.pi * p)) / 2)


@_family
def polynomial(T: float, power: float = 1.0, end: float = 0.0) -> Schedule:
    """A line bent by a power: above 1 it falls early and lands softly, as in segmentation.

    f(t) = end + (1 − end)(1 − t/T)^power
    """
    _require("power", power, 0)
    return _over(T, lambda p: end + (1 - end) * (1 - p) ** power)


@_family
def one_minus_sqrt(T: float, end: float = 0.0) -> Schedule:
    """The steep cooldown after a long plateau (Hägele et al. 2024, arXiv:2405.18392).

    f(t) = end + (1 − end)(1 − √(t/T))
    """
    return _over(T, lambda p: end + (1 - end) * (1 - math.sqrt(p)))


@_family
def rex(T: float, end: float = 0.0) -> Schedule:
    """High for long and steep at last: good on small budgets (Chen et al. 2021, arXiv:2107.04197).

    f(t) = end + (1 − end)(1 − p)/(1 − p/2),  p = t/T
    """
    return _over(T, lambda p: end + (1 - end) * (1 - p) / (1 - p / 2))


@_family
def exponential(gamma: float) -> Schedule:
    """The same fraction lost at every step, for a run whose length is not known.

    f(t) = gammaᵗ
    """
    _require("gamma", gamma, 0)
    return Schedule(lambda t: float(gamma) ** t)


@_family
def every(s: float, gamma: float = 0.1) -> Schedule:
    """Stairs of equal width: the classic recipe, easy to read off a loss curve.

    f(t) = gamma^⌊t/s⌋
    """
    _require("s", s, 0, above=True)
    _require("gamma", gamma, 0)
    return Schedule(lambda t: float(gamma) ** (t // s))


@_family
def milestones(ms: Sequence[float], gamma: float = 0.1) -> Schedule:
    """Stairs at chosen steps, repeats counted twice: when you know where the loss flattens.

    f(t) = gamma^(number of m in ms with m ≤ t)
    """
    _require("gamma", gamma, 0)
    stairs = tuple(ms)
    return Schedule(lambda t: float(gamma) ** sum(m <= t for m in stairs))


@_family
def inverse_sqrt(scale: float) -> Schedule:
    """A slow decay without an end, for training that may be continued at any time.

    f(t) = √(scale/(scale + t))
    """
    _require("scale", scale, 0, above=True)
    return Schedule(lambda t: math.sqrt(scale / (scale + t)))


@_family
def triangle(up: float, down: float, low: float) -> Schedule:
    """Up and down again; repeated, the cyclical rate of Smith 2015, arXiv:1506.01186.

    f(t) = low + (1 − low) t/up,  then 1 + (low − 1)(t − up)/down
    """
    return linear(up, low, 1.0) >> linear(down, 1.0, low)


# ---------------------------------------------------------------------- a schedule from text


def parse(text: str) -> Schedule:
    """Read a schedule from text such as "warmup(100) >> cosine(900)"; the inverse of printing.

    Only the families above, numbers, lists, keywords, `>>`, `*` and `.repeat(…)` are understood;
    the text is never executed. ValueError for anything else.
    """
    try:
        return _schedule(ast.parse(text.strip(), mode="eval").body)
    except (
        ArithmeticError,
        MemoryError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as why:
        reason = why.msg if isinstance(why, SyntaxError) else why
        raise ValueError(
            f"cannot read {text!r} as a schedule: {reason}. Schedules are {', '.join(SCHEDULES)}, "
            f"joined by >>, scaled by * and restarted by .repeat(n, stretch), "
            f'as in "warmup(100) >> cosine(900)".'
        ) from None


def _schedule(node: ast.expr) -> Schedule:
    value = _evaluate(node)
    if not isinstance(value, Schedule):
        raise ValueError(f"{ast.unparse(node)} is a number where a schedule is needed")
    return value


def _evaluate(node: ast.expr) -> Any:
    match node:
        case ast.BinOp(left, symbol, right) if type(symbol) in SYMBOLS:
            return SYMBOLS[type(symbol)](_evaluate(left), _evaluate(right))
        case ast.Call(ast.Attribute(inner, "repeat"), arguments, keywords):
            function: Callable[..., Schedule] = _schedule(inner).repeat
        case ast.Call(ast.Name(name), arguments, keywords):
            function = _known(name)
        case ast.Name(name):
            _known(name)
            raise ValueError(f"{name} needs its arguments, as in {name}(…)")
        case _:
            return _number(node)
    options = {str(keyword.arg): _argument(keyword.value) for keyword in keywords}
    return function(*map(_argument, arguments), **options)


def _known(name: str) -> Callable[..., Schedule]:
    if name not in SCHEDULES:
        nearest = difflib.get_close_matches(name.lower(), SCHEDULES, n=1, cutoff=0.5)
        hint = f" (the nearest name is {nearest[0]!r})" if nearest else ""
        raise ValueError(f"there is no {name!r}{hint}")
    return SCHEDULES[name].function


def _argument(node: ast.expr) -> Any:
    match node:
        case ast.List(elements) | ast.Tuple(elements):
            return [_number(element) for element in elements]
        case ast.Constant(None):
            return None
    return _number(node)


def _number(node: ast.expr) -> float:
    match node:
        case ast.UnaryOp(ast.USub(), inner):
            return -_number(inner)
        case ast.Constant(bool()):
            pass
        case ast.Constant(int() | float() as value):
            return value
    raise ValueError(f"{ast.unparse(node)!r} is not a number")
