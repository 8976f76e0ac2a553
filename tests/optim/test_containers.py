"""SequentialLR and ChainedScheduler: any child, nested, and metrics handed down."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from scheduling import Groups, advance, first, nearly, run, two_groups

from tinygrad_opt.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    HyperparameterScheduler,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    OneCycleLR,
    ReduceLROnPlateau,
    ScheduleLR,
    SequentialLR,
    StepLR,
)
from tinygrad_opt.optim.schedules import constant, cosine, exponential, linear, warmup

pytestmark = pytest.mark.host


def close(values: list[float]) -> Any:
    return pytest.approx(values, rel=1e-12)


# --- SequentialLR


def test_every_part_begins_at_its_own_zero_and_at_the_initial_rate() -> None:
    o = Groups(1.0)
    parts = [ConstantLR(o, 0.1, 9), ExponentialLR(o, 0.5), CosineAnnealingLR(o, 4)]
    scheduler = SequentialLR(o, parts, [3, 5])
    assert first(scheduler, 7) == close([0.1, 0.1, 0.1, 1, 0.5, 1, cosine(4)(1), 0.5])
    assert scheduler.last_epoch == 7
    assert scheduler.get_last_lr() == o.rates


def test_a_sequence_is_the_joined_schedule() -> None:
    o = Groups(0.3)
    scheduler = SequentialLR(o, [LinearLR(o, 0.1, 1, 5), CosineAnnealingLR(o, 20)], [5])
    schedule = linear(5, 0.1, 1) >> cosine(20)
    assert first(scheduler, 25) == close([0.3 * f for f in schedule.values(26)])


@pytest.mark.parametrize(
    ("milestones", "factors"),
    [
        ([0, 2], [0.5, 0.5, 0.25, 0.25]),  # the first part is left out
        ([2, 2], [1.0, 1.0, 0.25, 0.25]),  # the second
        ([0, 0], [0.25, 0.25, 0.25, 0.25]),
        ([2, 9], [1.0, 1.0, 0.5, 0.5]),
    ],
)
def test_milestones_may_be_zero_or_equal(milestones: list[int], factors: list[float]) -> None:
    o = Groups(1.0)
    parts = [ScheduleLR(o, constant(c)) for c in (1.0, 0.5, 0.25)]
    assert first(SequentialLR(o, parts, milestones), 3) == factors


def test_one_part_is_a_sequence_too() -> None:
    o = Groups(1.0)
    assert first(SequentialLR(o, [ExponentialLR(o, 0.5)], []), 3) == [1, 0.5, 0.25, 0.125]


def test_an_edit_is_continued_from_until_the_next_part_begins() -> None:
    o = Groups(1.0)
    scheduler = SequentialLR(o, [ExponentialLR(o, 0.5), ExponentialLR(o, 0.1)], [4])
    run(scheduler, 2)
    o.param_groups[0]["lr"] = 8.0
    assert first(scheduler, 4) == close([8, 4, 1, 0.1, 0.01])


def test_a_group_added_later_joins_the_sequence() -> None:
    o = Groups(1.0)
    scheduler = SequentialLR(o, [ExponentialLR(o, 0.5), ExponentialLR(o, 0.1)], [4])
    run(scheduler, 2)
    o.add_param_group({"params": [], "lr": 0.8})
    rates = [advance(o, scheduler)[:2] for _ in range(3)]
    assert rates == [close(pair) for pair in ([1 / 8, 0.4], [1, 0.8], [0.1, 0.08])]


# --- ChainedScheduler


def test_a_chain_multiplies_factors() -> None:
    o = Groups(1.0)
    scheduler = ChainedScheduler([ConstantLR(o, 0.1, 3), ExponentialLR(o, 0.9), StepLR(o, 2, 0.5)])
    factors = [(0.1 if t < 3 else 1) * 0.9**t * 0.5 ** (t // 2) for t in range(8)]
    assert first(scheduler, 7) == close(factors)
    assert scheduler.get_last_lr() == o.rates


def test_in_a_chain_the_last_that_computes_from_the_start_wins() -> None:
    o = Groups(1.0)
    halves, tenths = LambdaLR(o, lambda t: 0.5), LambdaLR(o, lambda t: 0.1)
    assert first(ChainedScheduler([halves, tenths]), 2) == [0.1] * 3


def test_a_chain_takes_its_optimizer_from_its_parts_or_by_name() -> None:
    o = Groups(1.0)
    assert ChainedScheduler([ExponentialLR(o, 0.5)]).optimizer is o
    assert ChainedScheduler([ExponentialLR(o, 0.5)], optimizer=o).optimizer is o


def test_rate_and_momentum_in_one_chain() -> None:
    o = Groups(1.0)
    momentum = HyperparameterScheduler(o, "momentum", linear(4, 0.5, 1.0))
    scheduler = ChainedScheduler([ExponentialLR(o, 0.5), momentum])
    assert run(scheduler, 2) == [[1.0, 0.45], [0.5, 0.9 * 0.625], [0.25, 0.9 * 0.75]]
    assert scheduler.get_last_lr() == [0.25]


def test_momentum_in_a_sequence_begins_again_from_its_initial_value() -> None:
    o = Groups(1.0, momentum=0.8)
    parts = [HyperparameterScheduler(o, "momentum", constant(c)) for c in (0.5, 0.25)]
    values = run(SequentialLR(o, parts, [2]), 3)
    assert [value[1] for value in values] == close([0.4, 0.4, 0.2, 0.2])


# --- nesting


def test_a_sequence_in_a_sequence_first_and_later() -> None:
    def inner(o: Groups) -> SequentialLR:
        return SequentialLR(o, [ConstantLR(o, 0.5, 9), ExponentialLR(o, 0.9)], [2])

    o = Groups(0.1)
    scheduler = SequentialLR(o, [inner(o), ConstantLR(o, 0.25, 9)], [4])
    assert first(scheduler, 5) == close([0.05, 0.05, 0.1, 0.09, 0.025, 0.025])
    o = Groups(0.1)
    scheduler = SequentialLR(o, [ConstantLR(o, 0.25, 9), inner(o)], [2])
    assert first(scheduler, 6) == close([0.025, 0.025, 0.05, 0.05, 0.1, 0.09, 0.081])


def test_a_chain_in_a_sequence_first_and_later() -> None:
    def inner(o: Groups) -> ChainedScheduler:
        return ChainedScheduler([LinearLR(o, 0.5, 1, 2), ExponentialLR(o, 0.5)])

    o = Groups(1.0)
    scheduler = SequentialLR(o, [inner(o), ConstantLR(o, 0.25, 9)], [3])
    assert first(scheduler, 4) == close([0.5, 0.375, 0.25, 0.25, 0.25])
    o = Groups(1.0)
    scheduler = SequentialLR(o, [ConstantLR(o, 0.25, 9), inner(o)], [2])
    assert first(scheduler, 5) == close([0.25, 0.25, 0.5, 0.375, 0.25, 0.125])


def test_a_sequence_in_a_chain() -> None:
    o = Groups(1.0)
    inner = SequentialLR(o, [LinearLR(o, 0.5, 1, 2), StepLR(o, 1, 0.5)], [9])
    scheduler = ChainedScheduler([inner, ExponentialLR(o, 0.5)])
    assert first(scheduler, 3) == close([0.5, 0.375, 0.25, 0.125])


def test_a_multiplier_as_later_part_starts_again_and_is_not_asked_for_its_start() -> None:
    asked: list[float] = []

    def factor(t: float) -> float:
        asked.append(t)
        return nearly(t)

    o = Groups(1.0)
    scheduler = SequentialLR(o, [ExponentialLR(o, 0.5), MultiplicativeLR(o, factor)], [2])
    assert first(scheduler, 4) == close([1, 0.5, 1, 0.8, 0.8 * 5 / 6])
    assert 0 not in asked


# --- metrics


def test_a_plateau_after_a_warmup() -> None:
    o = Groups(1.0)
    parts = [LinearLR(o, 0.25, 1, 3), ReduceLROnPlateau(o, factor=0.5, patience=0)]
    scheduler = SequentialLR(o, parts, [3])
    rates = []
    for metric in [5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 1.0]:
        o.step()
        scheduler.step(metric)
        rates += o.rates
    assert rates == close([0.5, 0.75, 1, 1, 0.5, 0.25, 0.25])


def test_a_plateau_beside_a_decay() -> None:
    o = Groups(1.0)
    scheduler = ChainedScheduler(
        [ExponentialLR(o, 0.5), ReduceLROnPlateau(o, factor=0.1, patience=0)]
    )
    rates = []
    for metric in [1.0, 1.0, 0.5]:
        o.step()
        scheduler.step(metric)
        rates += o.rates
    assert rates == close([0.5, 0.025, 0.0125])


def test_a_metric_reaches_a_plateau_in_nested_containers() -> None:
    o = Groups(1.0)
    plateau = ReduceLROnPlateau(o, factor=0.5, patience=0)
    inner = ChainedScheduler([ExponentialLR(o, 0.5), plateau])
    scheduler = SequentialLR(o, [ConstantLR(o, 0.5, 9), inner], [2])
    for metric in [9.0, 9.0, 3.0, 3.0]:
        o.step()
        scheduler.step(metric=metric)
    assert plateau.best == 3.0
    assert o.rates == close([0.125])


def test_without_the_metric_nothing_moves() -> None:
    for wrap in (
        lambda o, plateau: ChainedScheduler([ExponentialLR(o, 0.5), plateau]),
        lambda o, plateau: SequentialLR(o, [plateau], []),
        lambda o, plateau: ChainedScheduler([SequentialLR(o, [plateau], [])]),
    ):
        o = Groups(1.0)
        scheduler = wrap(o, ReduceLROnPlateau(o))
        before = scheduler.state_dict()
        o.step()
        with pytest.raises(
            TypeError, match=r"inside needs its metric; write scheduler\.step\(loss"
        ):
            scheduler.step()
        assert scheduler.state_dict() == before
        assert o.rates == [1.0]


def test_no_metric_is_needed_where_none_is_at_work() -> None:
    o = Groups(1.0)
    scheduler = SequentialLR(o, [ExponentialLR(o, 0.5), ReduceLROnPlateau(o)], [3])
    o.step()
    for _ in range(3):  # the step on which the plateau begins has nothing to judge
        scheduler.step()
    with pytest.raises(TypeError, match="needs its metric"):
        scheduler.step()


# --- loading


def test_only_the_part_at_work_has_its_momentum_written_back() -> None:
    def build(o: Groups) -> SequentialLR:
        parts = [OneCycleLR(o, 1.0, 10), OneCycleLR(o, 1.0, 10, base_momentum=0.1)]
        return SequentialLR(o, parts, [9])

    o = Groups(1.0)
    scheduler = build(o)
    run(scheduler, 3)
    again = Groups(1.0)
    again.load_state_dict(o.state_dict())
    resumed = build(again)
    resumed.load_state_dict(scheduler.state_dict())
    assert again.values == o.values
    assert run(resumed, 12) == run(scheduler, 12)


def test_a_state_with_other_parts_is_refused_and_nothing_changes() -> None:
    o = two_groups()
    parts = [LinearLR(o), ExponentialLR(o, 0.9)]
    state = SequentialLR(o, parts, [2]).state_dict()
    o = two_groups()
    scheduler = SequentialLR(o, [ExponentialLR(o, 0.5)], [])
    before = copy.deepcopy((scheduler.state_dict(), o.state_dict()))
    with pytest.raises(ValueError, match="has 2 schedulers inside, this one has 1; build the same"):
        scheduler.load_state_dict(state)
    state["_schedulers"][1]["_group_lr"] = [0.1] * 3
    other = SequentialLR(o, [LinearLR(o), ExponentialLR(o, 0.9)], [2])
    before = copy.deepcopy((other.state_dict(), o.state_dict()))
    with pytest.raises(ValueError, match="ExponentialLR: the state to load belongs to 3 parameter"):
        other.load_state_dict(state)
    assert (other.state_dict(), o.state_dict()) == before


# --- wrong use


@pytest.mark.parametrize(
    ("build", "kind", "sentence"),
    [
        (
            lambda o: SequentialLR(o, [], []),
            ValueError,
            "SequentialLR: there are no schedulers; give at least one",
        ),
        (lambda o: ChainedScheduler([]), ValueError, "ChainedScheduler: there are no schedulers"),
        (
            lambda o: SequentialLR(o, [ExponentialLR(o, 0.9), 3], [1]),
            TypeError,
            "SequentialLR: schedulers[1] is no scheduler, got 3",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(Groups(1.0), 3)], []),
            ValueError,
            "SequentialLR: schedulers[0], StepLR, drives another optimizer; build all of them on",
        ),
        (
            lambda o: ChainedScheduler([StepLR(o, 3), StepLR(Groups(1.0), 3)]),
            ValueError,
            "ChainedScheduler: schedulers[1], StepLR, drives another optimizer",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 3), StepLR(o, 3)], [1, 2]),
            ValueError,
            "SequentialLR: 2 schedulers change 1 times, got 2 milestones",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 3)] * 3, [5, 2]),
            ValueError,
            "SequentialLR: milestones must ascend, got [5, 2]",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 3)] * 2, [-1]),
            ValueError,
            "SequentialLR: a milestone must be a whole number ≥ 0, got -1",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 3)] * 2, [2], last_epoch=-3),
            ValueError,
            "SequentialLR: last_epoch must be a whole number ≥ -1, got -3",
        ),
    ],
)
def test_wrong_use_is_a_sentence(build: Any, kind: type[Exception], sentence: str) -> None:
    optimizer = Groups(0.1, 0.2)
    with pytest.raises(kind) as error:
        build(optimizer)
    assert str(error.value).startswith(sentence)
    assert optimizer.rates == [0.1, 0.2]


def test_schedules_inside_are_welcome() -> None:
    o = Groups(1.0)
    parts = [ScheduleLR(o, warmup(3)), ScheduleLR(o, exponential(0.5))]
    assert first(SequentialLR(o, parts, [3]), 5) == [0.25, 0.5, 0.75, 1, 0.5, 0.25]
