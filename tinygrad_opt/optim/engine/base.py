"""What an engine looks like to the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...tracing import Program

if TYPE_CHECKING:
    from ..rule import Rule


class Engine:
    """What runs a rule. It is made for neighbouring parameters and called once a step:

        run = Engine(rule, xp, {"p": …, "g": …, "m": …}, shapes, apart)
        scalars = run(t, first, scalars, options)

    The arrays are flat and changed in place; `g` is read only. `apart` holds, for each parameter,
    its state of other shapes. Scalars and options come in the order of `rule.scalars` and
    `rule.options`; the same tuple of options means that nothing changed.
    """

    def __init__(
        self,
        rule: Rule,
        xp: Any,
        arrays: dict[str, Any],
        shapes: list[tuple[int, ...]],
        apart: list[dict[str, Any]],
    ) -> None:
        self.rule, self.xp, self.arrays, self.shapes, self.apart = rule, xp, arrays, shapes, apart
        self.options: tuple[Any, ...] | None = None  # those that it is ready for
        self.program: Program | None = None

    def __call__(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Take one step; gives the new scalars."""
        raise NotImplementedError
