"""Record how PyTorch's optimizers move parameters: python tests/oracles/record_optimizers.py

Every case is a class and its options: each option alone, and each pair. Two groups, the second with
a rate and a decay of its own, meet 50 gradients that do not depend on the parameters, so that a
wrong rule cannot hide behind convergence. One parameter is frozen for a while.

`trace` drives PyTorch here and this library in the tests, so both see the same loop.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from types import ModuleType
from typing import Any, Protocol

import numpy as np

Case = dict[str, Any]
Array = np.ndarray[Any, Any]

ARRAYS = pathlib.Path(__file__).with_name("optimizers.npz")
CASES = pathlib.Path(__file__).with_name("optimizers.json")

SHAPES = [(4, 3), (3,), (2, 3, 2), ()]  # the first two are one group, the others another
STEPS = 50
SEEN = [*range(5), *range(9, STEPS, 5)]  # after these steps, counted from 0, parameters are kept
FROZEN, WHILE = 1, range(20, 30)  # this parameter has no gradient in these steps

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": {
        "momentum": {"momentum": 0.9},
        "dampening": {"momentum": 0.8, "dampening": 0.3},
        "decay": {"weight_decay": 0.1},
        "nesterov": {"momentum": 0.7, "nesterov": True},
        "maximize": {"maximize": True},
    },
    "Adagrad": {
        "lr_decay": {"lr_decay": 0.05},
        "decay": {"weight_decay": 0.1},
        "start": {"initial_accumulator_value": 0.3},
        "eps": {"eps": 0.01},
        "maximize": {"maximize": True},
    },
    "Adadelta": {
        "rho": {"rho": 0.8},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "maximize": {"maximize": True},
    },
    "RMSprop": {
        "alpha": {"alpha": 0.9},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "momentum": {"momentum": 0.9},
        "centered": {"centered": True},
        "maximize": {"maximize": True},
    },
    "Adam": {
        "betas": {"betas": (0.8, 0.95)},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "decoupled": {"weight_decay": 0.2, "decoupled_weight_decay": True},
        "amsgrad": {"amsgrad": True},
        "maximize": {"maximize": True},
    },
    "AdamW": {
        "betas": {"betas": (0.8, 0.95)},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "amsgrad": {"amsgrad": True},
        "maximize": {"maximize": True},
    },
}
RATES = {"SGD": 0.1, "Adagrad": 0.1, "Adadelta": 1.0, "RMSprop": 0.01, "Adam": 0.01, "AdamW": 0.01}


def cases() -> list[Case]:
    """The defaults, each option, and each pair of options of every class."""
    found: list[Case] = []
    for name, options in OPTIONS.items():
        for count in range(3):
            for chosen in itertools.combinations(options, count):
                merged = {k: v for option in chosen for k, v in options[option].items()}
                if merged.get("nesterov") and merged.get("dampening"):
                    continue  # these exclude each other
                found.append({"id": " ".join([name, *chosen]), "class": name, "options": merged})
    return found


class Library(Protocol):
    """How to make a parameter, give it a gradient, and read its value."""

    optim: ModuleType

    def parameter(self, array: Array) -> Any: ...
    def give(self, p: Any, gradient: Array | None) -> None: ...
    def value(self, p: Any) -> Array: ...


def inputs() -> tuple[list[Array], list[list[Array]]]:
    """The parameters, and their gradients step by step."""
    rng = np.random.default_rng(20)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    return start, [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]


def build(library: Library, case: Case, params: list[Any], **flags: Any) -> Any:
    """The optimizer of a case."""
    lr = RATES[case["class"]]
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}
    second = {"params": params[2:], "lr": lr / 2, "weight_decay": 0.02}
    kind = getattr(library.optim, case["class"])
    return kind([{"params": params[:2]}, second], lr=lr, **options, **flags)


def give_gradients(library: Library, params: list[Any], gradients: list[Array], step: int) -> None:
    """What backward would do in this step."""
    for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
        library.give(p, None if i == FROZEN and step in WHILE else g)


def trace(
    library: Library, case: Case, start: list[Array], gradients: list[list[Array]], **flags: Any
) -> tuple[Array, Any]:
    """The parameters in a row, after each step that is kept, and the optimizer."""
    params = [library.parameter(array) for array in start]
    optimizer = build(library, case, params, **flags)
    rows = []
    for step in range(STEPS):
        give_gradients(library, params, gradients[step], step)
        optimizer.step()
        if step in SEEN:
            rows.append(np.concatenate([library.value(p).ravel() for p in params]))
    return np.array(rows), optimizer


def torch_library() -> Library:
    """PyTorch in float64."""
    import torch

    torch.set_default_dtype(torch.float64)  # it keeps step counts in the default dtype

    class Torch:
        optim: Any = torch.optim

        def parameter(self, array: Array) -> Any:
            return torch.tensor(array, requires_grad=True)

        def give(self, p: Any, gradient: Array | None) -> None:
            p.grad = None if gradient is None else torch.tensor(gradient)

        def value(self, p: Any) -> Array:
            return p.detach().numpy().copy()

    return Torch()


def state_keys(optimizer: Any) -> list[str]:
    """The names of the arrays that the first parameter has."""
    return [key for key in optimizer.state_dict()["state"].get(0, {}) if key != "step"]


def flat_state(state: dict[int, dict[str, Any]], keys: list[str]) -> Array:
    """One row for each name: that state of all parameters."""
    rows = [np.concatenate([np.ravel(state[i][key]) for i in range(len(SHAPES))]) for key in keys]
    return np.array(rows)


def record() -> None:
    """Write inputs, parameters and final states; the loop over tensors and foreach must agree."""
    import torch

    library = torch_library()
    start, gradients = inputs()
    found, params, states = cases(), [], []
    for case in found:
        rows, optimizer = trace(library, case, start, gradients, foreach=False)
        again, _ = trace(library, case, start, gradients, foreach=True)
        assert np.abs(rows - again).max() < 1e-13, case
        state = optimizer.state_dict()["state"]
        case["state"] = state_keys(optimizer)
        case["step"] = [int(state[i]["step"]) for i in state if "step" in state[i]]
        params.append(rows)
        if case["state"]:
            states.append(flat_state(state, case["state"]))
    np.savez_compressed(
        ARRAYS,
        start=np.concatenate([array.ravel() for array in start]),
        gradients=[np.concatenate([g.ravel() for g in row]) for row in gradients],
        params=params,
        states=np.concatenate(states),
    )
    lines = ",\n".join(json.dumps(case) for case in found)
    CASES.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
