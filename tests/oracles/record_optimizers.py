"""Record how PyTorch's optimizers move parameters: python tests/oracles/record_optimizers.py

Every case is a class and its options: each option alone, and each pair. Two groups, the second with
a rate and a decay of its own, meet 20 gradients that do not depend on the parameters, so that a
wrong rule cannot hide behind convergence. One parameter is frozen for a while. Muon iterates in
full precision here: its cast to bfloat16 is switched off. SparseAdam meets rows, some named twice.

`trace` and `trace_rows` drive PyTorch here and this library in the tests, so both see one loop.
"""

from __future__ import annotations

import inspect
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
MATRICES = [(4, 3), (1, 3), (3, 4), (1, 1)]  # the same numbers, where only matrices will do
STEPS = 50
SEEN = [0, 1, 2, 4, 5, 6, 13, 19, 21, 29, 30, 39, 49]  # steps from 0 whose results are kept
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
    "ASGD": {
        "lambd": {"lambd": 0.1},
        "alpha": {"alpha": 0.5},
        "t0": {"t0": 4},
        "decay": {"weight_decay": 0.1},
        "maximize": {"maximize": True},
    },
    "Rprop": {
        "etas": {"etas": (0.3, 1.5)},
        "step_sizes": {"step_sizes": (0.005, 0.05)},
        "maximize": {"maximize": True},
    },
    "Adamax": {
        "betas": {"betas": (0.8, 0.95)},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "maximize": {"maximize": True},
    },
    "NAdam": {
        "betas": {"betas": (0.8, 0.95)},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "momentum_decay": {"momentum_decay": 0.1},
        "decoupled": {"weight_decay": 0.2, "decoupled_weight_decay": True},
        "maximize": {"maximize": True},
    },
    "RAdam": {
        "betas": {"betas": (0.8, 0.95)},
        "eps": {"eps": 0.01},
        "decay": {"weight_decay": 0.1},
        "decoupled": {"weight_decay": 0.2, "decoupled_weight_decay": True},
        "maximize": {"maximize": True},
    },
    "Adafactor": {
        "beta2_decay": {"beta2_decay": -0.5},
        "eps": {"eps": (0.1, 0.5)},
        "d": {"d": 2.0},
        "decay": {"weight_decay": 0.1},
        "maximize": {"maximize": True},
    },
    "Muon": {
        "decay": {"weight_decay": 0.3},
        "momentum": {"momentum": 0.8},
        "plain": {"nesterov": False},
        "ns_coefficients": {"ns_coefficients": (2.0, -1.5, 0.5)},
        "eps": {"eps": 10.0},
        "ns_steps": {"ns_steps": 3},
        "adjust_lr_fn": {"adjust_lr_fn": "match_rms_adamw"},
        "original": {"adjust_lr_fn": "original"},
    },
}
RATES = {"SGD": 0.1, "Adagrad": 0.1, "Adadelta": 1.0, "Adafactor": 0.1, "Muon": 0.1}  # else 0.01


def cases() -> list[Case]:
    """The defaults, each option, and each pair of options of every class."""
    found: list[Case] = []
    for name, options in OPTIONS.items():
        for count in range(3):
            for chosen in itertools.combinations(options, count):
                merged = {k: v for option in chosen for k, v in options[option].items()}
                if merged.get("nesterov") and merged.get("dampening"):
                    continue  # these exclude each other
                if {"adjust_lr_fn", "original"} <= {*chosen}:
                    continue
                found.append({"id": " ".join([name, *chosen]), "class": name, "options": merged})
    return found


class Library(Protocol):
    """How to make a parameter, give it a gradient, and read its value."""

    optim: ModuleType

    def parameter(self, array: Array) -> Any: ...
    def give(self, p: Any, gradient: Array | None) -> None: ...
    def give_rows(self, p: Any, rows: Array, values: Array) -> None: ...
    def value(self, p: Any) -> Array: ...


def inputs() -> tuple[list[Array], list[list[Array]]]:
    """The parameters, and their gradients step by step."""
    rng = np.random.default_rng(20)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    return start, [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]


def build(library: Library, case: Case, params: list[Any], **flags: Any) -> Any:
    """The optimizer of a case."""
    lr = RATES.get(case["class"], 0.01)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}
    kind = getattr(library.optim, case["class"])
    second = {"params": params[2:], "lr": lr / 2}
    if "weight_decay" in inspect.signature(kind).parameters:
        second["weight_decay"] = 0.02
    if "foreach" in flags and "foreach" not in inspect.signature(kind).parameters:
        flags.pop("foreach")
    return kind([{"params": params[:2]}, second], lr=lr, **options, **flags)


def give_gradients(library: Library, params: list[Any], gradients: list[Array], step: int) -> None:
    """What backward would do in this step."""
    for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
        library.give(p, None if i == FROZEN and step in WHILE else g)


def trace(
    library: Library, case: Case, start: list[Array], gradients: list[list[Array]], **flags: Any
) -> tuple[Array, Any]:
    """The parameters in a row, after each step that is kept, and the optimizer."""
    shapes = MATRICES if case["class"] == "Muon" else SHAPES
    params = [library.parameter(a.reshape(s)) for a, s in zip(start, shapes, strict=True)]
    optimizer = build(library, case, params, **flags)
    rows = []
    for step in range(STEPS):
        shaped = [g.reshape(s) for g, s in zip(gradients[step], shapes, strict=True)]
        give_gradients(library, params, shaped, step)
        optimizer.step()
        if step in SEEN:
            rows.append(np.concatenate([library.value(p).ravel() for p in params]))
    return np.array(rows), optimizer


TABLE, SEEN_ROWS = (6, 3), 5  # a table, and how many of its rows a batch names
SPARSE: list[dict[str, Any]] = [
    {},
    {"betas": (0.8, 0.95), "eps": 0.01},
    {"maximize": True},
]


def row_inputs() -> tuple[Array, Array, Array]:
    """A table, and step by step the rows of a batch and their gradients; row 5 comes late."""
    rng = np.random.default_rng(21)
    rows = rng.integers(0, 5, (STEPS, SEEN_ROWS))
    rows[10:, 0] = 5
    return rng.standard_normal(TABLE), rows, rng.standard_normal((STEPS, SEEN_ROWS, TABLE[1]))


def trace_rows(
    library: Library, options: dict[str, Any], start: Array, rows: Array, values: Array
) -> tuple[Array, Any]:
    """The table after each step, and the optimizer."""
    p = library.parameter(start)
    optimizer = library.optim.SparseAdam([p], lr=0.1, **options)
    found = []
    for step in range(STEPS):
        library.give_rows(p, rows[step], values[step])
        optimizer.step()
        found.append(library.value(p))
    return np.array(found), optimizer


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

        def give_rows(self, p: Any, rows: Array, values: Array) -> None:
            p.grad = torch.sparse_coo_tensor(rows[None], values, p.shape, check_invariants=True)

        def value(self, p: Any) -> Array:
            return p.detach().numpy().copy()

    return Torch()


def state_keys(optimizer: Any) -> list[list[str]]:
    """The names of the state of each parameter."""
    state = optimizer.state_dict()["state"]
    return [[key for key in state[i] if key != "step"] for i in state]


def flat_state(optimizer: Any) -> Array:
    """All numbers of the state, by parameter, then by name."""
    entries = optimizer.state_dict()["state"].values()
    arrays = [np.ravel(v) for entry in entries for key, v in entry.items() if key != "step"]
    return np.concatenate([np.zeros(0), *arrays])


def record() -> None:
    """Write inputs, parameters and final states; the loop over tensors and foreach must agree."""
    import torch

    library = torch_library()
    torch.Tensor.bfloat16 = torch.Tensor.clone  # type: ignore[assignment]
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
        states.append(flat_state(optimizer))
        case["numbers"] = states[-1].size
    table, rows, values = row_inputs()
    by_rows = [trace_rows(library, options, table, rows, values) for options in SPARSE]
    np.savez_compressed(
        ARRAYS,
        table=table,
        rows=rows,
        row_values=values,
        tables=[found for found, _ in by_rows],
        table_states=[flat_state(optimizer) for _, optimizer in by_rows],
        start=np.concatenate([array.ravel() for array in start]),
        gradients=[np.concatenate([g.ravel() for g in row]) for row in gradients],
        params=params,
        states=np.concatenate(states),
    )
    lines = ",\n".join(json.dumps(case) for case in found)
    CASES.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
