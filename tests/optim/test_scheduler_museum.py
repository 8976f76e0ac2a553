"""What schedulers of PyTorch 2.13 do wrong, and what ours do instead: a test for each.

The docstrings say what PyTorch does; the last test lets it do so.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from scheduling import ORACLE, Groups, Halving, advance, first, inverse, run

from tinygrad_opt import optim, tensor
from tinygrad_opt.optim import lr_scheduler as ours
from tinygrad_opt.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

pytestmark = pytest.mark.host


def test_a_constant_factor_may_be_zero() -> None:
    """ConstantLR(factor=0): ZeroDivisionError at total_iters, where it divides the factor out."""
    assert first(ConstantLR(Groups(0.1), 0.0, 2), 4) == [0, 0, 0.1, 0.1, 0.1]


def test_no_steps_means_already_over() -> None:
    """total_iters=0: ConstantLR and LinearLR keep their first factor, PolynomialLR never falls."""
    assert first(ConstantLR(Groups(0.1), 0.5, total_iters=0), 2) == [0.1] * 3
    assert first(LinearLR(Groups(0.1), 0.5, 0.8, total_iters=0), 2) == [0.1 * 0.8] * 3
    assert first(PolynomialLR(Groups(0.1), total_iters=0), 2) == [0.0] * 3


def test_lengths_of_zero_are_refused_at_construction() -> None:
    """StepLR(step_size=0), CosineAnnealingLR(T_max=0): ZeroDivisionError at the first step."""
    with pytest.raises(ValueError, match="step_size must be a finite number ≥ 1, got 0"):
        StepLR(Groups(0.1), 0)
    with pytest.raises(ValueError, match="T_max must be a finite number ≥ 1, got 0"):
        CosineAnnealingLR(Groups(0.1), 0)


@pytest.mark.parametrize(
    "build",
    [
        lambda o, **k: LinearLR(o, 0.1, 1.0, 8, **k),
        lambda o, **k: ExponentialLR(o, 0.5, **k),
        lambda o, **k: CosineAnnealingLR(o, 9, **k),
        lambda o, **k: PolynomialLR(o, 9, **k),
        lambda o, **k: MultiplicativeLR(o, lambda t: 0.9, **k),
        lambda o, **k: StepLR(o, 4, 0.5, **k),
        lambda o, **k: MultiStepLR(o, [4], 0.5, **k),
        lambda o, **k: ConstantLR(o, 0.1, 4, **k),
    ],
)
def test_last_epoch_alone_gives_the_rate_that_belongs_to_it(build: Callable[..., Any]) -> None:
    whole = first(build(Groups(0.1)), 12)
    for k in (3, 4, 5):
        o = Groups(whole[k])
        o.param_groups[0]["initial_lr"] = 0.1
        assert first(build(o, last_epoch=k - 1), 12 - k) == whole[k:]
        assert build(o, last_epoch=k).get_last_lr() == [whole[k + 1]]


def test_a_first_phase_of_no_length_is_left_out() -> None:
    """OneCycleLR, pct·T = 1: ZeroDivisionError; pct·T < 1: starts part of the way down, at .81."""
    assert first(OneCycleLR(Groups(7.0), 1.0, 10, pct_start=0.1), 1)[0] == 1.0
    assert first(OneCycleLR(Groups(7.0), 1.0, 2, pct_start=0.3), 1) == pytest.approx([1, 4e-6])


def test_three_phases_need_room_for_the_fall() -> None:
    """OneCycleLR in three phases with pct > ½: the fall ends after T, min is never reached."""
    with pytest.raises(ValueError, match=r"pct_start must be a number in \[0, 0\.5\], got 0\.6: "):
        OneCycleLR(Groups(7.0), 0.5, 20, pct_start=0.6, three_phase=True)


def test_a_cycle_that_is_over_stays_at_its_end() -> None:
    """OneCycleLR: the T-th step raises lr again, the next one raises ValueError."""
    scheduler = OneCycleLR(Groups(7.0), 1.0, 20)
    rates = first(scheduler, 20)
    assert rates[19] == rates[20] == pytest.approx(4e-6)
    with pytest.warns(UserWarning, match="this is step 21 of a cycle of 20; lr stays at its end"):
        scheduler.step()
    scheduler.step()  # once
    assert scheduler.get_last_lr() == [rates[19]]


def test_momentum_that_appears_is_announced() -> None:
    """OneCycleLR and CyclicLR turn the momentum of SGD(momentum=0) on without a word."""
    p = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.warns(UserWarning, match="pass cycle_momentum=False to leave it"):
        OneCycleLR(optimizer, 1.0, 20)
    assert optimizer.param_groups[0]["momentum"] == 0.95


def test_restarts_happen_where_the_lengths_add_up_to() -> None:
    """CosineAnnealingWarmRestarts(1, 3).step(121): a logarithm finds the cycle before, lr 0."""
    scheduler = CosineAnnealingWarmRestarts(Groups(0.1), 1, 3)
    scheduler.optimizer.step()
    for t in (1, 4, 13, 40, 121, 364):
        scheduler.step(t)
        assert scheduler.get_last_lr() == [0.1]


def nested(module: Any, o: Any) -> list[float]:
    inner = module.SequentialLR(
        o, [module.ConstantLR(o, 0.5, 9), module.ExponentialLR(o, 0.9)], [2]
    )
    outer = module.SequentialLR(o, [inner, module.ConstantLR(o, 0.25, 9)], [5])
    return first_rates(outer, o, 3)


def first_rates(scheduler: Any, o: Any, steps: int) -> list[float]:
    rates = [o.param_groups[0]["lr"]]
    for _ in range(steps):
        o.step()
        scheduler.step()
        rates.append(o.param_groups[0]["lr"])
    return rates


def test_sequences_nest() -> None:
    """SequentialLR in SequentialLR: first, a step early (.05 .1 .09); later, it fails."""
    assert nested(ours, Groups(0.1)) == pytest.approx([0.05, 0.05, 0.1, 0.09])
    o = Groups(0.1)
    inner = SequentialLR(o, [ConstantLR(o, 0.5, 9), ExponentialLR(o, 0.9)], [2])
    later = SequentialLR(o, [ConstantLR(o, 0.25, 9), inner], [1])
    assert first(later, 4) == pytest.approx([0.025, 0.05, 0.05, 0.1, 0.09])


def test_a_multiplier_in_a_sequence_starts_from_the_initial_rate() -> None:
    """MultiplicativeLR as later child goes on from the rate reached, and calls λ(0)."""
    o = Groups(1.0)
    parts = [ExponentialLR(o, 0.1), MultiplicativeLR(o, lambda t: 0.5 / bool(t))]
    assert first(SequentialLR(o, parts, [2]), 4) == pytest.approx([1, 0.1, 1, 0.5, 0.25])


@pytest.mark.parametrize("milestones", [[5, 2], [-1, 2]])
def test_milestones_out_of_order_are_refused(milestones: list[int]) -> None:
    """Unsorted milestones give a wrong order, negative ones skip children, without complaint."""
    o = Groups(1.0)
    with pytest.raises(
        ValueError, match=r"SequentialLR: (a milestone must|milestones must ascend)"
    ):
        SequentialLR(o, [StepLR(o, 3)] * 3, milestones)


def test_a_plateau_may_stand_in_a_container() -> None:
    """SequentialLR and ChainedScheduler refuse ReduceLROnPlateau, which needs the metric."""
    o = Groups(1.0)
    plateau = ReduceLROnPlateau(o, factor=0.5, patience=0)
    scheduler = SequentialLR(o, [ChainedScheduler([plateau])], [])
    o.step()
    for _ in range(3):
        scheduler.step(1.0)
    assert o.rates == [0.25]


def test_a_worse_negative_metric_is_not_better() -> None:
    """ReduceLROnPlateau, relative: −.95 counts as better than −1 and replaces it."""
    scheduler = ReduceLROnPlateau(Groups(0.1), threshold=0.1)
    for metric in (-1.0, -0.95):
        scheduler.step(metric)
    assert (scheduler.best, scheduler.num_bad_epochs) == (-1.0, 1)


@pytest.mark.parametrize(
    ("build", "rate"),
    [
        (lambda o: LambdaLR(o, inverse), 0.8 / 5),
        (lambda o: CosineAnnealingWarmRestarts(o, 8), 0.4),
        (lambda o: CyclicLR(o, 0.1, 0.2, 8), 0.8 * 1.5),
        (lambda o: OneCycleLR(o, 1.0, 10, 0.5, pct_start=0.5), 0.8 * 25),
    ],
)
def test_a_group_added_later_joins(build: Callable[..., Any], rate: float) -> None:
    """LambdaLR, WarmRestarts, CyclicLR, OneCycleLR: ValueError from zip at the next step."""
    optimizer = Groups(1.0)
    scheduler = build(optimizer)
    run(scheduler, 3)
    optimizer.add_param_group({"params": [], "lr": 0.8})
    assert advance(optimizer, scheduler)[1] == pytest.approx(rate)
    assert optimizer.param_groups[1]["initial_lr"] == 0.8


def test_loading_writes_the_rate_even_after_a_fresh_construction() -> None:
    """Optimizer loaded, scheduler built, scheduler loaded: lr stays wrong, .01 for .1."""
    optimizer = Groups(0.1)
    scheduler = LinearLR(optimizer, 0.1, 1.0, 4)
    run(scheduler, 6)
    states = optimizer.state_dict(), scheduler.state_dict()
    again = Groups(0.1)
    again.load_state_dict(states[0])
    resumed = LinearLR(again, 0.1, 1.0, 4)  # construction moves lr to its own start
    assert again.rates == [pytest.approx(0.01)]
    resumed.load_state_dict(states[1])
    assert again.rates == resumed.get_last_lr() == [0.1]


def test_another_function_is_noticed_at_loading() -> None:
    """Functions are not in the checkpoint, and nobody says so."""
    state = LambdaLR(Groups(1.0), inverse).state_dict()
    with pytest.warns(UserWarning, match="was saved with inverse, this .* built with Halving"):
        LambdaLR(Groups(1.0), Halving(3)).load_state_dict(state)


def test_rounding_does_not_grow_and_an_edit_survives_a_minimum() -> None:
    """Recurrences: errors add up, and a cosine forgets an edited rate where it passes its end."""
    scheduler = CosineAnnealingLR(Groups(0.1), 7, 1e-3)
    rates = first(scheduler, 700)
    assert rates[686:700] == pytest.approx(rates[:14], rel=1e-11)  # 49 periods on
    scheduler = CosineAnnealingLR(Groups(0.1), 4)
    run(scheduler, 2)
    scheduler.optimizer.param_groups[0]["lr"] *= 3
    assert first(scheduler, 6)[-1] == pytest.approx(0.3)  # t = 8, one period on


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
def test_this_is_what_pytorch_does() -> None:
    importlib.import_module("torch")
    theirs, optimizer = ORACLE.pytorch()

    def rates(build: Callable[[Any], Any], steps: int) -> list[float]:
        o = optimizer()
        return first_rates(build(o), o, steps)

    with pytest.raises(ZeroDivisionError):
        rates(lambda o: theirs.ConstantLR(o, 0.0, 2), 4)
    assert rates(lambda o: theirs.ConstantLR(o, 0.5, 0), 3) == [0.05] * 4
    for kind in (theirs.StepLR, theirs.CosineAnnealingLR):
        with pytest.raises(ZeroDivisionError):
            rates(lambda o, kind=kind: kind(o, 0), 1)
    assert rates(lambda o: theirs.OneCycleLR(o, 1.0, 2, pct_start=0.3), 0)[0] > 0.8
    over = rates(lambda o: theirs.OneCycleLR(o, 1.0, 20), 20)
    assert over[20] > 1000 * over[19]
    o = optimizer()
    restarts = theirs.CosineAnnealingWarmRestarts(o, 1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        restarts.step(121)
    assert math.isclose(o.param_groups[0]["lr"], 0, abs_tol=1e-12)
    assert nested(theirs, optimizer()) == pytest.approx([0.05, 0.1, 0.09, 0.081])
    o = optimizer()
    plateau = theirs.ReduceLROnPlateau(o, threshold=0.1)
    for metric in (-1.0, -0.95):
        plateau.step(metric)
    assert plateau.best == -0.95
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        theirs.SequentialLR(o, [plateau], [])
    o = optimizer()
    scheduler = theirs.ExponentialLR(o, 0.5)
    for _ in range(4):
        o.step()
        scheduler.step()
    again = optimizer()
    for group, lr in zip(again.param_groups, scheduler.get_last_lr(), strict=True):
        group.update(lr=lr, initial_lr=0.1)
    assert theirs.ExponentialLR(again, 0.5, last_epoch=4).get_last_lr()[0] == 0.1 * 0.5**4
