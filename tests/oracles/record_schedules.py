"""Record how PyTorch's schedulers move lr: python tests/oracles/record_schedules.py

Every case is plain data: the class, its arguments (functions as the text of a lambda), lr of two
groups after construction and after each step, momentum where it moves too, what happens from
outside, and the checkpoint of a single scheduler on the way. `closed` are the values of PyTorch's
own closed form, where a class has one. Only cases are recorded where PyTorch keeps to its formulas.

`trace` drives PyTorch's module here and ours in the tests, so both see the same loop.
"""

from __future__ import annotations

import itertools
import json
import math
import pathlib
import warnings
from types import SimpleNamespace
from typing import Any

Case = dict[str, Any]

START = (0.1, 0.004)
STEPS = 30
SAVED_AFTER = 10
RECORD = pathlib.Path(__file__).with_name("schedules.json")

PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "StepLR": [
        {"step_size": 1},
        {"step_size": 3, "gamma": 0.5},
        {"step_size": 7, "gamma": 1.3},
        {"step_size": 40},
    ],
    "MultiStepLR": [
        {"milestones": [4, 9]},
        {"milestones": [9, 2, 9, 5], "gamma": 0.6},
        {"milestones": [1], "gamma": 2.0},
        {"milestones": []},
    ],
    "ConstantLR": [
        {},
        {"factor": 0.5, "total_iters": 1},
        {"factor": 0.01, "total_iters": 12},
        {"factor": 1.0, "total_iters": 3},
    ],
    "LinearLR": [
        {},
        {"start_factor": 0.001, "total_iters": 11},
        {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 20},
        {"start_factor": 0.5, "end_factor": 0.7, "total_iters": 1},
    ],
    "ExponentialLR": [{"gamma": 0.9}, {"gamma": 1.05}, {"gamma": 0.3}],
    "PolynomialLR": [
        {},
        {"total_iters": 20, "power": 2.0},
        {"total_iters": 9, "power": 0.5},
        {"total_iters": 1, "power": 3.0},
    ],
    "CosineAnnealingLR": [
        {"T_max": 10},
        {"T_max": 7, "eta_min": 0.001},
        {"T_max": 1},
        {"T_max": 29, "eta_min": 0.05},
    ],
    "CosineAnnealingWarmRestarts": [
        {"T_0": 4},
        {"T_0": 3, "T_mult": 2, "eta_min": 0.001},
        {"T_0": 1},
        {"T_0": 1, "T_mult": 3},
    ],
    "SWALR": [
        {"swa_lr": 0.05},
        {"swa_lr": [0.5, 0.001], "anneal_epochs": 14, "anneal_strategy": "linear"},
        {"swa_lr": 0.01, "anneal_epochs": 0},
    ],
    "LambdaLR": [
        {"lr_lambda": "lambda t: 0.95**t"},
        {"lr_lambda": ["lambda t: 1 / (1 + t)", "lambda t: 2.0 if t % 3 else 0.5"]},
    ],
    "MultiplicativeLR": [
        {"lr_lambda": "lambda t: 0.95"},
        {"lr_lambda": ["lambda t: 1 - 1 / (3 + t)", "lambda t: 1.1 if t % 3 else 0.5"]},
    ],
    "CyclicLR": [
        {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4},
        {
            "base_lr": [0.01, 0.002],
            "max_lr": [0.1, 0.05],
            "step_size_up": 3,
            "step_size_down": 5,
            "mode": "triangular2",
            "base_momentum": [0.7, 0.5],
            "max_momentum": 0.95,
        },
        {"base_lr": 1e-4, "max_lr": 1.0, "step_size_up": 5, "mode": "exp_range", "gamma": 0.9},
        {
            "base_lr": 0.02,
            "max_lr": 0.3,
            "step_size_up": 6,
            "step_size_down": 1,
            "scale_fn": "lambda x: 1 / (1 + x)",
            "scale_mode": "iterations",
        },
        {"base_lr": 0.1, "max_lr": 0.2, "step_size_up": 3, "cycle_momentum": False},
    ],
    "OneCycleLR": [
        {"max_lr": 1.0, "total_steps": 14},
        {
            "max_lr": [0.5, 0.1],
            "epochs": 3,
            "steps_per_epoch": 5,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "base_momentum": [0.8, 0.6],
        },
        {
            "max_lr": 0.3,
            "total_steps": 21,
            "pct_start": 0.25,
            "three_phase": True,
            "div_factor": 10,
            "final_div_factor": 100,
        },
        {
            "max_lr": 0.3,
            "total_steps": 20,
            "pct_start": 0.5,
            "three_phase": True,
            "anneal_strategy": "linear",
        },
        {"max_lr": 1.0, "total_steps": 8, "pct_start": 1.0},
        {"max_lr": 1.0, "total_steps": 4, "pct_start": 0.5},
        {"max_lr": 1.0, "total_steps": 2, "pct_start": 0.6, "cycle_momentum": False},
    ],
    "SequentialLR": [
        {
            "schedulers": [
                ["LinearLR", {"start_factor": 0.1, "total_iters": 5}],
                ["CosineAnnealingLR", {"T_max": 12, "eta_min": 1e-4}],
            ],
            "milestones": [5],
        },
        {
            "schedulers": [
                ["ConstantLR", {"factor": 0.1, "total_iters": 9}],
                ["ExponentialLR", {"gamma": 0.9}],
                ["StepLR", {"step_size": 3, "gamma": 0.5}],
            ],
            "milestones": [4, 12],
        },
        {
            "schedulers": [
                ["ExponentialLR", {"gamma": 0.9}],
                ["LambdaLR", {"lr_lambda": "lambda t: 1 / (1 + t)"}],
                ["PolynomialLR", {"total_iters": 8}],
            ],
            "milestones": [0, 11],
        },
    ],
    "ChainedScheduler": [
        {"schedulers": [["ConstantLR", {"factor": 0.1}], ["ExponentialLR", {"gamma": 0.9}]]},
        {
            "schedulers": [
                ["LinearLR", {"start_factor": 0.1, "total_iters": 6}],
                ["StepLR", {"step_size": 4, "gamma": 0.5}],
                ["MultiplicativeLR", {"lr_lambda": "lambda t: 1 - 1 / (3 + t)"}],
            ]
        },
        {
            "schedulers": [
                ["LambdaLR", {"lr_lambda": "lambda t: 0.5"}],
                ["LambdaLR", {"lr_lambda": "lambda t: 0.1"}],
            ]
        },
        {
            "schedulers": [
                ["ExponentialLR", {"gamma": 0.9}],
                [
                    "SequentialLR",
                    {
                        "schedulers": [
                            ["LinearLR", {"start_factor": 0.2, "total_iters": 7}],
                            ["StepLR", {"step_size": 3, "gamma": 0.5}],
                        ],
                        "milestones": [7],
                    },
                ],
            ]
        },
    ],
    "ReduceLROnPlateau": [
        {"factor": 0.5, "patience": 2, "cooldown": 1},
        {"mode": "max", "patience": 0, "threshold": 0.05},
        {"threshold_mode": "abs", "threshold": 0.3, "patience": 1, "factor": 0.7},
        {"mode": "max", "threshold_mode": "abs", "patience": 3, "min_lr": [0.02, 0.0]},
        {"patience": 1, "factor": 0.2, "eps": 1e-4, "min_lr": 1e-3},
    ],
}

CONTAINERS = ("SequentialLR", "ChainedScheduler")
WITH_MOMENTUM = ("CyclicLR", "OneCycleLR")

METRICS = {
    "level": [1.0] * STEPS,
    "falling": [3 * 0.8**t for t in range(STEPS)],
    "noisy": [2 + math.cos(1.7 * t) - 0.03 * t for t in range(STEPS)],
    "diverged": [1.0, 0.5] + [math.nan] * (STEPS - 2),
}

EDITS = {4: 0.05, 11: 0.2, 18: 0.003}  # after that many steps the first group's lr is set to this

# A factor that reaches 0 makes PyTorch forget what was edited: these stop before.
LONG = {
    "PolynomialLR": {"total_iters": 40},
    "CosineAnnealingLR": {"T_max": 33},
    "SWALR": {"swa_lr": 0.02, "anneal_epochs": 40},
}


def cases() -> list[Case]:
    """Each class with each of its parameter sets; edited by hand; in pairs on one optimizer."""
    found: list[Case] = []
    for name, sets in PARAMETERS.items():
        for arguments in sets:
            one: Case = {"schedulers": [[name, arguments]]}
            if name == "ReduceLROnPlateau":
                found += [one | {"metrics": metrics} for metrics in METRICS]
            elif name in WITH_MOMENTUM:
                found += [one | {"optimizer": kind} for kind in ("SGD", "Adam")]
            else:
                found.append(one)
    for case in found:
        name, arguments = case["schedulers"][0]
        if name == "OneCycleLR":  # PyTorch's cycle is over, and goes on
            case["steps"] = arguments.get("total_steps", 15) - 1
    composable = PARAMETERS.keys() - {*CONTAINERS, *WITH_MOMENTUM, "ReduceLROnPlateau"}
    chosen = {
        name: LONG.get(name, sets[1 % len(sets)])
        for name, sets in PARAMETERS.items()
        if name in composable
    }
    found += [{"schedulers": [[*one]], "edits": EDITS} for one in chosen.items()]
    for pair in itertools.product(chosen.items(), repeat=2):
        found.append({"schedulers": [list(one) for one in pair], "steps": 12})
    return found


def build(module: Any, optimizer: Any, name: str, arguments: dict[str, Any]) -> Any:
    """The scheduler of a case, with what is inside; the text of a lambda becomes the function."""
    ready = dict(arguments)
    for key in ready.keys() & {"lr_lambda", "scale_fn"}:
        text = ready[key]
        ready[key] = [eval(one) for one in text] if isinstance(text, list) else eval(text)
    if name in CONTAINERS:
        ready["schedulers"] = [build(module, optimizer, *one) for one in ready["schedulers"]]
    return getattr(module, name)(optimizer=optimizer, **ready)


def momenta(optimizer: Any) -> list[float]:
    """Momentum of every group, or β₁."""
    groups = optimizer.param_groups
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in groups]


def trace(module: Any, optimizer: Any, case: Case) -> tuple[dict[str, Any], Any]:
    """lr and momentum after construction and after every step, and the last scheduler."""
    schedulers = [build(module, optimizer, *one) for one in case["schedulers"]]
    metrics = METRICS.get(case.get("metrics", ""))
    edits = {int(step): lr for step, lr in case.get("edits", {}).items()}
    seen: dict[str, Any] = {"lr": [], "momentum": []}

    def look() -> None:
        seen["lr"].append([group["lr"] for group in optimizer.param_groups])
        seen["momentum"].append(momenta(optimizer))

    look()
    for step in range(case.get("steps", STEPS)):
        if step in edits:
            optimizer.param_groups[0]["lr"] = edits[step]
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step(*([metrics[step]] if metrics else []))
        look()
    if case["schedulers"][0][0] not in WITH_MOMENTUM:
        del seen["momentum"]
    return seen, schedulers[-1]


def pytorch() -> tuple[Any, Any]:
    """PyTorch's schedulers in one place, and a maker of its optimizers with two groups."""
    import torch
    from torch.optim import lr_scheduler, swa_utils

    def optimizer(kind: str = "SGD") -> Any:
        groups = [{"params": [torch.zeros(1, dtype=torch.float64)], "lr": lr} for lr in START]
        options = {"momentum": 0.9} if kind == "SGD" else {}
        return getattr(torch.optim, kind)(groups, lr=1.0, **options)

    return SimpleNamespace(**vars(lr_scheduler), SWALR=swa_utils.SWALR), optimizer


def closed_form(module: Any, optimizer: Any, case: Case) -> list[list[float]]:
    """What PyTorch itself computes without recurrences: step(epoch)."""
    scheduler = build(module, optimizer, *case["schedulers"][0])
    optimizer.step()
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in range(STEPS + 1):
            scheduler.step(t)
            values.append([group["lr"] for group in optimizer.param_groups])
    return values


def record() -> None:
    """Write the cases with PyTorch's rates and checkpoints."""
    import torch

    module, optimizer = pytorch()

    def run(case: Case) -> Case:
        kind = case.get("optimizer", "SGD")
        steps = case.get("steps", STEPS)
        recorded = case | trace(module, optimizer(kind), case)[0]
        if len(case["schedulers"]) == 1:
            short = case | {"steps": min(SAVED_AFTER, steps)}
            scheduler = trace(module, optimizer(kind), short)[1]
            recorded["state"] = scheduler.state_dict()
            if hasattr(scheduler, "_get_closed_form_lr") and "edits" not in case:
                recorded["closed"] = closed_form(module, optimizer(), case)
        return recorded

    lines = ",\n".join(json.dumps(run(case)) for case in cases())
    RECORD.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
