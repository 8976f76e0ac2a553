"""What a captured step can see: values that change are noticed, and what would be lost is said."""

from __future__ import annotations

import argparse
import os
import queue
import random
from array import array
from collections import ChainMap, UserDict
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy.random as chance
import pytest

import tinygrad_opt as tg
from tinygrad_opt import Tensor, nn, optim, tensor
from tinygrad_opt.capture import watch
from tinygrad_opt.nn import functional as F
from tinygrad_opt.optim import lr_scheduler

pytestmark = pytest.mark.on("cpu")

Pair = tuple[Callable[[], float], Callable[[], Any]]  # a number that is read, and its change
SETTING: ContextVar[float] = ContextVar("SETTING", default=1.0)
CASES: dict[str, Callable[[], Pair]] = {}


def a_case(make: Callable[[], Pair]) -> Callable[[], Pair]:
    CASES[make.__name__] = make
    return make


@a_case
def argparse_namespace() -> Pair:
    a = argparse.Namespace(scale=1.0)
    return lambda: a.scale, lambda: setattr(a, "scale", 3.0)


@a_case
def user_dict() -> Pair:
    a = UserDict(scale=1.0)
    return lambda: a["scale"], lambda: a.update(scale=3.0)


@a_case
def chain_map() -> Pair:
    a = ChainMap({"scale": 1.0})
    return lambda: a["scale"], lambda: a.update(scale=3.0)


@a_case
def environment() -> Pair:
    os.environ["TG_TEST_SCALE"] = "1"
    return (
        lambda: float(os.environ["TG_TEST_SCALE"]),
        lambda: os.environ.update(TG_TEST_SCALE="3"),
    )


@a_case
def context_variable() -> Pair:
    SETTING.set(1.0)
    return SETTING.get, lambda: SETTING.set(3.0)


@a_case
def array_of_python() -> Pair:
    a = array("d", [1.0])
    return lambda: a[0], lambda: a.__setitem__(0, 3.0)


@a_case
def keys_of_a_dict() -> Pair:
    a = {1.0: True}
    return lambda: next(k for k in a), lambda: [a.popitem(), a.update({3.0: True})]


@a_case
def view_of_a_dict() -> Pair:
    a = {"scale": 1.0}
    view = a.values()
    return lambda: sum(view), lambda: a.update(scale=3.0)


@a_case
def attribute_of_a_function() -> Pair:
    def f() -> float:
        return float(f.scale)  # type: ignore[attr-defined]

    f.scale = 1.0  # type: ignore[attr-defined]
    return f, lambda: setattr(f, "scale", 3.0)


@a_case
def default_of_a_function() -> Pair:
    def f(scale: float = 1.0) -> float:
        return scale

    return lambda: f(), lambda: setattr(f, "__defaults__", (3.0,))


@a_case
def module_behind_an_object() -> Pair:
    module = ModuleType("settings")
    module.__file__, module.scale = "settings.py", 1.0  # type: ignore[attr-defined]
    holder = SimpleNamespace(config=module)
    return lambda: holder.config.scale, lambda: setattr(module, "scale", 3.0)


@a_case
def attribute_of_a_tensor() -> Pair:
    w = tg.ones(1)
    w.decay = 1.0  # type: ignore[attr-defined]
    return lambda: w.decay, lambda: setattr(w, "decay", 3.0)  # type: ignore[attr-defined]


@a_case
def sign_of_zero() -> Pair:
    a = SimpleNamespace(x=0.0)
    return lambda: 1.0 if str(a.x) == "0.0" else 3.0, lambda: setattr(a, "x", -0.0)


def _descent() -> optim.SGD:
    return optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)


@a_case
def option_of_an_optimizer() -> Pair:
    o = _descent()
    return lambda: o.param_groups[0]["lr"], lambda: o.param_groups[0].update(lr=3.0)


@a_case
def option_behind_a_schedule() -> Pair:
    o = _descent()
    s = lr_scheduler.StepLR(o, step_size=1, gamma=3.0)
    return lambda: s.optimizer.param_groups[0]["lr"], s.step


@a_case
def epoch_of_a_schedule() -> Pair:
    s = lr_scheduler.StepLR(_descent(), step_size=1)
    return lambda: 1.0 + 2 * s.last_epoch, s.step


@pytest.mark.filterwarnings("ignore:.*step.*:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_value_that_changes_between_calls_is_noticed(name: str) -> None:
    read, change = CASES[name]()
    step = tg.capture(lambda x: x * read())
    for _ in range(4):
        assert step(tg.ones(1)).tolist() == [1.0]
    assert step.calls
    change()
    for _ in range(4):
        assert step(tg.ones(1)).tolist() == [3.0]


def _refusal(function: Any, calls: int = 2) -> str:
    step = tg.capture(function)
    with pytest.raises(RuntimeError) as error:
        for _ in range(calls):
            step(tg.ones(1))
    return str(error.value)


def test_what_live_steps_change_may_not_be_read_in_the_step() -> None:
    w = tensor([1.0], requires_grad=True)
    o = optim.SGD([w], lr=0.5)

    def step(x: Tensor) -> Tensor:
        factor = 1.0 if o.step_count < 5 else 3.0
        o.zero_grad()
        (w * x * factor).sum().backward()
        o.step()
        return w

    assert "it changes o.step_count (which the step can read: pass it as a Tensor)" in _refusal(
        step
    )


DRAWS = {
    "random": lambda: random.choice([1.0, 2.0]),
    "numpy": lambda: chance.rand(),  # noqa: NPY002
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_random_numbers_of_others_are_refused(draw: Any) -> None:
    assert "random" in _refusal(lambda x: x * draw())


def test_changes_in_any_container_are_refused(tmp_path: Path) -> None:
    space, words, line = SimpleNamespace(n=0), UserDict(n=0), queue.Queue[int]()
    model = nn.Linear(1, 1)

    def count(x: Tensor) -> Tensor:
        space.n += 1
        return x

    def count_words(x: Tensor) -> Tensor:
        words["n"] += 1
        return x

    def put(x: Tensor) -> Tensor:
        line.put(1)
        return x

    def own(x: Tensor) -> Tensor:
        own.n = getattr(own, "n", 0) + 1  # type: ignore[attr-defined]
        return x

    def mark(x: Tensor) -> Tensor:
        model.weight.seen = getattr(model.weight, "seen", 0) + 1  # type: ignore[attr-defined]
        return x

    def write(x: Tensor) -> Tensor:
        (tmp_path / "log").write_text("x")
        return x

    for function, sentence in [
        (count, "it changes space.n"),
        (count_words, "it changes words.data['n']"),
        (put, "it changes line."),
        (own, "it changes"),
        (mark, "it changes model.weight.seen"),
        (write, "open() in Path.open"),
        (lambda x: x * globals()["ONE"], "globals() in"),
    ]:
        assert sentence in _refusal(function)


ONE = 1.0


def test_a_function_that_remembers_is_refused() -> None:
    @lru_cache
    def state() -> dict[str, float]:
        return {"scale": 1.0}

    assert "which remembers what it gave" in _refusal(lambda x: x * state()["scale"])


def test_a_helper_may_be_given_an_optimizer() -> None:
    w = tensor([1.0], requires_grad=True)
    o = optim.SGD([w], lr=0.5)

    def update(optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = tg.capture(lambda x: update(o, F.mse_loss(w * x, x)))
    for _ in range(4):
        step(tg.ones(1))
    assert step.calls and o.step_count == 4


def test_files_that_can_be_recorded_exist() -> None:
    stems = {path.stem for path in Path(watch.OPTIM).glob("*.py")}
    assert stems >= watch.CAN_BE_RECORDED
