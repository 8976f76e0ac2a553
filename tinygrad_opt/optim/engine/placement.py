"""Where the intermediate results of a program live while it runs as calls with ``out=``."""

from __future__ import annotations

from math import inf

from ...tracing.program import TRUTHS, Program, Step


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
