"""The scheduler classes against PyTorch's recorded runs, and whatever may happen to a run."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pathlib
import pickle
import runpy
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_opt.optim import lr_scheduler
from tinygrad_opt.optim.lr_driver import ClosedForm
from tinygrad_opt.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    ScheduleLR,
    StepLR,
)
from tinygrad_opt.optim.schedules import (
    Schedule,
    constant,
    cosine,
    every,
    exponential,
    linear,
    milestones,
    polynomial,
    warmup,
)

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_schedules.py")))
RECORD = json.loads(ORACLE.RECORD.read_text())
STEPS = 24


class Groups:
    """All that a scheduler knows of an optimizer."""

    def __init__(self, *rates: Any) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": [], "lr": lr} for lr in rates]
        self.defaults = {"lr": 1.0}
        self.step_count = 0

    def step(self) -> None:
        self.step_count += 1

    def add_param_group(self, group: dict[str, Any]) -> None:
        self.param_groups.append(group)

    def state_dict(self) -> dict[str, Any]:
        return {"param_groups": copy.deepcopy(self.param_groups)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.param_groups = copy.deepcopy(state["param_groups"])

    @property
    def rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.param_groups]


class Halving:
    """A callable object with something to save."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, t: float) -> float:
        return 0.5 ** (t // self.width)


def inverse(t: float) -> float:
    return 1 / (1 + t)


# One scheduler of each class, on two groups; every one of them moves within STEPS.
BUILD: dict[str, Callable[..., Any]] = {
    "StepLR": lambda o, **k: StepLR(o, 3, 0.5, **k),
    "MultiStepLR": lambda o, **k: MultiStepLR(o, [4, 9, 4], 0.6, **k),
    "ConstantLR": lambda o, **k: ConstantLR(o, 0.1, 7, **k),
    "LinearLR": lambda o, **k: LinearLR(o, 0.1, 0.9, 11, **k),
    "ExponentialLR": lambda o, **k: ExponentialLR(o, 0.9, **k),
    "PolynomialLR": lambda o, **k: PolynomialLR(o, 15, 2.0, **k),
    "CosineAnnealingLR": lambda o, **k: CosineAnnealingLR(o, 8, 1e-3, **k),
    "LambdaLR": lambda o, **k: LambdaLR(o, [inverse, Halving(4)], **k),
    "ScheduleLR": lambda o, **k: ScheduleLR(o, [warmup(5) >> cosine(9), exponential(0.9)], **k),
    "ReduceLROnPlateau": lambda o, **k: ReduceLROnPlateau(o, "max", 0.5, 1, cooldown=2),
}
CLOSED = [name for name in BUILD if name != "ReduceLROnPlateau"]
FOLLOWING = [name for name in CLOSED if name != "LambdaLR"]


def advance(optimizer: Groups, *schedulers: Any, t: int = 0) -> list[float]:
    optimizer.step()
    for scheduler in schedulers:
        plateau = isinstance(scheduler, ReduceLROnPlateau)
        scheduler.step(*([1.0 - 0.1 * (t % 7)] if plateau else []))
    return optimizer.rates


def run(scheduler: Any, steps: int = STEPS) -> list[list[float]]:
    optimizer = scheduler.optimizer
    return [optimizer.rates] + [advance(optimizer, scheduler, t=t) for t in range(steps)]


def first(scheduler: Any, steps: int) -> list[float]:
    return [rates[0] for rates in run(scheduler, steps)]


# --- against PyTorch


def name_of(case: dict[str, Any]) -> str:
    names = " + ".join(name for name, _ in case["schedulers"])
    return f"{names} {case.get('metrics') or ''} {'edited' if 'edits' in case else ''}".strip()


@pytest.mark.parametrize("case", RECORD["cases"], ids=name_of)
@pytest.mark.filterwarnings("ignore:.*metric of step .* is NaN")
def test_the_rates_are_those_of_pytorch(case: dict[str, Any]) -> None:
    rates, _ = ORACLE.trace(lr_scheduler, Groups(*ORACLE.START), case)
    np.testing.assert_allclose(rates, case["lr"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "case", [case for case in RECORD["cases"] if len(case["schedulers"]) == 1], ids=name_of
)
@pytest.mark.filterwarnings("ignore:.*metric of step .* is NaN")
def test_a_checkpoint_of_pytorch_is_resumed(case: dict[str, Any]) -> None:
    state = dict(case["state"])
    if "milestones" in state:  # JSON has no integer keys
        state["milestones"] = {int(step): count for step, count in state["milestones"].items()}
    optimizer = Groups(7.0, 8.0)
    scheduler = ORACLE.build(lr_scheduler, optimizer, *case["schedulers"][0])
    scheduler.load_state_dict(state)
    rates = [optimizer.rates]
    for step in range(ORACLE.SAVED_AFTER, ORACLE.STEPS):
        optimizer.step()
        optimizer.param_groups[0]["lr"] = case.get("edits", {}).get(str(step), optimizer.rates[0])
        metrics = ORACLE.METRICS.get(case["metrics"]) if case.get("metrics") else None
        scheduler.step(*([metrics[step]] if metrics else []))
        rates.append(optimizer.rates)
    np.testing.assert_allclose(rates, case["lr"][ORACLE.SAVED_AFTER :], rtol=1e-12, atol=1e-15)


def test_every_class_has_recorded_cases() -> None:
    assert set(lr_scheduler.__all__) - {"LRScheduler", "ScheduleLR"} == set(ORACLE.PARAMETERS)
    assert {name for case in RECORD["cases"] for name, _ in case["schedulers"]} == set(
        ORACLE.PARAMETERS
    )
    assert set(BUILD) == set(lr_scheduler.__all__) - {"LRScheduler"}


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*metric of step .* is NaN")
def test_pytorch_itself_agrees_and_resumes_our_checkpoints() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.optim.lr_scheduler

    def optimizer() -> Any:
        groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in ORACLE.START]
        return torch.optim.SGD(groups, lr=1.0)

    for case in ORACLE.cases():
        expected, _ = ORACLE.trace(theirs, optimizer(), case)
        rates, _ = ORACLE.trace(lr_scheduler, Groups(*ORACLE.START), case)
        np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-15, err_msg=str(case))
    for name, sets in ORACLE.PARAMETERS.items():
        if name in ("ReduceLROnPlateau", "LambdaLR"):
            continue
        ours = Groups(*ORACLE.START)
        ours_scheduler = ORACLE.build(lr_scheduler, ours, name, sets[1 % len(sets)])
        run(ours_scheduler, 6)
        torch_optimizer = optimizer()
        torch_scheduler = ORACLE.build(theirs, torch_optimizer, name, sets[0])
        torch_scheduler.load_state_dict(ours_scheduler.state_dict())
        for group, lr in zip(torch_optimizer.param_groups, ours.rates, strict=True):
            group["lr"] = lr
        for t in range(12):
            torch_optimizer.step()
            torch_scheduler.step()
            expected = [group["lr"] for group in torch_optimizer.param_groups]
            np.testing.assert_allclose(advance(ours, ours_scheduler, t=t), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "schedule"),
    [
        (lambda o: StepLR(o, 3, 0.5), every(3, 0.5)),
        (lambda o: MultiStepLR(o, [4, 2, 4]), milestones([2, 4, 4])),
        (lambda o: ConstantLR(o, 0.5, 4), constant(0.5, 4) >> constant()),
        (lambda o: LinearLR(o, 0.2, 0.8, 6), linear(6, 0.2, 0.8)),
        (lambda o: ExponentialLR(o, 0.9), exponential(0.9)),
        (lambda o: PolynomialLR(o, 9, 2.0), polynomial(9, 2.0)),
        (lambda o: CosineAnnealingLR(o, 32), cosine(32)),
        (lambda o: LambdaLR(o, warmup(3) >> cosine(5)), warmup(3) >> cosine(5)),
    ],
)
def test_a_class_is_its_schedule(build: Callable[..., Any], schedule: Schedule) -> None:
    expected = [[0.1 * f, 0.004 * f] for f in schedule.values(STEPS + 1)]
    assert run(build(Groups(0.1, 0.004))) == expected
    assert run(ScheduleLR(Groups(0.1, 0.004), schedule)) == expected


# --- where we differ from PyTorch on purpose


def test_no_steps_means_already_over() -> None:
    assert first(ConstantLR(Groups(0.1), 0.5, total_iters=0), 2) == [0.1] * 3
    assert first(LinearLR(Groups(0.1), 0.5, 0.8, total_iters=0), 2) == [0.1 * 0.8] * 3
    assert first(PolynomialLR(Groups(0.1), total_iters=0), 2) == [0.0] * 3


def test_a_constant_factor_may_be_zero() -> None:
    assert first(ConstantLR(Groups(0.1), 0.0, 2), 4) == [0, 0, 0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda o: StepLR(o, 0), "StepLR: step_size must be ≥ 1, got 0"),
        (lambda o: CosineAnnealingLR(o, 0), "CosineAnnealingLR: T_max must be ≥ 1, got 0"),
        (lambda o: ConstantLR(o, 1.5), "ConstantLR: factor 1.5 is outside [0, 1]"),
        (lambda o: LinearLR(o, 0), "LinearLR: start_factor 0 is outside (0, 1]"),
        (lambda o: LinearLR(o, 0.5, -1), "LinearLR: end_factor -1 is outside [0, 1]"),
        (lambda o: LinearLR(o, 0.5, 1, -1), "linear: T must be a finite number ≥ 0, got -1"),
        (lambda o: LambdaLR(o, [inverse]), "LambdaLR: 1 given for 2 parameter groups"),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), "ReduceLROnPlateau: factor must be below 1"),
        (lambda o: ReduceLROnPlateau(o, "low"), "ReduceLROnPlateau: mode 'low' is none of"),
        (
            lambda o: ReduceLROnPlateau(o, threshold_mode="x"),
            "ReduceLROnPlateau: threshold_mode 'x' is none of ('rel', 'abs')",
        ),
        (
            lambda o: ReduceLROnPlateau(o, min_lr=[0.0]),
            "ReduceLROnPlateau: min_lr: 1 given for 2 parameter groups",
        ),
    ],
)
def test_wrong_values_are_refused_at_construction(build: Any, sentence: str) -> None:
    optimizer = Groups(0.1, 0.2)
    with pytest.raises(ValueError) as error:
        build(optimizer)
    assert str(error.value).startswith(sentence)
    assert optimizer.rates == [0.1, 0.2]


def test_a_schedule_must_be_one() -> None:
    with pytest.raises(TypeError, match=r"drives a Schedule such as cosine\(900\), got 'cosine'"):
        ScheduleLR(Groups(0.1), "cosine")
    with pytest.raises(NotImplementedError, match=r"does not say what its f\(t\) is"):
        ClosedForm(Groups(0.1))


# --- resuming


@pytest.mark.parametrize("name", CLOSED)
def test_last_epoch_alone_resumes_at_every_step(name: str) -> None:
    whole = run(BUILD[name](Groups(0.1, 0.004)))
    for k in range(1, STEPS):
        optimizer = Groups(*whole[k])
        for group, initial in zip(optimizer.param_groups, (0.1, 0.004), strict=True):
            group["initial_lr"] = initial
        assert run(BUILD[name](optimizer, last_epoch=k - 1), STEPS - k) == whole[k:]


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_a_checkpoint_resumes_at_every_step(name: str, optimizer_first: bool) -> None:
    scheduler = BUILD[name](Groups(0.1, 0.004))
    optimizer = scheduler.optimizer
    checkpoints, whole = [], []
    for t in range(STEPS):
        plain = json.loads(json.dumps(scheduler.state_dict()))  # numbers, text and lists only
        state = scheduler.state_dict() if "milestones" in plain else plain
        checkpoints.append((optimizer.state_dict(), state))
        whole.append(advance(optimizer, scheduler, t=t))
    for k, (optimizer_state, state) in enumerate(checkpoints):
        again = Groups(0.1, 0.004)
        resumed = BUILD[name](again)
        loads = [(again, optimizer_state), (resumed, state)]
        for what, saved in loads if optimizer_first else reversed(loads):
            what.load_state_dict(saved)
        assert again.rates == (whole[k - 1] if k else resumed.get_last_lr())
        assert [advance(again, resumed, t=t) for t in range(k, STEPS)] == whole[k:]


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


def test_loading_writes_the_rate_even_after_a_fresh_construction() -> None:
    optimizer = Groups(0.1)
    scheduler = LinearLR(optimizer, 0.1, 1.0, 4)
    run(scheduler, 6)
    states = optimizer.state_dict(), scheduler.state_dict()
    again = Groups(0.1)
    again.load_state_dict(states[0])
    resumed = LinearLR(again, 0.1, 1.0, 4)  # construction moves lr to its own start
    resumed.load_state_dict(states[1])
    assert again.rates == resumed.get_last_lr() == [0.1]


def test_loading_takes_the_settings_and_ignores_what_it_does_not_know() -> None:
    saved = StepLR(Groups(0.1), 3, 0.5)
    run(saved, 4)
    scheduler = StepLR(Groups(0.1), 100, 0.9)
    scheduler.load_state_dict(saved.state_dict() | {"verbose": True, "optimizer": None})
    assert (scheduler.step_size, scheduler.gamma) == (3, 0.5)
    assert not hasattr(scheduler, "verbose")
    assert first(scheduler, 3) == first(saved, 3)


def test_a_checkpoint_shares_nothing_with_the_scheduler() -> None:
    scheduler = MultiStepLR(Groups(0.1), [2, 4])
    state = scheduler.state_dict()
    frozen = copy.deepcopy(state)
    run(scheduler, 5)
    assert state == frozen
    state["milestones"][3] = 1
    state["base_lrs"][0] = 9.0
    assert scheduler.milestones == {2: 1, 4: 1}
    assert scheduler.base_lrs == [0.1]


def test_resuming_without_initial_lr_says_which_group_and_why() -> None:
    optimizer = Groups(0.1, 0.2)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    with pytest.raises(KeyError) as error:
        StepLR(optimizer, 3, last_epoch=5)
    assert "StepLR(last_epoch=5) resumes from 'initial_lr', which param_groups[1] does not" in str(
        error.value
    )


def test_a_checkpoint_of_more_groups_is_refused() -> None:
    state = ExponentialLR(Groups(0.1, 0.2), 0.9).state_dict()
    scheduler = ExponentialLR(Groups(0.1), 0.5)
    with pytest.raises(ValueError, match="belongs to 2 parameter groups, this optimizer has 1"):
        scheduler.load_state_dict(state)
    assert scheduler.gamma == 0.5


def test_objects_are_saved_and_functions_are_named() -> None:
    state = LambdaLR(Groups(1.0, 1.0), [Halving(7), inverse]).state_dict()
    assert state["lr_lambdas"] == [{"width": 7}, None]
    assert state["_lr_lambda_names"] == ["Halving", "inverse"]
    scheduler = LambdaLR(Groups(1.0, 1.0), [Halving(2), inverse])
    scheduler.load_state_dict(state)
    assert scheduler.schedule(0).width == 7
    with pytest.warns(UserWarning, match="saved with Halving, inverse, this scheduler was built"):
        LambdaLR(Groups(1.0, 1.0), inverse).load_state_dict(state)
    with pytest.warns(UserWarning, match=r"saved with cosine\(9\), this .* built with cosine\(8\)"):
        ScheduleLR(Groups(1.0), cosine(8)).load_state_dict(
            ScheduleLR(Groups(1.0), cosine(9)).state_dict()
        )


@pytest.mark.parametrize("name", BUILD)
def test_optimizer_and_scheduler_copy_and_pickle_together(name: str) -> None:
    scheduler = BUILD[name](Groups(0.1, 0.004))
    run(scheduler, 5)
    copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
    expected = run(scheduler, 10)
    for again in copies:
        assert again.optimizer is not scheduler.optimizer
        assert run(again, 10) == expected


# --- edits, composition, groups


@pytest.mark.parametrize("name", FOLLOWING)
def test_an_edited_rate_is_continued_from(name: str) -> None:
    whole = run(BUILD[name](Groups(0.1, 0.1)))
    floor = 1e-3 if name == "CosineAnnealingLR" else 0.0
    for k in range(1, STEPS):
        if abs(whole[k][0] - floor) < 1e-12:  # at its end a schedule forgets: 0 times anything
            continue
        scheduler = BUILD[name](Groups(0.1, 0.1))
        run(scheduler, k)
        scheduler.optimizer.param_groups[0]["lr"] = floor + 2 * (whole[k][0] - floor)
        edited = np.array(run(scheduler, STEPS - k))
        expected = np.array(whole[k:])
        expected[:, 0] = floor + 2 * (expected[:, 0] - floor)
        np.testing.assert_allclose(edited, expected, rtol=1e-12, atol=1e-15)


def test_an_edit_survives_the_minimum_of_a_cosine() -> None:
    scheduler = CosineAnnealingLR(Groups(0.1), 4)
    run(scheduler, 2)
    scheduler.optimizer.param_groups[0]["lr"] *= 3
    assert first(scheduler, 6)[-1] == pytest.approx(0.3)  # t = 8, one period on


def test_an_edit_where_the_factor_is_zero_leaves_the_base() -> None:
    scheduler = CosineAnnealingLR(Groups(0.1), 4)
    run(scheduler, 4)
    assert scheduler.get_last_lr() == [0.0]
    scheduler.optimizer.param_groups[0]["lr"] = 0.7
    assert first(scheduler, 4)[-1] == 0.1


def test_a_lambda_overwrites_an_edit() -> None:
    scheduler = LambdaLR(Groups(0.1), inverse)
    scheduler.optimizer.param_groups[0]["lr"] = 5.0
    assert advance(scheduler.optimizer, scheduler) == [0.05]


def test_two_schedulers_on_one_optimizer_multiply() -> None:
    optimizer = Groups(0.1)
    schedulers = [LinearLR(optimizer, 0.1, 1.0, 4), ExponentialLR(optimizer, 0.5)]
    assert optimizer.rates == [pytest.approx(0.01)]
    assert optimizer.param_groups[0]["initial_lr"] == 0.1
    assert [s.base_lrs for s in schedulers] == [[0.1], [0.1]]
    rates = [advance(optimizer, *schedulers)[0] for _ in range(6)]
    factors = [linear(4, 0.1, 1.0)(t) * 0.5**t for t in range(1, 7)]
    assert rates == pytest.approx([0.1 * f for f in factors], rel=1e-12)


@pytest.mark.parametrize("name", CLOSED)
def test_construction_remembers_the_rate_and_writes_the_first(name: str) -> None:
    optimizer = Groups(0.1, 0.004)
    scheduler = BUILD[name](optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.004]
    assert scheduler.base_lrs == [0.1, 0.004]
    assert scheduler.last_epoch == 0
    assert scheduler.get_last_lr() == optimizer.rates
    later = BUILD[name](optimizer)
    assert later.base_lrs == [0.1, 0.004]


def test_groups_added_later_join() -> None:
    optimizer = Groups(1.0)
    scheduler = ExponentialLR(optimizer, 0.5)
    run(scheduler, 3)
    optimizer.add_param_group({"params": [], "lr": 0.8})
    assert advance(optimizer, scheduler) == [0.5**4, 0.4]
    assert advance(optimizer, scheduler) == [0.5**5, 0.2]
    assert scheduler.base_lrs == [1.0, 0.8]
    assert scheduler.get_last_lr() == optimizer.rates

    optimizer = Groups(1.0)
    scheduler = LambdaLR(optimizer, [inverse])
    run(scheduler, 3)
    optimizer.add_param_group({"params": [], "lr": 0.8})
    assert advance(optimizer, scheduler) == [1 / 5, pytest.approx(0.8 / 5)]

    optimizer = Groups(1.0)
    plateau = ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=[0.3])
    optimizer.add_param_group({"params": [], "lr": 0.8})
    for _ in range(4):
        plateau.step(1.0)
    assert optimizer.rates == plateau.get_last_lr() == [0.3, 0.3]


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


def test_numpy_scalars_become_python_floats() -> None:
    optimizer = Groups(np.float64(0.1))
    scheduler = StepLR(optimizer, 2)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert type(optimizer.param_groups[0]["initial_lr"]) is float
    assert type(scheduler.base_lrs[0]) is float


def test_the_last_rates_are_copies() -> None:
    scheduler = StepLR(Groups(0.1), 2)
    scheduler.get_last_lr()[0] = 7.0
    assert scheduler.get_last_lr() == [0.1]


@pytest.mark.parametrize("name", CLOSED)
def test_step_can_be_told_where_to_go(name: str) -> None:
    whole = run(BUILD[name](Groups(0.1, 0.004)))
    scheduler = BUILD[name](Groups(0.1, 0.004))
    scheduler.optimizer.step()
    for t in (3, 17, 2, 23):
        scheduler.step(t)
        assert scheduler.last_epoch == t
        np.testing.assert_allclose(scheduler.get_last_lr(), whole[t], rtol=1e-12, atol=1e-15)


def test_a_fraction_of_an_epoch() -> None:
    scheduler = CosineAnnealingLR(Groups(1.0), 2)
    scheduler.optimizer.step()
    scheduler.step(0.5)
    assert scheduler.get_last_lr() == [pytest.approx((1 + math.sqrt(0.5)) / 2)]


# --- order


def test_stepping_before_the_optimizer_warns_once() -> None:
    scheduler = StepLR(Groups(0.1), 2)
    with pytest.warns(UserWarning, match=r"StepLR\.step\(\) .* before the first optimizer\.step"):
        scheduler.step()
    scheduler.step()


def test_an_unfounded_warning_is_not_given() -> None:
    optimizer = Groups(0.1)
    scheduler = StepLR(optimizer, 2)
    plain_step = optimizer.step
    optimizer.step = lambda: plain_step()  # type: ignore[method-assign]  # wrapped by the user
    run(scheduler, 2)

    resumed = StepLR(Groups(0.1), 2)
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()


# --- ReduceLROnPlateau


def plateau(metrics: list[float], **options: Any) -> list[float]:
    scheduler = ReduceLROnPlateau(Groups(0.1), **options)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(scheduler.get_last_lr()[0])
    return rates


def test_plateau_waits_lowers_and_cools_down() -> None:
    rates = plateau([1.0] * 12, factor=0.5, patience=2, cooldown=1)
    assert rates == pytest.approx([0.1] * 3 + [0.05] * 4 + [0.025] * 4 + [0.0125])


def test_plateau_with_negative_metrics_accepts_only_what_is_better() -> None:
    options = {"factor": 0.5, "patience": 0, "threshold": 0.1}
    scheduler = ReduceLROnPlateau(Groups(0.1), **options)
    for metric, best in [(-1.0, -1.0), (-0.95, -1.0), (-1.05, -1.0), (-1.2, -1.2)]:
        scheduler.step(metric)
        assert scheduler.best == best
    scheduler = ReduceLROnPlateau(Groups(0.1), mode="max", **options)
    for metric, best in [(-1.0, -1.0), (-1.05, -1.0), (-0.95, -1.0), (-0.85, -0.85), (0.0, 0.0)]:
        scheduler.step(metric)
        assert scheduler.best == best
    scheduler.step(1e-9)  # zero has no relative margin
    assert scheduler.best == 1e-9


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_takes_any_number_first(mode: str, threshold_mode: str) -> None:
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 1.0}
    for metric in (5.0, -5.0, 0.0):
        scheduler = ReduceLROnPlateau(Groups(0.1), **options)
        scheduler.step(metric)
        assert scheduler.best == metric


def test_plateau_does_not_make_tiny_changes() -> None:
    assert plateau([1.0] * 4, patience=0, factor=0.5, eps=0.04) == [0.1, 0.05, 0.05, 0.05]
    assert plateau([1.0] * 4, patience=0, factor=0.5, min_lr=0.04) == [0.1, 0.05, 0.04, 0.04]


def test_plateau_counts_nan_as_bad_and_says_so() -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1), patience=0)
    scheduler.step(1.0)
    with pytest.warns(UserWarning, match="the metric of step 2 is NaN"):
        scheduler.step(math.nan)
    assert scheduler.best == 1.0
    assert scheduler.get_last_lr() == [pytest.approx(0.01)]


def test_plateau_reads_arrays_and_goes_on_from_edits() -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1), patience=0, factor=0.5)
    scheduler.step(np.array([1.0]))
    assert type(scheduler.best) is float
    scheduler.optimizer.param_groups[0]["lr"] = 0.8
    scheduler.step(np.float32(1.0))
    assert scheduler.get_last_lr() == [0.4]
    scheduler.step(0.1, epoch=9)
    assert scheduler.last_epoch == 9


def test_plateau_needs_no_first_optimizer_step() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plateau([1.0]) == [0.1]
