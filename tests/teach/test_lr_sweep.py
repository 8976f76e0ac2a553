"""Sweeps over learning rates: the verdicts, the words, and one scale for all curves."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import nn
from tinygrad_opt.data import DataLoader, prepare
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.teach import History, Sweep, fit, lr_sweep, trace
from tinygrad_opt.teach.sparklines import sparklines


def made(*losses: float, status: str = "ok", accuracy: float | None = None) -> History:
    """A record of a network's run that ends at the last of these losses."""
    metrics = {"train_loss": [(len(losses), losses[-1])]}
    if accuracy is not None:
        metrics["train_accuracy"] = [(len(losses), accuracy)]
    return History(
        step=np.arange(len(losses)), loss=np.array(losses), metrics=metrics, status=status
    )


def swept(ends: dict[float, History]) -> Sweep:
    return lr_sweep(lambda lr, seed: ends[lr], ends, seeds=1)


@pytest.mark.on("cpu")
def test_on_the_ravine_the_limit_is_two_over_the_curvature() -> None:
    rates = [0.001, 0.05, 0.2, 0.45, 0.55, 1.0]
    sweep = lr_sweep(lambda lr, seed: trace("ravine", None, "sgd", 60, lr=lr), rates, seeds=1)
    assert sweep.verdicts == ["too low", "too low", "good", "good", "too high", "too high"]
    assert sweep.good == (0.2, 0.45) and sweep.suggestion == 0.45
    assert sweep.sentence == "The good range spans 0.2 … 0.45; the best of it is 0.45."
    assert sweep.words(3) == "the best of these" and sweep.words(5) == "diverged"
    assert math.isinf(sweep.loss[5]) and sweep.accuracy is None


# Digits, 64-32-10, batches of 32, five epochs, three seeds, constant rates.
DIGITS = {
    "sgd": ({0.001: "too low", 0.01: "too low", 0.1: "good", 0.3: "good", 2.0: "too high"}, 0.3),
    "momentum": (
        {0.001: "too low", 0.05: "good", 0.1: "good", 0.3: "good", 1.0: "too high"},
        0.1,
    ),
    "adam": ({1e-4: "too low", 3e-3: "good", 0.03: "good", 0.3: "too high", 1.0: "too high"}, 0.03),
}


@pytest.mark.slow
@pytest.mark.on("cpu")
@pytest.mark.parametrize("rule", DIGITS)
def test_on_digits_the_known_rates_are_good(rule: str) -> None:
    train, test = prepare("digits")
    whole_test = DataLoader(test, batch_size=None)

    def run(lr: float, seed: int) -> History:
        batches = DataLoader(train, batch_size=32, seed=seed)
        tg.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = OPTIMIZERS[rule](model.parameters(), lr=lr)
        return fit(model, batches, optimizer, epochs=5, test=whole_test)

    expected, best = DIGITS[rule]
    sweep = lr_sweep(run, expected)
    assert dict(zip(sweep.lr, sweep.verdicts, strict=True)) == expected
    assert sweep.suggestion == best
    assert sweep.accuracy is not None
    assert sweep.accuracy[list(expected).index(best)] > 0.9 > 0.5 > sweep.accuracy[0]
    assert 2.2 < sweep.start < 2.4
    assert len({len(line) for line in sweep.sparklines}) == 1


@pytest.mark.host
def test_a_rate_is_good_that_comes_down_nearly_as_far_as_the_best() -> None:
    sweep = swept(
        {
            0.01: made(2.0, 1.9),
            0.1: made(2.0, 0.39, accuracy=0.9),
            1.0: made(2.0, 0.0),
            3.0: made(2.0, 0.41),
        }
    )
    assert sweep.verdicts == ["too low", "good", "good", "too high"]
    assert [sweep.words(i) for i in range(4)] == [
        "came down 5 % as far as the best",
        "came down 80 % as far as the best",
        "the best of these",
        "came down 80 % as far as the best",
    ]
    assert sweep.accuracy is None  # one alone has it


@pytest.mark.host
def test_a_rate_at_which_one_seed_diverges_is_too_high() -> None:
    runs = {0: made(2.0, 0.1), 1: made(2.0, math.nan, status="nan")}
    sweep = lr_sweep(lambda lr, seed: runs[seed] if lr < 1 else made(2.0, 0.5), [0.1, 1.0], [0, 1])
    assert sweep.verdicts == ["too high", "good"]
    assert sweep.words(0) == "1 of 2 runs diverged"
    assert sweep.sentence == (
        "Of these rates 1 alone is good. It is the highest one tried: higher ones may be better."
    )


@pytest.mark.host
def test_where_no_rate_works_it_says_on_which_side_to_look() -> None:
    low = swept({1e-6: made(2.0, 2.0), 1e-5: made(2.0, 1.99)})
    assert low.verdicts == ["too low", "too low"] and low.good is None and low.suggestion is None
    assert low.sentence == "No rate brought the loss down. Try higher ones."
    assert low.words(0) == "hardly moved"
    high = swept({10.0: made(2.0, 9.0, 2.3), 99.0: made(2.0, 1e9, status="diverged")})
    assert high.verdicts == ["too high", "too high"]
    assert high.sentence == "No rate brought the loss down. Try lower ones."
    assert high.words(0) == "ended no lower than it began"


@pytest.mark.on("cpu")
def test_towards_a_known_minimum_the_way_is_measured_in_decades() -> None:
    rates = [1e-4, 1e-3, 3e-3, 0.1]
    sweep = lr_sweep(lambda lr, seed: trace("rosenbrock", None, "sgd", 100, lr=lr), rates, 1)
    assert sweep.in_decades
    assert sweep.verdicts == ["too low", "too low", "good", "too high"]
    assert "% as many decades as the best" in sweep.words(0)
    fall = lr_sweep(lambda lr, seed: trace("saddle", None, "sgd", 100, lr=lr), [0.01, 0.1], 1)
    assert fall.sentence.startswith("This surface has no lowest point")


@pytest.mark.on("cpu")
def test_losses_below_zero_are_swept_and_drawn() -> None:
    def run(lr: float, seed: int) -> History:
        return trace(lambda w: ((w - 1) ** 2).sum() - 20, [3.0, 2.0], "sgd", 60, lr=lr)

    sweep = lr_sweep(run, [1e-5, 0.1, 1.1], 1)
    assert sweep.start < 0 and sweep.verdicts == ["too low", "good", "too high"]
    assert sweep.words(0) == "hardly moved"
    assert len(set(sweep.sparklines)) >= 2
    lines = str(sweep).splitlines()
    assert len(lines) == 5 and "good" in lines[2] and lines[-1] == sweep.sentence
    assert repr(sweep) == f"Sweep(3 rates: {sweep.sentence})"


@pytest.mark.host
def test_the_good_range_ends_where_a_rate_is_not_good() -> None:
    sweep = swept(
        {0.1: made(2.0, 0.1), 0.2: made(2.0, 1.5), 0.4: made(2.0, 0.0), 0.8: made(2.0, 0.2)}
    )
    assert sweep.verdicts == ["good", "too low", "good", "good"]
    assert sweep.good == (0.4, 0.8)


@pytest.mark.host
def test_all_curves_are_drawn_on_one_scale() -> None:
    high, low, lost = np.linspace(2, 0.39, 40), np.linspace(2, 0.009, 40), np.array([2, math.nan])
    lines = sparklines([high, low, lost], ceiling=2.0)
    assert len(set(lines)) == 3 and {len(line) for line in lines} == {16}
    assert lines[0][-1] > lines[1][-1] and lines[0][0] == "█"
    assert lines[2] == "█" * 16
    assert sparklines([], 2.0) == []
    assert sparklines([np.full(5, 2.0)], 2.0) == ["▁" * 5]


@pytest.mark.on("cpu")
def test_random_numbers_go_on_as_if_there_had_been_no_sweep() -> None:
    tg.rand(3)
    with_sweep = []
    for sweeping in (False, True):
        tg.manual_seed(4)
        if sweeping:
            lr_sweep(lambda lr, seed: trace("bowl", None, "sgd", 5, lr=lr, seed=seed), [0.1], 2)
        with_sweep.append(tg.rand(4).tolist())
    assert with_sweep[0] == with_sweep[1]


@pytest.mark.host
def test_what_is_known_so_far_is_told_after_every_rate() -> None:
    counts: list[int] = []
    lr_sweep(
        lambda lr, seed: made(2.0, 1.0),
        [0.2, 0.1],
        seeds=1,
        on_rate=lambda so_far: counts.append(len(so_far)),
    )
    assert counts == [1, 2]


@pytest.mark.host
def test_it_can_be_written() -> None:
    sweep = swept({0.1: made(2.0, 0.5, accuracy=0.8), 1.0: made(2.0, 9, status="nan", accuracy=0)})
    report = json.loads(sweep.to_json(), parse_constant=pytest.fail)
    assert report["suggestion"] == 0.1 and report["good"] == [0.1, 0.1]
    assert [row["verdict"] for row in report["rates"]] == ["good", "too high"]
    assert report["rates"][1]["loss"] == "inf" and report["rates"][0]["accuracy"] == 0.8
    assert sweep.to_csv().splitlines() == [
        "lr,verdict,run,loss,status",
        "0.1,good,0,0.5,ok",
        "1.0,too high,0,inf,nan",
    ]


@pytest.mark.host
@pytest.mark.parametrize(("rates", "seeds"), [([], 1), ([0.1, -1.0], 1), ([0.1], 0)])
def test_rates_and_seeds_that_make_no_sweep_are_refused(rates: list[float], seeds: int) -> None:
    with pytest.raises(ValueError, match="Give positive rates"):
        lr_sweep(lambda lr, seed: made(1.0), rates, seeds)
