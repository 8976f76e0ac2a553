"""Blocks: a rule's program as NumPy calls with ``out=``, over pieces that stay in the cache.

Everything is prepared: where each intermediate lives, the pieces of every buffer, the calls. A step
computes a few numbers, writes them into 0-d arrays and makes the calls; it allocates nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...threads import Calls, threads, together
from ...tracing import Program
from .base import Engine
from .placement import placement
from .trace import program_for

Call = Callable[[], Any]

BLOCK = 2**18  # bytes of each buffer: 64k float32, so that p, g, m, v and scratch fit into L2
SHARED = 500_000  # numbers from which threads share a step; fewer are not worth a busy core
SHARED_BLOCK = 5 * 2**17  # then larger: threads queue for the interpreter between two calls
BITS = ("bits kept", "bits that differ")  # scratch for choices
LINE = 16  # numbers: no two threads write into one cache line

OUT_BY_NAME = {"maximum", "minimum", "clip"}  # NumPy 2.4 deprecates their positional out


class Blocks(Engine):
    """Run the program over blocks of the flat buffers, one after the other, or on threads."""

    carry = True

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
        carry = self.carry and self.arrays["p"].itemsize > 2  # halves have no range for factors
        program, early, late = program_for(self.rule, t, first, scalars, options, carry)
        self.options = None  # until all is ready, whatever comes between
        if program is not self.program:
            self.program = None
            room = self.xp.zeros(len(program.formulas), self.arrays["p"].dtype)
            self.cells = [room[i : i + 1].reshape(()) for i in range(room.size)]
            self.calls = together([self.calls_on(part, program, room) for part in self.parts()])
            self.program = program
        self.options, self.late = options, late
        for cell, number in zip(self.cells, early):
            cell[()] = number
        self.late_cells = self.cells[len(early) :]
        numbers: tuple[Any, ...] = self.late(t, first, scalars)
        return numbers

    # ---- the calls ----------------------------------------------------------------------------

    def parts(self) -> list[dict[str, Any]]:
        """The arrays, or the share of each thread where there is enough for several."""
        p = self.arrays["p"]
        many = isinstance(p, np.ndarray) and p.size >= SHARED
        return pieces(self.arrays, threads() if many else 1)

    def calls_on(self, part: dict[str, Any], program: Program, room: Any) -> Calls:
        """The calls of a program on a part of the arrays; its numbers are in this room."""
        place, copies = placement(program)
        p, whole = part["p"], part["p"].size == self.arrays["p"].size
        blocks = pieces(part, p.nbytes // (BLOCK if whole else SHARED_BLOCK))
        longest = blocks[0]["p"].size
        chooses = any(step.operation == "where" for step in program.steps)
        scratch = {
            slot: self.xp.empty(longest, bool if slot.startswith("truth") else p.dtype)
            for slot in [*place.values(), *(BITS if chooses else ())]
            if slot not in part
        }
        cells = {f"s{i}": cell for i, cell in enumerate(self.cells)}
        calls: list[Call] = []
        for block in blocks:
            here = cells | block
            here |= {slot: array[: block["p"].size] for slot, array in scratch.items()}
            for name, operation, operands in [*program.steps, *copies]:
                arrays = [here[place.get(x, x)] for x in operands]
                out = here[place.get(name, name)]
                if operation == "where":
                    calls += self.choice(arrays, out, [here[slot] for slot in BITS])
                elif operation in OUT_BY_NAME:
                    calls.append(partial(getattr(self.xp, operation), *arrays, out=out))
                else:
                    calls.append(partial(getattr(self.xp, operation), *arrays, out))
        return calls

    def choice(self, arrays: list[Any], out: Any, scratch: list[Any]) -> list[Call]:
        """NumPy's `where`, which has no out, on bits and faster by five: b ^ (a ^ b) · choice."""
        chosen, *numbers = arrays
        if chosen.dtype != bool or any(x.dtype != out.dtype for x in numbers):
            return [lambda: self.xp.copyto(out, self.xp.where(*arrays))]
        a, b, kept, difference, out = (x.view(f"u{x.itemsize}") for x in (*numbers, *scratch, out))
        return [
            partial(self.xp.copyto, kept, chosen),
            partial(self.xp.bitwise_xor, a, b, difference),
            partial(self.xp.multiply, difference, kept, difference),
            partial(self.xp.bitwise_xor, b, difference, out),
        ]


def pieces(arrays: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The arrays in some pieces of equal length, but for the last; each begins at a cache line."""
    size = arrays["p"].size
    length = -(-size // max(count, 1) // LINE) * LINE or 1
    return [
        {name: array[start : start + length] for name, array in arrays.items()}
        for start in range(0, max(size, 1), length)
    ]
