"""What `gradcheck` says when slopes disagree: where, by how much, and what that looks like.

Order: the report · the sentences · what the ratio and the curve look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
STEPS = [10.0**-k for k in range(2, 9)]  # of the curve


@dataclass(frozen=True)
class Report:
    """What `gradcheck` found: ``ok``, or the worst element and how it disagrees.

    ``slopes`` are all that were compared, ``curve`` the disagreement for h = 1e-2, 1e-3 … 1e-8;
    ``kink`` says that the slopes before and behind the point differ.
    """

    ok: bool
    text: str
    input: str = ""
    index: tuple[int, ...] = ()
    analytic: float = math.nan
    numeric: float = math.nan
    ratio: float = math.nan
    kink: bool = False
    curve: tuple[float, ...] = ()
    slopes: tuple[Slope, ...] = ()


@dataclass(frozen=True)
class Slope:
    """The derivative along one element of an input, or a random direction in it, both ways."""

    input: int
    index: tuple[int, ...] | None  # None: a random direction
    along: Array
    analytic: float
    before: float  # the differences to the two sides of the point
    behind: float
    excess: float  # the disagreement over what is allowed: wrong above 1
    kink: bool

    @property
    def numeric(self) -> float:
        """The central difference."""
        return (self.before + self.behind) / 2

    @property
    def ratio(self) -> float:
        """Of what backward() gives to what the values give."""
        return self.analytic / self.numeric if self.numeric else math.inf


# ---- the sentences ----------------------------------------------------------------------------


def agreement(f: str, slopes: Sequence[Slope]) -> Report:
    """The report on an f whose slopes all agree."""
    kinks = sum(slope.kink for slope in slopes)
    smooth = [abs(slope.analytic - slope.numeric) for slope in slopes if not slope.kink]
    count = f"{len(slopes)} slope{'s' * (len(slopes) != 1)} compared"
    text = f"gradcheck: {f} agrees, {count}"
    if smooth:
        text += f"; the largest disagreement is {max(smooth):.1e}"
    if kinks:
        text += f"; {kinks} at a kink, between the slopes of its sides"
    return Report(True, f"{text}.", slopes=tuple(slopes))


def describe(
    f: str, name: str, shape: tuple[int, ...], slopes: Sequence[Slope], curve: tuple[float, ...]
) -> Report:
    """The report on an input of f, of which these slopes were compared, about the worst of them."""
    worst = max(slopes, key=lambda slope: slope.excess)
    wrong = [slope for slope in slopes if slope.excess > 1]
    where, what = f"at {list(worst.index or ())}", "elements"
    if worst.index is None:
        where, what = "along a random direction", "directions"
    at_point = "no kink here (left and right slopes agree)"
    if worst.kink:
        before, behind = worst.before + 0.0, worst.behind + 0.0  # no −0
        at_point = f"a kink here: slope {before:.6g} before it, {behind:.6g} behind it"
    elif not math.isfinite(worst.numeric):
        at_point = "f is not finite around this point"
    lines = [
        f"gradcheck: {name} of {f} is wrong {where}",
        f"analytic  {worst.analytic:.6g}   numeric  {worst.numeric:.6g}   ratio {worst.ratio:.2f}",
        f"largest of {len(slopes)} {what}; {len(wrong)} of {len(slopes)} disagree; {at_point}",
        *_hints(worst, wrong, slopes, shape),
        f"disagreement for h = 1e-2 … 1e-8:  {_bars(curve)}  {_meaning(curve)}",
    ]
    return Report(
        False,
        "\n    ".join(lines),
        name,
        worst.index or (),
        worst.analytic,
        worst.numeric,
        worst.ratio,
        worst.kink,
        curve,
    )


# ---- what the ratio and the curve look like ---------------------------------------------------


def _hints(
    worst: Slope, wrong: Sequence[Slope], slopes: Sequence[Slope], shape: tuple[int, ...]
) -> Iterator[str]:
    ratio = worst.ratio
    if len(wrong) == len(slopes) > 1 and all(_close(slope.ratio, ratio) for slope in wrong):
        yield f"The ratio is the same everywhere: the derivative is multiplied by {ratio:g}."
    if {0.0, math.inf} <= {abs(slope.ratio) for slope in wrong}:
        yield "A gradient arrives where values stay, and none where they change: the wrong branch?"
    elif ratio == 0:
        yield "Nothing arrives: the result was detached, or an axis got lost."
    elif math.isinf(ratio):
        yield "A gradient arrives though the values do not change here."
    elif _close(ratio, -1):
        yield "The sign is wrong."
    elif _close(ratio, 2) or _close(ratio, 0.5):
        yield "A factor of 2: an input that is used twice, or a square?"
    for n in sorted({*shape, math.prod(shape)}):
        if n > 2 and (_close(ratio, n) or _close(ratio, 1 / n)):
            yield f"The factor {n} is a length: a sum where a mean belongs, or the reverse?"
    if len(shape) == 2 and shape[0] == shape[1] and len(slopes) == math.prod(shape):
        numeric = {slope.index: slope.numeric for slope in slopes if slope.index}
        if all(_close(s.analytic, numeric[s.index[::-1]]) for s in slopes if s.index):
            yield "Every element is that of its mirror image: the gradient is transposed."


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-3)


def _bars(curve: tuple[float, ...]) -> str:
    """The disagreements on a logarithmic scale, from 1e-12 to the largest."""
    decades = [math.log10(max(e, 1e-12)) + 12 if math.isfinite(e) else math.nan for e in curve]
    top = max([1.0, *(d for d in decades if d == d)])
    return "".join("×" if d != d else "▁▂▃▄▅▆▇█"[round(7 * d / top)] for d in decades)


def _meaning(curve: tuple[float, ...]) -> str:
    middle = curve[1:6]
    if not all(map(math.isfinite, curve)):
        return "f is not finite there"
    if max(middle) < 3 * min(middle):
        return "flat: the derivative is wrong"
    if all(b > a for a, b in pairwise(curve)):
        return "growing: f is noisy, or computes in float32"
    if min(curve) < 1e-3 * max(curve):
        return "a V with a low bottom: the derivative is right, h or the tolerance is not"
    return ""
