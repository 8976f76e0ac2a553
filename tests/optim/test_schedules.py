"""Schedules as functions: their values, their algebra, their text."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_opt.names import shortened
from tinygrad_opt.optim.schedules import (
    ALIASES,
    SCHEDULES,
    Schedule,
    constant,
    cosine,
    every,
    exponential,
    inverse_sqrt,
    linear,
    milestones,
    noam,
    one_cycle,
    one_minus_sqrt,
    parse,
    piecewise,
    polynomial,
    restarts,
    rex,
    step,
    triangle,
    warmup,
    wsd,
)

pytestmark = pytest.mark.host

DECAYS = [linear, cosine, polynomial, one_minus_sqrt, rex]
spans = st.integers(1, 10_000)
fractions = st.floats(0, 1)

EXPRESSIONS = [
    "constant()",
    "constant(0.5, 3)",
    "warmup(100) >> cosine(900)",
    "warmup(10, start=0.0) >> constant(1.0, 80) >> one_minus_sqrt(10, end=0.1)",
    "(linear(4) >> rex(6)) * 0.5",
    "0.5 * linear(4) >> polynomial(6, power=2.0)",
    "linear(4) * (warmup(2) >> constant()) * -1",
    "cosine(10).repeat(stretch=2)",
    "(warmup(5) >> cosine(5)).repeat(3)",
    "warmup(5) >> (linear(2) >> cosine(5)).repeat(3, stretch=1.5)",
    "linear(1) >> (linear(2) >> linear(3))",
    "step(30, 0.1) * exponential(0.99)",
    "piecewise([3, 8], [1, 0.5, -0.25])",
    "noam(512, W=10) * 2",
    "restarts(10, stretch=2, end=0.1)",
    "wsd(5, 20, 10, end=0.1) >> constant(0.1)",
    "one_cycle(20, pct_start=0.4)",
    "one_cycle(20).repeat(2)",
    "milestones([30, 80, 80], gamma=0.2)",
    "inverse_sqrt(100)",
    "triangle(5, 10, 0.1).repeat()",
]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant(), [1, 1, 1]),
        (constant(0.3, 2), [0.3, 0.3, 0.3]),
        (linear(4), [1, 0.75, 0.5, 0.25, 0, 0]),
        (linear(2, start=0.2, end=0.6), [0.2, 0.4, 0.6, 0.6]),
        (warmup(3), [0.25, 0.5, 0.75, 1, 1]),
        (warmup(4, start=0.0), [0, 0.25, 0.5, 0.75, 1, 1]),
        (warmup(2, start=0.5), [0.5, 0.75, 1]),
        (cosine(3), [1, 0.75, 0.25, 0, 0]),
        (cosine(2, end=0.2), [1, 0.6, 0.2, 0.2]),
        (polynomial(4, power=2), [1, 0.5625, 0.25, 0.0625, 0, 0]),
        (polynomial(2, end=0.5), [1, 0.75, 0.5]),
        (one_minus_sqrt(4), [1, 0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75), 0]),
        (rex(2), [1, 2 / 3, 0, 0]),
        (rex(4, end=0.1), [1, 0.1 + 0.9 * 0.75 / 0.875, 0.1 + 0.9 * 2 / 3, 0.46, 0.1]),
        (exponential(0.5), [1, 0.5, 0.25, 0.125]),
        (step(2), [1, 1, 0.1, 0.1, 0.01]),
        (piecewise([1, 3], [0.2, 1, 0.5]), [0.2, 1, 1, 0.5, 0.5]),
        (piecewise([], [0.3]), [0.3, 0.3]),
        (noam(4, W=2), [0.5 * s for s in (2**-1.5, 2**-0.5, 3**-0.5, 0.5)]),
        (restarts(2), [1, 0.5, 1, 0.5, 1]),
        (restarts(2, stretch=2, end=0.2), [1, 0.6, 1, 0.6 + 0.4 * math.sqrt(0.5), 0.6]),
        (wsd(1, 2, 2), [0.5, 1, 1, 1, 0.5, 0, 0]),
        (wsd(0, 0, 2, end=0.5), [1, 0.75, 0.5, 0.5]),
        (one_cycle(5, 0.6, 10, 100), [0.1, 0.55, 1, 0.5005, 0.001, 0.001]),
        (milestones([1, 3, 3], gamma=0.5), [1, 0.5, 0.5, 0.125]),
        (inverse_sqrt(1), [1, math.sqrt(1 / 2), math.sqrt(1 / 3), 0.5]),
        (triangle(2, 4, 0.2), [0.2, 0.6, 1, 0.8, 0.6, 0.4, 0.2, 0.2]),
    ],
    ids=str,
)
def test_values(schedule: Schedule, expected: list[float]) -> None:
    assert schedule.values(len(expected)) == pytest.approx(expected, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("decay", DECAYS)
@given(T=spans, end=fractions)
def test_decays_start_at_one_reach_their_end_and_only_fall(decay, T: int, end: float) -> None:
    schedule = decay(T, end=end)
    assert schedule(0) == 1.0
    assert schedule(T) == pytest.approx(end, rel=1e-15, abs=1e-16)
    values = [schedule(T * k / 50) for k in range(51)]
    assert all(b <= a + 1e-15 for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_schedule_stands_still_before_zero_and_after_its_end(text: str) -> None:
    schedule = parse(text)
    assert schedule(-1) == schedule(-0.5) == schedule(0)
    if schedule.length is not None:
        assert schedule(schedule.length + 1e-9) == schedule(10**12) == schedule(schedule.length)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_results_are_python_floats(text: str) -> None:
    schedule = parse(text)
    for t in (0, 3, 2.5, np.int64(3), np.float32(2.5), 10**9):
        assert type(schedule(t)) is float
    assert schedule(np.int64(3)) == schedule(3) == schedule(3.0)


@pytest.mark.parametrize("schedule", [f(0) for f in DECAYS], ids=str)
def test_a_schedule_of_no_steps_is_already_over(schedule: Schedule) -> None:
    assert schedule(0) == schedule(5) == 0.0


@given(n=st.integers(0, 1000))
def test_warmup_wastes_no_step(n: int) -> None:
    values = warmup(n).values(n + 1)
    assert values[0] > 0
    assert values[n] == 1.0
    assert all(a < b for a, b in itertools.pairwise(values))
    if n:
        assert warmup(n, start=0.0)(0) == 0.0


@given(T=spans)
def test_a_linear_decay_spends_half_the_budget(T: int) -> None:
    assert sum(linear(T).values(T)) / T == pytest.approx((T + 1) / (2 * T), rel=1e-12)


# --- joining, multiplying, repeating


def test_at_the_joint_the_right_side_counts() -> None:
    schedule = warmup(100) >> cosine(900)
    assert schedule.length == 1000
    assert schedule(99) == warmup(100)(99)
    assert schedule(100) == 1.0
    assert schedule(100 + 450) == pytest.approx(0.5)
    assert schedule(1000) == schedule(5000) == 0.0
    assert (constant(0.1, 5) >> constant()).values(7) == [0.1] * 5 + [1.0] * 2
    assert (linear(0) >> cosine(4))(0) == 1.0


def test_joining_is_associative() -> None:
    a, b, c = warmup(3), constant(0.7, 5), cosine(4, end=0.1)
    left, right = (a >> b) >> c, a >> (b >> c)
    assert left.length == right.length == 12
    assert left.values(20) == right.values(20)


@given(ends=st.lists(fractions, min_size=2, max_size=5), T=spans)
def test_lines_that_meet_join_without_a_jump(ends: list[float], T: int) -> None:
    schedule = linear(T, 1, ends[0])
    for start, end in itertools.pairwise(ends):
        joint = schedule.length
        schedule = schedule >> linear(T, start, end)
        assert abs(schedule(joint) - schedule(joint - 1e-9)) < 1e-8


def test_nothing_follows_an_endless_schedule() -> None:
    with pytest.raises(ValueError, match=r"exponential\(0\.9\) never ends.*give it a length"):
        exponential(0.9) >> cosine(3)
    with pytest.raises(TypeError):
        cosine(3) >> 0.5


def test_products_are_as_long_as_the_longer_factor() -> None:
    product = linear(2) * cosine(4)
    assert product.length == 4
    assert product.values(6) == [linear(2)(t) * cosine(4)(t) for t in range(6)]
    assert (linear(2) * exponential(0.9)).length is None
    half = linear(2, end=0.5) * 0.5
    assert half.length == 2
    assert half.values(4) == (0.5 * linear(2, end=0.5)).values(4) == [0.5, 0.375, 0.25, 0.25]
    assert (half >> constant(0.5))(2) == 0.5
    with pytest.raises(TypeError):
        linear(2) * "0.5"


def test_repeat_starts_a_new_cycle_at_the_boundary() -> None:
    assert linear(2).repeat().values(6) == [1, 0.5] * 3
    assert linear(2).repeat().length is None
    assert linear(2).repeat()(10**9 + 1) == 0.5
    thrice = linear(2).repeat(3)
    assert thrice.length == 6
    assert thrice.values(8) == [1, 0.5, 1, 0.5, 1, 0.5, 0, 0]


def test_repeat_stretches_every_cycle() -> None:
    twice = linear(2).repeat(2, stretch=2)
    assert twice.length == 6
    assert twice.values(8) == [1, 0.5, 1, 0.75, 0.5, 0.25, 0, 0]
    # 1 + 3 + 9 + 27 + 81 = 121: a logarithm finds the cycle before
    restarts = cosine(1).repeat(stretch=3)
    assert [restarts(t) for t in (0, 1, 4, 13, 40, 121, 364)] == [1.0] * 7
    assert restarts(120) < 0.001


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 1.5}, {"stretch": 0.5}, {"stretch": math.nan}])
def test_repeat_says_what_it_needs(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"repeat: (n|stretch) must be"):
        cosine(3).repeat(**wrong)


@pytest.mark.parametrize("schedule", [constant(), cosine(0)], ids=str)
def test_repeat_needs_something_that_ends(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="needs a schedule that ends"):
        schedule.repeat()


# --- making


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: cosine(-3), "cosine: T must be a finite number ≥ 0, got -3"),
        (lambda: cosine(math.inf), "cosine: T must be a finite number ≥ 0, got inf"),
        (lambda: linear("9"), "linear: T must be a finite number ≥ 0, got '9'"),
        (lambda: warmup(-1), "warmup: T must be a finite number ≥ 0, got -1"),
        (lambda: constant(1, -2), "constant: the length of a schedule must be"),
        (lambda: step(0), "step: s must be a finite number above 0, got 0"),
        (lambda: piecewise([3], [1]), "piecewise: 1 boundaries part 2 values, got 1"),
        (lambda: piecewise([3, 3], [1, 2, 3]), "piecewise: boundaries must ascend, got [3, 3]"),
        (lambda: piecewise([3], [1, math.nan]), "piecewise: a value must be a finite number, got"),
        (lambda: noam(0), "noam: d must be a finite number above 0, got 0"),
        (lambda: noam(64, 0), "noam: W must be a finite number above 0, got 0"),
        (lambda: restarts(0), "restarts: repeat needs a schedule that ends after some steps; cos"),
        (lambda: restarts(3, 0.5), "restarts: repeat: stretch must be a finite number ≥ 1"),
        (lambda: wsd(1, -2, 3), "wsd: constant: the length of a schedule must be"),
        (lambda: one_cycle(0), "one_cycle: T must be a finite number ≥ 1, got 0"),
        (lambda: one_cycle(9, 1.5), "one_cycle: pct_start must be a number in [0, 1], got 1.5"),
        (lambda: one_cycle(9, div_factor=0), "one_cycle: div_factor must be a finite number abov"),
        (lambda: cosine(3) * math.nan, "a factor of a schedule must be a finite number, got nan"),
        (lambda: constant(math.inf), "constant: c must be a finite number, got inf"),
        (lambda: exponential(-0.5), "exponential: gamma must be a finite number ≥ 0, got -0.5"),
        (lambda: milestones([3], gamma=-1), "milestones: gamma must be"),
        (lambda: polynomial(3, power=-1), "polynomial: power must be"),
        (lambda: inverse_sqrt(0), "inverse_sqrt: scale must be"),
    ],
)
def test_wrong_values_are_named(make, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(sentence)


def triple(t: float) -> float:
    return 3 * t


def test_any_function_can_be_a_schedule() -> None:
    schedule = Schedule(triple, 5)
    assert schedule.values(7) == [0, 3, 6, 9, 12, 15, 15]
    assert str(schedule >> cosine(2)) == "Schedule(triple, 5) >> cosine(2)"
    assert str(Schedule(triple)) == "Schedule(triple)"
    assert pickle.loads(pickle.dumps(schedule * 2))(2) == 12
    with pytest.raises(TypeError, match=r"made from a function of the step, got 0\.5"):
        Schedule(0.5)


# --- text


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_schedule_prints_reads_and_pickles_as_its_expression(text: str) -> None:
    schedule = parse(text)
    assert str(schedule) == text
    for again in (
        parse(str(schedule)),
        pickle.loads(pickle.dumps(schedule)),
        copy.deepcopy(schedule),
    ):
        assert str(again) == text
        assert again.length == schedule.length
        assert again.values(60) == schedule.values(60)


def test_a_schedule_made_of_numpy_values_prints_plainly() -> None:
    assert str(cosine(np.int64(9), end=np.float64(0.5))) == "cosine(9, end=0.5)"
    assert str(milestones(np.array([1, 2]))) == "milestones([1, 2])"
    assert str(milestones(range(3))) == "milestones([0, 1, 2])"


def test_the_table_lists_every_family() -> None:
    names = "constant linear warmup step milestones piecewise cosine polynomial one_minus_sqrt rex"
    names += " exponential inverse_sqrt noam triangle restarts wsd one_cycle"
    assert list(SCHEDULES) == names.split()
    for name, family in SCHEDULES.items():
        assert family.function.__name__ == name
        assert family.formula.startswith("f(t) = ")
        assert family.helps.endswith((".", "run")) and "\n" not in family.helps


def test_stairs_have_a_second_name() -> None:
    assert ALIASES == {"every": "step"}
    assert every is step
    assert str(parse("every(30)")) == str(every(30)) == "step(30)"
    with pytest.raises(ValueError, match="Did you mean 'every'"):
        parse("evry(3)")


# --- relations


@given(T=st.integers(2, 500), m=st.integers(1, 3))
def test_restarts_are_the_repeated_cosine(T: int, m: int) -> None:
    assert restarts(T, m).values(60) == cosine(T).repeat(stretch=m).values(60)


def test_a_trapezoid_is_written_out() -> None:
    written = warmup(3) >> constant(1, 4) >> linear(5, end=0.1)
    assert wsd(3, 4, 5, 0.1).values(20) == written.values(20)
    assert wsd(3, 4, 5).length == 12


@given(d=st.integers(1, 2048), W=st.integers(1, 5000))
def test_noam_is_a_warmup_and_an_inverse_root(d: int, W: int) -> None:
    schedule, peak = noam(d, W), 1 / math.sqrt(d * W)
    assert schedule(W - 1) == pytest.approx(peak, rel=1e-12)
    for t in (0, W // 2, W - 1):
        assert schedule(t) == pytest.approx(peak * (t + 1) / W, rel=1e-12)
    for t in (W - 1, 2 * W, 10 * W):
        assert schedule(t) == pytest.approx(peak * math.sqrt(W / (t + 1)), rel=1e-12)


@given(T=st.integers(1, 300), pct=fractions)
def test_one_cycle_ends_at_the_last_step_that_is_used(T: int, pct: float) -> None:
    schedule = one_cycle(T, pct)
    assert schedule.length == T
    assert schedule(T - 1) == schedule(T) == schedule(T + 9)
    assert max(schedule.values(T)) <= 1
    if pct * T <= 1:
        assert schedule(0) == 1.0
    if pct * T < T - 1:
        assert schedule(T - 1) == pytest.approx(4e-6)


# --- pictures


def test_joints_are_where_parts_and_cycles_follow_one_another() -> None:
    assert (warmup(3) >> constant(1, 4) >> linear(4)).joints() == [3, 7]
    assert wsd(3, 4, 4).joints() == [3, 7]
    assert (linear(4) * 0.5 >> cosine(6) * linear(2).repeat(3)).joints() == [4, 6, 8]
    assert cosine(10).repeat(3, stretch=2).joints() == [10, 30]
    assert (linear(2) >> cosine(3)).repeat(2).joints() == [2, 5, 7]
    assert cosine(10).repeat().joints(35) == [10, 20, 30]
    assert cosine(10).joints() == exponential(0.5).joints(9) == []
    with pytest.raises(ValueError, match=r"joints: .* never ends; say up to which step"):
        exponential(0.5).joints()


def test_it_shows_itself_as_its_expression_with_a_sparkline_behind() -> None:
    schedule = warmup(2) >> linear(2)
    assert str(schedule) == "warmup(2) >> linear(2)"
    assert repr(schedule) == f"{schedule}  # {schedule.sparkline()}"
    assert repr(parse(repr(schedule))) == repr(schedule)
    raises = Schedule(lambda t: 1 / 0, 3)
    assert repr(raises) == str(raises)


def test_a_sparkline_shows_the_shape() -> None:
    assert linear(8).sparkline(8) == "█▇▆▅▅▄▃▂"
    assert wsd(3, 4, 4).sparkline() == "▃▅▆█████▆▅▃"
    assert constant(0.5).sparkline(3) == "███"
    assert constant(0).sparkline(3) == "▁▁▁"
    assert linear(4, 1, -1).sparkline() == "█▆▃▁"
    assert len(cosine(900).sparkline()) == 60
    assert len(cosine(10).sparkline()) == 10
    assert exponential(0.5).sparkline(20, steps=4) == "█▅▃▂"
    with pytest.raises(ValueError, match="sparkline: width must be a whole number ≥ 1, got 0"):
        cosine(3).sparkline(0)


@pytest.mark.oracle  # with matplotlib, which the suite does without
def test_a_plot_shows_the_used_steps_and_what_is_held() -> None:
    (axes,) = (warmup(5) >> cosine(15)).plot().axes
    line, joint, end = axes.lines
    assert joint.get_xdata() == [5, 5]
    assert list(line.get_xdata()) == list(range(20))
    assert list(line.get_ydata()) == (warmup(5) >> cosine(15)).values(20)
    assert (end.get_xdata(), end.get_ydata()) == ([20], [0.0])
    assert axes.get_title() == "warmup(5) >> cosine(15)"
    (axes,) = exponential(0.9).plot(steps=30).axes
    assert len(axes.lines[0].get_xdata()) == 30
    assert len(axes.lines) == 1
    assert len(cosine(10**6).plot().axes[0].lines[0].get_xdata()) == 2000
    with pytest.raises(ValueError, match="steps must be a whole number ≥ 1, got 0"):
        cosine(3).plot(0)


def test_without_matplotlib_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as error:
        cosine(9).plot()
    assert 'not installed: pip install "tinygrad-opt[viz]". Schedule.sparkline() draws' in str(
        error.value
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cosin(900)", "there is no 'cosin'. Did you mean 'cosine'?"),
        ("Warm_up(9) >> cosine(3)", "there is no 'Warm_up'. Did you mean 'warmup'?"),
        ("cosine", "cosine needs its arguments, as in cosine(…)"),
        ("__import__('os')", "there is no '__import__'"),
        ("cosine(9).values(3)", "'cosine(9).values(3)' is not a number"),
        ("cosine(9) + 1", "'cosine(9) + 1' is not a number"),
        ("-cosine(9)", "'cosine(9)' is not a number"),
        ("cosine(x)", "'x' is not a number"),
        ("cosine('9')", "\"'9'\" is not a number"),
        ("cosine(True)", "'True' is not a number"),
        ("cosine(*[9])", "'*[9]' is not a number"),
        ("cosine(9, **{'end': 1})", "\"{'end': 1}\" is not a number"),
        ("cosine(9, **3)", "cosine() got an unexpected keyword"),
        ("cosine(9, stop=1)", "cosine() got an unexpected keyword"),
        ("cosine(cosine(9))", "'cosine(9)' is not a number"),
        ("cosine(-9)", "cosine: T must be a finite number ≥ 0, got -9"),
        ("constant() >> cosine(9)", "constant() never ends"),
        ("2 * 3", "2 * 3 is a number where a schedule is needed"),
        ("(3).repeat(2)", "3 is a number where a schedule is needed"),
        ("0.5 >> cosine(9)", "unsupported operand"),
        ("cosine(9", "'(' was never closed"),
        ("cosine(1" + "0" * 400 + ")", "int too large"),
        ("", "invalid syntax"),
        ("cosine(9)\0", "source code string cannot contain null bytes"),
        ("*".join(["cosine(9)"] * 3000), ""),
    ],
)
def test_text_that_is_no_schedule_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    sentence = str(error.value)
    assert sentence.startswith(f"cannot read {shortened(text, 200)} as a schedule: {reason}")
    assert f"Schedules are {', '.join(SCHEDULES)}" in sentence
