"""Blocks: a rule's program as NumPy calls with ``out=``, over pieces that stay in the cache.

Everything is prepared: where each intermediate lives, the pieces of every buffer, the calls. A step
computes a few numbers, writes them into 0-d arrays and runs the calls; it allocates nothing, but
for `where`, which NumPy gives no out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from ...tracing.program import TRUTHS, Program, Step
from .trace import program_for

if TYPE_CHECKING:
    from ..rule import Rule

BLOCK = 2**18  # bytes of each buffer: 64k float32, so that p, g, m, v and scratch fit into L2
OUT_BY_NAME = {"maximum", "minimum", "clip"}  # NumPy 2.4 deprecates their positional out


class Blocks:
    """Run the program over blocks of the flat buffers, one after the other.

    A block is a list of calls and touches nothing outside its elements, so lists may be shared out
    among threads, each with scratch of its own.
    """

    carry = True

    def __init__(
        self,
        rule: Rule,
        xp: Any,
        arrays: dict[str, Any],
        shapes: list[tuple[int, ...]],
        apart: list[dict[str, Any]],
    ) -> None:
        self.rule, self.xp, self.arrays = rule, xp, arrays
        self.carry = self.carry and arrays["p"].itemsize > 2  # halves have no range for factors
        self.options: tuple[Any, ...] | None = None
        self.program: Program | None = None

    def __call__(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Take one step."""
        numbers = self.late(t, first, scalars) if options is self.options else None
        if numbers is None:
            numbers = self.settle(t, first, scalars, options)
        for cell, number in zip(self.late_cells, numbers):
            cell[()] = number
        for call in self.calls:
            call()
        return numbers[len(self.late_cells) :] if scalars else scalars

    def settle(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Get ready for new options, or for a step that takes another branch of the rule."""
        program, early, self.late = program_for(self.rule, t, first, scalars, options, self.carry)
        if program is not self.program:
            self.program = program
            self.prepare(program)
        self.options = options
        for cell, number in zip(self.cells, early):
            cell[()] = number
        self.late_cells = self.cells[len(early) :]
        numbers: tuple[Any, ...] = self.late(t, first, scalars)
        return numbers

    def prepare(self, program: Program) -> None:
        """Write out the calls of a program."""
        place, copies = placement(program)
        size, dtype = self.arrays["p"].size, self.arrays["p"].dtype
        count = max(1, size * dtype.itemsize // BLOCK)
        length = -(-size // count // 16) * 16 or 1  # whole cache lines
        scratch = {
            slot: self.xp.empty(min(length, size), bool if slot.startswith("truth") else dtype)
            for slot in place.values()
            if slot not in self.arrays
        }
        self.cells = [self.xp.zeros((), dtype) for _ in program.formulas]
        cells = {f"s{i}": cell for i, cell in enumerate(self.cells)}
        self.calls = []
        for start in range(0, size, length):
            here = {name: array[start : start + length] for name, array in self.arrays.items()}
            here |= {slot: array[: here["p"].size] for slot, array in scratch.items()} | cells
            for name, operation, operands in [*program.steps, *copies]:
                arrays = [here[place.get(x, x)] for x in operands]
                self.calls.append(self.call(operation, arrays, here[place.get(name, name)]))

    def call(self, operation: str, arrays: list[Any], out: Any) -> Callable[[], Any]:
        """One array call, ready to be made."""
        if operation == "where":  # NumPy's has no out
            return lambda: self.xp.copyto(out, self.xp.where(*arrays))
        function = getattr(self.xp, operation)
        if operation in OUT_BY_NAME:
            return partial(function, *arrays, out=out)
        return partial(function, *arrays, out)


def placement(program: Program) -> tuple[dict[str, str], list[Step]]:
    """Where the result of each step lives, ``{"t0": "m", "t1": "scratch 1", …}``, and last copies.

    The buffer of a letter holds intermediates from the last reading of its old value to the writing
    of its new one. A new value that comes while the old one is still read waits in scratch.
    """
    letter_of = {name: letter for letter, name in program.outputs.items()}
    steps = list(enumerate(program.steps))
    read = {x: i for i, step in steps for x in step.operands}  # for the last time
    written: dict[str, float] = {
        letter_of[step.name]: i for i, step in steps if step.name in letter_of
    }
    free = {letter: due for letter, due in written.items() if letter not in read}
    place: dict[str, str] = {}
    copies = []
    for i, (name, operation, operands) in steps:
        for x in operands:
            if read[x] == i and x not in letter_of and (x in place or x in written):
                slot = place.get(x, x)
                free[slot] = written.get(slot, inf)  # until this step it may hold something else
        letter = letter_of.get(name)
        if letter and read.get(letter, -1) <= i:
            place[name] = letter
            free.pop(letter, None)
            continue
        until = inf if letter else read[name]
        kind = "truth" if operation in TRUTHS else "scratch"
        suits = [slot for slot in free if slot.startswith("truth") == (kind == "truth")]
        fits = [slot for slot in suits if free[slot] >= until]
        place[name] = slot = min(fits, key=free.__getitem__, default=f"{kind} {i}")
        free.pop(slot, None)
        if letter:
            copies.append(Step(letter, "positive", (name,)))
    return place, copies
