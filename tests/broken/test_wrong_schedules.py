"""Schedules that are wrong on purpose: recorded runs of PyTorch and transformers reject them."""

from __future__ import annotations

import inspect
import json
import pathlib
import runpy
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.broken.edits import edited
from tests.optim.scheduling import Groups
from tinygrad_opt.optim import get_scheduler, lr_scheduler
from tinygrad_opt.optim.lr_scheduler import closed_forms, named_factors, one_cycle
from tinygrad_opt.optim.lr_scheduler.cyclic import CyclicLR
from tinygrad_opt.optim.schedules import families, schedule

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore:.* is NaN")]

CLASSES = lr_scheduler
NAMED = {name: shape.__wrapped__ for name, shape in named_factors.SHAPES.items()
         if hasattr(shape, "__wrapped__")}  # fmt: skip

# Where it is noticed, what it is, where it stands, and how it is written.
MISTAKES: list[tuple[str, str, Any, str]] = [
    # lines and levels
    ("LinearLR", "a warmup that stays at its start", families._over, "t / T → t // T"),
    ("LinearLR", "a line the wrong way", families.linear,
     "start * (1 - p) + end * p → end * (1 - p) + start * p"),
    ("LinearLR", "the last step of the line left out", families._over,
     "shape(t / T → shape((t + 1) / T"),
    ("ConstantLR", "a step too long", closed_forms._level_then_one,
     "total_iters) >> → total_iters + 1) >>"),
    # stairs
    ("StepLR", "a stair a step early", families.step, "t // s → (t + 1) // s"),
    ("StepLR", "a slope for stairs", families.step, "t // s → t / s"),
    ("MultiStepLR", "at the milestone still the old rate", families.milestones,
     "bisect_right(stairs, t) → bisect_right(stairs, t - 1)"),
    ("MultiStepLR", "a milestone given twice counts once", closed_forms._stairs,
     "for _ in range(n) → for _ in range(1)"),
    # curves
    ("ExponentialLR", "a product for a power", families.exponential, "** t → * t"),
    ("PolynomialLR", "the power of the whole", families.polynomial,
     "(1 - p) ** power → (1 - p**power)"),
    ("CosineAnnealingLR", "a cosine a step late", CLASSES.CosineAnnealingLR.schedule,
     "half_cosine(t, → half_cosine(t - 1,"),
    ("CosineAnnealingLR", "a whole wave", families.half_cosine, "math.pi * t → 2 * math.pi * t"),
    ("CosineAnnealingLR", "it falls to 0", CLASSES.CosineAnnealingLR.floor, "self.eta_min → 0.0"),
    ("SWALR", "a line for the cosine", CLASSES.SWALR.schedule, '== "cos" → == "linear"'),
    # cycles
    ("CosineAnnealingWarmRestarts", "a restart a step late", schedule.cycle_at,
     "t // first → (t - 1) // first"),
    ("CosineAnnealingWarmRestarts", "every cycle as long as the first", schedule.cycle_at,
     "size * stretch → size"),
    ("CosineAnnealingWarmRestarts", "at the restart still the end", schedule.cycle_at,
     "t >= start + size → t > start + size"),
    ("CyclicLR", "no way down", CyclicLR._height, "(x - 1) / (r - 1) → (x - 1) / (1 - r)"),
    ("CyclicLR", "halved from the first cycle on", CyclicLR.scale_fn, "(x - 1) → x"),
    ("CyclicLR", "momentum goes up with lr", CyclicLR.momentum,
     "high - (high - self → high + (high - self"),
    ("OneCycleLR", "the peak a step late", one_cycle._phases,
     "pct_start * T) - 1 → pct_start * T)"),
    ("OneCycleLR", "the end a step late", CLASSES.OneCycleLR._between,
     "ends = [float(phase → ends = [1 + float(phase"),
    ("OneCycleLR", "the end is the start", CLASSES.OneCycleLR._bound_lr,
     "start / self._divisors[1] → start"),
    ("OneCycleLR", "momentum moves with lr", CLASSES.OneCycleLR.momentum,
     '"start_momentum", "end_momentum" → "end_momentum", "start_momentum"'),
    # what joins, and what listens
    ("SequentialLR", "a phase too long", CLASSES.SequentialLR._active,
     "bisect_right(self._milestones, t) → bisect_right(self._milestones, t - 1)"),
    ("ChainedScheduler", "the first one alone", CLASSES.ChainedScheduler._advance,
     "in self._schedulers → in self._schedulers[:1]"),
    ("ReduceLROnPlateau", "a step too patient", CLASSES.ReduceLROnPlateau.step,
     "self.num_bad_epochs > → self.num_bad_epochs - 1 >"),
    ("ReduceLROnPlateau", "no rest after a fall", CLASSES.ReduceLROnPlateau.step,
     "self.cooldown_counter = self.cooldown → self.cooldown_counter = 0"),
    ("ReduceLROnPlateau", "up is down", CLASSES.ReduceLROnPlateau._is_better,
     "up * metric > → metric >"),
    # transformers' names
    ("linear", "ends with the warmup counted twice", NAMED["linear"],
     "(now.T - now.t) → (now.T - now.W - now.t)"),
    ("cosine", "a whole wave", NAMED["cosine"], "2 * num_cycles → 4 * num_cycles"),
    ("cosine_with_restarts", "no restarts", NAMED["cosine_with_restarts"], "* p % 1 → * p"),
    ("polynomial", "lr_end is a factor", NAMED["polynomial"], "now.base - lr_end → 1 - lr_end"),
    ("inverse_sqrt", "counted from the start", NAMED["inverse_sqrt"], "+ tau - now.W → + tau"),
]  # fmt: skip


FOLDER = pathlib.Path(__file__).parents[1] / "oracles"
PYTORCH = SimpleNamespace(**runpy.run_path(str(FOLDER / "record_schedules.py")))
TRANSFORMERS = SimpleNamespace(**runpy.run_path(str(FOLDER / "record_scheduler_names.py")))


def runs_of_class(name: str) -> Iterator[tuple[Any, Any]]:
    """Our rates, and PyTorch's, with momentum where it moves, for each case of a class."""
    for case in json.loads(PYTORCH.RECORD.read_text())["cases"]:
        if [one for one, _ in case["schedulers"]] == [name]:
            adam = case.get("optimizer") == "Adam"
            options: Any = {"betas": (0.9, 0.999)} if adam else {"momentum": 0.9}
            seen, _ = PYTORCH.trace(lr_scheduler, Groups(*PYTORCH.START, **options), case)
            yield [seen[k] for k in sorted(seen)], [case[k] for k in sorted(seen)]


def runs_of_name(name: str) -> Iterator[tuple[Any, Any]]:
    """Our rates, and those of transformers, for each case of a name."""
    for case in json.loads(TRANSFORMERS.RECORD.read_text())["cases"]:
        if case["name"] == name:
            optimizer = Groups(TRANSFORMERS.RATE)
            scheduler = get_scheduler(
                name, optimizer, case["warmup"], case["total"], **case["options"]
            )
            yield TRANSFORMERS.trace(scheduler, optimizer, name), case["lr"]


def agrees(name: str) -> bool:
    """Whether every recorded run is met."""
    runs = list(runs_of_class(name) if hasattr(lr_scheduler, name) else runs_of_name(name))
    assert runs, f"no case of {name} is recorded"
    return all(np.allclose(ours, theirs, rtol=1e-12, atol=0) for ours, theirs in runs)


@pytest.mark.parametrize(
    ("name", "where", "edit"),
    [pytest.param(name, where, edit, id=f"{name}: {what}") for name, what, where, edit in MISTAKES],
)
def test_a_wrong_schedule_is_rejected(
    name: str, where: Callable[..., Any], edit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the code of the function is exchanged, so that whoever calls it gets the mistake."""
    function = inspect.unwrap(where)
    monkeypatch.setattr(function, "__code__", edited(function, edit).__code__)
    assert not agrees(name)


@pytest.mark.parametrize("name", sorted({name for name, *_ in MISTAKES}))
def test_the_right_schedule_is_accepted(name: str) -> None:
    assert agrees(name)


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    """Schedules that were made before a mistake, or with it, do not outlive it."""
    closed_forms.same.cache_clear()
    yield
    closed_forms.same.cache_clear()
