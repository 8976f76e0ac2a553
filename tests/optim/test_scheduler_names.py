"""get_scheduler: recorded values of the transformers library, and the formulas once more."""

from __future__ import annotations

import json
import math
import pathlib
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from scheduling import Groups, first, run

from tinygrad_opt.optim import get_scheduler
from tinygrad_opt.optim.lr_scheduler.names import PLATEAU, SHAPES

pytestmark = pytest.mark.host

SCRIPT = pathlib.Path(__file__).parents[1] / "oracles" / "record_scheduler_names.py"
ORACLE = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
RECORD = json.loads(ORACLE.RECORD.read_text())


def name_of(case: dict[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in case["options"].items())
    return f"{case['name']}({case['warmup']}, {case['total']}; {options})"


@pytest.mark.parametrize("case", RECORD["cases"], ids=name_of)
def test_the_rates_are_those_of_transformers(case: dict[str, Any]) -> None:
    optimizer = Groups(ORACLE.RATE)
    scheduler = get_scheduler(
        case["name"], optimizer, case["warmup"], case["total"], **case["options"]
    )
    rates = ORACLE.trace(scheduler, optimizer, case["name"])
    assert rates == pytest.approx(case["lr"], rel=1e-13, abs=1e-15 * ORACLE.RATE)


def test_every_name_is_recorded() -> None:
    assert {*SHAPES, PLATEAU} == set(ORACLE.OPTIONS) == {case["name"] for case in RECORD["cases"]}
    assert RECORD["transformers"] == "5.23.0"


# --- the table, computed once more, on two groups: here a group's own rate is its base

W, T, D, S = 5, 23, 6, 7
BASES = (0.1, 0.004)


def after(p: Callable[[float], float]) -> Callable[[float, float], float]:
    return lambda t, base: t / W if t < W else p((t - W) / (T - W))


def decay(t: float, base: float) -> float:
    if t < W:
        return 0.9 * (1 - math.cos(math.pi * t / W)) / 2 + 0.1
    q = min(1, max(0, t - W - S) / D)
    return 0.9 * (1 - math.sqrt(q)) + 0.1


def ends(t: float, base: float) -> float:
    return after(lambda p: ((base - 1e-4) * (1 - min(1, p)) ** 2 + 1e-4) / base)(t, base)


def lowest(t: float, base: float) -> float:
    r = 1e-3 / base
    return after(lambda p: (1 + math.cos(math.pi * p)) / 2 * (1 - r) + r)(t, base)


def shifted(t: float, base: float) -> float:
    if t < W:
        return (t + 1) / W
    p = (t - W + 1) / (T - W)
    return (1 + math.cos(math.pi * p)) / 2 * 0.75 + 0.25


@pytest.mark.parametrize(
    ("name", "options", "factor"),
    [
        ("constant", {}, lambda t, base: 1),
        ("constant_with_warmup", {}, lambda t, base: min(1, t / W)),
        ("linear", {}, after(lambda p: max(0, 1 - p))),
        ("cosine", {"num_cycles": 1.5}, after(lambda p: (1 + math.cos(3 * math.pi * p)) / 2)),
        (
            "cosine_with_restarts",
            {"num_cycles": 2},
            after(lambda p: (1 + math.cos(math.pi * (2 * p % 1))) / 2 if p < 1 else 0),
        ),
        ("polynomial", {"lr_end": 1e-4, "power": 2}, ends),
        ("inverse_sqrt", {}, lambda t, base: t / W if t < W else math.sqrt(W / t)),
        ("cosine_with_min_lr", {"min_lr": 1e-3}, lowest),
        ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.25}, shifted),
        (
            "warmup_stable_decay",
            {
                "num_decay_steps": D,
                "num_stable_steps": S,
                "warmup_type": "cosine",
                "decay_type": "1-sqrt",
                "min_lr_ratio": 0.1,
            },
            decay,
        ),
    ],
)
def test_the_table_of_factors(name: str, options: dict[str, Any], factor: Any) -> None:
    values = run(get_scheduler(name, Groups(*BASES), W, T, **options), 30)
    expected = [[base * factor(t, base) for base in BASES] for t in range(31)]
    for found, wanted in zip(values, expected, strict=True):
        assert found[:2] == pytest.approx(wanted, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "constant"])
def test_the_first_step_need_not_be_wasted(name: str) -> None:
    options = dict(ORACLE.OPTIONS[name][0])
    wasted = first(get_scheduler(name, Groups(1.0), 4, 20, **options), 8)
    used = first(get_scheduler(name, Groups(1.0), 4, 20, first_step_nonzero=True, **options), 8)
    assert used[0] > 0
    assert used[4:] == wasted[4:]
    if name != "cosine_warmup_with_min_lr":
        assert wasted[0] == 0
        assert used[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_a_group_without_a_rate_stays_where_it_is() -> None:
    for name, options in [("polynomial", {}), ("cosine_with_min_lr", {"min_lr": 0.1})]:
        assert set(first(get_scheduler(name, Groups(0.0), 2, 9, **options), 12)) == {0.0}


def test_a_checkpoint_takes_its_settings_along() -> None:
    saved = get_scheduler("cosine", Groups(1.0), 4, 20, num_cycles=1.0)
    run(saved, 6)
    other = get_scheduler("linear", Groups(1.0), 2, 9)
    other.load_state_dict(saved.state_dict())
    assert run(other, 20) == run(saved, 20)
    assert saved.state_dict()["lr_lambdas"] == [None]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "sentence"),
    [
        (("cosin",), {}, ValueError, "there is no scheduler 'cosin'. Did you mean 'cosine'? There"),
        (("",), {}, ValueError, "there is no scheduler ''. There are constant, constant_with_warm"),
        (("linear", 5), {}, ValueError, "get_scheduler: linear needs num_training_steps"),
        (("linear",), {}, ValueError, "get_scheduler: linear needs num_warmup_steps and num_train"),
        (("inverse_sqrt",), {}, ValueError, "get_scheduler: inverse_sqrt needs num_warmup_steps"),
        (
            ("warmup_stable_decay", 5, 20),
            {},
            ValueError,
            "get_scheduler: warmup_stable_decay needs num_decay_steps",
        ),
        (("linear", -1, 9), {}, ValueError, "get_scheduler: num_warmup_steps must be a whole"),
        (("linear", 1, 2.5), {}, ValueError, "get_scheduler: num_training_steps must be a whole"),
        (
            ("linear", 1, 9),
            {"power": 2},
            TypeError,
            "get_scheduler: linear has no option 'power'; its options: none.",
        ),
        (
            ("polynomial", 1, 9),
            {"lr": 2},
            TypeError,
            "get_scheduler: polynomial has no option 'lr'; its options: lr_end, power.",
        ),
        (("polynomial", 1, 9), {"power": math.nan}, ValueError, "get_scheduler: power must be a f"),
        (
            ("cosine_with_min_lr", 1, 9),
            {},
            ValueError,
            "get_scheduler: cosine_with_min_lr needs min_lr or mi",
        ),
        (
            ("cosine_with_min_lr", 1, 9),
            {"min_lr": 0.1, "min_lr_rate": 0.1},
            ValueError,
            "get_scheduler: cosine_with_min_lr needs min_lr or min_lr_rate",
        ),
        (
            ("warmup_stable_decay", 1, 9),
            {"num_decay_steps": 3, "decay_type": "log"},
            ValueError,
            "get_scheduler: decay_type 'log' is none of 'linear', 'cosine', '1-sqrt'",
        ),
    ],
)
def test_wrong_use_is_a_sentence(
    arguments: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    optimizer = Groups(0.1)
    with pytest.raises(kind) as error:
        get_scheduler(arguments[0], optimizer, *arguments[1:], **options)
    assert str(error.value).startswith(sentence)
    assert optimizer.state_dict() == Groups(0.1).state_dict()
