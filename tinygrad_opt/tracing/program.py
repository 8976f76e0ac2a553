"""A rule as straight-line code, the form in which engines read it.

    s0 = betas[0]                   a number each: computed in Python, once for options or a step
    m = multiply(m, s0)             an array call each: NumPy's name, arrays, numbers

Order: what it is made of · Program · its Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from .symbols import Number

TRUTHS = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and"}

# Operations that Python and CUDA write alike; T is the type of the elements.
ALIKE = {
    "positive": "{0}",
    "negative": "-{0}",
    "reciprocal": "T(1) / {0}",
    "square": "{0} * {0}",
    "sqrt": "sqrt({0})",
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "sinh": "sinh({0})",
    "cosh": "cosh({0})",
    "tanh": "tanh({0})",
}

Early = tuple[float, ...]
Late = Callable[..., Any]  # numbers, or None
Settle = Callable[..., Any]  # (Early, Late), or None


class Step(NamedTuple):
    """One array call: its name, NumPy's name of the function, and the names of its operands."""

    name: str
    operation: str
    operands: tuple[str, ...]


class Line(NamedTuple):
    """A line of Python: a number and its code or, without a name, a condition that has to hold."""

    name: str
    code: str
    operands: tuple[str, ...]
    late: bool


class Program:
    """What a rule does, for the options and steps that meet its conditions.

    `steps` are array calls on p, g, the letters of the state and earlier steps; operands s0, s1, …
    are numbers. `outputs` tells which step gives the new value of p and of each letter; a letter
    that it does not name stays as it is. `formulas` says what the numbers are, and

        early, late = program.settle(*options)
        numbers = early + late(t, first, scalars)

    computes them: those that depend on options only, and those that change with the step, behind
    which come the new scalars. Either call gives None where a condition does not hold.
    """

    def __init__(
        self,
        options: Sequence[str],
        steps: Sequence[Step],
        lines: Sequence[Line],
        numbers: Mapping[str, Number],
        outputs: dict[str, str],
        scalars: Mapping[str, str],
    ) -> None:
        self.outputs = outputs
        steps = needed(steps, outputs.values())
        read = dict.fromkeys(x for step in steps for x in step.operands if x in numbers)
        used = sorted((numbers[name] for name in read), key=lambda number: number.late)
        self.formulas = tuple(number.formula for number in used)
        self.settle: Settle = _compiled(options, lines, used, scalars)
        names = {number.name: f"s{i}" for i, number in enumerate(used)}
        self.steps = [
            step._replace(operands=tuple(names.get(x, x) for x in step.operands)) for step in steps
        ]

    def __str__(self) -> str:
        letters = {name: letter for letter, name in self.outputs.items()}
        numbers = [f"s{i} = {formula}" for i, formula in enumerate(self.formulas)]
        calls = [
            f"{letters.get(name, name)} = {operation}"
            f"({', '.join(letters.get(x, x) for x in operands)})"
            for name, operation, operands in self.steps
        ]
        return "\n".join(numbers + calls)


Item = TypeVar("Item", Step, Line)


def needed(items: Sequence[Item], wanted: Iterable[str]) -> list[Item]:
    """The items with these names, those that they read, and conditions."""
    names, kept = set(wanted), []
    for item in reversed(items):
        if item.name in names or not item.name:
            names.update(item.operands)
            kept.append(item)
    return kept[::-1]


def _compiled(
    options: Sequence[str],
    lines: Sequence[Line],
    used: Sequence[Number],
    scalars: Mapping[str, str],
) -> Settle:
    """The function that computes the numbers, as written by the rule, in the order of the rule."""
    early: list[str] = []
    late: list[str] = []
    for line in needed(lines, [*(number.name for number in used), *scalars.values()]):
        code = f"{line.name} = {line.code}" if line.name else f"if not ({line.code}): return None"
        (late if line.late else early).append(code)
    early_names = "".join(f"{number.name}, " for number in used if not number.late)
    late_numbers = [number.name for number in used if number.late]
    late_names = "".join(f"{name}, " for name in [*late_numbers, *scalars.values()])
    source = [
        f"def settle({', '.join(options)}):",
        *(f"    {code}" for code in early),
        "    def late(t, first, scalars):",
        *(["        " + "".join(f"{name}, " for name in scalars) + "= scalars"] if scalars else []),
        *(f"        {code}" for code in late),
        f"        return ({late_names})",
        f"    return ({early_names}), late",
    ]
    scope: dict[str, Any] = {"inf": math.inf, "nan": math.nan}
    exec("\n".join(source), scope)
    settle: Settle = scope["settle"]
    return settle
