"""What a drawing of a graph is made of: boxes, and from which boxes each is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LONGEST_NAME = 48
MOST_VALUES = 6  # of an array whose values are shown

OPERATION, LEARNED, INPUT, SEVERAL = "operation", "learned", "input", "several"


@dataclass
class Box:
    """An operation, a leaf, or several of them that are drawn as one.

    ``inputs`` are pairs of a box's key and whether a gradient flows back to it; ``layer`` is the
    path of the module whose parameter takes part. ``order`` counts the visits of a backward pass.
    """

    key: int
    kind: str
    name: str
    shape: tuple[int, ...] = ()
    value: str = ""
    gradient: str = ""
    layer: str = ""
    first: int = 0  # its visit by a backward pass; 0: none
    last: int = 0
    size: int = 0  # numbers that are learned here
    operations: int = 0
    inputs: list[tuple[int, bool]] = field(default_factory=list)

    @property
    def order(self) -> str:
        """ "3", or "3-7" where several operations are one box."""
        if not self.first:
            return ""
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"

    def lines(self, order: bool = False) -> list[str]:
        """What to write into it: number and name, shape, value, gradient."""
        name = f"({self.order}) {self.name}" if order and self.order else self.name
        shape = str(self.shape) if self.shape else ""
        value = f"= {self.value}" if self.value else ""
        gradient = f"grad {self.gradient}" if self.gradient else ""
        return [line for line in (name, shape, value, gradient) if line]


@dataclass
class Graph:
    """Boxes by their keys, inputs before what is made of them, and what is to be said of them.

    The result is the last one.
    """

    boxes: dict[int, Box]
    notes: list[str] = field(default_factory=list)

    @property
    def result(self) -> Box:
        """What was computed."""
        return next(reversed(self.boxes.values()))

    def layers(self) -> dict[str, list[int]]:
        """The keys of the boxes of each layer, for a frame around them."""
        found: dict[str, list[int]] = {}
        for key, box in self.boxes.items():
            if box.layer and box.kind != SEVERAL:
                found.setdefault(box.layer, []).append(key)
        return found


def clean(text: str) -> str:
    """Printable characters on one line, not too many of them."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def numbers(array: Any) -> str:
    """The values of a small host array, four significant digits each; "" for a large one."""
    if array.size > MOST_VALUES or array.dtype.kind not in "fiub":
        return ""
    return _nested(array.tolist())


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_nested, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
