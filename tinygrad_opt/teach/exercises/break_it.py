"""Wrong derivatives to be caught: right at some inputs, and wrong where one has to look."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...gradcheck import gradcheck
from ...operation import op
from ...tensor import Tensor
from .answers import Trouble, called
from .exercise import Check, Exercise, Function

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Broken:
    """A value with a wrong derivative for each input, and with the right ones.

    At ``blind`` nothing shows; ``nudge`` says what is special about that.
    """

    name: str
    value: Rule
    wrong: tuple[Rule, ...]
    right: tuple[Rule, ...]
    blind: tuple[Any, ...]
    nudge: str


BROKEN = (
    Broken(
        "square",
        lambda xp, x: x * x,
        (lambda xp, g, y, x: g * x,),
        (lambda xp, g, y, x: g * 2 * x,),
        (0.0,),
        "At x = 0 half the slope is the whole slope.",
    ),
    Broken(
        "cube",
        lambda xp, x: x * x * x,
        (lambda xp, g, y, x: g * 3 * x * xp.absolute(x),),
        (lambda xp, g, y, x: g * 3 * x * x,),
        ([0.5, 1.0, 2.0],),
        "|x| · x is x², as long as x is not negative.",
    ),
    Broken(
        "product",
        lambda xp, a, b: a * b,
        (lambda xp, g, y, a, b: g * a, lambda xp, g, y, a, b: g * b),
        (lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a),
        (3.0, 3.0),
        "With a = b nobody can tell which is which.",
    ),
    Broken(
        "quotient",
        lambda xp, a, b: a / b,
        (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: g * a / (b * b)),
        (lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: -g * a / (b * b)),
        (0.0, 2.0),
        "The slope along b is in proportion to a, and nothing is seen of the sign of 0.",
    ),
    Broken(
        "relu",
        lambda xp, x: xp.maximum(x, 0),
        (lambda xp, g, y, x: g * (x > 0.5),),
        (lambda xp, g, y, x: g * (x > 0),),
        ([-1.0, 2.0],),
        "x > 0.5 and x > 0 differ for few x only. For which?",
    ),
    Broken(
        "mean",
        lambda xp, x: xp.mean(x),
        (lambda xp, g, y, x: xp.broadcast_to(g, x.shape),),
        (lambda xp, g, y, x: xp.broadcast_to(g / x.size, x.shape),),
        ([7.0],),
        "The mean of one number is also its sum.",
    ),
    Broken(
        "row sums",
        lambda xp, x: xp.sum(x, axis=1),
        (lambda xp, g, y, x: xp.broadcast_to(xp.reshape(g, (1, -1)), x.shape),),
        (lambda xp, g, y, x: xp.broadcast_to(xp.reshape(g, (-1, 1)), x.shape),),
        ([[5.0]],),
        "g goes along the wrong axis, and with one row and one column both axes are alike.",
    ),
)


@dataclass(frozen=True)
class BreakIt(Exercise):
    """A function that gives inputs, at which `gradcheck` sees what is wrong."""

    def checks(self, function: Function) -> Iterator[Check]:
        """One for each wrong derivative."""
        for broken in BROKEN:
            yield f"{broken.name}: gradcheck objects", partial(self.hint, function, broken)

    def hint(self, function: Function, broken: Broken) -> str:
        """Why the inputs do not show it, or ""."""
        try:
            found, _ = called(self, function, (broken.name,))
        except Trouble as trouble:
            return str(trouble)
        if found is None:
            return f"There are no inputs for {broken.name!r} yet."
        found = found if isinstance(found, tuple) else (found,)
        try:
            inputs = [Tensor(np.array(x, np.float64), device="cpu") for x in found]
            fits = gradcheck(op(*broken.right)(broken.value), *inputs, raise_exception=False)
        except (TypeError, ValueError) as error:
            return f"It cannot be computed there: {error}"
        if not fits.ok:
            return "There even the right derivative fails: it has none, or is not finite."
        try:
            seen = not gradcheck(op(*broken.wrong)(broken.value), *inputs, raise_exception=False).ok
        except ValueError:
            seen = True  # the wrong derivative has not even the right shape
        return "" if seen else f"There gradcheck has nothing to object to. {broken.nudge}"


BREAK_IT = BreakIt(
    name="break_it",
    title="seven wrong derivatives, to be caught by gradcheck",
    file="ex08_break_it.py",
    arguments=("name",),
)
