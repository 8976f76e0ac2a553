"""A hundred thousand steps take no more memory than a thousand, with the collector and without.

The plain run takes some thousand; `pytest -m slow` all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.soak.ledger import Ledger, check_flat, check_traced, without_collector
from tests.soak.trainings import TRAININGS, network
from tinygrad_opt import optim
from tinygrad_opt.data import DataLoader
from tinygrad_opt.teach import fit

pytestmark = pytest.mark.on("cpu")

WARM = 700  # steps after which everything has been made that is made once
STEPS = {"eager": 100_000, "decorated": 10_000}  # others 20,000

each_training = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.fast] * (n == "numba")) for n in TRAININGS]
)


def repeated(step: Callable[[], Any], steps: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(steps):
            step()

    return run


@each_training
def test_some_thousand_steps(name: str) -> None:
    step = TRAININGS[name]()
    repeated(step, WARM)()
    steps = STEPS.get(name, 20_000) // 40
    check_flat(repeated(step, steps))
    check_flat(repeated(step, steps), collector=True)


@pytest.mark.slow
@each_training
def test_a_hundred_thousand_steps(name: str) -> None:
    step = TRAININGS[name]()
    repeated(step, WARM)()
    steps = STEPS.get(name, 20_000)
    check_flat(repeated(step, steps))
    check_flat(repeated(step, steps // 5), collector=True)


@pytest.mark.slow
@each_training
def test_what_python_and_numpy_have_allocated(name: str) -> None:
    step = TRAININGS[name]()
    repeated(step, WARM)()
    check_traced(repeated(step, 600))


@pytest.mark.slow
def test_a_fit_of_many_epochs_holds_its_record_and_no_more() -> None:
    drawn = np.random.default_rng(0)
    data = DataLoader((drawn.standard_normal((20, 4)), drawn.integers(0, 3, 20)), batch_size=4)

    def train(epochs: int) -> Any:
        model = network().to("float64")
        optimizer = optim.Adam(model.parameters())
        scheduler = optim.lr_scheduler.StepLR(optimizer, 100)
        return fit(model, data, optimizer, epochs=epochs, scheduler=scheduler, test=data)

    def sizes(history: Any) -> int:
        return sum(a.nbytes for a in vars(history).values() if isinstance(a, np.ndarray))

    train(5)
    with without_collector():
        before = Ledger.now()
        history = train(300)
        assert len(history) == 1500
        assert Ledger.now().objects - before.objects < 100 + 5 * 300
        assert sizes(history) < 1500 * 100
        del history
        assert Ledger.now().tensors == before.tensors
        assert Ledger.now().objects - before.objects <= 8


def test_a_leak_is_found() -> None:
    """What these tests look for: a graph that is kept, a cycle, a list that grows."""
    w, kept = tg.ones(3, requires_grad=True), []

    def keep() -> None:
        kept.append((w * 2).sum())

    with pytest.raises(AssertionError):
        check_flat(repeated(keep, 100), collector=True)

    def cycle() -> None:
        w.grad = w * 2
        w.grad.sum().backward(create_graph=True)
        h = w * 2
        h.name = [h]  # type: ignore[assignment]

    with pytest.raises(AssertionError):
        check_flat(repeated(cycle, 100))
    with pytest.raises(AssertionError):
        check_traced(lambda: kept.append(bytearray(2**16)))
