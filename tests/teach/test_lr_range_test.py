"""The range test: what it says, and that afterwards everything is as if it had not been."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader
from tinygrad_opt.nn import functional as F
from tinygrad_opt.teach import lr_range_test
from tinygrad_opt.teach.lr_range_test import valley

MAKERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda model: optim.SGD(model.parameters(), lr=0.1),
    "momentum": lambda model: optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    "adam": lambda model: optim.Adam(model.parameters(), lr=0.01),
    "sgdschedulefree": lambda model: optim.SGDScheduleFree(model.parameters(), lr=0.5),
    "lbfgs": lambda model: optim.LBFGS(model.parameters(), lr=0.5, max_iter=2),
    "sgld": lambda model: optim.SGLD(model.parameters(), lr=0.1),  # draws numbers at every step
    "sam": lambda model: optim.SAM(optim.SGD(model.parameters(), lr=0.1)),
    "lookahead": lambda model: optim.Lookahead(optim.Adam(model.parameters(), lr=0.01), k=3),
    "split": lambda model: optim.split_matrices(
        model, lambda p: optim.Muon(p, lr=0.02), lambda p: optim.AdamW(p, lr=0.01)
    ),
}


class Run:
    """A training with everything that could be disturbed: dropout, batch statistics, schedules."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
        tg.manual_seed(3)
        self.batches = DataLoader((x, (x[:, 0] > 0).astype(np.int64)), batch_size=8, seed=2)
        self.model = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2)
        )
        self.optimizer = make(self.model)
        self.scheduler = optim.lr_scheduler.ScheduleLR(self.optimizer, optim.parse("cosine(30)"))
        self.losses: list[float] = []
        self.passes: Iterator[Any] = iter(())

    def train(self, steps: int) -> None:
        for _ in range(steps):
            pair = next(self.passes, None)
            if pair is None:
                self.passes = iter(self.batches)
                pair = next(self.passes)
            x, y = pair

            self.losses.append(float(self.optimizer.step(partial(self.closure, x, y)).item()))
            self.scheduler.step()

    def closure(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        return loss

    def everything(self) -> list[Any]:
        """All numbers that training depends on, and the random ones that come next."""
        grads = [None if p.grad is None else p.grad.cpu().numpy() for p in self.model.parameters()]
        return [
            self.model.state_dict(),
            [module.training for module in self.model.modules()],
            [None if grad is None else grad.copy() for grad in grads],
            self.optimizer.state_dict(),
            self.scheduler.state_dict(),
            self.batches.state_dict(),
            self.losses,
            tg.rand(5).tolist(),
            F.dropout(tg.ones(50), 0.5).tolist(),
        ]


def equal(a: Any, b: Any) -> bool:
    """Whether two structures hold the same bits."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == np.asarray(b).tobytes()
    return bool(a == b)


@pytest.mark.parametrize("name", MAKERS)
def test_training_goes_on_to_the_bit_as_without_it(name: str) -> None:
    plain, tested = Run(MAKERS[name]), Run(MAKERS[name])
    for run in (plain, tested):
        tg.manual_seed(5)
        run.train(7)  # in the middle of the second pass
        if run is tested:
            lr_range_test(run.model, run.batches, run.optimizer, steps=20)
        run.train(6)
        run.everything_then = run.everything()  # type: ignore[attr-defined]
    assert equal(plain.everything_then, tested.everything_then)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_of_a_test_that_ended_early(error: type[BaseException]) -> None:
    before, after = Run(MAKERS["adam"]), Run(MAKERS["adam"])
    calls = 0

    def interrupted(prediction: Any, y: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise error
        return F.cross_entropy(prediction, y)

    for run in (before, after):
        tg.manual_seed(5)
        run.train(4)
        run.model.eval()
        if run is after:
            with pytest.raises(error):
                lr_range_test(run.model, run.batches, run.optimizer, loss=interrupted)
        run.everything_then = run.everything()  # type: ignore[attr-defined]
    assert calls == 5
    assert equal(before.everything_then, after.everything_then)  # type: ignore[attr-defined]


def test_what_hooks_keep_is_left_alone() -> None:
    run = Run(MAKERS["sgd"])
    calls: list[int] = []
    run.optimizer.register_step_post_hook(lambda *_: calls.append(1))
    run.train(2)
    lr_range_test(run.model, run.batches, run.optimizer, steps=20)
    assert len(calls) == 2


class Bowl(nn.Module):
    """½ a ‖p‖²: gradient descent comes down as long as the rate is below 2/a."""

    def __init__(self, a: float) -> None:
        self.a = a
        self.p = nn.Parameter(tg.tensor([3.0, -2.0]))

    def forward(self, x: Any) -> Any:
        return 0.5 * self.a * self.p.square().sum() + 0 * x.sum()


@pytest.mark.parametrize("a", [0.5, 4.0, 50.0])
def test_the_suggestion_for_a_bowl_lies_below_the_limit(a: float) -> None:
    model, pair = Bowl(a), (tg.zeros(1), tg.zeros(1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = lr_range_test(model, [pair], optimizer, loss=lambda y, _: y, high=1000.0)
    assert found.suggestion is not None and found.falls is not None
    assert found.falls[0] < found.suggestion < 2 / a
    assert found.lr[-1] < 1000.0, "it goes on although the loss exploded"
    rise = found.smooth - np.minimum.accumulate(found.smooth)
    assert not rise[-1] <= 3 * found.loss[0] and (rise[:-1] <= 3 * found.loss[0]).all()


def test_losses_below_zero_are_no_explosion() -> None:
    model, pair = Bowl(4.0), (tg.zeros(1), tg.zeros(1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = lr_range_test(model, [pair], optimizer, loss=lambda y, _: y - 40.0, high=1000.0)
    assert len(found) > 20 and found.loss[0] < 0
    assert found.suggestion is not None and found.suggestion < 0.5


def test_a_loss_that_uses_the_model_itself_is_refused_and_its_gradients_stay() -> None:
    run = Run(MAKERS["sgd"])
    run.train(1)
    before = [host(p.grad).copy() for p in run.model.parameters()]
    weight = run.model[0].weight
    with pytest.raises(ValueError, match="the loss uses the model itself"):
        lr_range_test(
            run.model,
            run.batches,
            run.optimizer,
            loss=lambda p, y: F.cross_entropy(p, y) + 0.01 * weight.square().sum(),
        )
    assert all(
        (host(p.grad) == g).all() for p, g in zip(run.model.parameters(), before, strict=True)
    )


class Shuffled:
    """A loader that has generators of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        for order in self.rng.permutation(8).reshape(2, 4):
            yield tg.tensor(order[:, None].astype(np.float32)), tg.tensor(order % 2)


def test_generators_of_the_loader_and_of_numpy_go_on_as_without_it() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + float(np.random.normal())  # noqa: NPY002

    drawn = []
    for tests in (False, True):
        loader, model = Shuffled(), nn.Sequential(Noisy(), nn.Linear(1, 2))
        np.random.seed(0)  # noqa: NPY002
        if tests:
            lr_range_test(model, loader, optim.SGD(model.parameters(), lr=0.1), steps=20)
        drawn.append((next(iter(loader))[1].tolist(), np.random.rand()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_sophia_runs_inside_a_wrapper() -> None:
    run = Run(lambda model: optim.Lookahead(optim.SophiaG(model.parameters(), lr=1e-3)))
    assert len(lr_range_test(run.model, run.batches, run.optimizer, steps=20)) == 20


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    run = Run(MAKERS["sgd"])
    run.model.lock = threading.Lock()
    with pytest.raises(TypeError, match="they cannot be copied: cannot pickle"):
        lr_range_test(run.model, run.batches, run.optimizer)


def test_the_rates_rise_evenly_in_their_logarithms_and_groups_keep_proportions() -> None:
    seen: list[tuple[float, float]] = []

    class Watched(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append((self.param_groups[0]["lr"], self.param_groups[1]["lr"]))
            return super().step(closure)

    run = Run(MAKERS["sgd"])
    first, *rest = run.model.parameters()
    groups = [{"params": [first], "lr": 0.2}, {"params": rest, "lr": 0.05}]
    found = lr_range_test(run.model, run.batches, Watched(groups), low=1e-4, high=1e-2, steps=21)
    np.testing.assert_allclose(found.lr, np.geomspace(1e-4, 1e-2, 21), rtol=1e-12)
    np.testing.assert_allclose([lr for lr, _ in seen], found.lr, rtol=1e-12)
    np.testing.assert_allclose([lr for _, lr in seen], found.lr / 4, rtol=1e-12)
    assert groups[0]["lr"] == 0.2


def test_the_running_mean_has_no_bias_at_its_start() -> None:
    run = Run(MAKERS["sgd"])
    found = lr_range_test(run.model, run.batches, run.optimizer, steps=25)
    mean, expected = 0.0, []
    for k, loss in enumerate(found.loss, start=1):
        mean = 0.98 * mean + 0.02 * loss
        expected.append(mean / (1 - 0.98**k))
    np.testing.assert_allclose(found.smooth, expected, rtol=1e-10)


@pytest.mark.host
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_the_valley_is_as_long_as_the_longest_falling_subsequence(losses: list[int]) -> None:
    array = np.array(losses, float)
    longest = 0
    for chosen in range(1, 2 ** len(losses)):
        part = array[[i for i in range(len(losses)) if chosen >> i & 1]]
        if (np.diff(part) < 0).all():
            longest = max(longest, len(part))
    first, last = valley(array)
    assert last - first + 1 == longest and 0 <= first <= last < len(losses)


@pytest.mark.host
def test_a_spike_does_not_end_the_valley() -> None:
    smooth = np.array([5.0, 5.0, 4.0, 3.5, 9.0, 3.0, 2.5, 2.0, 6.0, 7.0])
    assert valley(smooth) == (2, 7)
    assert valley(np.ones(5)) == (0, 0) and valley(np.zeros(0)) == (0, 0)


def test_where_nothing_falls_there_is_no_suggestion() -> None:
    model, pair = Bowl(0.0), (tg.zeros(1), tg.zeros(1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = lr_range_test(model, [pair], optimizer, loss=lambda y, _: y, steps=20)
    assert found.suggestion is None and found.falls is None
    assert found.sentence.startswith("The loss falls nowhere on the way")


def test_it_can_be_written_and_says_that_it_is_no_answer() -> None:
    run = Run(MAKERS["sgd"])
    found = lr_range_test(run.model, run.batches, run.optimizer)
    report = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert report["lr"] == found.lr.tolist() and report["suggestion"] == found.suggestion
    assert report["sentence"].endswith("is a starting point, not an answer.")
    lines = found.to_csv().splitlines()
    assert lines[0] == "lr,loss,smooth" and len(lines) == 1 + len(found)


def test_what_makes_no_ramp_is_refused() -> None:
    run = Run(MAKERS["sgd"])
    for options in ({"low": 1.0, "high": 0.1}, {"low": 0.0}, {"steps": 3}):
        with pytest.raises(ValueError, match="is no ramp"):
            lr_range_test(run.model, run.batches, run.optimizer, **options)
    with pytest.raises(ValueError, match="cannot be read again from the start"):
        lr_range_test(run.model, iter(run.batches), run.optimizer)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be read again from the start"):
        lr_range_test(run.model, [], run.optimizer)
    run.optimizer.param_groups[0]["lr"] = 0.0
    with pytest.raises(ValueError, match="it takes positive ones, which keep their proportions"):
        lr_range_test(run.model, run.batches, run.optimizer)
