"""The families of schedules, each a function that makes one.

Order, as in a lecture: levels and lines · stairs · curves · without an end · whole runs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

from .demands import demand, finite
from .schedule import Schedule
from .table import family

__all__ = [
    "constant",
    "cosine",
    "every",
    "exponential",
    "inverse_sqrt",
    "linear",
    "milestones",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "piecewise",
    "polynomial",
    "restarts",
    "rex",
    "step",
    "triangle",
    "warmup",
    "wsd",
]


def _over(T: float, shape: Callable[[float], float]) -> Schedule:
    """shape(p) with p = t/T from 0 to 1; a schedule of no steps is already over, at p = 1."""
    finite("T", T, 0)
    return Schedule(lambda t: shape(t / T if T else 1.0), T)


def half_cosine(t: float, T: float = 1.0) -> float:
    """(1 + cos(π t/T))/2: from 1 to 0 in T, and back."""
    return (1 + math.cos(math.pi * t / T)) / 2


# ---- levels and lines -------------------------------------------------------------------------


@family
def constant(c: float = 1.0, steps: float | None = None) -> Schedule:
    """A level: the plateau of a trapezoid, or no schedule at all.

    f(t) = c
    """
    finite("c", c)
    return Schedule(lambda t: c, steps)


@family
def linear(T: float, start: float = 1.0, end: float = 0.0) -> Schedule:
    """A straight line: to zero, a strong default for a fixed budget (Li et al. 2019, 1905.04753).

    f(t) = start + (end − start) t/T
    """
    return _over(T, lambda p: start * (1 - p) + end * p)  # this form meets both ends exactly


@family
def warmup(T: float, start: float | None = None) -> Schedule:
    """A rise to the full rate, while gradients and the moments of Adam are still unreliable.

        f(t) = start + (1 − start) t/T,  start = 1/(T + 1)

    The default start wastes no step: T steps lie below the full rate, the first above zero.
    `start=0.0` gives the common t/T, whose first step does nothing.
    """
    finite("T", T, 0)
    return linear(T, 1 / (T + 1) if start is None else start, 1.0)


# ---- stairs -----------------------------------------------------------------------------------


@family
def step(s: float, gamma: float = 0.1) -> Schedule:
    """Stairs of equal width: the classic recipe, easy to read off a loss curve.

        f(t) = gamma^⌊t/s⌋

    Also under the name `every`.
    """
    finite("s", s, 0, above=True)
    finite("gamma", gamma, 0)
    return Schedule(lambda t: float(gamma) ** (t // s))


every = step


@family
def milestones(ms: Sequence[float], gamma: float = 0.1) -> Schedule:
    """Stairs at chosen steps, repeats counted twice: when you know where the loss flattens.

    f(t) = gamma^(number of m in ms with m ≤ t)
    """
    finite("gamma", gamma, 0)
    stairs = sorted(ms)
    return Schedule(lambda t: float(gamma) ** bisect_right(stairs, t))


@family
def piecewise(boundaries: Sequence[float], values: Sequence[float]) -> Schedule:
    """Levels of any height, each held up to its boundary: a recipe that a paper gives as a table.

    f(t) = values[number of b in boundaries with b ≤ t]
    """
    edges, levels = list(boundaries), list(values)
    demand(
        len(levels) == len(edges) + 1,
        f"{len(edges)} boundaries part {len(edges) + 1} values, got {len(levels)}",
    )
    demand(all(a < b for a, b in pairwise(edges)), f"boundaries must ascend, got {edges}")
    for level in levels:
        finite("a value", level)
    return Schedule(lambda t: levels[bisect_right(edges, t)])


# ---- curves -----------------------------------------------------------------------------------


@family
def cosine(T: float, end: float = 0.0) -> Schedule:
    """Half a cosine wave, slow at both ends: the usual choice for a run of known length.

        f(t) = end + (1 − end)(1 + cos πt/T)/2

    Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts.
    """
    return _over(T, lambda p: end + (1 - end) * half_cosine(p))


@family
def polynomial(T: float, power: float = 1.0, end: float = 0.0) -> Schedule:
    """A line bent by a power: above 1 it falls early and lands softly, as in segmentation.

    f(t) = end + (1 − end)(1 − t/T)^power
    """
    finite("power", power, 0)
    return _over(T, lambda p: end + (1 - end) * (1 - p) ** power)


@family
def one_minus_sqrt(T: float, end: float = 0.0) -> Schedule:
    """The steep cooldown after a long plateau (Hägele et al. 2024, arXiv:2405.18392).

    f(t) = end + (1 − end)(1 − √(t/T))
    """
    return _over(T, lambda p: end + (1 - end) * (1 - math.sqrt(p)))


@family
def rex(T: float, end: float = 0.0) -> Schedule:
    """High for long and steep at last: good on small budgets (Chen et al. 2021, arXiv:2107.04197).

    f(t) = end + (1 − end)(1 − p)/(1 − p/2),  p = t/T
    """
    return _over(T, lambda p: end + (1 - end) * (1 - p) / (1 - p / 2))


# ---- without an end ---------------------------------------------------------------------------


@family
def exponential(gamma: float) -> Schedule:
    """The same fraction lost at every step, for a run whose length is not known.

    f(t) = gammaᵗ
    """
    finite("gamma", gamma, 0)
    return Schedule(lambda t: float(gamma) ** t)


@family
def inverse_sqrt(scale: float) -> Schedule:
    """A slow decay without an end, for training that may be continued at any time.

    f(t) = √(scale/(scale + t))
    """
    finite("scale", scale, 0, above=True)
    return Schedule(lambda t: math.sqrt(scale / (scale + t)))


@family
def noam(d: float, W: float = 4000) -> Schedule:
    """The rate of the first Transformer of width d, warmed up for W steps; it goes with lr=1.

        f(t) = d^(−1/2) min(s^(−1/2), s W^(−3/2)),  s = t + 1

    Vaswani et al. 2017, arXiv:1706.03762.
    """
    finite("d", d, 0, above=True)
    finite("W", W, 0, above=True)
    return Schedule(lambda t: d**-0.5 * min((t + 1) ** -0.5, (t + 1) * W**-1.5))


# ---- whole runs -------------------------------------------------------------------------------


@family
def triangle(up: float, down: float, low: float) -> Schedule:
    """Up and down again; repeated, the cyclical rate of Smith 2015, arXiv:1506.01186.

    f(t) = low + (1 − low) t/up,  then 1 + (low − 1)(t − up)/down
    """
    return linear(up, low, 1.0) >> linear(down, 1.0, low)


@family
def restarts(T: float, stretch: float = 1, end: float = 0.0) -> Schedule:
    """Cosines one after another, each `stretch` times longer: every end is a model worth keeping.

        f(t) = end + (1 − end)(1 + cos πt/T)/2 in the first cycle, t counted from 0 in each

    SGDR (Loshchilov & Hutter 2016, arXiv:1608.03983) is `cosine(T).repeat(stretch=m)`.
    """
    return cosine(T, end).repeat(stretch=stretch)


@family
def wsd(warm: float, stable: float, decay: float, end: float = 0.0) -> Schedule:
    """Warm up, stay, decay: from the plateau a run can be ended or prolonged at any time.

        f(t) = the trapezoid warmup(warm) >> constant(1, stable) >> linear(decay, 1, end)

    Hu et al. 2024, arXiv:2404.06395; written out, the last part can be one_minus_sqrt or cosine.
    """
    return warmup(warm) >> constant(1.0, stable) >> linear(decay, 1.0, end)


@family
def one_cycle(
    T: float, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4
) -> Schedule:
    """One rise to a high rate and a long fall, for short runs (Smith & Topin 2017, 1708.07120).

        f(t) = half cosines from 1/div to 1 at pct T − 1, then to 1/(div final) at T − 1

    The one family that reaches its end at the last step that is used, as `OneCycleLR` does;
    optax's peaks one step later.
    """
    finite("T", T, 1)
    demand(0 <= pct_start <= 1, f"pct_start must be a number in [0, 1], got {pct_start!r}")
    finite("div_factor", div_factor, 0, above=True)
    finite("final_div_factor", final_div_factor, 0, above=True)
    low = 1 / div_factor
    ways = [(low, 1.0), (1.0, low / final_div_factor)]

    def cycle(t: float) -> float:
        phase, q = phase_at(min(t, T - 1), [pct_start * T - 1, T - 1])
        start, end = ways[phase]
        return end + (start - end) * half_cosine(q)

    return Schedule(cycle, T)


def phase_at(t: float, ends: Sequence[float]) -> tuple[int, float]:
    """The phase that t lies in, the first that ends at t or later, and how much of it has passed.

    A phase that takes no time is left out; where all do, in a run of one step, t is at the peak.
    """
    start = 0.0
    for phase, end in enumerate(ends):
        if start < end and t <= end:
            return phase, (t - start) / (end - start)
        start = max(start, end)
    return 1, 0.0
