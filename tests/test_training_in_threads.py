"""Training in several threads at once gives what it gives one after another, to the bit.

A thread that is to draw the same weights and masks each time begins with `manual_seed`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import ENTRIES, training
from tests.simultaneous import at_once, in_thread
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader
from tinygrad_opt.device import Device, default_device, use_device
from tinygrad_opt.teach import fit, lint

THREADS = 4

Work = Callable[[int], Any]


def alike(work: Work) -> None:
    """Whether work with the numbers 0 … 3 gives the same at once as one after another."""
    alone = [in_thread(partial(work, number)) for number in range(THREADS)]
    together = at_once([partial(work, number) for number in range(THREADS)])
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        np.testing.assert_array_equal(np.array(one), np.array(other), err_msg=f"thread {number}")


def numbers(model: nn.Module) -> list[float]:
    """All parameters in a row."""
    return [float(x) for p in model.parameters() for x in host(p).ravel()]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Dropout(0.3), nn.Linear(8, 3)
    )


def examples(number: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(number)
    return drawn.standard_normal((24, 4)).astype(np.float32), drawn.integers(0, 3, 24)


def trained(number: int, prepare: Callable[[Any], Any] = lambda step: step) -> list[float]:
    """Weights, order of examples, masks and rates: everything that a small training needs."""
    tg.manual_seed(number)
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    run, losses = prepare(step), []
    for _ in range(4):
        for batch in DataLoader(examples(number), batch_size=8, seed=number):
            losses.append(run(*batch).item())
    return [*losses, *numbers(model), optimizer.param_groups[0]["lr"]]


# ---- training ---------------------------------------------------------------------------------


@pytest.mark.on("cpu")
def test_a_training_with_all_that_belongs_to_it() -> None:
    alike(trained)


@pytest.mark.on("cpu")
def test_a_captured_training_is_that_of_the_plain_one() -> None:
    alike(partial(trained, prepare=tg.capture))
    assert in_thread(partial(trained, 1, tg.capture)) == in_thread(partial(trained, 1))


@pytest.mark.on("cpu")
def test_fit_with_a_history() -> None:
    def work(number: int) -> list[float]:
        tg.manual_seed(number)
        model, data = network(), DataLoader(examples(number), batch_size=8, seed=number)
        history = fit(model, data, optim.Adam(model.parameters()), epochs=3, norms=True)
        return [*history.loss, *numbers(model)]

    alike(work)


@pytest.mark.on("cpu")
def test_gradients_of_gradients_with_the_same_mask() -> None:
    def work(number: int) -> Any:
        tg.manual_seed(number)
        x = tg.randn(40, requires_grad=True)
        for _ in range(10):
            y = tg.dropout(x * x, 0.5)
            (g,) = tg.grad((y * y).sum(), [x], create_graph=True)
            (g * g).sum().backward()
            np.testing.assert_array_equal(host(x.grad) == 0, host(y) == 0)
            kept, x.grad = host(x.grad), None
        return kept

    alike(work)


@pytest.mark.on("cpu")
@pytest.mark.parametrize("name", ENTRIES)
def test_every_optimizer(name: str) -> None:
    def work(number: int) -> list[float]:
        tg.manual_seed(number)
        model, optimizer, closure = training(name)
        for _ in range(3):
            if optimizer.scope == "closure" or name in ("sophiag", "polyakstep"):
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
        return numbers(model)

    alike(work)


@pytest.mark.on("cpu")
@pytest.mark.parametrize(
    "engine", ["reference", "blocks", pytest.param("numba", marks=pytest.mark.fast)]
)
def test_every_engine_and_threads_that_share_a_long_step(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", "3")
    monkeypatch.setattr("tinygrad_opt.optim.engine.blocks.SHARED", 1000)

    def work(number: int) -> Any:
        w = tg.tensor(np.sin(np.arange(4000, dtype=np.float32) + number), requires_grad=True)
        optimizer = optim.Adam([w], lr=0.01, engine=engine)
        for _ in range(20):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        return host(w)

    alike(work)


# ---- what a thread has for itself -------------------------------------------------------------


@pytest.mark.on("cpu")
def test_modes_and_default_devices() -> None:
    def work(records: bool) -> None:
        w = tg.ones(3, requires_grad=True)
        for _ in range(200):
            block = contextlib.nullcontext() if records else tg.no_grad()
            with block, use_device("cpu") as device:
                assert tg.is_grad_enabled() is (w * 2).requires_grad is records
                assert default_device() is device
            assert tg.is_grad_enabled()

    at_once([partial(work, records) for records in (True, False) * 2])


@pytest.mark.on("standin")
def test_a_default_device_is_none_of_another_thread() -> None:
    assert default_device().kind == "cuda"
    assert in_thread(default_device).kind == "cpu"


@pytest.mark.on("cpu")
def test_hooks_of_one_module_come_and_go_while_others_call_it() -> None:
    model = nn.Linear(3, 3)
    x = tg.ones(2, 3)
    expected = model(x).tolist()

    def register() -> None:
        for _ in range(300):
            model.register_forward_hook(lambda module, inputs, output: output * 1)()

    def call() -> None:
        for _ in range(300):
            assert model(x).tolist() == expected

    at_once([call, register, call])


@pytest.mark.on("cpu")
def test_a_change_that_another_thread_makes_hides_none_of_ours() -> None:
    """All changes stand on one clock, which no thread may put back."""

    def work() -> None:
        w = tg.ones(2, requires_grad=True)
        for _ in range(300):
            loss = (w * w).sum()
            with tg.no_grad():
                w *= 0.5
            with pytest.raises(RuntimeError, match="has been changed since"):
                loss.backward()

    at_once([work] * THREADS)


# ---- observers --------------------------------------------------------------------------------


@pytest.mark.on("cpu")
def test_training_beside_threads_that_profile_lint_and_capture() -> None:
    expected = in_thread(partial(trained, 1))

    def profiled(number: int) -> list[float]:
        with tg.profile(show=False) as p:
            result = trained(number)
        assert {row.name: row.calls for row in p.rows}["AdamW.step()"] == 12
        return result

    def linted(number: int) -> list[float]:
        with lint(None, None) as findings:
            result = trained(number)
        assert {found.rule for found in findings} <= {"graph grows"}  # counts those of all threads
        return result

    ways = [trained, profiled, linted, partial(trained, prepare=tg.capture)] * 2
    for result in at_once([partial(way, 1) for way in ways]):
        assert result == expected
    assert Device("cpu").xp is np


@pytest.mark.on("cpu")
def test_a_profile_counts_its_own_thread_whoever_comes_and_goes_beside() -> None:
    both = Barrier(2, timeout=60)

    def first() -> Any:
        with tg.profile(show=False) as p:
            both.wait()  # both have begun
            tg.ones(2).exp()
            both.wait()  # the other one ends
            both.wait()
            tg.ones(2).sqrt()
        return p

    def second() -> Any:
        with tg.profile(show=False) as p:
            both.wait()
            tg.ones(2).tanh()
            both.wait()
        both.wait()
        return p

    seen = [{row.name for row in p.rows[:-1]} for p in at_once([first, second])]
    assert seen == [{"exp", "sqrt"}, {"tanh"}]
    assert Device("cpu").xp is np


@pytest.mark.on("cpu")
def test_who_looks_away_hides_nothing_from_others_and_leaves_nothing_behind() -> None:
    def work() -> int:
        w = tg.ones(3, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)
        w.grad = tg.ones(3)
        with tg.profile(show=False) as p:
            for _ in range(100):
                optimizer.step()
        return p.rows[0].calls

    assert at_once([work] * THREADS) == [100] * THREADS
    assert Device("cpu").xp is np


# ---- first use --------------------------------------------------------------------------------

FIRST_USE = """
import sys, threading
sys.setswitchinterval(1e-6)
import numpy as np
import tinygrad_opt as tg

barrier, results = threading.Barrier(4, timeout=60), [None] * 4

def work(i):
    barrier.wait()
    tg.manual_seed(3)
    model = tg.nn.Sequential(tg.nn.Linear(4, 8), tg.nn.Dropout(0.5), tg.nn.Linear(8, 3))
    optimizer = tg.optim.RAdam(model.parameters(), lr=0.1)
    loader = tg.data.DataLoader(tg.data.load("iris"), batch_size=50)
    history = tg.teach.fit(model, loader, optimizer, epochs=3)
    results[i] = [*history.loss, *next(model.parameters()).detach().numpy().ravel()]

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(results[0]), all(np.array_equal(results[0], result) for result in results))
"""


@pytest.mark.host
def test_what_is_made_on_demand_is_made_for_threads_that_ask_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FIRST_USE],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout.split()[-1:], done.stderr) == (["True"], "")


@pytest.mark.on("cpu")
def test_a_new_class_of_optimizer_begins_in_several_threads_at_once() -> None:
    for _ in range(20):

        class Sign(optim.Optimizer):
            def __init__(self, params: Any) -> None:
                super().__init__(params, {"lr": 0.1})

            @staticmethod
            def rule(xp: Any, p: Any, g: Any, *, lr: float, t: int) -> Any:
                return p - lr * xp.sign(g) if t > 2 else p - lr * g

        def work(kind: type[optim.Optimizer]) -> Any:
            w = tg.ones(3, requires_grad=True)
            optimizer = kind([w])
            for _ in range(4):
                w.grad = w.detach() * 2
                optimizer.step()
            return w.tolist()

        first, *rest = at_once([partial(work, Sign)] * THREADS)
        assert rest == [first] * (THREADS - 1)
