"""A schedule read from text, for the command line and for records of runs."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from ...names import did_you_mean, shortened
from .schedule import SYMBOLS, Schedule
from .table import ALIASES, SCHEDULES

LONGEST = 2000  # characters


def parse(text: str) -> Schedule:
    """Read a schedule from text such as "warmup(100) >> cosine(900)"; the inverse of printing.

    Only the families of `schedules`, numbers, lists, keywords, `>>`, `*` and `.repeat(…)` are
    understood; the text is never executed. ValueError for anything else.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text):,} characters are too many, it has up to {LONGEST:,}")
        return _schedule(ast.parse(text.strip(), mode="eval").body)
    except (
        ArithmeticError,
        MemoryError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as why:
        reason = str(why.msg if isinstance(why, SyntaxError) else why)[:200]
        reason += "" if reason.endswith(("?", ".")) else "."
        raise ValueError(
            f"cannot read {shortened(text, 200)} as a schedule: {reason} Schedules are "
            f"{', '.join(SCHEDULES)}, joined by >>, scaled by * and restarted by "
            f'.repeat(n, stretch), as in "warmup(100) >> cosine(900)".'
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
    name = ALIASES.get(name, name)
    if name not in SCHEDULES:
        raise ValueError(f"there is no {name!r}.{did_you_mean(name, [*SCHEDULES, *ALIASES])}")
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
