"""Is a student's function right? One check after another, up to the first hint."""

from __future__ import annotations

from dataclasses import dataclass

from .exercise import Exercise, Function
from .table import get_exercise


class Hint(AssertionError):
    """A function is not right yet; the text says what to look at."""


@dataclass(frozen=True)
class Verdict:
    """A check, whether it passed (None: it was not reached), and a hint where it did not."""

    check: str
    passed: bool | None
    hint: str = ""

    def __str__(self) -> str:
        sign = {True: "✓", False: "→", None: "·"}[self.passed]
        return f"  {sign} {self.check}" + (f"\n      Hint: {self.hint}" if self.hint else "")


def check(name: str, function: Function) -> None:
    """Check a function that somebody wrote as this exercise; raises `Hint` where it is not right.

    ValueError where there is no exercise of that name.
    """
    __tracebackhide__ = True  # pytest then shows the hint and nothing of this file
    for verdict in verdicts(get_exercise(name), function):
        if verdict.hint:
            raise Hint(f"{verdict.check}: {verdict.hint}")


def verdicts(exercise: Exercise, function: Function) -> list[Verdict]:
    """What every check of an exercise says; after one that fails the others are not reached."""
    found: list[Verdict] = []
    reached = True
    for name, look in exercise.checks(function):
        hint = look() if reached else ""
        found.append(Verdict(name, not hint if reached else None, hint))
        reached = reached and not hint
    return found
