"""One kernel a step: a rule's program as the body of a `cupy.ElementwiseKernel` over flat buffers.

The numbers of a step, rates, corrections, the count itself, are no constants of the text and no
arguments, but rows of a small table on the device, computed on the host for many steps ahead. So
a kernel is compiled once, and a step uploads nothing until the table is used up or an option
changes.
"""

from __future__ import annotations

from typing import Any

from ...kernels import elementwise_kernel, identifier
from ...tracing import Program, cuda
from .base import Engine
from .trace import program_for

AHEAD = 256  # rows of the table, once the options have held for a step


class Cuda(Engine):
    """Run the program as one kernel on p and its state, in place."""

    def __init__(self, *made_for: Any) -> None:
        super().__init__(*made_for)
        self.scalars: list[tuple[Any, ...]] = []  # before each row's step, and after the last
        self.begin, self.first, self.rows = 0, False, 0

    def __call__(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Take one step."""
        row = t - self.begin
        known = options is self.options and 0 <= row < self.rows
        if not known or first != (self.first and row == 0) or scalars != self.scalars[row]:
            self.look_ahead(t, first, scalars, options)
            row = 0
        if self.outputs:
            self.kernel(*self.inputs, self.table, row, *self.outputs)
        return self.scalars[row + 1]

    def look_ahead(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> None:
        """Fill the table with this step and those that will follow if nothing changes."""
        wanted = AHEAD if options is self.options else 1
        program, early, late = program_for(self.rule, t, first, scalars, options, carry=False)
        if program is not self.program:
            self.program = program
            self.prepare(program)
        table: list[Any] = []
        self.scalars = [scalars]
        while len(table) < wanted:
            try:
                numbers = late(t + len(table), first and not table, self.scalars[-1])
            except Exception:
                if not table:
                    raise
                numbers = None
            if numbers is None:
                break  # that step takes another branch of the rule, or fails: when it is there
            count = len(numbers) - len(scalars)
            table.append([*early, *numbers[:count]])
            self.scalars.append(numbers[count:])
        self.begin, self.first, self.rows, self.options = t, first, len(table), options
        self.table = self.xp.asarray(table, self.arrays["p"].dtype)

    def prepare(self, program: Program) -> None:
        """The kernel of a program, and what it reads and writes."""
        written = list(program.outputs)
        read = [
            name
            for name in self.arrays
            if name not in written and any(name in step.operands for step in program.steps)
        ]
        count = len(program.formulas)
        body = [f"const T s{i} = table[row * {count} + {i}];" for i in range(count)]
        spelled = {name: cuda.parameter(name) for name in self.arrays}
        body += cuda.lines(program.steps, lambda name: spelled.get(name, name))
        body += [f"{cuda.parameter(name)} = {step};" for name, step in program.outputs.items()]
        inputs = [f"T {cuda.parameter(name)}" for name in read]
        self.kernel = elementwise_kernel(
            self.xp,
            ", ".join([*inputs, "raw T table", "int32 row"]),
            ", ".join(f"T {cuda.parameter(name)}" for name in written),
            "\n".join(body),
            identifier(f"{self.rule.name}_step"),
        )
        self.inputs = [self.arrays[name] for name in read]
        self.outputs = [self.arrays[name] for name in written]
