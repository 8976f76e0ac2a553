"""Record the path of PyTorch's L-BFGS: python tests/oracles/record_lbfgs.py

Four problems, seven sets of options, and what is left after each call of `step`: where the
parameters are, and how many iterations and evaluations it took so far.

`trace` drives PyTorch here and this library in the tests, so both see the same loop.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

RECORD = pathlib.Path(__file__).with_name("lbfgs.json")

CALLS = 30
SEEN = [0, 1, 2, 3, 29]  # after these calls, counted from 0, parameters are kept


def rosenbrock(x: Any) -> Any:
    """Σ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def beale(w: Any) -> Any:
    """Three curved valleys, a minimum at (3, ½)."""
    x, y = w[0], w[1]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def quartic(x: Any) -> Any:
    """Flat at the bottom, where the Hessian vanishes."""
    return (x**4).sum() + (x[1:] * x[:-1]).sum() ** 2


PROBLEMS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "beale": (beale, [1.0, 1.0]),
    "rosenbrock 10": (rosenbrock, [-1.2, 1.0] * 5),
    "quartic": (quartic, [1.0, -0.5, 2.0]),
}
WOLFE = {"line_search_fn": "strong_wolfe"}
OPTIONS: dict[str, dict[str, Any]] = {
    "1 iteration": {"max_iter": 1, "lr": 0.1},
    "4 iterations": {"max_iter": 4, "lr": 0.2},
    "wolfe, 1 iteration": {"max_iter": 1, **WOLFE},
    "wolfe, 4 iterations": {"max_iter": 4, **WOLFE},
    "wolfe, short history": {"history_size": 3, **WOLFE},
    "wolfe, few evaluations": {"max_iter": 3, "max_eval": 4, **WOLFE},
    "wolfe, loose": {"tolerance_grad": 1e-3, "tolerance_change": 1e-5, "lr": 0.5, **WOLFE},
}


def trace(
    make: Callable[[list[float]], Any],
    value: Callable[[Any], Any],
    optimizer_class: Any,
    problem: str,
    options: dict[str, Any],
) -> tuple[list[Any], list[list[int]], Any]:
    """Parameters after the calls that are kept, both counters after every call, the optimizer."""
    f, start = PROBLEMS[problem]
    w = make(start)
    optimizer = optimizer_class([w], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = f(w)
        loss.backward()
        return loss

    path, counts = [], []
    for call in range(CALLS):
        optimizer.step(closure)
        state = optimizer.state_dict()["state"][0]
        counts.append([int(state["n_iter"]), int(state["func_evals"])])
        if call in SEEN:
            path.append(np.array(value(w)).tolist())
    return path, counts, optimizer


def torch_trace(problem: str, options: dict[str, Any]) -> tuple[list[Any], list[list[int]], Any]:
    """PyTorch's, in float64."""
    import torch

    return trace(
        lambda start: torch.tensor(start, dtype=torch.float64, requires_grad=True),
        lambda w: w.detach().numpy(),
        torch.optim.LBFGS,
        problem,
        options,
    )


def record() -> None:
    """Write paths and counters."""
    import torch

    cases = []
    for problem in PROBLEMS:
        for name, options in OPTIONS.items():
            path, counts, _ = torch_trace(problem, options)
            cases.append({"problem": problem, "options": name, "path": path, "counts": counts})
    lines = ",\n".join(json.dumps(case) for case in cases)
    RECORD.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
