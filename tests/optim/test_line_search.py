"""The line search: Wolfe's conditions, the cubic between two points, hopeless cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tinygrad_opt.optim.line_search import Point, cubic, strong_wolfe

pytestmark = pytest.mark.host

Pair = tuple[Callable[[float], float], Callable[[float], float]]
FUNCTIONS: dict[str, Pair] = {
    "a bowl": (lambda t: (t - 2) ** 2, lambda t: 2 * (t - 2)),
    "a narrow valley far away": (lambda t: (t - 90) ** 4, lambda t: 4 * (t - 90) ** 3),
    "waves on a slope": (
        lambda t: 0.05 * t * t - t + 0.3 * math.sin(8 * t),
        lambda t: 0.1 * t - 1 + 2.4 * math.cos(8 * t) - 2.4,
    ),
    "a wall": (lambda t: -math.log(3 - t) - 2 * t, lambda t: 1 / (3 - t) - 2),
}


def on(pair: Pair, t: float) -> Point:
    try:
        f, slope = pair[0](t), pair[1](t)
    except ValueError:
        f, slope = math.inf, math.nan
    return Point(t, f, slope, None, abs(slope))


@pytest.mark.parametrize("name", ["a bowl", "a narrow valley far away", "a wall"])
@pytest.mark.parametrize("t", [1e-3, 0.5, 1.0, 20.0])
def test_what_it_finds_meets_both_conditions(name: str, t: float) -> None:
    pair = FUNCTIONS[name]
    start = on(pair, 0.0)
    seen: list[float] = []

    def trial(t: float) -> Point:
        seen.append(t)
        return on(pair, t)

    found, count = strong_wolfe(trial, start, t, 1.0, 25)
    assert found.f <= start.f + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert count == len(seen) and found.t in seen


def test_a_good_first_trial_is_taken() -> None:
    found, count = strong_wolfe(
        lambda t: on(FUNCTIONS["a bowl"], t), on(FUNCTIONS["a bowl"], 0.0), 2.0, 1.0, 25
    )
    assert (found.t, count) == (2.0, 1)


def test_with_no_trials_left_the_first_is_kept_only_if_it_is_lower() -> None:
    bowl = FUNCTIONS["a bowl"]
    for t, kept in [(3.0, 3.0), (9.0, 0.0)]:
        found, count = strong_wolfe(lambda t: on(bowl, t), on(bowl, 0.0), t, 1.0, 0)
        assert (found.t, count) == (kept, 1)


def test_it_gives_up_where_nothing_is_lower() -> None:
    uphill = (lambda t: t, lambda t: -1.0)  # its slope is a lie
    found, count = strong_wolfe(lambda t: on(uphill, t), on(uphill, 0.0), 1.0, 1.0, 25)
    assert found.t == 0.0 and count <= 26


def test_it_ends_where_every_trial_is_infinite() -> None:
    start = Point(0.0, 1.0, -1.0, None, 1.0)
    found, _ = strong_wolfe(
        lambda t: Point(t, math.inf, math.nan, None, math.nan), start, 1.0, 1.0, 100
    )
    assert found is start


def test_the_cubic_is_exact_on_cubics() -> None:
    pair: Pair = (lambda t: t**3 - 3 * t, lambda t: 3 * t * t - 3)  # lowest at 1
    for a, b in [(0.0, 2.0), (2.0, 0.0), (-0.5, 1.5)]:
        assert cubic(on(pair, a), on(pair, b), -5.0, 5.0) == pytest.approx(1)


def test_the_cubic_stays_within_its_bounds_and_has_an_answer_for_everything() -> None:
    bowl = FUNCTIONS["a bowl"]
    assert cubic(on(bowl, 0.0), on(bowl, 1.0), 0.0, 1.5) == 1.5
    assert cubic(on(bowl, 3.0), on(bowl, 4.0), 3.0, 4.0) == 3.0
    line: Pair = (lambda t: -t, lambda t: -1.0)
    assert cubic(on(line, 0.0), on(line, 1.0), 2.0, 4.0) in (3.0, 4.0)
    wall = Point(1.0, math.inf, math.nan, None, math.nan)
    assert cubic(on(bowl, 0.0), wall, 0.0, 1.0) == 0.5
    assert cubic(on(bowl, 1.0), on(bowl, 1.0), 0.0, 1.0) == 0.5
    huge = Point(1.0, 1e308, 1e308, None, 1e308)
    assert cubic(Point(0.0, -1e308, 1e308, None, 1.0), huge, 0.0, 1.0) == 0.5
