"""CyclicLR and OneCycleLR: lr up and down, momentum the other way, on fake and real optimizers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scheduling import Groups, Halving, advance, first, inverse, run

from tinygrad_opt import optim, tensor
from tinygrad_opt.optim.lr_scheduler import CyclicLR, OneCycleLR
from tinygrad_opt.optim.schedules import one_cycle, triangle

pytestmark = pytest.mark.host


def momenta(scheduler: Any, steps: int) -> list[float]:
    return [values[1] for values in run(scheduler, steps)]


def half_wave(start: float, end: float, q: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * q)) / 2


# --- CyclicLR


def test_a_triangle_goes_up_and_down() -> None:
    scheduler = CyclicLR(Groups(7.0), 0.0, 1.0, 2, 4)
    assert first(scheduler, 9) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0.5, 1, 0.75])
    scheduler = CyclicLR(Groups(7.0), 0.0, 1.0, 2, base_momentum=0.5, max_momentum=0.75)
    assert momenta(scheduler, 4) == [0.75, 0.625, 0.5, 0.625, 0.75]


def test_the_modes_shrink_the_triangles() -> None:
    halved = CyclicLR(Groups(7.0), 0.0, 1.0, 1, mode="triangular2")
    assert first(halved, 6) == [0, 1, 0, 0.5, 0, 0.25, 0]
    shrunk = CyclicLR(Groups(7.0), 0.0, 1.0, 1, mode="exp_range", gamma=0.5)
    assert first(shrunk, 5) == [0, 0.5, 0, 0.125, 0, 0.03125]


def test_an_own_scale_is_asked_for_the_cycle_or_for_the_step() -> None:
    for mode, expected in {"cycle": [1 / 2, 1 / 3], "iterations": [1 / 2, 1 / 4]}.items():
        scheduler = CyclicLR(Groups(7.0), 0.0, 1.0, 1, scale_fn=inverse, scale_mode=mode)
        assert first(scheduler, 3) == pytest.approx([0, expected[0], 0, expected[1]])
        assert scheduler.scale_fn(3) == 0.25


def test_a_cycle_is_the_repeated_triangle() -> None:
    scheduler = CyclicLR(Groups(7.0), 0.1, 1.0, 3, 5)
    schedule = triangle(3, 5, 0.1).repeat()
    assert first(scheduler, 40) == pytest.approx(schedule.values(41), rel=1e-13)


def test_a_drop_that_takes_no_time_is_a_sawtooth() -> None:
    assert first(CyclicLR(Groups(7.0), 0.0, 1.0, 2, 0), 5) == [0, 0.5, 0, 0.5, 0, 0.5]


def test_the_base_takes_the_place_of_the_rate() -> None:
    optimizer = Groups(7.0)
    scheduler = CyclicLR(optimizer, 0.01, 0.1)
    assert optimizer.rates == scheduler.base_lrs == [0.01]
    group = optimizer.param_groups[0]
    assert (group["initial_lr"], group["base_momentum"], group["max_momentum"]) == (0.01, 0.8, 0.9)


def test_loading_restores_gamma_and_the_mode() -> None:
    saved = CyclicLR(Groups(7.0), 0.01, 1.0, 3, mode="exp_range", gamma=0.7)
    run(saved, 4)
    scheduler = CyclicLR(Groups(7.0), 0.5, 0.6, 9)
    scheduler.load_state_dict(saved.state_dict())
    assert (scheduler.gamma, scheduler.mode) == (0.7, "exp_range")
    assert run(scheduler, 9) == run(saved, 9)


def test_an_own_scale_is_saved_by_its_settings_and_its_name() -> None:
    def build(scale: Any) -> CyclicLR:
        return CyclicLR(Groups(7.0), 0.0, 1.0, 1, scale_fn=scale)

    state = build(Halving(3)).state_dict()
    assert state["_scale_fn_custom"] == {"width": 3}
    scheduler = build(Halving(5))
    scheduler.load_state_dict(state)
    assert scheduler.scale_fn(3) == 0.5
    assert build(inverse).state_dict()["_scale_fn_custom"] is None
    for other in (inverse, None):
        with pytest.warns(
            UserWarning, match=f"saved with Halving, this .* built with {other and 'inv'}"
        ):
            build(other).load_state_dict(state)


# --- OneCycleLR


def test_one_cycle_in_two_phases() -> None:
    scheduler = OneCycleLR(Groups(7.0), 1.0, 10)
    low, lowest = 1 / 25, 1 / 25e4
    up = [half_wave(low, 1, t / 2) for t in range(3)]
    down = [half_wave(1, lowest, t / 7) for t in range(1, 8)]
    assert first(scheduler, 9) == pytest.approx([*up, *down], rel=1e-14)
    scheduler = OneCycleLR(Groups(7.0, betas=(0.9, 0.999)), 1.0, 10)
    betas = momenta(scheduler, 9)
    assert betas[:4] == pytest.approx([0.95, 0.9, 0.85, 0.854952], abs=1e-6)
    assert betas[-1] == 0.95
    assert scheduler.optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def test_one_cycle_of_straight_lines() -> None:
    scheduler = OneCycleLR(Groups(7.0), 1.0, 6, pct_start=0.5, anneal_strategy="linear")
    expected = [0.04, 0.52, 1, 2 / 3, 1 / 3, 4e-6]
    assert first(scheduler, 5) == pytest.approx(expected, abs=5e-6)
    assert momenta(OneCycleLR(Groups(7.0), 1.0, 6, pct_start=0.5, anneal_strategy="linear"), 5) == (
        pytest.approx([0.95, 0.9, 0.85, 0.85 + 0.1 / 3, 0.85 + 0.2 / 3, 0.95])
    )


def test_one_cycle_in_three_phases() -> None:
    options = {"pct_start": 0.25, "three_phase": True, "div_factor": 10, "final_div_factor": 100}
    rates = first(OneCycleLR(Groups(7.0), 1.0, 16, **options), 15)
    assert [rates[t] for t in (0, 3, 6, 15)] == pytest.approx([0.1, 1.0, 0.1, 0.001])
    betas = momenta(OneCycleLR(Groups(7.0), 1.0, 16, **options), 15)
    assert betas[3] == 0.85
    assert betas[0] == 0.95
    assert betas[6:] == [0.95] * 10


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("pct_start", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_short_cycles_stay_between_their_bounds(
    total: int, pct_start: float, three_phase: bool
) -> None:
    if three_phase and pct_start > 0.5:
        return
    scheduler = OneCycleLR(Groups(7.0), 1.0, total, pct_start=pct_start, three_phase=three_phase)
    rates = first(scheduler, total)
    assert all(1 / 25e4 - 1e-15 <= lr <= 1 for lr in rates)
    assert rates[total] == rates[total - 1]
    if pct_start * total <= 1 and not three_phase:
        assert rates[0] == 1.0
    ends_high = total == 1 or (pct_start == 1.0 and not three_phase)
    assert rates[-1] == pytest.approx(1.0 if ends_high else 1 / 25e4, rel=1e-12)


def test_the_function_is_the_class() -> None:
    for options in ({}, {"pct_start": 0.6, "div_factor": 3.0, "final_div_factor": 20.0}):
        scheduler = OneCycleLR(Groups(7.0), 1.0, 30, **options)
        assert first(scheduler, 30) == one_cycle(30, **options).values(31)


def test_the_length_can_be_given_in_epochs() -> None:
    assert OneCycleLR(Groups(7.0), 1.0, epochs=3, steps_per_epoch=5).total_steps == 15


def test_bounds_stand_in_the_groups_and_are_used_from_there() -> None:
    optimizer = Groups(7.0)
    scheduler = OneCycleLR(optimizer, 1.0, 10)
    group = optimizer.param_groups[0]
    assert (group["initial_lr"], group["max_lr"], group["min_lr"]) == (1 / 25, 1, 1 / 25 / 1e4)
    assert (group["base_momentum"], group["max_momentum"]) == (0.85, 0.95)
    group["max_lr"] = 2.0
    assert max(first(scheduler, 9)) == 2.0


# --- both


BOTH = {
    "CyclicLR": lambda o, **k: CyclicLR(o, 0.01, 0.1, 3, **k),
    "OneCycleLR": lambda o, **k: OneCycleLR(o, 0.1, 10, **k),
}


@pytest.mark.parametrize("name", BOTH)
def test_momentum_can_be_left_alone(name: str) -> None:
    optimizer = Groups(7.0, momentum=0.3)
    assert set(momenta(BOTH[name](optimizer, cycle_momentum=False), 9)) == {0.3}
    assert "max_momentum" not in optimizer.param_groups[0]
    BOTH[name](Groups(7.0, alpha=0.9), cycle_momentum=False)


@pytest.mark.parametrize("name", BOTH)
def test_momentum_may_have_bounds_of_its_own_in_every_group(name: str) -> None:
    scheduler = BOTH[name](Groups(1.0, 1.0), max_momentum=[0.9, 0.7], base_momentum=[0.5, 0.6])
    values = np.array(run(scheduler, 9))[:, 2:]
    assert values.max(0) == pytest.approx([0.9, 0.7])
    assert values.min(0) == pytest.approx([0.5, 0.6])


@pytest.mark.parametrize("name", BOTH)
def test_groups_may_have_momentum_here_and_betas_there(name: str) -> None:
    optimizer = Groups(1.0, 1.0)
    del optimizer.param_groups[1]["momentum"]
    optimizer.param_groups[1]["betas"] = (0.9, 0.99, 0.999)
    BOTH[name](optimizer, max_momentum=0.7)
    assert optimizer.values[2:] == [0.7, 0.7]
    assert optimizer.param_groups[1]["betas"] == (0.7, 0.99, 0.999)


@pytest.mark.parametrize("name", BOTH)
def test_momentum_that_was_off_is_turned_on_with_a_warning(name: str) -> None:
    p = tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.warns(
        UserWarning, match=f"{name} moves the momentum of param_groups.0., which was 0"
    ):
        scheduler = BOTH[name](optimizer)
    p.grad = tensor([1.0, 1.0])
    optimizer.step()
    scheduler.step()
    assert set(optimizer.state_of(p)) == {"t", "b"}
    assert optimizer.param_groups[0]["momentum"] > 0.8


@pytest.mark.parametrize("name", BOTH)
def test_an_optimizer_without_momentum_is_refused(name: str) -> None:
    optimizer = Groups(0.1, alpha=0.9)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"param_groups\[0\] has neither momentum nor betas"):
        BOTH[name](optimizer)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("name", BOTH)
def test_a_group_added_later_cycles_in_its_own_proportion(name: str) -> None:
    optimizer = Groups(1.0)
    scheduler = BOTH[name](optimizer)
    run(scheduler, 2)
    start = optimizer.param_groups[0]["initial_lr"]
    optimizer.add_param_group({"params": [], "lr": 3 * start, "momentum": 0.1})
    for _ in range(8):
        rates = advance(optimizer, scheduler)
        assert rates[1] == pytest.approx(3 * rates[0], rel=1e-12)
        assert rates[3] == pytest.approx(rates[2], rel=1e-12)


@pytest.mark.parametrize("name", BOTH)
def test_bounds_that_were_lost_with_the_groups_come_back(name: str) -> None:
    whole = run(BOTH[name](Groups(1.0)), 9)
    optimizer = Groups(1.0)
    plain = optimizer.state_dict()
    scheduler = BOTH[name](optimizer)
    run(scheduler, 3)
    optimizer.load_state_dict(plain)  # saved when there was no scheduler
    assert run(scheduler, 6)[1:] == whole[4:]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda o: CyclicLR(o, 0.1, 1, mode="square"), "CyclicLR: mode 'square' is none of"),
        (lambda o: CyclicLR(o, 0.1, 1, scale_mode="x"), "CyclicLR: scale_mode 'x' is none of"),
        (lambda o: CyclicLR(o, 0.1, 1, 0), "CyclicLR: step_size_up must be a finite number above"),
        (lambda o: CyclicLR(o, 0.1, 1, 2, -1), "CyclicLR: step_size_down must be a finite number"),
        (lambda o: CyclicLR(o, [0.1], 1), "CyclicLR: base_lr: 1 given for 2 parameter groups"),
        (lambda o: CyclicLR(o, 0.1, math.nan), "CyclicLR: max_lr must be a finite number, got nan"),
        (lambda o: OneCycleLR(o, 0.1), "OneCycleLR: how long is the cycle? Give total_steps, or"),
        (lambda o: OneCycleLR(o, 0.1, epochs=3), "OneCycleLR: how long is the cycle?"),
        (lambda o: OneCycleLR(o, 0.1, 0), "OneCycleLR: total_steps must be a whole number ≥ 1"),
        (lambda o: OneCycleLR(o, 0.1, 2.5), "OneCycleLR: total_steps must be a whole number ≥ 1"),
        (
            lambda o: OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3),
            "OneCycleLR: epochs must be a whole number ≥ 1, got 0",
        ),
        (lambda o: OneCycleLR(o, 0.1, 9, pct_start=1.5), "OneCycleLR: pct_start must be a number"),
        (lambda o: OneCycleLR(o, 0.1, 9, pct_start=math.nan), "OneCycleLR: pct_start must be a n"),
        (lambda o: OneCycleLR(o, 0.1, 9, anneal_strategy="log"), "OneCycleLR: anneal_strategy 'lo"),
        (lambda o: OneCycleLR(o, 0.1, 9, div_factor=0), "OneCycleLR: div_factor must be a finite"),
        (lambda o: OneCycleLR(o, [0.1], 9), "OneCycleLR: max_lr: 1 given for 2 parameter groups"),
        (
            lambda o: OneCycleLR(o, 0.1, 9, max_momentum=[1]),
            "OneCycleLR: max_momentum: 1 given for",
        ),
    ],
)
def test_wrong_values_are_refused(build: Any, sentence: str) -> None:
    optimizer = Groups(0.1, 0.2)
    before = optimizer.state_dict()
    with pytest.raises(ValueError) as error:
        build(optimizer)
    assert str(error.value).startswith(sentence)
    assert optimizer.state_dict() == before
