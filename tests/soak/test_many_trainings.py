"""A thousand trainings in one process leave nothing behind: models, optimizers, records, caches.

The plain run takes some; `pytest -m slow` all of them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.soak.ledger import check_flat
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader
from tinygrad_opt.optim import OPTIMIZERS, lr_scheduler
from tinygrad_opt.teach import fit

pytestmark = pytest.mark.on("cpu")

NAMES = [name for name in OPTIMIZERS if name not in ("sparseadam", "muon")]
SIZES = (3, 5, 8)
SCHEDULES: list[Callable[[Any], Any]] = [
    lambda optimizer: None,
    lambda optimizer: lr_scheduler.StepLR(optimizer, 3),
    lambda optimizer: lr_scheduler.ScheduleLR(optimizer, optim.parse("warmup(2) >> cosine(9)")),
]
DRAWN = np.random.default_rng(0)
X, Y = DRAWN.standard_normal((12, 4)).astype(np.float32), DRAWN.integers(0, 3, 12)


class Broken(Exception):
    """What ends a training in its middle."""


def train(n: int) -> None:
    """The n-th: another rule, size and schedule; some break off, some are replayed."""
    name, size, schedule = NAMES[n % len(NAMES)], SIZES[n % 3], SCHEDULES[n // 3 % 3]
    model = nn.Sequential(nn.Linear(4, size), nn.ReLU(), nn.Dropout(0.1), nn.Linear(size, 3))
    optimizer = OPTIMIZERS[name](model.parameters(), lr=0.01 * (1 + DRAWN.random()))
    data = DataLoader((X, Y), batch_size=6)
    if n % 7 == 0 and optimizer.scope in ("elementwise", "tensor", "matrix"):
        replay(model, optimizer, data)
        return
    count = itertools.count()

    def stop(*_: Any) -> None:
        if n % 5 == 0 and next(count) == 3:
            raise Broken

    optimizer.register_step_pre_hook(stop)
    with contextlib.suppress(Broken):
        fit(model, data, optimizer, epochs=3, scheduler=schedule(optimizer), test=data)


def replay(model: Any, optimizer: Any, data: Any) -> None:
    @tg.capture
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for x, y in itertools.chain(data, data, data):
        step(x, y)


def some(number: int) -> Callable[[], None]:
    def run() -> None:
        for n in range(number):
            train(n)

    return run


def test_some_trainings() -> None:
    run = some(len(NAMES))
    run()
    check_flat(run, collector=True)


@pytest.mark.slow
def test_a_thousand_trainings() -> None:
    some(7 * len(NAMES))()  # each rule eager and replayed: what is made once for a rule
    check_flat(some(1000), collector=True)
