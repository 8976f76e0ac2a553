"""A training for others to kill: small, with everything random that a training can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.teach import History, fit

EPOCHS, BATCHES = 20, 8
UPDATES = EPOCHS * BATCHES
DRAWN = np.random.default_rng(1)
X, Y = DRAWN.normal(size=(4 * BATCHES, 6)).astype(np.float32), DRAWN.integers(0, 3, 4 * BATCHES)


def train(checkpoints: tg.Checkpoints | None = None) -> tuple[History, list[Any]]:
    """The record and the weights; it goes on from the newest checkpoint, if there is one."""
    tg.manual_seed(0)
    model = tg.nn.Sequential(
        tg.nn.Linear(6, 16), tg.nn.ReLU(), tg.nn.Dropout(0.3), tg.nn.Linear(16, 3)
    )
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    scheduler = tg.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=UPDATES)
    data = tg.data.DataLoader((X, Y), batch_size=4, seed=3)
    options = {} if checkpoints is None else {"checkpoints": checkpoints, "resume": True}
    history = fit(model, data, optimizer, epochs=EPOCHS, scheduler=scheduler, **options)
    return history, [np.array(value) for value in model.state_dict().values()]


def same(one: tuple[History, list[Any]], other: tuple[History, list[Any]]) -> bool:
    """To the bit: every loss and every rate of the record, and every weight."""
    return one[0] == other[0] and all(map(np.array_equal, one[1], other[1]))


def newest(folder: Path) -> int:
    """After how many updates the newest checkpoint was taken; it has to be whole and agree."""
    paths = tg.Checkpoints(folder).paths()
    if not paths:
        return 0
    updates = int(paths[-1].stem.removeprefix("step-"))
    assert len(tg.load(paths[-1])["run"]["rates"]) == updates
    return updates
