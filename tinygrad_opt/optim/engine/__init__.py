"""What runs a rule. An engine is made for neighbouring parameters and called once a step:

    run = Engine(rule, xp, {"p": …, "g": …, "m": …}, shapes)      flat arrays, changed in place
    run(t, first, options)                                        in the order of `rule.options`

The same tuple of options means that nothing changed. `g` is read only.

Order: the reference · tracing (symbols, trace, program) · blocks of NumPy calls.
"""

from __future__ import annotations

from typing import Any, Protocol

from ...device import Device
from .blocks import Blocks
from .reference import Reference


class Engine(Protocol):
    """What an engine looks like to the optimizer."""

    def __init__(
        self, rule: Any, xp: Any, arrays: dict[str, Any], shapes: list[tuple[int, ...]]
    ) -> None: ...

    def __call__(self, t: int, first: bool, options: tuple[Any, ...]) -> None:
        """Take one step."""


ENGINES: dict[str, type[Engine]] = {"reference": Reference, "blocks": Blocks}


def default_engine(device: Device) -> str:
    """The name of the fastest engine that needs nothing but the array library of this device."""
    return "blocks" if device.kind == "cpu" else "reference"
