"""Record wrappers, averages and gradient transforms: python tests/oracles/record_wrappers.py

    pip install torch==2.13.0 optax==0.2.8 jax==0.10.2
    pip install --no-deps pytorch_optimizer==4.1.0

One array for each case: a row after every step, all parameters side by side. The functions that
build a case are called with other packages here and with this library in the tests.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

Array = np.ndarray[Any, Any]

ARRAYS = pathlib.Path(__file__).with_name("wrappers.npz")
SHAPES = [(4, 3), (3,), (2, 3, 2)]
STEPS = 14


def inputs() -> tuple[list[Array], list[list[Array]]]:
    """Where parameters begin, and their gradients step by step."""
    rng = np.random.default_rng(22)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    return start, [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]


def row(params: list[Any]) -> Array:
    """All numbers of all parameters side by side."""
    arrays = [p.cpu().numpy() if hasattr(p, "cpu") else np.asarray(p) for p in params]
    return np.concatenate([np.ravel(array) for array in arrays])


# ---- wrappers, on given gradients -------------------------------------------------------------

LOOKAHEAD: dict[str, dict[str, Any]] = {
    "lookahead": {"kind": "SGD", "options": {"lr": 0.1, "momentum": 0.9}, "k": 5, "alpha": 0.5},
    "lookahead adam": {"kind": "Adam", "options": {"lr": 0.05}, "k": 3, "alpha": 0.8},
}


def torch_run(make: Callable[[list[Any]], Any]) -> Array:
    """What an optimizer of PyTorch's kind does with the gradients."""
    import torch

    torch.set_default_dtype(torch.float64)
    start, gradients = inputs()
    params = [torch.tensor(array, requires_grad=True) for array in start]
    optimizer = make(params)
    rows = []
    for step in gradients:
        for p, g in zip(params, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        rows.append(row([p.detach() for p in params]))
    return np.array(rows)


def lookahead(case: dict[str, Any]) -> Array:
    """pytorch_optimizer's."""
    import torch
    from pytorch_optimizer import Lookahead

    kind = getattr(torch.optim, case["kind"])
    return torch_run(
        lambda params: Lookahead(kind(params, **case["options"]), k=case["k"], alpha=case["alpha"])
    )


# ---- SAM, on ½ pᵀ A p + 0.075 Σ p⁴ --------------------------------------------------------------

SAM: dict[str, dict[str, Any]] = {
    "sam": {"adaptive": False, "rho": 0.05, "options": {"lr": 0.1, "momentum": 0.9}},
    "sam wide": {"adaptive": False, "rho": 0.8, "options": {"lr": 0.05}},
    "asam": {"adaptive": True, "rho": 0.5, "options": {"lr": 0.02, "momentum": 0.9}},
}


def bowl() -> tuple[Array, Array]:
    """A and where p begins."""
    rng = np.random.default_rng(23)
    b = rng.standard_normal((6, 6))
    return b @ b.T / 6 + np.eye(6) / 4, 2 * rng.standard_normal(6)


def sam(case: dict[str, Any]) -> Array:
    """pytorch_optimizer's, which is kept from rounding norms to float32; Optax's has to agree."""
    import torch
    from pytorch_optimizer import SAM

    torch.set_default_dtype(torch.float64)
    a, start = bowl()
    params = [torch.tensor(start[:4].reshape(2, 2)), torch.tensor(start[4:])]
    for p in params:
        p.requires_grad_()
    options = {"rho": case["rho"], "adaptive": case["adaptive"]}
    optimizer = SAM(params, torch.optim.SGD, **options, **case["options"])

    def closure() -> Any:
        optimizer.zero_grad()
        p = torch.cat([p.reshape(-1) for p in params])
        loss = p @ torch.tensor(a) @ p / 2 + 0.075 * (p**4).sum()
        loss.backward()
        return loss

    rows = []
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.clone):
        for _ in range(STEPS):
            closure()
            optimizer.step(closure)
            rows.append(row([p.detach() for p in params]))
    if not case["adaptive"]:
        np.testing.assert_allclose(rows, sam_of_optax(case), rtol=0, atol=1e-12)
    return np.array(rows)


def sam_of_optax(case: dict[str, Any]) -> Array:
    """The same by Optax."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    a, p = bowl()

    def gradient(p: Any, _: int = 0) -> Any:
        return a @ p + 0.3 * p**3

    base = optax.sgd(case["options"]["lr"], case["options"].get("momentum"))
    climb = optax.chain(optax.contrib.normalize(), optax.sgd(case["rho"]))
    transformation = optax.contrib.sam(base, climb, opaque_mode=True)
    state = transformation.init(p)
    rows = []
    for _ in range(STEPS):
        update, state = transformation.update(gradient(p), state, p, grad_fn=gradient)
        p = p + update
        rows.append(np.array(p))
    return np.array(rows)


# ---- transforms of one set of gradients -------------------------------------------------------


def adaptive_clip() -> Array:
    """pytorch_optimizer's, on gradients of which some are small."""
    import torch
    from pytorch_optimizer.optimizer.agc import agc

    start, gradients = inputs()
    scaled = [g * s for g, s in zip(gradients[0], (1.0, 0.01, 1e-3), strict=True)]
    return row([agc(torch.tensor(p), torch.tensor(g)) for p, g in zip(start, scaled, strict=True)])


def centralize() -> Array:
    """Optax's, which takes matrices and leaves vectors."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    _, gradients = inputs()
    transformation = optax.centralize()
    found, _ = transformation.update(gradients[0], transformation.init(gradients[0]))
    return row(found)


# ---- averages ---------------------------------------------------------------------------------

AVERAGES: dict[str, tuple[str | None, tuple[float, ...], bool]] = {
    "swa": (None, (), False),
    "swa avg_fn": ("get_swa_avg_fn", (), False),
    "swa multi": ("get_swa_multi_avg_fn", (), False),
    "ema avg_fn": ("get_ema_avg_fn", (0.9,), False),
    "ema multi": ("get_ema_multi_avg_fn", (0.9,), False),
    "ema buffers": ("get_ema_multi_avg_fn", (0.7,), True),
}


def average(library: Any, tensor: Callable[[Array], Any], functions: Any, name: str) -> Array:
    """Averages of a small network whose weights are moved about: weights and running statistics.

    `library` is torch or this one, `functions` where its averages are.
    """
    function, args, use_buffers = AVERAGES[name]
    keyword = "multi_avg_fn" if function and "multi" in function else "avg_fn"
    options = {keyword: getattr(functions, function)(*args)} if function else {}
    model = network(library)
    averaged = functions.AveragedModel(model, **options, use_buffers=use_buffers)
    rng = np.random.default_rng(24)
    rows = []
    for _ in range(5):
        move(model, tensor, rng)
        averaged.update_parameters(model)
        rows.append(row([t.detach() for t in everything(averaged.module)]))
    return np.array(rows)


def statistics(library: Any, tensor: Callable[[Array], Any], functions: Any) -> Array:
    """Running statistics made anew from three batches, one of another size."""
    rng = np.random.default_rng(25)
    model = network(library)
    move(model, tensor, rng)
    batches = [(tensor(rng.standard_normal((n, 3))), "label") for n in (8, 8, 5)]
    functions.update_bn(batches, model)
    assert model.training and model[1].momentum == 0.1
    return row([t.detach() for t in everything(model)])


def network(library: Any) -> Any:
    """Linear and BatchNorm in float64."""
    model = library.nn.Sequential(library.nn.Linear(3, 2), library.nn.BatchNorm1d(2))
    return model.to(library.float64 if hasattr(library, "float64") else "float64")


def everything(model: Any) -> list[Any]:
    """Parameters and buffers."""
    return [*model.parameters(), *model.buffers()]


def move(model: Any, tensor: Callable[[Array], Any], rng: np.random.Generator) -> None:
    """New weights, and a batch for the running statistics."""
    for p in model.parameters():
        p.data = tensor(rng.standard_normal(tuple(p.shape))).data
    model(tensor(rng.standard_normal((6, 3))))


# ---- recording --------------------------------------------------------------------------------


def record() -> None:
    """Write all cases and the versions of the packages."""
    import torch
    from torch.optim import swa_utils

    torch.set_default_dtype(torch.float64)
    arrays = {name: lookahead(case) for name, case in LOOKAHEAD.items()}
    arrays |= {name: sam(case) for name, case in SAM.items()}
    arrays |= {name: average(torch, torch.tensor, swa_utils, name) for name in AVERAGES}
    arrays["update_bn"] = statistics(torch, torch.tensor, swa_utils)
    arrays["adaptive_clip_"], arrays["centralize_"] = adaptive_clip(), centralize()
    start, gradients = inputs()
    arrays["start"], arrays["gradients"] = row(start), np.array([row(g) for g in gradients])
    arrays["bowl"], arrays["place"] = bowl()
    packages = ("torch", "optax", "pytorch_optimizer")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    np.savez_compressed(ARRAYS, versions=versions, **arrays)


if __name__ == "__main__":
    record()
