"""The sentence about a birth: where, what, how many, of what, and what to do.

Order: the error · numbers in words · arrays in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class AnomalyError(FloatingPointError):
    """NaN or an infinity was born, or came in."""


# ---- numbers in words -------------------------------------------------------------------------


def number(x: Any) -> str:
    """A number as one reads it: 0.25, −infinity."""
    x = float(x)
    if math.isinf(x):
        return "+infinity" if x > 0 else "−infinity"
    return "NaN" if math.isnan(x) else f"{x:.6g}"


def kinds(values: Array, only_nan: bool = False) -> str:
    """Which of the values are no finite numbers: "NaN in 2 of 6 values"."""
    counts = {"NaN": np.isnan(values).sum()}
    if not only_nan:
        counts |= {"+infinity": np.isposinf(values).sum(), "−infinity": np.isneginf(values).sum()}
    found = [(kind, int(count)) for kind, count in counts.items() if count]
    if values.ndim == 0:
        return found[0][0]
    text = " and ".join(f"{kind} in {count:,}" for kind, count in found)
    return f"{text} of {values.size:,} value{'s' if values.size > 1 else ''}"


def first_bad(values: Array) -> tuple[int, ...]:
    """The index of the first NaN, or without one of the first infinity."""
    bad = np.isnan(values) if np.isnan(values).any() else np.isinf(values)
    return tuple(int(i) for i in np.argwhere(bad)[0])


def at(index: Sequence[int]) -> str:
    """An index in brackets; nothing for a single number."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def place(line: str | None) -> str:
    """A line of the program, as a sentence begins."""
    return f"{line}: " if line else ""


# ---- arrays in words --------------------------------------------------------------------------


class Input:
    """What an operation was given: an array or a number, by its name."""

    def __init__(
        self, name: str, value: Array, about: str = "", place: str = "", is_number: bool = False
    ) -> None:
        self.name, self.value, self.about, self.place = name, value, about, place
        self.is_array = not is_number

    @property
    def has_nan(self) -> bool:
        """Whether there is NaN in it."""
        return bool(np.isnan(self.value).any())

    @property
    def is_finite(self) -> bool:
        """Whether there is neither NaN nor an infinity in it."""
        return bool(np.isfinite(self.value).all())

    @property
    def position(self) -> str:
        """Its name, and the place among the arguments."""
        shape = f" {self.value.shape}" if self.is_array else ""
        return f"{self.name}{shape}{f', its {self.place}' if self.place else ''}"

    def __str__(self) -> str:
        name = f"{self.about} {self.name}".strip()
        if not self.is_array:
            return f"{name} is {number(self.value)}"
        name = f"{name} {self.value.shape}"
        if not self.value.size:
            return f"{name} is empty"
        low, high = number(self.value.min()), number(self.value.max())
        everywhere = " everywhere" if self.value.size > 1 else ""
        return (
            f"{name} is {low}{everywhere}" if low == high else f"{name} goes from {low} to {high}"
        )

    def beside(self, index: Sequence[int]) -> str:
        """Its value beside this element of the result: "x[1, 2] is 0"."""
        if not self.value.ndim:
            return ""  # it has been told whole
        own = index[len(index) - self.value.ndim :]
        own = [0 if n == 1 else i for i, n in zip(own, self.value.shape)]
        return f"{self.name}{at(own)} is {number(self.value[tuple(own)])}"


def meet(inputs: Sequence[Input], shape: tuple[int, ...]) -> bool:
    """Whether inputs broadcast to a result of this shape, element by element."""
    try:
        return np.broadcast_shapes(*(x.value.shape for x in inputs)) == shape
    except ValueError:
        return False


def told(inputs: Sequence[Input], values: Array, elementwise: bool) -> str:
    """What the inputs were, and what they are where the first value is not finite."""
    parts = [str(x) for x in inputs]
    index = first_bad(values)
    if elementwise and meet(inputs, values.shape):
        parts += [text for x in inputs if (text := x.beside(index))]
    elif index:
        parts.append(f"the first such value is at {at(index)}")
    return f"Inputs: {'; '.join(parts)}. " if parts else ""
