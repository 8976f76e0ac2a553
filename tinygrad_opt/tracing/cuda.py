"""Straight-line code as the body of a CUDA kernel, one element per thread.

`T` is the type of the elements, float or double. Every line computes in it, as NumPy does: a number
is rounded to it first, and no literal drags an expression into double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .program import TRUTHS, Step

# NumPy's maximum, minimum, clip and sign let NaN through; CUDA's fmax and fmin do not.
EXPRESSIONS = {
    "positive": "{0}",
    "negative": "-{0}",
    "reciprocal": "T(1) / {0}",
    "square": "{0} * {0}",
    "sqrt": "sqrt({0})",
    "abs": "fabs({0})",
    "sign": "{0} != {0} ? {0} : T(({0} > T(0)) - ({0} < T(0)))",
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "power": "pow({0}, {1})",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "logical_and": "{0} && {1}",
    "where": "{0} ? T({1}) : T({2})",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "clip": "{0} > {2} || {1} > {2} ? {2} : {0} < {1} ? {1} : {0}",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "logaddexp": "{0} == {1} ? {0} + log(T(2)) : {0} > {1} ? {0} + log1p(exp({1} - {0}))"
    " : {1} + log1p(exp({0} - {1}))",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "sinh": "sinh({0})",
    "cosh": "cosh({0})",
    "tanh": "tanh({0})",
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
