"""Exercises whose answers are numbers: they are held against the library's.

A mistake is an edit of the formula, so that wrong answers need not be written down twice: what the
student's function gives is compared with what the edited formula gives.

Order: calls and mistakes · the exercise · edits · which mistake it is · where numbers part.
"""

from __future__ import annotations

import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, combinations, permutations
from typing import Any

import numpy as np

from .answers import Outputs, Trouble, called, quietly, shapes, taken_apart
from .exercise import Check, Exercise, Function


@dataclass(frozen=True)
class Call:
    """Arguments, and what the library makes of them."""

    arguments: tuple[Any, ...]
    expected: tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """Calls that check one thing, which ``says`` what it is."""

    says: str
    calls: Sequence[Call]


@dataclass(frozen=True)
class Mistake:
    """Edits of a formula, each "as it is → as it is often written", and what to say about them."""

    name: str
    hint: str
    edits: tuple[str, ...]


def wrong(name: str, hint: str, *edits: str) -> Mistake:
    """A row of a table of mistakes."""
    return Mistake(name, hint, edits)


@dataclass(frozen=True)
class Formula(Exercise):
    """A function that gives what the library gives.

    ``formula`` is the text that mistakes are edits of, and ``adapt`` makes of it a function with
    the student's arguments. ``cases()`` asks the library for the answers.
    """

    gives: tuple[str, ...]
    cases: Callable[[], list[Case]]
    formula: Function
    mistakes: tuple[Mistake, ...]
    adapt: Callable[[Function], Function] = lambda formula: formula

    def with_mistakes(self, *mistakes: Mistake) -> Function:
        """What a student would have written who makes these; LookupError where they clash."""
        edits = [edit for mistake in mistakes for edit in mistake.edits]
        return self.adapt(_edited(self.formula, edits))

    def checks(self, function: Function) -> Iterator[Check]:
        """Whether it gives anything, the cases, and whether arguments stay as they are."""
        cases = self.cases()
        calls = [call for case in cases for call in case.calls]
        answers = _Answers(self, function)
        yield f"{self.name}(…) gives {' and '.join(self.gives)}", partial(answers.trouble, calls)
        for case in cases:
            yield case.says, partial(answers.hint, case.calls, calls)
        if any(isinstance(value, np.ndarray) for call in calls for value in call.arguments):
            yield "what goes in stays as it is", answers.changes


class _Answers:
    """What a student's function gives, and which of its arguments it has written into."""

    def __init__(self, exercise: Formula, function: Function) -> None:
        self.exercise, self.function = exercise, function
        self.changed: set[str] = set()

    def to(self, call: Call) -> Outputs:
        """Its outputs; `Trouble` where there are none."""
        result, given = called(self.exercise, self.function, call.arguments)
        for name, before, after in zip(self.exercise.arguments, call.arguments, given, strict=True):
            if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
                self.changed.add(name)
        return taken_apart(result, self.exercise.gives)

    def trouble(self, calls: Sequence[Call]) -> str:
        """What keeps the first answer from being compared."""
        try:
            self.to(calls[0])
        except Trouble as trouble:
            return self.recognised(calls, stopped_at=calls[0]) or str(trouble)
        return ""

    def hint(self, calls: Sequence[Call], everywhere: Sequence[Call]) -> str:
        """What to say about some calls; a mistake is told by what it does to all of them."""
        for call in calls:
            try:
                outputs = self.to(call)
            except Trouble as trouble:
                return self.recognised(everywhere, stopped_at=call) or str(trouble)
            if not _same(outputs, call.expected):
                return self.recognised(everywhere) or _parting(self.exercise, outputs, call)
        return ""

    def changes(self) -> str:
        """Which arguments it wrote into."""
        names = ", ".join(name for name in self.exercise.arguments if name in self.changed)
        advice = "The caller's array changes, too, as by += or […] = …. Make a new one: a = a + b."
        verb = "change" if "," in names else "changes"
        return f"{names} {verb} inside. {advice}" if names else ""

    def recognised(self, calls: Sequence[Call], stopped_at: Call | None = None) -> str:
        """The known mistake, as far as the function answers at all."""
        given: list[tuple[Call, Outputs]] = []
        for call in calls:
            try:
                given.append((call, self.to(call)))
            except Trouble:
                continue
        return _recognised(self.exercise, given, stopped_at) if given else ""


# ---- edits ------------------------------------------------------------------------------------


@cache
def _source(formula: Function) -> str:
    text = textwrap.dedent(inspect.getsource(formula))
    return text[text.index("def ") :]  # without decorators


def _edited(formula: Function, edits: Sequence[str]) -> Function:
    """The function that its source gives after some edits."""
    text = _source(formula)
    for edit in edits:
        old, _, new = edit.partition(" →")
        if old not in text:
            raise LookupError(f"{formula.__qualname__} does not say {old!r}.")
        text = text.replace(old, new.removeprefix(" "))
    names = dict(formula.__globals__)
    exec(text, names)
    edited: Function = names[formula.__name__]
    return edited


# ---- which mistake ----------------------------------------------------------------------------


def _recognised(
    exercise: Formula, given: Sequence[tuple[Call, Outputs]], stopped_at: Call | None
) -> str:
    """The known mistake, or two of them, with which the formula gives just what was given."""
    if all(_same(outputs, call.expected) for call, outputs in given):
        return ""  # what it does give is right
    for order in permutations(range(len(exercise.gives))):
        if all(_same([outputs[i] for i in order], call.expected) for call, outputs in given):
            asked = ", ".join(exercise.gives)
            return f"The values are right and their order is not: return {asked}."
    for some in chain.from_iterable(combinations(exercise.mistakes, n) for n in (1, 2)):
        try:
            mistaken = exercise.with_mistakes(*some)
            if all(_same(outputs, _answer(mistaken, call)) for call, outputs in given) and (
                stopped_at is None or _stops(mistaken, stopped_at)
            ):
                return " Also: ".join(mistake.hint for mistake in some)
        except _REFUSED:
            continue  # these two do not go together, or stop where the student's does not
    return ""


_REFUSED = (LookupError, ArithmeticError, ValueError, SyntaxError)


def _answer(function: Function, call: Call) -> Outputs:
    result = quietly(function, copy.deepcopy(call.arguments))
    return result if isinstance(result, tuple) else (result,)


def _stops(function: Function, call: Call) -> bool:
    try:
        _answer(function, call)
    except _REFUSED:
        return True
    return False


def _same(outputs: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Equal within 1e-12; nan is equal to nan."""
    return all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True)
        for a, b in zip(outputs, expected, strict=True)
    )


# ---- where numbers part -----------------------------------------------------------------------


def _parting(exercise: Formula, outputs: Outputs, call: Call) -> str:
    """The last output that is wrong, on which others depend, by its shape or its worst number."""
    *_, (name, mine, right) = (
        (name, np.asarray(mine), np.asarray(right))
        for name, mine, right in zip(exercise.gives, outputs, call.expected, strict=True)
        if not _same([mine], [right])
    )
    if mine.shape != right.shape:
        given = shapes(exercise, call.arguments)
        behind = f", for {given}" if given else ""
        return f"{name} has the shape {mine.shape} and should have {right.shape}{behind}."
    distance = np.nan_to_num(np.abs(mine - right), nan=np.inf)
    at = np.unravel_index(int(np.argmax(distance)), right.shape)
    place = f" at [{', '.join(map(str, at))}]" if right.shape else ""
    there = ", ".join(
        f"{argument} = {_shown(value[at] if np.shape(value) == right.shape != () else value)}"
        for argument, value in zip(exercise.arguments, call.arguments, strict=True)
    )
    digits = next(n for n in (4, 8, 12, 17) if f"{right[at]:.{n}g}" != f"{mine[at]:.{n}g}")
    numbers = f"should be {right[at] + 0.0:.{digits}g} and is {mine[at] + 0.0:.{digits}g}"
    return f"{name}{place} {numbers}; there {there}."


def _shown(value: Any) -> str:
    """A number in 4 digits, a small array whole, a large one by its shape."""
    if np.ndim(value) == 0:
        return f"{float(value) + 0.0:.4g}"
    if np.size(value) > 6:
        return f"an array {np.shape(value)}"
    return " ".join(np.array2string(np.asarray(value), precision=4, separator=", ").split())
