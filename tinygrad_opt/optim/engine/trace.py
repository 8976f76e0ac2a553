"""From a rule to a program: run the rule once on symbols, and keep what they wrote down.

    program = trace(rule, t, first, scalars, options)
    print(program)                                m = add(t0, t1) …

Where the options or the step of a later call answer a branch of the rule otherwise, that program
will not do and the rule is traced again: RAdam has two programs, not one for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .program import Early, Late, Line, Program, Step
from .symbols import Array, Names, Number

if TYPE_CHECKING:
    from ..rule import Rule


class Tape:
    """What a rule has done so far; the same call of the same operands is made once."""

    def __init__(self, carry: bool) -> None:
        self.carry = carry
        self.steps: dict[tuple[str, ...], Step] = {}
        self.lines: list[Line] = []
        self.numbers: dict[str, Number] = {}
        self.scalars: dict[str, Number] = {}  # numbers that array calls read
        self.decided: dict[str, bool] = {}

    # ---- numbers ------------------------------------------------------------------------------

    def option(self, name: str, value: Any, late: bool = False) -> Any:
        """A symbol for a value that the optimizer hands in; None and texts stay what they are."""
        if isinstance(value, tuple):
            return tuple(self.option(f"{name}[{i}]", v, late) for i, v in enumerate(value))
        if value is None or isinstance(value, str):
            self.lines.append(Line("", f"{name} == {value!r}", (), late))
            return value
        if not late:
            self.lines.append(Line("", f"{name} is not None", (), late))
        return Number(self, name, name, value, late)

    def number(self, value: Any) -> Number:
        """A symbol for a constant."""
        if isinstance(value, Number):
            return value
        plain = value.item() if hasattr(value, "item") else value
        text = repr(plain) if plain >= 0 else f"({plain!r})"
        return Number(self, text, text, plain)

    def compute(self, value: Any, pattern: str, *operands: Number) -> Number:
        """The number that Python computes from others, with a line of the program for it."""
        code = pattern.format(*(x.name for x in operands))
        if code not in self.numbers:
            name, late = f"k{len(self.numbers)}", any(x.late for x in operands)
            formula = f"({pattern.format(*(x.formula for x in operands))})"
            self.numbers[code] = Number(self, name, formula, value, late)
            self.lines.append(Line(name, code, tuple(x.name for x in operands), late))
        return self.numbers[code]

    def decide(self, number: Number) -> bool:
        """The answer to a branch, which becomes a condition of the program."""
        if number.name not in self.decided:
            answer = self.decided[number.name] = bool(number.value)
            code = number.name if answer else f"not {number.name}"
            self.lines.append(Line("", code, (number.name,), number.late))
        return self.decided[number.name]

    # ---- arrays -------------------------------------------------------------------------------

    def write(self, operation: str, *operands: str | Number) -> str:
        """Write down an array call of names and numbers; gives its own name."""
        for x in operands:
            if isinstance(x, Number):
                self.scalars[x.name] = x
        names = tuple(x.name if isinstance(x, Number) else x for x in operands)
        if operation == "multiply" and names[0] == names[1]:
            operation, names = "square", names[:1]  # the same bits, half the reading
        step = Step(f"t{len(self.steps)}", operation, names)
        return self.steps.setdefault((operation, *names), step).name

    def array(self, operation: str, *operands: Any) -> Array:
        """The array that a call of names and numbers makes."""
        return Array(self, self.write(operation, *operands))

    def call(self, operation: str, *operands: Any) -> Array:
        """The array that a call makes of its operands as they are, factors multiplied in."""
        return self.array(
            operation,
            *(x.multiplied() if isinstance(x, Array) else self.number(x) for x in operands),
        )


def trace(
    rule: Rule,
    t: int,
    first: bool,
    scalars: Sequence[Any],
    options: Sequence[Any],
    carry: bool = True,
) -> Program:
    """The program of a rule for a step and options like these."""
    tape = Tape(carry)
    values = {"t": tape.option("t", t, late=True), "first": tape.option("first", first, late=True)}
    values |= {name: tape.option(name, value) for name, value in zip(rule.options, options)}
    inputs = ("p", "g", *rule.letters)
    symbols: dict[str, Any] = {name: Array(tape, name) for name in inputs}
    for name, value in zip(rule.scalars, scalars):
        symbols[name] = tape.option(name, value, late=True)
    results = rule(Names(), *symbols.values(), **values)
    outputs: dict[str, str] = {}
    new: dict[str, str] = {}
    for letter, result in zip(("p", *rule.letters), results):
        if result is None:
            continue  # a letter that these options do not keep
        if letter in rule.scalars:
            new[letter] = tape.number(result).name
            continue
        name = result.multiplied()
        if name == letter:
            continue
        while name in (*inputs, *outputs.values()):
            name = tape.write("positive", name)  # a copy: two letters never share an array
        outputs[letter] = name
    return Program(rule.options, list(tape.steps.values()), tape.lines, tape.scalars, outputs, new)


def program_for(
    rule: Rule,
    t: int,
    first: bool,
    scalars: Sequence[Any],
    options: Sequence[Any],
    carry: bool = True,
) -> tuple[Program, Early, Late]:
    """The program for this step and options, and its numbers; traced if none known will do."""
    for program in rule.programs[carry]:
        settled = program.settle(*options)
        if settled and settled[1](t, first, scalars) is not None:
            return program, *settled
    program = trace(rule, t, first, scalars, options, carry)
    rule.programs[carry].append(program)
    return program, *program.settle(*options)
