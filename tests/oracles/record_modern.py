"""Record how other packages move parameters: python tests/oracles/record_modern.py

Every case is a class and its options: each option alone, and each pair. The gradients do not depend
on the parameters, so that a wrong rule cannot hide behind convergence; only where a rule measures
how far it has come (`FAR`) do they point to a distant place. The first package of a class is
recorded, the others have to agree with it here.

`trace` drives the packages here and this library in the tests, so both see the same loop.

    pip install torch==2.13.0 optax==0.2.8 jax==0.10.2 keras==3.15.1
    pip install --no-deps pytorch_optimizer==4.1.0 timm==1.0.31 schedulefree==1.4.1 \
        prodigyopt==1.1.2 dadaptation==3.2 lion-pytorch==0.2.5 adabelief-pytorch==0.2.1 \
        tabulate colorama
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import itertools
import json
import os
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Case = dict[str, Any]

ARRAYS = pathlib.Path(__file__).with_name("modern.npz")
CASES = pathlib.Path(__file__).with_name("modern.json")

SHAPES = [(4, 3), (3,), (2, 3, 2)]
STEPS, FAR_STEPS, LONG = 12, 100, 25
SEEN = {0, 1, 2, 5, 11, 24, 60, 99}  # after these steps, counted from 0
FAR = {"DAdaptSGD", "DAdaptAdam", "Prodigy", "PolyakStep"}
TOLERANCE = {"DAdaptAdam": 1e-9, "Prodigy": 1e-9}  # d multiplies what rounding left

# ---- the cases --------------------------------------------------------------------------------

BETAS, EPS, DECAY = {"betas": (0.8, 0.95)}, {"eps": 0.01}, {"weight_decay": 0.1}
THREE_BETAS = {"betas": (0.7, 0.8, 0.95)}

OPTIONS: dict[str, tuple[float, list[dict[str, Any]]]] = {  # the rate, and the options
    "SignSGD": (0.01, [DECAY]),
    "Signum": (0.01, [{"momentum": 0.8}, DECAY]),
    "Tiger": (0.01, [{"beta": 0.8}, DECAY]),
    "Lion": (0.01, [BETAS, DECAY]),
    "AdaBelief": (0.01, [BETAS, EPS, DECAY]),
    "Yogi": (0.01, [BETAS, EPS, {"initial_accumulator": 0.1}, DECAY]),
    "ADOPT": (0.01, [BETAS, {"eps": 0.5}, DECAY, {"clip_exp": None}, {"clip_exp": 0.1}]),
    "Adan": (0.01, [THREE_BETAS, EPS, DECAY, {"no_prox": True}]),
    "AdEMAMix": (0.01, [THREE_BETAS, {"alpha": 2.0}, EPS, DECAY, {"t_alpha_beta3": 8}]),
    "MARS": (0.01, [BETAS, {"gamma": 0.5}, EPS, DECAY]),
    "CautiousAdamW": (0.01, [BETAS, EPS, DECAY, {"amsgrad": True}]),
    "CautiousLion": (0.01, [BETAS, DECAY]),
    "LARS": (
        1.0,
        [
            {"momentum": 0.0},
            DECAY,
            {"momentum": 0.7, "nesterov": True},
            {"trust_coefficient": 0.1},
            {"eps": 0.1},
        ],
    ),
    "LAMB": (0.01, [BETAS, EPS, DECAY]),
    "NovoGrad": (0.01, [BETAS, EPS, DECAY, {"grad_averaging": True}]),
    "Shampoo": (0.1, [{"eps": 0.1}]),
    "SOAP": (
        0.01,
        [
            BETAS,
            EPS,
            {"weight_decay": 0.0},
            {"precondition_frequency": 30},
            {"max_precondition_dim": 3},
        ],
    ),
    "SGDScheduleFree": (
        0.1,
        [{"momentum": 0.7}, DECAY, {"warmup_steps": 5}, {"r": 1.0}, {"weight_lr_power": 1.0}],
    ),
    "AdamWScheduleFree": (
        0.01,
        [BETAS, EPS, DECAY, {"warmup_steps": 5}, {"r": 1.0}, {"weight_lr_power": 1.0}],
    ),
    "DAdaptSGD": (1.0, [{"momentum": 0.9}, DECAY, {"d0": 1e-3}, {"growth_rate": 1.5}]),
    "DAdaptAdam": (
        1.0,
        [
            BETAS,
            EPS,
            DECAY,
            {"weight_decay": 0.01, "decouple": True},
            {"use_bias_correction": True},
            {"d0": 1e-3},
            {"growth_rate": 1.5},
        ],
    ),
    "Prodigy": (
        1.0,
        [
            BETAS,
            {"beta3": 0.9},
            EPS,
            DECAY,
            {"weight_decay": 0.1, "decouple": False},
            {"use_bias_correction": True},
            {"safeguard_warmup": True},
            {"d0": 1e-3},
            {"d_coef": 0.5},
            {"growth_rate": 1.5},
        ],
    ),
    "SophiaH": (
        0.01,
        [
            BETAS,
            {"rho": 0.3},
            {"gamma": 0.7},
            {"eps": 0.5},
            {"weight_decay": 0},
            {"update_period": 3},
        ],
    ),
    "SophiaG": (0.01, []),
    "PolyakStep": (1.0, [{"lr": 0.3}, {"f_star": -2.0}]),
    "QHM": (0.1, [{"momentum": 0.8}, {"nu": 0.3}, DECAY]),
    "AggMo": (0.1, [{"betas": (0.5, 0.8, 0.9)}, DECAY]),
    "OptimisticGD": (0.1, [{"alpha": 0.7}, {"beta": 0.4}, DECAY]),
    "FTRL": (
        0.1,
        [
            {"lr_power": -0.7},
            {"initial_accumulator_value": 0.5},
            {"l1": 0.3},
            {"l2": 0.2},
            {"beta": 0.4},
        ],
    ),
}


def cases() -> list[Case]:
    """The defaults, each option, and each pair of options of every class."""
    found: list[Case] = []
    for name, (lr, options) in OPTIONS.items():
        if name != "PolyakStep":  # it would need the loss the other way up, too
            options = [*options, {"maximize": True}]
        for chosen in itertools.chain.from_iterable(
            itertools.combinations(options, count) for count in range(3)
        ):
            merged = {k: v for option in chosen for k, v in option.items()}
            if len(merged) < sum(map(len, chosen)):
                continue  # two values of one option
            words = [f"{k}={v}" for k, v in merged.items()]
            found.append(
                {"id": " ".join([name, *words]), "class": name, "options": {"lr": lr} | merged}
            )
    return found


def steps(case: Case) -> int:
    """How long a case runs."""
    longer = {"SOAP": LONG, "PolyakStep": STEPS}
    return longer.get(case["class"], FAR_STEPS if case["class"] in FAR else STEPS)


# ---- the loop ---------------------------------------------------------------------------------


class Library(Protocol):
    """How to make an array and a parameter, give it a gradient, and read its value."""

    def array(self, array: Array) -> Any: ...
    def parameter(self, array: Array) -> Any: ...
    def give(self, p: Any, gradient: Array) -> None: ...
    def value(self, p: Any) -> Array: ...


def inputs() -> dict[str, list[Array]]:
    """Where parameters begin, gradients in a row for each step, a far place and slopes to it."""
    rng = np.random.default_rng(21)
    size = sum(int(np.prod(shape)) for shape in SHAPES)
    return {
        "start": rng.standard_normal(size),
        "gradients": rng.standard_normal((LONG, size)),
        "place": 3 * rng.standard_normal(size),
        "slopes": rng.uniform(0.5, 2, size),
        "curvatures": rng.uniform(-0.5, 2, (STEPS, size)),
    }


def apart(row: Array) -> list[Array]:
    """The numbers of all parameters in a row, as arrays of their shapes."""
    bounds = np.cumsum([np.prod(shape, dtype=int) for shape in SHAPES])[:-1]
    return [part.reshape(s) for part, s in zip(np.split(row, bounds), SHAPES, strict=True)]


def feed(
    library: Library,
    params: list[Any],
    case: Case,
    given: dict[str, Any],
    step: int,
    change: Callable[[Array, Array], Array] = lambda g, p: g,
) -> dict[str, Any]:
    """Give the gradients of a step; returns what else the optimizer's `step` is told.

    `change` is what is done to a gradient, which may depend on the parameters.
    """
    now = np.concatenate([library.value(p).ravel() for p in params])
    if case["class"] in FAR:
        row = given["slopes"] * (now - given["place"])
        row = -row if case["options"].get("maximize") else row
    else:
        row = given["gradients"][step]
    for p, gradient in zip(params, apart(change(row, now)), strict=True):
        library.give(p, gradient)
    if case["class"] == "PolyakStep":
        loss = library.array((given["slopes"] * (now - given["place"]) ** 2).sum() / 2)
        return {"closure": lambda: loss}
    if "Sophia" in case["class"] and step % case["options"].get("update_period", 10) == 0:
        return {"hessian": [library.array(h) for h in apart(given["curvatures"][step])]}
    return {}


def trace(
    library: Library,
    make: Callable[..., Any],
    case: Case,
    given: dict[str, Any],
    change: Callable[[Array, Array], Array] = lambda g, p: g,
) -> tuple[Array, Any]:
    """The parameters in a row, after each step that is kept, and the optimizer."""
    params = [library.parameter(array) for array in apart(given["start"])]
    optimizer = make(params, **case["options"])
    if hasattr(optimizer, "train"):
        optimizer.train()
    rows = []
    for step in range(steps(case)):
        optimizer.step(**feed(library, params, case, given, step, change))
        if step in SEEN:
            rows.append(np.concatenate([library.value(p).ravel() for p in params]))
    if hasattr(optimizer, "eval"):
        optimizer.eval()
        rows.append(np.concatenate([library.value(p).ravel() for p in params]))
    return np.array(rows), optimizer


# ---- the packages -----------------------------------------------------------------------------


class Torch:
    """Optimizers on PyTorch's tensors, in float64."""

    def array(self, array: Array) -> Any:
        import torch

        torch.set_default_dtype(torch.float64)  # step counts and sums are kept in it
        return torch.tensor(array)

    def parameter(self, array: Array) -> Any:
        return self.array(array).requires_grad_()

    def give(self, p: Any, gradient: Array) -> None:
        p.grad = self.array(gradient)  # a new one: some packages write into it

    def value(self, p: Any) -> Array:
        return p.detach().numpy().copy()


class Box:
    """A parameter of a library whose arrays cannot be changed."""

    def __init__(self, array: Array) -> None:
        self.value, self.gradient = array, array


class Boxes:
    """Optimizers that return new parameters."""

    def array(self, array: Array) -> Any:
        return array

    def parameter(self, array: Array) -> Any:
        return Box(array)

    def give(self, p: Any, gradient: Array) -> None:
        p.gradient = gradient

    def value(self, p: Any) -> Array:
        return np.array(p.value)


class Optax:
    """A gradient transformation that steps boxes."""

    def __init__(self, boxes: list[Box], transformation: Any) -> None:
        self.boxes, self.transformation = boxes, transformation
        self.state = transformation.init([box.value for box in boxes])

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        values = [box.value for box in self.boxes]
        gradients = [box.gradient for box in self.boxes]
        extra = {"value": closure()} if closure else {}
        updates, self.state = self.transformation.update(gradients, self.state, values, **extra)
        for box, update in zip(self.boxes, updates, strict=True):
            box.value = np.asarray(box.value + update)


class Keras:
    """An optimizer of Keras that steps boxes."""

    def __init__(self, boxes: list[Box], optimizer: Any) -> None:
        import keras

        keras.config.set_floatx("float64")
        self.boxes, self.optimizer = boxes, optimizer
        self.variables = [keras.Variable(box.value, dtype="float64") for box in boxes]

    def step(self) -> None:
        self.optimizer.apply([box.gradient for box in self.boxes], self.variables)
        for box, variable in zip(self.boxes, self.variables, strict=True):
            box.value = np.array(variable.numpy())


def timm(file: str, name: str) -> Any:
    """A class of timm, whose package imports torchvision and is stepped around."""
    root = importlib.metadata.distribution("timm").locate_file("timm")
    for package, path in (("timm", root), ("timm.optim", root / "optim")):
        if package not in sys.modules:
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = [str(path)]
    return getattr(importlib.import_module(f"timm.optim.{file}"), name)


Oracle = tuple[str, Callable[..., Any]]  # the package, and what makes an optimizer; None: cannot


def oracles() -> dict[str, list[Oracle]]:
    """For every class the packages that know it; the first is recorded.

    An oracle gets the parameters and our options, and gives None where it has no such option.
    """
    os.environ["KERAS_BACKEND"] = "jax"
    import adabelief_pytorch
    import dadaptation
    import jax
    import keras
    import lion_pytorch
    import optax
    import prodigyopt
    import pytorch_optimizer
    import schedulefree

    jax.config.update("jax_enable_x64", True)

    def po(name: str, renamed: dict[str, str] | None = None, **fixed: Any) -> Oracle:
        return torch_like("pytorch_optimizer", getattr(pytorch_optimizer, name), renamed, **fixed)

    def torch_like(
        package: str, kind: Any, renamed: dict[str, str] | None = None, **fixed: Any
    ) -> Oracle:
        names = renamed or {}

        def make(params: Any, **options: Any) -> Any:
            theirs = {names.get(k, k): v for k, v in options.items()}
            return kind(params, **(fixed | theirs))

        return package, make

    def jax_like(function: Any, no_decay: bool = False, **names: Any) -> Oracle:
        """`names` renames, or takes apart, our options."""

        def make(boxes: Any, lr: float, **options: Any) -> Any:
            if no_decay and options.pop("weight_decay", 0):
                return None
            theirs: dict[str, Any] = {}
            for name, value in options.items():
                new = names.get(name, name)
                if new is None:
                    return None
                theirs |= dict(zip(new, value)) if isinstance(new, tuple) else {new: value}
            return Optax(boxes, function(lr, **theirs))

        return "optax", make

    two, three = {"betas": ("b1", "b2")}, {"betas": ("b1", "b2", "b3")}

    sophia = {"betas": (0.965, 0.99), "weight_decay": 0.1}
    soap = sys.modules[pytorch_optimizer.SOAP.__module__]
    soap.torch = types.SimpleNamespace(**(vars(soap.torch) | {"float32": soap.torch.float64}))

    def ftrl(boxes: Any, lr: float, **options: Any) -> Any:
        names = {
            "lr_power": "learning_rate_power",
            "l1": "l1_regularization_strength",
            "l2": "l2_regularization_strength",
        }
        theirs = {names.get(k, k): v for k, v in options.items()}
        return Keras(boxes, keras.optimizers.Ftrl(lr, **theirs))

    def adan(params: Any, no_prox: bool = False, **options: Any) -> Any:
        return pytorch_optimizer.Adan(params, weight_decouple=no_prox, **options)

    def adopt(boxes: Any, lr: float, clip_exp: Any = 0.25, **options: Any) -> Any:
        if options.pop("weight_decay", 0):
            return None
        b1, b2 = options.pop("betas", (0.9, 0.9999))
        clip = {} if clip_exp is None else {"clip_value_fn": lambda step: step**clip_exp}
        return Optax(
            boxes,
            optax.contrib.adopt(lr, b1, b2, use_clipping=clip_exp is not None, **clip, **options),
        )

    def prodigy(params: Any, **options: Any) -> Any:
        if options.get("weight_decay") and options.get("decouple", True):
            return None  # it differs from the other by 1e-7 there
        return prodigyopt.Prodigy(params, **options)

    def po_prodigy(params: Any, decouple: bool = True, **options: Any) -> Any:
        if options.get("weight_decay") and not decouple:
            return None  # it decays where nothing comes after
        bias_correction = options.pop("use_bias_correction", False)
        return pytorch_optimizer.Prodigy(params, bias_correction=bias_correction, **options)

    class ScaledSophia(pytorch_optimizer.SophiaH):
        """γ h, from γ times the estimates that h is averaged from."""

        def __init__(self, params: Any, gamma: float = 0.01, rho: float = 1.0, **options: Any):
            super().__init__(params, p=rho, **options)
            self.gamma = gamma

        def step(self, hessian: Any = None) -> Any:  # type: ignore[override]
            return super().step(hessian=[self.gamma * h for h in hessian or ()] or None)

        def state_dict(self) -> Any:
            """h under its name in the paper's code."""
            found = {
                i: {"exp_avg": one["momentum"], "hessian": one["hessian_moment"] / self.gamma}
                for i, one in super().state_dict()["state"].items()
            }
            return {"state": found}

    def polyak(boxes: Any, lr: float, f_star: float = 0.0) -> Any:
        return Optax(boxes, optax.polyak_sgd(lr, f_min=f_star))

    def adabelief(boxes: Any, lr: float, betas: Any = (0.9, 0.999), eps: float = 1e-16, **o: Any):
        return None if o else Optax(boxes, optax.adabelief(lr, *betas, eps, eps))

    return {
        "SignSGD": [po("SignSGD", momentum=0), jax_like(optax.sign_sgd, weight_decay=None)],
        "Signum": [po("SignSGD"), jax_like(optax.signum, no_decay=True, momentum="beta")],
        "Tiger": [po("Tiger")],
        "Lion": [
            torch_like("lion-pytorch", lion_pytorch.Lion),
            jax_like(functools.partial(optax.lion, weight_decay=0.0), **two),
            po("Lion"),
            torch_like("timm", timm("lion", "Lion")),
        ],
        "AdaBelief": [
            torch_like(
                "adabelief-pytorch",
                adabelief_pytorch.AdaBelief,
                rectify=False,
                print_change_log=False,
            ),
            po("AdaBelief"),
            ("optax", adabelief),
            torch_like("timm", timm("adabelief", "AdaBelief"), rectify=False),
        ],
        "Yogi": [po("Yogi"), jax_like(optax.yogi, True, initial_accumulator=None, **two)],
        "ADOPT": [
            torch_like("timm", timm("adopt", "Adopt"), clip_exp=0.25, decoupled=True),
            ("optax", adopt),
        ],
        "Adan": [("pytorch_optimizer", adan), torch_like("timm", timm("adan", "Adan"))],
        "AdEMAMix": [
            po("AdEMAMix", weight_decouple=True),
            jax_like(optax.contrib.ademamix, t_alpha_beta3=None, **three),
        ],
        "MARS": [torch_like("timm", timm("mars", "Mars"), betas=(0.95, 0.99))],
        "CautiousAdamW": [torch_like("timm", timm("adamw", "AdamWLegacy"), caution=True)],
        "CautiousLion": [torch_like("timm", timm("lion", "Lion"), caution=True)],
        "LARS": [
            torch_like(
                "timm",
                timm("lars", "Lars"),
                {"trust_coefficient": "trust_coeff"},
                momentum=0.9,
                eps=0,
                always_adapt=True,
            )
        ],
        "LAMB": [
            jax_like(optax.lamb, **two),
            torch_like(
                "timm",
                timm("lamb", "Lamb"),
                max_grad_norm=None,
                always_adapt=True,
                weight_decay=0,
            ),
        ],
        "NovoGrad": [torch_like("timm", timm("nvnovograd", "NvNovoGrad")), po("NovoGrad")],
        "Shampoo": [po("Shampoo", {"eps": "matrix_eps"})],
        "SOAP": [po("SOAP")],
        "SGDScheduleFree": [torch_like("schedulefree", schedulefree.SGDScheduleFree)],
        "AdamWScheduleFree": [
            torch_like("schedulefree", schedulefree.AdamWScheduleFree),
            po("ScheduleFreeAdamW"),
        ],
        "DAdaptSGD": [torch_like("dadaptation", dadaptation.DAdaptSGD)],
        "DAdaptAdam": [
            torch_like("dadaptation", dadaptation.DAdaptAdam),
            po(
                "DAdaptAdam",
                {"decouple": "weight_decouple", "use_bias_correction": "bias_correction"},
            ),
        ],
        "Prodigy": [("prodigyopt", prodigy), ("pytorch_optimizer", po_prodigy)],
        "SophiaH": [torch_like("pytorch_optimizer", ScaledSophia, **sophia)],
        "SophiaG": [torch_like("pytorch_optimizer", ScaledSophia, **sophia)],
        "PolyakStep": [("optax", polyak)],
        "QHM": [po("QHM", momentum=0.999, nu=0.7)],
        "AggMo": [po("AggMo")],
        "OptimisticGD": [jax_like(optax.optimistic_gradient_descent)],
        "FTRL": [("keras", ftrl)],
    }


WITHOUT_DECAY = {"OptimisticGD"}  # it is added to the gradient here


def run(oracle: Oracle, case: Case, given: dict[str, Any]) -> tuple[Array, Any] | None:
    """What a package does in a case, or None where it cannot."""
    package, make = oracle
    library: Library = Boxes() if package in ("optax", "keras") else Torch()
    options = dict(case["options"])
    sign = -1 if options.pop("maximize", False) else 1
    decay = options.pop("weight_decay", 0) if case["class"] in WITHOUT_DECAY else 0

    def change(g: Array, p: Array) -> Array:
        return (g if case["class"] in FAR else sign * g) + decay * p

    with contextlib.redirect_stdout(io.StringIO()):  # some packages greet
        if make([library.parameter(np.zeros(2))], **options) is None:
            return None
        return trace(library, make, case | {"options": options}, given, change)


def final_state(optimizer: Any) -> list[tuple[int, str, Array]]:
    """The arrays that a package keeps, each with its parameter's number and its name."""
    entries = optimizer.state_dict()["state"] if hasattr(optimizer, "state_dict") else {}
    return [
        (i, key, np.ravel(value))
        for i, entry in entries.items()
        for key, value in entry.items()
        if key != "step" and hasattr(value, "numpy")
    ]


# ---- recording --------------------------------------------------------------------------------


def record() -> None:
    """Write inputs, parameters and what else a test needs; all packages of a class must agree."""
    given = inputs()
    known, found = oracles(), cases()
    rows: list[Array] = []
    states: list[Array] = []
    versions: dict[str, str] = {}
    for case in found:
        runs = {name: run((name, make), case, given) for name, make in known[case["class"]]}
        (first, recorded), *others = ((name, one) for name, one in runs.items() if one)
        rows.append(recorded[0])
        case["oracle"], case["agree"] = first, []
        if case["options"].keys() == {"lr"}:
            case["state"] = [(i, key, len(row)) for i, key, row in final_state(recorded[1])]
            states += [row for _, _, row in final_state(recorded[1])]
        for other, again in others:
            difference = np.abs(again[0] - recorded[0]).max()
            print(f"{case['id']:60} {other:20} {difference:.1e}")
            if difference < TOLERANCE.get(case["class"], 1e-12):
                case["agree"].append(other)
        versions |= {name: importlib.metadata.version(name) for name in runs}
    np.savez_compressed(ARRAYS, **given, rows=np.concatenate(rows), states=np.concatenate(states))
    lines = ",\n".join(json.dumps(case) for case in found)
    CASES.write_text(f'{{"versions": {json.dumps(versions)}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
