"""Schedulers on real optimizers: training goes down, and goes on after a checkpoint."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from scheduling import BUILD, CONTAINERS

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt.optim import MultiOptimizer, lr_scheduler

INPUTS = np.random.default_rng(0).standard_normal((32, 3))
TARGETS = INPUTS @ np.array([[1.0], [-2.0], [0.5]]) + 0.3


class Regression:
    """A line through three inputs, with a group for its slopes and one for its height."""

    def __init__(self, kind: str) -> None:
        self.w = tg.tensor(np.zeros((3, 1)), requires_grad=True)
        self.b = tg.tensor(np.zeros(1), requires_grad=True)
        groups = [{"params": [self.w], "lr": 0.02}, {"params": [self.b], "lr": 0.01}]
        options = {"momentum": 0.9} if kind == "SGD" else {}
        self.optimizer = getattr(tg.optim, kind)(groups, **options)

    def step(self, *schedulers: Any) -> float:
        loss = ((tg.tensor(INPUTS) @ self.w + self.b - tg.tensor(TARGETS)) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        for scheduler in schedulers:
            kind = type(scheduler).__name__
            listens = kind == "ReduceLROnPlateau" or kind in CONTAINERS
            scheduler.step(*([loss] if listens else []))
        return loss.item()


def build(name: str, run: Regression) -> Any:
    return BUILD[name](run.optimizer)


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.filterwarnings("ignore:OneCycleLR. this is step 25 of a cycle of 24")
def test_the_loss_falls(name: str) -> None:
    run = Regression("SGD")
    scheduler = build(name, run)
    losses = [run.step(scheduler) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]


ON_ADAM = [name for name in BUILD if name != "HyperparameterScheduler"]


@pytest.mark.parametrize("name", ON_ADAM)
def test_a_run_goes_on_bit_for_bit_after_a_checkpoint(name: str) -> None:
    run = Regression("Adam")
    scheduler = build(name, run)
    for _ in range(10):
        run.step(scheduler)
    saved = pickle.dumps((run.optimizer.state_dict(), scheduler.state_dict()))
    values = host(run.w).copy(), host(run.b).copy()
    whole = [run.step(scheduler) for _ in range(14)]
    again = Regression("Adam")
    again.w.data, again.b.data = values
    resumed = build(name, again)
    for part, state in zip((again.optimizer, resumed), pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    assert [again.step(resumed) for _ in range(14)] == whole
    assert run.optimizer.param_groups[0]["lr"] == again.optimizer.param_groups[0]["lr"]


def test_one_scheduler_moves_all_groups_of_a_multi_optimizer() -> None:
    run = Regression("SGD")
    rules = [
        (lambda name, p: p.ndim > 1, lambda params: tg.optim.SGD(params, 0.4, 0.9)),
        (lambda name, p: True, lambda params: tg.optim.Adam(params, 0.2)),
    ]
    optimizer = MultiOptimizer([("w", run.w), ("b", run.b)], rules)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]
