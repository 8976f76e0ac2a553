"""Record how PyTorch's schedulers move lr: python tests/oracles/record_schedules.py

Every case is plain data: the class, its arguments (functions as the text of a lambda), the lr of
two groups after construction and after each step, what happens from outside, and the checkpoint of
the last scheduler on the way. Only cases are recorded where PyTorch keeps to its own closed forms.

`trace` drives PyTorch's module here and ours in the tests, so both see the same loop.
"""

from __future__ import annotations

import itertools
import json
import math
import pathlib
from types import ModuleType
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
    "LambdaLR": [
        {"lr_lambda": "lambda t: 0.95**t"},
        {"lr_lambda": ["lambda t: 1 / (1 + t)", "lambda t: 2.0 if t % 3 else 0.5"]},
    ],
    "ReduceLROnPlateau": [
        {"factor": 0.5, "patience": 2, "cooldown": 1},
        {"mode": "max", "patience": 0, "threshold": 0.05},
        {"threshold_mode": "abs", "threshold": 0.3, "patience": 1, "factor": 0.7},
        {"mode": "max", "threshold_mode": "abs", "patience": 3, "min_lr": [0.02, 0.0]},
        {"patience": 1, "factor": 0.2, "eps": 1e-4, "min_lr": 1e-3},
    ],
}

METRICS = {
    "level": [1.0] * STEPS,
    "falling": [3 * 0.8**t for t in range(STEPS)],
    "noisy": [2 + math.cos(1.7 * t) - 0.03 * t for t in range(STEPS)],
    "diverged": [1.0, 0.5] + [math.nan] * (STEPS - 2),
}

EDITS = {4: 0.05, 11: 0.2, 18: 0.003}  # after that many steps the first group's lr is set to this


def cases() -> list[Case]:
    """Each class with each of its parameter sets; edited by hand; in pairs on one optimizer."""
    found: list[Case] = []
    for name, sets in PARAMETERS.items():
        metrics = METRICS if name == "ReduceLROnPlateau" else {"": None}
        for arguments, (label, values) in itertools.product(sets, metrics.items()):
            found.append({"schedulers": [[name, arguments]], "metrics": label or values})
    counted = {name: sets for name, sets in PARAMETERS.items() if name != "ReduceLROnPlateau"}
    # A cosine or polynomial that reaches 0 makes PyTorch forget what was edited: stop before.
    long = {"PolynomialLR": {"total_iters": 40}, "CosineAnnealingLR": {"T_max": 33}}
    chosen = {name: long.get(name, sets[1 % len(sets)]) for name, sets in counted.items()}
    for name, arguments in chosen.items():
        found.append({"schedulers": [[name, arguments]], "edits": EDITS})
    for pair in itertools.product(chosen.items(), repeat=2):
        found.append({"schedulers": [list(one) for one in pair], "steps": 12})
    return found


def build(module: ModuleType, optimizer: Any, name: str, arguments: dict[str, Any]) -> Any:
    """The scheduler of a case; the text of a lambda becomes the function."""
    functions = {
        key: [eval(one) for one in value] if isinstance(value, list) else eval(value)
        for key, value in arguments.items()
        if key == "lr_lambda"
    }
    return getattr(module, name)(optimizer, **{**arguments, **functions})


def trace(module: ModuleType, optimizer: Any, case: Case) -> tuple[list[list[float]], Any]:
    """lr of both groups after construction and after every step, and the last scheduler."""
    schedulers = [build(module, optimizer, *one) for one in case["schedulers"]]
    metrics = METRICS.get(case.get("metrics") or "")
    edits = {int(step): lr for step, lr in case.get("edits", {}).items()}
    rates = [[group["lr"] for group in optimizer.param_groups]]
    for step in range(case.get("steps", STEPS)):
        if step in edits:
            optimizer.param_groups[0]["lr"] = edits[step]
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step(*([metrics[step]] if metrics else []))
        rates.append([group["lr"] for group in optimizer.param_groups])
    return rates, schedulers[-1]


def record() -> None:
    """Write the cases with PyTorch's rates and checkpoints."""
    import torch
    from torch.optim import lr_scheduler

    def optimizer() -> Any:
        groups = [{"params": [torch.zeros(1, dtype=torch.float64)], "lr": lr} for lr in START]
        return torch.optim.SGD(groups, lr=1.0)

    def run(case: Case) -> Case:
        rates, _ = trace(lr_scheduler, optimizer(), case)
        _, scheduler = trace(lr_scheduler, optimizer(), case | {"steps": SAVED_AFTER})
        return case | {"lr": rates, "state": scheduler.state_dict()}

    recorded = [run(case) for case in cases()]
    lines = ",\n".join(json.dumps(case) for case in recorded)
    RECORD.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
