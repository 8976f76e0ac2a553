"""Straight-line code as a loop in Python, one element at a time, for a compiler of loops.

`T` is the type of the elements, float32 or float64. Every line computes in it, as NumPy does, and
no line branches, so that the compiler can take eight elements at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .program import TRUTHS, Program

# NumPy's maximum, minimum, clip and sign let NaN through.
EXPRESSIONS = {
    "positive": "{0}",
    "negative": "-{0}",
    "reciprocal": "T(1) / {0}",
    "square": "{0} * {0}",
    "sqrt": "sqrt({0})",
    "abs": "abs({0})",
    "sign": "T(1) if {0} > T(0) else T(-1) if {0} < T(0) else T(0) if {0} == T(0) else {0}",
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "power": "{0} ** {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "logical_and": "{0} & {1}",
    "where": "{1} if {0} else {2}",
    "maximum": "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    "minimum": "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    "clip": "{2} if ({0} > {2}) | ({1} > {2}) else {1} if {0} < {1} else {0}",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "logaddexp": "{0} + log(T(2)) if {0} == {1} else {0} + log1p(exp({1} - {0})) if {0} > {1}"
    " else {1} + log1p(exp({0} - {1}))",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "sinh": "sinh({0})",
    "cosh": "cosh({0})",
    "tanh": "tanh({0})",
}
ASKED = {"logical_and": 2, "where": 1}  # how many of the operands are truths
FUNCTIONS = "cos, cosh, exp, expm1, log, log1p, sin, sinh, sqrt, tanh"


def loop(program: Program, letters: Sequence[str], dtype: str) -> str:
    """The text of `loop(numbers, p_all, …)`, which runs the program over arrays, in place."""
    truths = {step.name for step in program.steps if step.operation in TRUTHS}

    def spelled(name: str) -> str:
        return f"{name}_" if name in letters else name  # no name of a function or a step

    def number(name: str) -> str:
        return f"T({name})" if name in truths else spelled(name)

    def truth(name: str) -> str:
        return name if name in truths else f"({spelled(name)} != T(0))"

    lines = [
        f"from math import {FUNCTIONS}",
        "",
        f"from numpy import {dtype} as T",
        "",
        "",
        f"def loop(numbers, {', '.join(f'{letter}_all' for letter in letters)}):",
        *(f"    s{i} = numbers[{i}]" for i in range(len(program.formulas))),
        f"    for i in range({letters[0]}_all.size):",
        *(f"        {letter}_ = {letter}_all[i]" for letter in letters),
    ]
    for name, operation, operands in program.steps:
        asked = ASKED.get(operation, 0)
        words = [*map(truth, operands[:asked]), *map(number, operands[asked:])]
        lines.append(f"        {name} = {EXPRESSIONS[operation].format(*words)}")
    results = {letter: number(name) for letter, name in program.outputs.items()}
    lines += [f"        {letter}_all[i] = {result}" for letter, result in results.items()]
    return "\n".join([*lines, ""])
