"""Straight-line code as a loop in Python, one element at a time, for a compiler of loops.

`T` is the type of the elements, float32 or float64. Every line computes in it, as NumPy does, and
no line branches, so that the compiler can take eight elements at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .program import ALIKE, TRUTHS, Program

# NumPy's maximum, minimum, clip and sign let NaN through.
EXPRESSIONS = ALIKE | {
    "abs": "abs({0})",
    "sign": "T(1) if {0} > T(0) else T(-1) if {0} < T(0) else T(0) if {0} == T(0) else {0}",
    "power": "{0} ** {1}",
    "logical_and": "{0} & {1}",
    "where": "{1} if {0} else {2}",
    "maximum": "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    "minimum": "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    "clip": "{2} if ({0} > {2}) | ({1} > {2}) else {1} if {0} < {1} else {0}",
    "logaddexp": "{0} + log(T(2)) if {0} == {1} else {0} + log1p(exp({1} - {0})) if {0} > {1}"
    " else {1} + log1p(exp({0} - {1}))",
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
