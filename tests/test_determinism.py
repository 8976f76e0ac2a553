"""The same seed gives the same bits: again, in another process, with other numbers of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import nn, optim
from tinygrad_opt.teach import evaluate, fit

DRAWN = np.random.default_rng(0)
X, Y = DRAWN.standard_normal((40, 16)).astype(np.float32), DRAWN.integers(0, 3, 40)


def trained(hidden: int = 16, epochs: int = 3, look: bool = False) -> str:
    """The sum of all bytes of a record and its weights; ``look``: evaluated in between."""
    tg.manual_seed(5)
    layers = [nn.Linear(16, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, 3)]
    model = nn.Sequential(*layers)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    data = tg.data.DataLoader((X, Y), batch_size=8, seed=1)
    still = tg.data.DataLoader((X, Y), batch_size=None)

    def between(*_: object) -> None:
        if look:
            evaluate(model, still)

    history = fit(model, data, optimizer, epochs=epochs, on_epoch=between)
    found = hashlib.sha256(history.loss.tobytes())
    for value in model.state_dict().values():
        found.update(np.asarray(value).tobytes())
    return found.hexdigest()


def test_a_run_is_repeated_to_the_bit() -> None:
    assert trained() == trained()


def test_looking_in_between_changes_nothing() -> None:
    assert trained(look=True) == trained()


@pytest.mark.host
def test_processes_agree_whatever_their_hashes_and_threads() -> None:
    def found(hashes: str, threads: str) -> str:
        environment = os.environ | {
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONHASHSEED": hashes,
            "TINYGRAD_OPT_THREADS": threads,
        }
        code = "from tests.test_determinism import trained; print(trained(hidden=5_000, epochs=1))"
        root = Path(__file__).parents[1]
        return subprocess.check_output(
            [sys.executable, "-c", code], cwd=root, env=environment, text=True, timeout=120
        )

    assert found("1", "1") == found("2", "2")
