"""A guard against denormal numbers: state that fades without end is set to zero in time.

The m of a dead unit shrinks by β₁ each step. After 764 steps it is below the smallest normal
number, where a processor is ten to fifty times slower, and there it stays: 0.9 times the smallest
number of all rounds to itself. So every `INTERVAL` steps all state below

    tiny / βᴺ        N = INTERVAL, β what the rule leaves of a 1 when p and g are 0

becomes 0: what would be denormal before the guard comes again. That is 6·10⁻²⁷ for an average with
β = 0.9 and 1.5·10⁻³⁸ for squares with 0.999. Slower letters wait for the faster ones of the same
number, or v could go while m is still there to be divided by it. Where squares alone fade at 0.9,
gradients below 10⁻¹³ are forgotten. All engines on a CPU are guarded alike, the reference too; a
GPU is as fast with denormals as without.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from ..device import Device
from .rule import Rule

INTERVAL = 256  # steps
FASTEST = 0.85  # below this decay N steps span more digits than may be cut off
BLOCK = 2**14  # numbers at once


def guard_for(rule: Rule, device: Device, dtype: np.dtype[Any]) -> Guard | None:
    """A guard where one is of use: halves are computed as float32, which has normal numbers."""
    return Guard(rule, dtype) if device.kind == "cpu" and dtype.itemsize > 2 else None


class Guard:
    """Clears the flat state of parameters of one dtype."""

    def __init__(self, rule: Rule, dtype: np.dtype[Any]) -> None:
        self.rule, self.dtype = rule, dtype
        self.tiny = float(np.finfo(dtype).tiny)

    def __call__(
        self, state: dict[str, Any], t: int, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> None:
        """Set to zero what would be denormal before the next time."""
        values = {"t": t, "first": False, **dict(zip(self.rule.options, options))}
        numbers = dict(zip(self.rule.scalars, scalars))
        decays = {letter: self.decay(letter, numbers, values) for letter in state}
        fading = sorted((s for s in state if 0 < decays[s] < 1), key=decays.__getitem__)
        bounds = [self.tiny / max(decays[s], FASTEST) ** INTERVAL for s in fading]
        for start in range(0, state[fading[0]].size if fading else 0, BLOCK):
            self.clear([state[s][start : start + BLOCK] for s in fading], bounds)

    def decay(self, letter: str, numbers: dict[str, Any], values: dict[str, Any]) -> float:
        """What a step leaves of a 1 in this letter when all else is 0; NaN where that says nothing.

        Two axes, because some rules want matrices.
        """
        state = {s: np.zeros((1, 1)) for s in self.rule.letters if s not in self.rule.apart}
        state |= {letter: np.ones((1, 1))} | numbers
        p, g = np.zeros((1, 1)), np.zeros((1, 1))
        try:
            with np.errstate(all="ignore"):
                new = self.rule(np, p, g, *map(state.get, self.rule.letters), **values)
            return float(new[1 + self.rule.letters.index(letter)].item())
        except Exception:  # a rule that needs more than one number
            return math.nan

    @cached_property
    def scratch(self) -> tuple[Any, Any, Any]:
        """Room for the size of each number, then 1 or 0 for whether it stays, and for whether."""
        return np.empty(BLOCK, self.dtype), np.empty(BLOCK, bool), np.empty(BLOCK, bool)

    def clear(self, parts: list[Any], bounds: list[float]) -> None:
        """Zeros for what is below its bound where all that fades faster is, too."""
        size, large, kept = (array[: parts[0].size] for array in self.scratch)
        kept[...] = False
        for s, bound in zip(parts, bounds):
            np.abs(s, size)
            np.greater_equal(size, bound, large)
            np.logical_or(kept, large, kept)
            if not np.logical_and.reduce(kept):
                np.copyto(size, kept)
                np.multiply(s, size, s)
