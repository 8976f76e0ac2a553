"""ReduceLROnPlateau: when it lowers the rate, and when it does not."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from scheduling import Groups

from tinygrad_opt import tensor
from tinygrad_opt.optim.lr_scheduler import ReduceLROnPlateau

pytestmark = pytest.mark.host


def plateau(metrics: list[float], **options: Any) -> list[float]:
    scheduler = ReduceLROnPlateau(Groups(0.1), **options)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(scheduler.get_last_lr()[0])
    return rates


def test_a_plateau_waits_lowers_and_cools_down() -> None:
    rates = plateau([1.0] * 12, factor=0.5, patience=2, cooldown=1)
    assert rates == pytest.approx([0.1] * 3 + [0.05] * 4 + [0.025] * 4 + [0.0125])


def test_among_negative_metrics_it_accepts_only_what_is_better() -> None:
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
def test_a_plateau_takes_any_number_first(mode: str, threshold_mode: str) -> None:
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 1.0}
    for metric in (5.0, -5.0, 0.0):
        scheduler = ReduceLROnPlateau(Groups(0.1), **options)
        scheduler.step(metric)
        assert scheduler.best == metric


def test_a_plateau_does_not_make_tiny_changes() -> None:
    assert plateau([1.0] * 4, patience=0, factor=0.5, eps=0.04) == [0.1, 0.05, 0.05, 0.05]
    assert plateau([1.0] * 4, patience=0, factor=0.5, min_lr=0.04) == [0.1, 0.05, 0.04, 0.04]


def test_a_plateau_counts_nan_as_bad_and_says_so() -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1), patience=0)
    scheduler.step(1.0)
    with pytest.warns(UserWarning, match="the metric of step 2 is NaN"):
        scheduler.step(math.nan)
    assert scheduler.best == 1.0
    assert scheduler.get_last_lr() == [pytest.approx(0.01)]


def test_a_plateau_reads_arrays_and_goes_on_from_edits() -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1), patience=0, factor=0.5)
    scheduler.step(np.array([1.0]))
    assert type(scheduler.best) is float
    scheduler.optimizer.param_groups[0]["lr"] = 0.8
    scheduler.step(np.float32(1.0))
    assert scheduler.get_last_lr() == [0.4]
    scheduler.step(0.1, epoch=9)
    assert scheduler.last_epoch == 9


def test_a_plateau_needs_no_first_optimizer_step() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plateau([1.0]) == [0.1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"factor": 1.0}, "ReduceLROnPlateau: factor must be in [0, 1), got 1.0"),
        ({"factor": -0.1}, "ReduceLROnPlateau: factor must be in [0, 1), got -0.1"),
        ({"factor": math.nan}, "ReduceLROnPlateau: factor must be in [0, 1), got nan"),
        ({"mode": "low"}, "ReduceLROnPlateau: mode 'low' is none of 'min', 'max'"),
        ({"threshold_mode": "x"}, "ReduceLROnPlateau: threshold_mode 'x' is none of 'rel', 'abs'"),
        ({"patience": -1}, "ReduceLROnPlateau: patience must be a finite number ≥ 0, got -1"),
        ({"cooldown": -1}, "ReduceLROnPlateau: cooldown must be a finite number ≥ 0, got -1"),
        ({"eps": math.nan}, "ReduceLROnPlateau: eps must be a finite number ≥ 0, got nan"),
        ({"threshold": math.nan}, "ReduceLROnPlateau: threshold must be a finite number, got nan"),
        ({"min_lr": [0.0]}, "ReduceLROnPlateau: min_lr: 1 given for 2 parameter groups"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        ReduceLROnPlateau(Groups(0.1, 0.2), **options)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("metric", [None, "low", [1.0, 2.0], np.ones(2)])
def test_a_metric_is_one_number(metric: Any) -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1))
    before = scheduler.state_dict()
    with pytest.raises(TypeError, match="the metric has to be one number, got"):
        scheduler.step(metric)
    assert scheduler.state_dict() == before


def test_a_loss_is_a_metric() -> None:
    scheduler = ReduceLROnPlateau(Groups(0.1))
    scheduler.step(tensor(0.25))
    assert scheduler.best == 0.25


def test_groups_added_later_have_the_lowest_rate_of_the_last() -> None:
    optimizer = Groups(1.0)
    scheduler = ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=[0.3])
    optimizer.add_param_group({"params": [], "lr": 0.8})
    for _ in range(4):
        scheduler.step(1.0)
    assert optimizer.rates == scheduler.get_last_lr() == [0.3, 0.3]
