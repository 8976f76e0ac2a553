"""The table of schedules by name; a family enters it where it is defined."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple, ParamSpec

from .schedule import Schedule, made

P = ParamSpec("P")


class Family(NamedTuple):
    """One row of the table: the function, its formula, and when it helps."""

    function: Callable[..., Schedule]
    formula: str
    helps: str


SCHEDULES: dict[str, Family] = {}

ALIASES = {"every": "step"}  # other names for the same family


def family(define: Callable[P, Schedule]) -> Callable[P, Schedule]:
    """Enter a family in the table; what it makes prints as the call that made it."""

    @functools.wraps(define)
    def make(*args: P.args, **options: P.kwargs) -> Schedule:
        try:
            schedule = define(*args, **options)
        except ValueError as error:
            raise ValueError(f"{define.__name__}: {error}") from None
        return made(schedule, make, *args, **options)

    helps, formula, *_ = (inspect.getdoc(define) or "\n\n").split("\n\n")
    SCHEDULES[define.__name__] = Family(make, formula.strip(), helps.replace("\n", " "))
    return make
