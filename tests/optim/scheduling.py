"""What the tests of schedulers share: a small optimizer, one scheduler of each class, runs."""

from __future__ import annotations

import copy
import json
import pathlib
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_opt.optim.lr_scheduler import (
    SWALR,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    HyperparameterScheduler,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    ScheduleLR,
    SequentialLR,
    StepLR,
    get_scheduler,
)
from tinygrad_opt.optim.schedules import cosine, exponential, warmup

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_schedules.py")))
STEPS = 24


def integer_keys(state: Any) -> Any:
    """A state that has been JSON, where milestones lose the type of their keys."""
    if isinstance(state, list):
        return [integer_keys(one) for one in state]
    if not isinstance(state, dict):
        return state
    return {int(key) if key.isdigit() else key: integer_keys(value) for key, value in state.items()}


class Groups:
    """All that a scheduler knows of an optimizer."""

    def __init__(self, *rates: Any, **options: Any) -> None:
        options = options or {"momentum": 0.9}
        self.param_groups: list[dict[str, Any]] = [
            {"params": [], "lr": lr, **options} for lr in rates
        ]
        self.step_count = 0

    def step(self) -> None:
        self.step_count += 1

    def add_param_group(self, group: dict[str, Any]) -> None:
        self.param_groups.append({"momentum": 0.9} | group)

    def state_dict(self) -> dict[str, Any]:
        return {"param_groups": copy.deepcopy(self.param_groups)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.param_groups = copy.deepcopy(state["param_groups"])

    @property
    def rates(self) -> list[float]:
        return [np.asarray(group["lr"]).item() for group in self.param_groups]

    @property
    def values(self) -> list[float]:
        return self.rates + ORACLE.momenta(self)


class Halving:
    """A callable object with something to save."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, t: float) -> float:
        return 0.5 ** (t // self.width)


def inverse(t: float) -> float:
    return 1 / (1 + t)


def nearly(t: float) -> float:
    return 1 - 1 / (4 + t)


def sequence(o: Any, **k: Any) -> SequentialLR:
    parts = [LinearLR(o, 0.1, 1.0, 5), CosineAnnealingLR(o, 9, 1e-3), MultiplicativeLR(o, nearly)]
    return SequentialLR(o, parts, [5, 14], **k)


def chain(o: Any) -> ChainedScheduler:
    return ChainedScheduler([LinearLR(o, 0.1, 1.0, 6), ExponentialLR(o, 0.9), plateau(o)])


def plateau(o: Any) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(o, "max", 0.5, 1, cooldown=2)


def nest(o: Any, **k: Any) -> SequentialLR:
    first = SequentialLR(o, [ConstantLR(o, 0.5, 9), ExponentialLR(o, 0.9)], [3])
    last = SequentialLR(o, [plateau(o), OneCycleLR(o, 0.2, 30)], [6])
    return SequentialLR(o, [first, chain(o), last], [7, 13], **k)


# One scheduler of each class, on two groups; every one of them moves within STEPS.
BUILD: dict[str, Callable[..., Any]] = {
    "StepLR": lambda o, **k: StepLR(o, 3, 0.5, **k),
    "MultiStepLR": lambda o, **k: MultiStepLR(o, [4, 9, 4], 0.6, **k),
    "ConstantLR": lambda o, **k: ConstantLR(o, 0.1, 7, **k),
    "LinearLR": lambda o, **k: LinearLR(o, 0.1, 0.9, 11, **k),
    "ExponentialLR": lambda o, **k: ExponentialLR(o, 0.9, **k),
    "PolynomialLR": lambda o, **k: PolynomialLR(o, 15, 2.0, **k),
    "CosineAnnealingLR": lambda o, **k: CosineAnnealingLR(o, 8, 1e-3, **k),
    "CosineAnnealingWarmRestarts": lambda o, **k: CosineAnnealingWarmRestarts(o, 3, 2, 1e-3, **k),
    "SWALR": lambda o, **k: SWALR(o, [0.02, 0.01], 12, **k),
    "LambdaLR": lambda o, **k: LambdaLR(o, [inverse, Halving(4)], **k),
    "MultiplicativeLR": lambda o, **k: MultiplicativeLR(o, [nearly, Halving(9)], **k),
    "CyclicLR": lambda o, **k: CyclicLR(o, 0.01, [0.2, 0.1], 3, 5, "triangular2", **k),
    "OneCycleLR": lambda o, **k: OneCycleLR(o, [1.0, 0.3], STEPS, three_phase=True, **k),
    "ScheduleLR": lambda o, **k: ScheduleLR(o, [warmup(5) >> cosine(9), exponential(0.9)], **k),
    "HyperparameterScheduler": lambda o, **k: HyperparameterScheduler(
        o, "momentum", [warmup(7), exponential(0.9)], **k
    ),
    "NamedLR": lambda o, **k: get_scheduler("cosine_with_min_lr", o, 4, 16, min_lr=1e-3, **k),
    "ReduceLROnPlateau": lambda o, **k: plateau(o),
    "SequentialLR": sequence,
    "ChainedScheduler": lambda o, **k: chain(o),
    "SequentialLR of containers": nest,
}
CONTAINERS = [name for name in BUILD if "Sequential" in name or "Chained" in name]
CLOSED = [name for name in BUILD if name not in (*CONTAINERS, "ReduceLROnPlateau")]
OVERWRITING = [
    "CosineAnnealingWarmRestarts",
    "LambdaLR",
    "CyclicLR",
    "OneCycleLR",
    "NamedLR",
]
FOLLOWING = [name for name in CLOSED if name not in OVERWRITING]


def two_groups() -> Groups:
    return Groups(0.1, 0.004)


def advance(optimizer: Any, *schedulers: Any, t: int = 0) -> list[float]:
    """One step of everything; those who listen hear a metric that rises and falls."""
    optimizer.step()
    for scheduler in schedulers:
        listens = isinstance(scheduler, ReduceLROnPlateau | SequentialLR | ChainedScheduler)
        scheduler.step(*([1.0 - 0.1 * (t % 7)] if listens else []))
    return optimizer.values


def run(scheduler: Any, steps: int = STEPS, start: int = 0) -> list[list[float]]:
    """All values now and after each of the steps."""
    optimizer = scheduler.optimizer
    return [optimizer.values] + [
        advance(optimizer, scheduler, t=t) for t in range(start, start + steps)
    ]


def first(scheduler: Any, steps: int) -> list[float]:
    """The first group's lr."""
    return [values[0] for values in run(scheduler, steps)]


def plain_json(state: Any) -> Any:
    """A state as it comes back from a file of text."""
    return integer_keys(json.loads(json.dumps(state)))
