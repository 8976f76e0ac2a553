"""The scheduler classes against PyTorch's recorded runs, and whatever may happen to a run."""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scheduling import (
    BUILD,
    CLOSED,
    CONTAINERS,
    FOLLOWING,
    ORACLE,
    OVERWRITING,
    STEPS,
    Groups,
    Halving,
    advance,
    first,
    integer_keys,
    inverse,
    nearly,
    plain_json,
    run,
    two_groups,
)

from tinygrad_opt.optim import lr_scheduler
from tinygrad_opt.optim.lr_scheduler import (
    SWALR,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    ScheduleLR,
    SequentialLR,
    StepLR,
)
from tinygrad_opt.optim.lr_scheduler.driver import ClosedForm, LRScheduler
from tinygrad_opt.optim.schedules import (
    Schedule,
    constant,
    cosine,
    exponential,
    linear,
    milestones,
    polynomial,
    restarts,
    step,
    warmup,
)

pytestmark = pytest.mark.host

RECORD = json.loads(ORACLE.RECORD.read_text())
SINGLE = [case for case in RECORD["cases"] if len(case["schedulers"]) == 1]
NAN = pytest.mark.filterwarnings("ignore:.*metric of step .* is NaN")

# --- against PyTorch


def name_of(case: dict[str, Any]) -> str:
    words = [" + ".join(name for name, _ in case["schedulers"])]
    words += [str(case[key]) for key in ("optimizer", "metrics") if key in case]
    return " ".join([*words, "edited"] if "edits" in case else words)


def tolerance(case: dict[str, Any]) -> float:
    """1e-15, but where PyTorch multiplies rounding on: past the minimum of a cosine, and in pairs.

    Its own closed form of the cosine is met to 1e-15.
    """
    if len(case["schedulers"]) == 2:
        return 1e-12
    return 1e-14 if case["schedulers"][0][0] == "CosineAnnealingLR" else 1e-15


def groups_of(case: dict[str, Any], *rates: float) -> Groups:
    options = {"betas": (0.9, 0.999)} if case.get("optimizer") == "Adam" else {"momentum": 0.9}
    return Groups(*rates, **options)


@NAN
@pytest.mark.parametrize("case", RECORD["cases"], ids=name_of)
def test_the_rates_are_those_of_pytorch(case: dict[str, Any]) -> None:
    seen, _ = ORACLE.trace(lr_scheduler, groups_of(case, *ORACLE.START), case)
    np.testing.assert_allclose(seen["lr"], case["lr"], rtol=tolerance(case), atol=0)
    if "momentum" in case:
        np.testing.assert_allclose(seen["momentum"], case["momentum"], rtol=1e-15, atol=0)


@pytest.mark.parametrize("case", [c for c in SINGLE if "closed" in c], ids=name_of)
def test_the_rates_are_those_of_closed_forms_in_pytorch(case: dict[str, Any]) -> None:
    seen, _ = ORACLE.trace(lr_scheduler, groups_of(case, *ORACLE.START), case)
    np.testing.assert_allclose(seen["lr"], case["closed"], rtol=1e-15, atol=0)


@NAN
@pytest.mark.parametrize("case", SINGLE, ids=name_of)
def test_a_checkpoint_of_pytorch_is_resumed(case: dict[str, Any]) -> None:
    optimizer = groups_of(case, *ORACLE.START)
    scheduler = ORACLE.build(lr_scheduler, optimizer, *case["schedulers"][0])
    scheduler.load_state_dict(integer_keys(case["state"]))
    steps = case.get("steps", ORACLE.STEPS)
    saved = min(ORACLE.SAVED_AFTER, steps)
    metrics = ORACLE.METRICS.get(case.get("metrics", ""))
    values = [optimizer.values]
    for t in range(saved, steps):
        optimizer.step()
        optimizer.param_groups[0]["lr"] = case.get("edits", {}).get(str(t), optimizer.rates[0])
        scheduler.step(*([metrics[t]] if metrics else []))
        values.append(optimizer.values)
    found, tail = np.array(values), slice(saved, None)
    np.testing.assert_allclose(found[:, :2], case["lr"][tail], rtol=1e-14, atol=0)
    if "momentum" in case:
        np.testing.assert_allclose(found[:, 2:], case["momentum"][tail], rtol=1e-15, atol=0)


@pytest.mark.parametrize("case", SINGLE, ids=name_of)
def test_a_checkpoint_has_all_that_pytorch_looks_for(case: dict[str, Any]) -> None:
    def keys(state: dict[str, Any]) -> set[str]:
        inside = [keys(one) for one in state.get("_schedulers", [])]
        return set(state).union(*({f"{i}.{key}" for key in one} for i, one in enumerate(inside)))

    scheduler = ORACLE.build(lr_scheduler, groups_of(case, *ORACLE.START), *case["schedulers"][0])
    assert keys(case["state"]) <= keys(scheduler.state_dict())


def test_every_class_has_recorded_cases_and_is_run_here() -> None:
    classes = {
        name for name in lr_scheduler.__all__ if isinstance(getattr(lr_scheduler, name), type)
    }
    ours = {"ScheduleLR", "HyperparameterScheduler"}
    assert classes - {"LRScheduler"} - ours == set(ORACLE.PARAMETERS)
    assert {name for case in RECORD["cases"] for name, _ in case["schedulers"]} == set(
        ORACLE.PARAMETERS
    )
    assert classes - {"LRScheduler"} <= set(BUILD)


def test_pytorch_has_no_class_that_is_missing() -> None:
    theirs = "LambdaLR MultiplicativeLR StepLR MultiStepLR ConstantLR LinearLR ExponentialLR "
    theirs += "SequentialLR CosineAnnealingLR ChainedScheduler ReduceLROnPlateau CyclicLR "
    theirs += "CosineAnnealingWarmRestarts OneCycleLR PolynomialLR LRScheduler SWALR"
    assert set(theirs.split()) <= set(lr_scheduler.__all__)


@pytest.mark.parametrize(
    ("build", "schedule"),
    [
        (lambda o: StepLR(o, 3, 0.5), step(3, 0.5)),
        (lambda o: MultiStepLR(o, [4, 2, 4]), milestones([2, 4, 4])),
        (lambda o: ConstantLR(o, 0.5, 4), constant(0.5, 4) >> constant()),
        (lambda o: LinearLR(o, 0.2, 0.8, 6), linear(6, 0.2, 0.8)),
        (lambda o: ExponentialLR(o, 0.9), exponential(0.9)),
        (lambda o: PolynomialLR(o, 9, 2.0), polynomial(9, 2.0)),
        (lambda o: CosineAnnealingLR(o, 32), cosine(32)),
        (lambda o: CosineAnnealingWarmRestarts(o, 4, 2), restarts(4, 2)),
        (lambda o: LambdaLR(o, warmup(3) >> cosine(5)), warmup(3) >> cosine(5)),
        (
            lambda o: SequentialLR(o, [LinearLR(o, 0.25, 1, 8), CosineAnnealingLR(o, 16)], [8]),
            linear(8, 0.25, 1) >> cosine(16),
        ),
    ],
    ids=str,
)
def test_a_class_is_its_schedule(build: Callable[..., Any], schedule: Schedule) -> None:
    expected = [[0.1 * f, 0.004 * f, 0.9, 0.9] for f in schedule.values(STEPS + 1)]
    assert run(build(two_groups())) == expected
    assert run(ScheduleLR(two_groups(), schedule)) == expected


# --- resuming


@pytest.mark.parametrize("name", [*CLOSED, "SequentialLR"])
def test_last_epoch_alone_resumes_at_every_step(name: str) -> None:
    scheduler = BUILD[name](two_groups())
    optimizer = scheduler.optimizer
    groups, whole = [optimizer.state_dict()], [optimizer.values]
    for t in range(STEPS):
        whole.append(advance(optimizer, scheduler, t=t))
        groups.append(optimizer.state_dict())
    for k in range(1, STEPS):
        again = two_groups()
        again.load_state_dict(groups[k])
        assert run(BUILD[name](again, last_epoch=k - 1), STEPS - k, start=k) == whole[k:]


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_a_checkpoint_resumes_at_every_step(name: str, optimizer_first: bool) -> None:
    scheduler = BUILD[name](two_groups())
    optimizer = scheduler.optimizer
    checkpoints, whole = [], [optimizer.values]
    for t in range(STEPS):
        checkpoints.append((optimizer.state_dict(), plain_json(scheduler.state_dict())))
        whole.append(advance(optimizer, scheduler, t=t))
    for k, (optimizer_state, state) in enumerate(checkpoints):
        again = two_groups()
        resumed = BUILD[name](again)
        loads = [(again, optimizer_state), (resumed, state)]
        for what, saved in loads if optimizer_first else reversed(loads):
            what.load_state_dict(saved)
        assert again.values == whole[k]
        assert run(resumed, STEPS - k, start=k) == whole[k:]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_composed_and_edited_runs_resume(order: tuple[int, ...]) -> None:
    def build() -> tuple[Any, ...]:
        optimizer = Groups(0.1)
        return optimizer, LinearLR(optimizer, 0.1, 1.0, 6), CosineAnnealingLR(optimizer, 7, 0.01)

    def play(parts: tuple[Any, ...], start: int, checkpoints: list[Any]) -> list[list[float]]:
        rates = []
        for t in range(start, STEPS):
            if t == 9:
                parts[0].param_groups[0]["lr"] = 0.07
            checkpoints.append([part.state_dict() for part in parts])
            rates.append(advance(*parts))
        return rates

    checkpoints: list[Any] = []
    whole = play(build(), 0, checkpoints)
    for k, states in enumerate(checkpoints):
        parts = build()
        for i in order:
            parts[i].load_state_dict(states[i])
        assert play(parts, k, []) == whole[k:]


def test_loading_takes_the_settings_and_ignores_what_it_does_not_know() -> None:
    saved = StepLR(Groups(0.1), 3, 0.5)
    run(saved, 4)
    scheduler = StepLR(Groups(0.1), 100, 0.9)
    scheduler.load_state_dict(saved.state_dict() | {"verbose": True, "optimizer": None})
    assert (scheduler.step_size, scheduler.gamma) == (3, 0.5)
    assert not hasattr(scheduler, "verbose")
    assert first(scheduler, 3) == first(saved, 3)


@pytest.mark.parametrize("name", BUILD)
def test_a_checkpoint_shares_nothing_with_the_scheduler(name: str) -> None:
    scheduler = BUILD[name](two_groups())
    state = scheduler.state_dict()
    frozen = copy.deepcopy(state)
    run(scheduler, 15)
    assert state == frozen
    expected = run(copy.deepcopy(scheduler), 5)
    spoilt = scheduler.state_dict()
    spoil(spoilt)
    assert run(scheduler, 5) == expected


def spoil(value: Any) -> None:
    """Change every list and dict inside."""
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            spoil(one)
    value.clear()


def test_milestones_of_a_checkpoint_are_copies() -> None:
    scheduler = MultiStepLR(Groups(0.1), [2, 4])
    scheduler.state_dict()["milestones"][3] = 1
    assert scheduler.milestones == {2: 1, 4: 1}


def test_resuming_without_initial_lr_says_which_group_and_why() -> None:
    optimizer = Groups(0.1, 0.2)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    before = optimizer.state_dict()
    for name in CLOSED:
        key = "initial_momentum" if name == "HyperparameterScheduler" else "initial_lr"
        with pytest.raises(KeyError) as error:
            BUILD[name](optimizer, last_epoch=5)
        sentence = str(error.value)
        assert f"(last_epoch=5) resumes from '{key}', which param_groups[" in sentence
        assert "load the optimizer's state first" in sentence
        assert optimizer.state_dict() == before


@pytest.mark.parametrize("name", BUILD)
def test_a_checkpoint_of_more_groups_is_refused_and_nothing_changes(name: str) -> None:
    state = BUILD[name](two_groups()).state_dict()
    optimizer = Groups(0.1)
    inside = [LinearLR(optimizer), ExponentialLR(optimizer, 0.9)]
    one = {
        "ReduceLROnPlateau": lambda: ReduceLROnPlateau(optimizer),
        "SequentialLR": lambda: SequentialLR(optimizer, inside, [1]),
    }.get(name, lambda: inside[1])()
    before = optimizer.state_dict(), one.state_dict()
    with pytest.raises(ValueError, match="belongs to 2 parameter groups, this optimizer has 1"):
        one.load_state_dict(state)
    assert (optimizer.state_dict(), one.state_dict()) == before


def test_something_else_than_a_state_is_refused() -> None:
    scheduler = StepLR(Groups(0.1), 3)
    for wrong in ({}, {"param_groups": []}, None):
        with pytest.raises(ValueError, match="StepLR: this is no state of a scheduler"):
            scheduler.load_state_dict(wrong)


@pytest.mark.parametrize(
    "saved, built, told",
    [
        ("StepLR", "CosineAnnealingLR", "has gamma, step_size"),
        ("StepLR", "ExponentialLR", "has step_size"),
        ("ExponentialLR", "StepLR", "lacks step_size"),
        ("CosineAnnealingLR", "ReduceLROnPlateau", "has T_max, eta_min"),
        ("ReduceLROnPlateau", "StepLR", "has cooldown, eps, factor, mode, patience, threshold"),
        ("SequentialLR", "StepLR", "has _schedulers"),
        ("SequentialLR", "PolynomialLR", "has _schedulers"),
    ],
)
def test_the_state_of_another_scheduler_is_refused(saved: str, built: str, told: str) -> None:
    state, scheduler = BUILD[saved](Groups(0.1)).state_dict(), BUILD[built](Groups(0.1))
    before = scheduler.state_dict()
    text = f"{built}: this is the state of another scheduler, it {told}"
    with pytest.raises(ValueError, match=text):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before


def test_objects_are_saved_and_functions_are_named() -> None:
    for kind in (LambdaLR, MultiplicativeLR):
        state = kind(Groups(1.0, 1.0), [Halving(7), inverse]).state_dict()
        assert state["lr_lambdas"] == [{"width": 7}, None]
        assert state["_lr_lambda_names"] == ["Halving", "inverse"]
        scheduler = kind(Groups(1.0, 1.0), [Halving(2), inverse])
        scheduler.load_state_dict(state)
        assert scheduler.lr_lambdas[0].width == 7
        with pytest.warns(UserWarning, match="saved with Halving, inverse, this scheduler was"):
            kind(Groups(1.0, 1.0), inverse).load_state_dict(state)
    with pytest.warns(UserWarning, match=r"saved with cosine\(9\), this .* built with cosine\(8\)"):
        ScheduleLR(Groups(1.0), cosine(8)).load_state_dict(
            ScheduleLR(Groups(1.0), cosine(9)).state_dict()
        )


@pytest.mark.parametrize("name", BUILD)
def test_optimizer_and_scheduler_copy_and_pickle_together(name: str) -> None:
    scheduler = BUILD[name](two_groups())
    run(scheduler, 5)
    copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
    expected = run(scheduler, 15)
    for again in copies:
        assert again.optimizer is not scheduler.optimizer
        assert run(again, 15) == expected


# --- edits, composition, groups

FLOORS = {"CosineAnnealingLR": 1e-3, "SWALR": 0.02}


@pytest.mark.parametrize("name", FOLLOWING)
def test_an_edited_value_is_continued_from(name: str) -> None:
    key = "momentum" if name == "HyperparameterScheduler" else "lr"
    place = 2 if key == "momentum" else 0
    whole = run(BUILD[name](two_groups()))
    floor = FLOORS.get(name, 0.0)
    for k in range(1, STEPS):
        if abs(whole[k][place] - floor) < 1e-12:  # where f is 0 a base cannot be seen
            continue
        scheduler = BUILD[name](two_groups())
        run(scheduler, k)
        edited = floor + 2 * (whole[k][place] - floor)
        scheduler.optimizer.param_groups[0][key] = edited
        expected = np.array(whole[k:])
        expected[:, place] = floor + 2 * (expected[:, place] - floor)
        found = run(scheduler, STEPS - k, start=k)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OVERWRITING)
def test_an_edit_is_overwritten_by_what_is_computed_from_the_start(name: str) -> None:
    whole = run(BUILD[name](two_groups()))
    scheduler = BUILD[name](two_groups())
    run(scheduler, 3)
    scheduler.optimizer.param_groups[0]["lr"] = 5.0
    assert run(scheduler, STEPS - 3, start=3)[1:] == whole[4:]


def test_an_edit_where_the_factor_is_zero_leaves_the_base() -> None:
    scheduler = CosineAnnealingLR(Groups(0.1), 4)
    run(scheduler, 4)
    assert scheduler.get_last_lr() == [0.0]
    scheduler.optimizer.param_groups[0]["lr"] = 0.7
    assert first(scheduler, 4)[-1] == 0.1


def test_an_edited_setting_is_continued_with() -> None:
    scheduler = ExponentialLR(Groups(1.0), 0.5)
    run(scheduler, 3)
    scheduler.gamma = 0.1
    assert first(scheduler, 2) == pytest.approx([0.125, 0.0125, 0.00125], rel=1e-14)


def test_two_schedulers_on_one_optimizer_multiply() -> None:
    optimizer = Groups(0.1)
    schedulers = [LinearLR(optimizer, 0.1, 1.0, 4), ExponentialLR(optimizer, 0.5)]
    assert optimizer.rates == [pytest.approx(0.01)]
    assert optimizer.param_groups[0]["initial_lr"] == 0.1
    assert [s.base_lrs for s in schedulers] == [[0.1], [0.1]]
    rates = [advance(optimizer, *schedulers)[0] for _ in range(6)]
    factors = [linear(4, 0.1, 1.0)(t) * 0.5**t for t in range(1, 7)]
    assert rates == pytest.approx([0.1 * f for f in factors], rel=1e-12)


def test_swalr_starts_from_the_rate_found_at_its_first_step() -> None:
    optimizer = Groups(1.0)
    decay = ExponentialLR(optimizer, 0.5)
    average = SWALR(optimizer, 0.25, anneal_epochs=4, anneal_strategy="linear")
    rates = [advance(optimizer, decay)[0] for _ in range(5)]
    assert rates[-1] == 1 / 32
    line = [1 / 32 + (0.25 - 1 / 32) * k / 4 for k in range(5)]
    assert first(average, 6) == pytest.approx([*line, 0.25, 0.25])
    assert optimizer.param_groups[0]["swa_lr"] == 0.25


@pytest.mark.parametrize("name", CLOSED)
def test_construction_remembers_the_start_and_writes_the_first_value(name: str) -> None:
    optimizer = two_groups()
    scheduler = BUILD[name](optimizer)
    if name == "HyperparameterScheduler":
        assert [group["initial_momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
        assert scheduler.base_lrs == [0.9, 0.9]
        assert scheduler.get_last_value() == scheduler.get_last_lr() == optimizer.values[2:]
        return
    own = {"CyclicLR": [0.01, 0.01], "OneCycleLR": [0.04, 0.012]}.get(name, [0.1, 0.004])
    assert [group["initial_lr"] for group in optimizer.param_groups] == own
    assert scheduler.base_lrs == own
    assert scheduler.last_epoch == 0
    assert scheduler.get_last_lr() == optimizer.rates
    later = StepLR(optimizer, 3)
    assert later.base_lrs == own


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_group_added_later_is_continued_from_its_rate(name: str) -> None:
    key = "momentum" if name == "HyperparameterScheduler" else "lr"
    optimizer = Groups(1.0, 1.0)
    scheduler = BUILD[name](optimizer)
    run(scheduler, 3)
    optimizer.add_param_group({"params": [], "lr": 0.5, "momentum": 0.5})
    before = scheduler.schedule(2)(3), scheduler.schedule(2)(4)
    floor = scheduler.floor(2)
    advance(optimizer, scheduler)
    expected = floor + (0.5 - floor) * before[1] / before[0]
    assert optimizer.param_groups[2][key] == pytest.approx(expected, rel=1e-14)
    assert scheduler.base_lrs[2] == 0.5
    assert len(scheduler.get_last_lr()) == 3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_an_array_is_filled_in_place(dtype: type, shape: tuple[int, ...]) -> None:
    held = np.full(shape, 0.1, dtype=dtype)
    scheduler = CosineAnnealingLR(Groups(held), 50, 0.01)  # rounding is no edit: nothing drifts
    for expected in first(CosineAnnealingLR(Groups(0.1), 50, 0.01), 200)[1:]:
        scheduler.optimizer.step()
        scheduler.step()
        assert scheduler.optimizer.param_groups[0]["lr"] is held
        assert held.dtype == dtype
        assert held == pytest.approx(expected, rel=float(4 * np.finfo(dtype).eps), abs=1e-15)
    assert scheduler.get_last_lr() == [held.item()]
    assert type(scheduler.get_last_lr()[0]) is float


@pytest.mark.parametrize("name", BUILD)
def test_every_class_fills_arrays_in_place(name: str) -> None:
    held = [np.array(0.1), np.array([0.004])]
    scheduler = BUILD[name](Groups(*held))
    np.testing.assert_allclose(run(scheduler), run(BUILD[name](two_groups())), rtol=1e-12)
    groups = scheduler.optimizer.param_groups
    assert all(group["lr"] is one for group, one in zip(groups, held, strict=True))


def test_numpy_scalars_become_python_floats() -> None:
    optimizer = Groups(np.float64(0.1))
    scheduler = StepLR(optimizer, 2)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert type(optimizer.param_groups[0]["initial_lr"]) is float
    assert type(scheduler.base_lrs[0]) is float


@pytest.mark.parametrize("name", BUILD)
def test_the_last_rates_are_copies(name: str) -> None:
    scheduler = BUILD[name](two_groups())
    before = scheduler.get_last_lr()
    scheduler.get_last_lr()[0] = 7.0
    assert scheduler.get_last_lr() == before


@pytest.mark.parametrize("name", CLOSED)
def test_step_can_be_told_where_to_go(name: str) -> None:
    whole = run(BUILD[name](two_groups()))
    scheduler = BUILD[name](two_groups())
    scheduler.optimizer.step()
    for t in (3, 17, 2, 23):
        scheduler.step(t)
        assert scheduler.last_epoch == t
        np.testing.assert_allclose(scheduler.optimizer.values, whole[t], rtol=1e-12, atol=1e-15)


def test_a_fraction_of_an_epoch() -> None:
    scheduler = CosineAnnealingLR(Groups(1.0), 2)
    scheduler.optimizer.step()
    scheduler.step(0.5)
    assert scheduler.get_last_lr() == [pytest.approx((1 + math.sqrt(0.5)) / 2)]


def test_restarts_count_parts_of_an_epoch_and_say_so_to_pytorch() -> None:
    def build() -> CosineAnnealingWarmRestarts:
        return CosineAnnealingWarmRestarts(Groups(1.0), 2, 3)

    scheduler = build()
    scheduler.optimizer.step()
    scheduler.step(3.25)
    assert (scheduler.T_cur, scheduler.T_i) == (1.25, 6)
    assert scheduler.get_last_lr() == [(1 + math.cos(math.pi * 1.25 / 6)) / 2]
    state = scheduler.state_dict()
    assert (state["T_cur"], state["T_i"]) == (1.25, 6)
    again = build()
    again.load_state_dict(state | {"last_epoch": 3})  # as PyTorch rounds it
    assert first(again, 9) == first(scheduler, 9)
    with pytest.raises(ValueError, match=r"\.step: epoch must be a finite number ≥ 0, got -1"):
        scheduler.step(-1)


def test_a_multiplier_is_asked_once_for_every_step_and_never_for_the_start() -> None:
    asked: list[float] = []

    def factor(t: float) -> float:
        asked.append(t)
        return 0.5

    scheduler = MultiplicativeLR(Groups(1.0), factor)
    assert first(scheduler, 5) == [0.5**t for t in range(6)]
    assert asked == [1, 2, 3, 4, 5]


# --- order


@pytest.mark.parametrize("name", [name for name in BUILD if name != "ReduceLROnPlateau"])
def test_stepping_before_the_optimizer_warns_once(name: str) -> None:
    scheduler = BUILD[name](two_groups())
    metric = [1.0] if name in CONTAINERS else []
    kind = type(scheduler).__name__
    with pytest.warns(UserWarning, match=rf"{kind}\.step\(\) .* before the first optimizer\.step"):
        scheduler.step(*metric)
    scheduler.step(*metric)


def test_an_unfounded_warning_is_not_given() -> None:
    optimizer = Groups(0.1)
    scheduler = StepLR(optimizer, 2)
    plain_step = optimizer.step
    optimizer.step = lambda: plain_step()  # type: ignore[method-assign]  # wrapped by the user
    run(scheduler, 2)

    resumed = StepLR(Groups(0.1), 2)
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()


# --- wrong use


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda o: StepLR(o, 0), "StepLR: step_size must be a finite number ≥ 1, got 0"),
        (lambda o: StepLR(o, "3"), "StepLR: step_size must be a finite number ≥ 1, got '3'"),
        (lambda o: StepLR(o, 3, math.nan), "StepLR: gamma must be a finite number ≥ 0, got nan"),
        (lambda o: StepLR(o, 3, last_epoch=-2), "StepLR: last_epoch must be a whole number ≥ -1"),
        (lambda o: MultiStepLR(o, [3], -0.1), "MultiStepLR: gamma must be a finite number ≥ 0"),
        (lambda o: MultiStepLR(o, [math.nan]), "MultiStepLR: a milestone must be a finite number"),
        (lambda o: ExponentialLR(o, -1), "ExponentialLR: gamma must be a finite number ≥ 0"),
        (
            lambda o: CosineAnnealingLR(o, 0),
            "CosineAnnealingLR: T_max must be a finite number ≥ 1, got 0",
        ),
        (lambda o: CosineAnnealingLR(o, 5, math.inf), "CosineAnnealingLR: eta_min must be a fin"),
        (
            lambda o: CosineAnnealingWarmRestarts(o, 2.5),
            "CosineAnnealingWarmRestarts: T_0 must be a whole number ≥ 1, got 2.5",
        ),
        (
            lambda o: CosineAnnealingWarmRestarts(o, 2, 0),
            "CosineAnnealingWarmRestarts: T_mult must be a whole number ≥ 1, got 0",
        ),
        (
            lambda o: CosineAnnealingWarmRestarts(o, 2, eta_min="a"),
            "CosineAnnealingWarmRestarts: eta_min must be a finite number, got 'a'",
        ),
        (lambda o: ConstantLR(o, 1.5), "ConstantLR: factor 1.5 is outside [0, 1]"),
        (lambda o: ConstantLR(o, 0.5, -1), "ConstantLR: total_iters must be a finite number ≥ 0"),
        (lambda o: LinearLR(o, 0), "LinearLR: start_factor 0 is outside (0, 1]"),
        (lambda o: LinearLR(o, 0.5, -1), "LinearLR: end_factor -1 is outside [0, 1]"),
        (lambda o: LinearLR(o, 0.5, 1, -1), "LinearLR: total_iters must be a finite number ≥ 0"),
        (lambda o: PolynomialLR(o, 5, -1), "PolynomialLR: power must be a finite number ≥ 0"),
        (lambda o: LambdaLR(o, [inverse]), "LambdaLR: 1 given for 2 parameter groups"),
        (lambda o: MultiplicativeLR(o, [nearly]), "MultiplicativeLR: 1 given for 2 parameter"),
        (lambda o: SWALR(o, [0.1]), "SWALR: swa_lr: 1 given for 2 parameter groups"),
        (lambda o: SWALR(o, math.nan), "SWALR: swa_lr must be a finite number, got nan"),
        (lambda o: SWALR(o, 0.1, 1.5), "SWALR: anneal_epochs must be a whole number ≥ 0, got 1.5"),
        (lambda o: SWALR(o, 0.1, 5, "log"), "SWALR: anneal_strategy 'log' is none of 'cos', 'lin"),
    ],
)
def test_wrong_values_are_refused_at_construction(build: Any, sentence: str) -> None:
    optimizer = Groups(0.1, 0.2)
    before = optimizer.state_dict()
    with pytest.raises(ValueError) as error:
        build(optimizer)
    assert str(error.value).startswith(sentence)
    assert optimizer.state_dict() == before


def test_a_schedule_must_be_one() -> None:
    with pytest.raises(TypeError, match=r"drives a Schedule such as cosine\(900\), got 'cosine'"):
        ScheduleLR(Groups(0.1), "cosine")
    for kind in (LambdaLR, MultiplicativeLR):
        with pytest.raises(TypeError, match=r"lr_lambda is a function of t, got 0\.5"):
            kind(Groups(0.1), 0.5)
    with pytest.raises(NotImplementedError, match=r"does not say what its f\(t\) is"):
        ClosedForm(Groups(0.1))
    with pytest.raises(NotImplementedError, match="LRScheduler does not say how it steps"):
        LRScheduler()._advance(None)


@pytest.mark.parametrize("name", BUILD)
def test_an_optimizer_must_be_one(name: str) -> None:
    with pytest.raises(TypeError, match="a scheduler drives an optimizer, got list; write"):
        BUILD[name]([0.1, 0.2])


def test_a_function_that_fails_leaves_everything_as_it_was() -> None:
    def fails(t: float) -> float:
        return 1.0 if t < 3 else 1 / 0

    scheduler = LambdaLR(Groups(0.1), fails)
    run(scheduler, 2)
    state, groups = scheduler.state_dict(), scheduler.optimizer.state_dict()
    with pytest.raises(ZeroDivisionError):
        scheduler.step()
    assert (scheduler.state_dict(), scheduler.optimizer.state_dict()) == (state, groups)


# --- PyTorch at work beside it


@NAN
@pytest.mark.oracle
def test_pytorch_itself_agrees() -> None:
    importlib.import_module("torch")
    theirs, optimizer = ORACLE.pytorch()
    for case in ORACLE.cases():
        expected, _ = ORACLE.trace(theirs, optimizer(case.get("optimizer", "SGD")), case)
        seen, _ = ORACLE.trace(lr_scheduler, groups_of(case, *ORACLE.START), case)
        for key in seen:
            np.testing.assert_allclose(
                seen[key], expected[key], rtol=tolerance(case), atol=0, err_msg=str(case)
            )


@pytest.mark.oracle
@pytest.mark.parametrize("name", ORACLE.PARAMETERS)
def test_arguments_are_those_of_pytorch(name: str) -> None:
    importlib.import_module("torch")

    def arguments(kind: type) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(kind).parameters.values()]

    assert arguments(getattr(lr_scheduler, name)) == arguments(getattr(ORACLE.pytorch()[0], name))


@NAN
@pytest.mark.oracle
@pytest.mark.parametrize("ours_to_theirs", [True, False])
@pytest.mark.parametrize("name", ORACLE.PARAMETERS)
def test_checkpoints_cross_at_every_step(name: str, ours_to_theirs: bool) -> None:
    importlib.import_module("torch")
    theirs, torch_optimizer = ORACLE.pytorch()
    modules = {True: lr_scheduler, False: theirs}
    makers = {True: lambda: groups_of({}, *ORACLE.START), False: torch_optimizer}
    metrics = ORACLE.METRICS["noisy"] if name == "ReduceLROnPlateau" else None

    def play(scheduler: Any, optimizer: Any, t: int) -> list[float]:
        optimizer.step()
        scheduler.step(*([metrics[t]] if metrics else []))
        return [group["lr"] for group in optimizer.param_groups]

    for arguments in ORACLE.PARAMETERS[name]:
        steps = arguments.get("total_steps", 15) - 1 if name == "OneCycleLR" else 16
        optimizer = makers[ours_to_theirs]()
        source = ORACLE.build(modules[ours_to_theirs], optimizer, name, arguments)
        states, rates = [], []
        for t in range(steps):
            states.append(copy.deepcopy((optimizer.param_groups, source.state_dict())))
            rates.append(play(source, optimizer, t))
        for k, (groups, state) in enumerate(states):
            optimizer = makers[not ours_to_theirs]()
            target = ORACLE.build(modules[not ours_to_theirs], optimizer, name, arguments)
            for group, saved in zip(optimizer.param_groups, groups, strict=True):
                group.update({key: v for key, v in saved.items() if key != "params"})
            target.load_state_dict(state)
            seen = [play(target, optimizer, t) for t in range(k, steps)]
            np.testing.assert_allclose(seen, rates[k:], rtol=1e-12, atol=1e-17)
