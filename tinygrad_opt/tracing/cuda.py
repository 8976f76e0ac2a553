"""Straight-line code as the body of a CUDA kernel, one element per thread.

`T` is the type of the elements, float or double. Every line computes in it, as NumPy does: a number
is rounded to it first, and no literal drags an expression into double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .program import ALIKE, TRUTHS, Step

# NumPy's maximum, minimum, clip and sign let NaN through; CUDA's fmax and fmin do not.
EXPRESSIONS = ALIKE | {
    "abs": "fabs({0})",
    "sign": "{0} != {0} ? {0} : T(({0} > T(0)) - ({0} < T(0)))",
    "power": "pow({0}, {1})",
    "logical_and": "{0} && {1}",
    "where": "{0} ? T({1}) : T({2})",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "clip": "{0} > {2} || {1} > {2} ? {2} : {0} < {1} ? {1} : {0}",
    "logaddexp": "{0} == {1} ? {0} + log(T(2)) : {0} > {1} ? {0} + log1p(exp({1} - {0}))"
    " : {1} + log1p(exp({0} - {1}))",
}


def parameter(letter: str) -> str:
    """The name of a rule's array in a kernel: no word of CUDA's or CuPy's, no name of a step."""
    return "".join(c if c.isascii() else f"u{ord(c):x}" for c in letter) + "_"


def literal(number: float) -> str:
    """A number of the text, in the type of the elements."""
    if number != number:
        return 'T(nan(""))'
    if number in (float("inf"), float("-inf")):
        return f"({'-' if number < 0 else ''}T(1) / T(0))"  # without headers there is no INFINITY
    return f"T({float(number)!r})"


def lines(steps: Iterable[Step], spelled: Callable[[str], str]) -> list[str]:
    """A declaration for each step; `spelled` writes its operands."""
    return [
        f"const {'bool' if operation in TRUTHS else 'T'} {name} = "
        f"{EXPRESSIONS[operation].format(*map(spelled, operands))};"
        for name, operation, operands in steps
    ]
