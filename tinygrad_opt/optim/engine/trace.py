"""From a rule to a program: run the rule once on symbols, and keep what they wrote down.

    program = trace(rule, t, first, scalars, options)
    print(program)                                m = add(t0, t1) …

Where the options or the step of a later call answer a branch of the rule otherwise, that program
will not do and the rule is traced again: RAdam has two programs, not one for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...tracing import Array, Names, Program, Tape
from ...tracing.program import Early, Late

if TYPE_CHECKING:
    from ..rule import Rule


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
