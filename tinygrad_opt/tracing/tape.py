"""What a traced function has done so far, line by line."""

from __future__ import annotations

from typing import Any

from .program import Line, Step
from .symbols import Array, Number


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
