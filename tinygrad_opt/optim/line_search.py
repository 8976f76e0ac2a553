"""Line search: how far to go along a direction, from a few trials of the loss and its slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """What a trial at x + t d found: the loss, its slope along d, the gradient, and max |gᵢ|."""

    t: float
    f: float
    slope: float
    g: Any
    steepest: float


def strong_wolfe(
    trial: Callable[[float], Point],
    start: Point,
    t: float,
    length: float,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[Point, int]:
    """The point that meets Wolfe's strong conditions, or the best one known, and how many trials.

        f(t) ≤ f(0) + c₁ t f′(0)        low enough for its distance
        |f′(t)| ≤ c₂ |f′(0)|            nearly at the bottom

    First t grows until two points enclose such a t, then the pair closes in on it; both times the
    next t is the minimum of a cubic (Nocedal & Wright 2006, algorithms 3.5 and 3.6). It ends after
    `most` trials beyond the first, or where the pair is narrower than the tolerance; `length` is
    max |dᵢ|.
    """

    def too_high(point: Point) -> bool:
        return point.f > start.f + c1 * point.t * start.slope

    def flat_enough(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    previous, new, count = start, trial(t), 0
    while count < most:
        rose = too_high(new) or (count > 1 and new.f >= previous.f)
        if flat_enough(new) and not rose:
            return new, count + 1
        if rose or new.slope >= 0:
            pair = [previous, new]
            break
        nearest, farthest = new.t + 0.01 * (new.t - previous.t), 10 * new.t
        previous, new, count = new, trial(cubic(previous, new, nearest, farthest)), count + 1
    else:
        pair = [start, new]

    low = int(pair[1].f < pair[0].f)  # which of the two is the better one
    stuck = False
    while count < most and abs(pair[1].t - pair[0].t) * length >= tolerance:
        left, right = sorted(point.t for point in pair)
        t, margin = cubic(pair[0], pair[1], left, right), 0.1 * (right - left)
        near_an_end = min(right - t, t - left) < margin
        if near_an_end and (stuck or not left < t < right):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near_an_end = False
        stuck = near_an_end  # once is allowed, twice in a row is not
        new, count = trial(t), count + 1
        if too_high(new) or new.f >= pair[low].f:
            pair[1 - low] = new
            low = int(pair[1].f < pair[0].f)
            continue
        if flat_enough(new):
            return new, count + 1
        if new.slope * (pair[1 - low].t - pair[low].t) >= 0:
            pair[1 - low] = pair[low]
        pair[low] = new
    return pair[low], count + 1


def cubic(a: Point, b: Point, nearest: float, farthest: float) -> float:
    """Where the cubic with these values and slopes is lowest, within bounds; else their middle."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    middle = (nearest + farthest) / 2
    if a.t == b.t or not all(map(math.isfinite, (a.f, a.slope, b.f, b.slope))):
        return middle
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return middle
    d2 = math.sqrt(square)
    width = b.slope - a.slope + 2 * d2
    if width == 0:
        return middle
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / width)
    return min(max(t, nearest), farthest)
