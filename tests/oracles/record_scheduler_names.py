"""Record what the transformers library's get_scheduler does: python record_scheduler_names.py

Needs torch and transformers 5.23.0, which is large: use an environment of its own. One group, as
its factors take the base rate from the optimizer's defaults. The first value of a row is lr after
construction, the others follow the steps, past the end of the run.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

RATE = 0.1
STEPS = 30
RUNS = [(5, 23), (0, 10), (1, 4)]
RECORD = pathlib.Path(__file__).with_name("scheduler_names.json")

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "constant": [{}],
    "constant_with_warmup": [{}],
    "linear": [{}],
    "cosine": [{}, {"num_cycles": 1.25}],
    "cosine_with_restarts": [{}, {"num_cycles": 3}],
    "polynomial": [{}, {"lr_end": 0.01, "power": 2.0}],
    "inverse_sqrt": [{}, {"timescale": 50}],
    "cosine_with_min_lr": [{"min_lr": 0.01}, {"min_lr_rate": 0.2, "num_cycles": 1.0}],
    "cosine_warmup_with_min_lr": [
        {"min_lr": 0.01},
        {"min_lr_rate": 0.2, "warmup_lr_rate": 0.3, "num_cycles": 0.75},
    ],
    "warmup_stable_decay": [
        {"num_decay_steps": 4},
        {"num_decay_steps": 6, "num_stable_steps": 7, "min_lr_ratio": 0.1, "num_cycles": 0.4},
        {"num_decay_steps": 3, "warmup_type": "cosine", "decay_type": "linear"},
        {"num_decay_steps": 3, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"},
    ],
    "reduce_lr_on_plateau": [{}, {"factor": 0.5, "patience": 2, "cooldown": 1}],
}


def cases() -> list[dict[str, Any]]:
    """Every name with its options, on runs with and without a warmup."""
    return [
        {"name": name, "warmup": warmup, "total": total, "options": options}
        for name, sets in OPTIONS.items()
        for options in sets
        for warmup, total in (RUNS if "constant" != name != "reduce_lr_on_plateau" else RUNS[:1])
    ]


def trace(scheduler: Any, optimizer: Any, name: str) -> list[float]:
    """lr after construction and after every step; a plateau is shown a level metric."""
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS):
        optimizer.step()
        scheduler.step(*([1.0] if name == "reduce_lr_on_plateau" else []))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def record() -> None:
    """Write the cases with the rates."""
    import torch
    import transformers

    lines = []
    for case in cases():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=RATE)
        scheduler = transformers.get_scheduler(
            case["name"],
            optimizer,
            case["warmup"],
            case["total"],
            scheduler_specific_kwargs=case["options"],
        )
        lines.append(json.dumps(case | {"lr": trace(scheduler, optimizer, case["name"])}))
    versions = f'"torch": "{torch.__version__}", "transformers": "{transformers.__version__}"'
    RECORD.write_text(f'{{{versions}, "cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    record()
