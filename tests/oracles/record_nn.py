"""Record what PyTorch's layers and losses give: python tests/oracles/record_nn.py

A case is a class of `nn` or a function of `nn.functional`, its options and its inputs; what is
recorded is the value, the gradients for a cotangent that is no constant, and the buffers. All
numbers come from `wave`, so that nothing but results needs to be kept.

`trace` drives PyTorch's modules here and ours in the tests, so both see the same program, which
`prepare` sets up.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

RECORD = pathlib.Path(__file__).with_name("nn.json")

Array = np.ndarray[Any, Any]
KINKS = np.array([-25.0, -6, -3, -1, -0.5, -0.0, 0.0, 0.25, 1, 2.5, 3, 6, 19, 25])


def wave(*shape: int, phase: float = 0.0, low: float = -2.0, high: float = 2.0) -> Array:
    """Numbers that look random enough, between two bounds."""
    n = int(np.prod(shape))
    return (low + (high - low) * (0.5 + 0.5 * np.sin(1.7 * np.arange(n) ** 1.3 + phase))).reshape(
        shape
    )


def shares(*shape: int, axis: int = 1, phase: float = 0.0) -> Array:
    """Positive numbers that sum to 1 along an axis."""
    e = np.exp(wave(*shape, phase=phase))
    return e / e.sum(axis=axis, keepdims=True)


def labels(*shape: int, n: int, step: int = 7) -> Array:
    """Class numbers below n."""
    return (np.arange(int(np.prod(shape))) * step % n).reshape(shape)


@dataclass(frozen=True)
class Case:
    """A class or function by name; arrays among the options become tensors."""

    name: str
    inputs: tuple[Array, ...]
    options: dict[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()
    wanted: tuple[int, ...] = (0,)  # the inputs that want a gradient
    batches: int = 0  # of training before the recorded call
    training: bool = True
    tolerance: float = 1e-12

    @property
    def id(self) -> str:
        given = [*map(str, self.args), *(f"{k}={_short(v)}" for k, v in self.options.items())]
        shapes = " ".join(_short(array) for array in self.inputs)
        after = f" after {self.batches}" if self.batches else ""
        mode = "" if self.training else " in eval"
        return f"{self.name}({', '.join(given)}) {shapes}{after}{mode}"


def _short(value: Any) -> str:
    return "x".join(map(str, value.shape)) or "()" if isinstance(value, np.ndarray) else str(value)


class Numbers:
    """How a framework makes tensors; ``dtype`` is what floats become."""

    def __init__(self, make: Any, dtype: Any) -> None:
        self.make, self.dtype = make, dtype

    def tensor(self, value: Any, requires_grad: bool = False) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        made = self.make(value.astype(self.dtype) if value.dtype.kind == "f" else value)
        return made.requires_grad_() if requires_grad else made


def prepare(
    nn: ModuleType, numbers: Numbers, case: Case, phase: float = 0.0
) -> tuple[Any, Any, list[Any]]:
    """What a case calls, the module if that is one, and the inputs."""
    options = {key: numbers.tensor(value) for key, value in case.options.items()}
    module = None
    if hasattr(nn.functional, case.name):

        def call(*inputs: Any) -> Any:
            return getattr(nn.functional, case.name)(*inputs, *case.args, **options)
    else:
        call = module = getattr(nn, case.name)(*case.args, **options)
        for i, p in enumerate(module.parameters()):
            p.data = numbers.tensor(wave(*p.shape, phase=i + phase)).data
        if case.batches:
            for batch in range(case.batches):
                module(*(numbers.tensor(x * (1 + batch) + batch) for x in case.inputs))
        module.train(case.training)
    inputs = [
        numbers.tensor(x * (1 - phase) if phase and i in case.wanted[:1] else x, i in case.wanted)
        for i, x in enumerate(case.inputs)
    ]
    return call, module, inputs


def trace(nn: ModuleType, numbers: Numbers, case: Case, phase: float = 0.0) -> dict[str, Any]:
    """The value of a case, gradients and buffers, as tensors by name."""
    call, module, inputs = prepare(nn, numbers, case, phase)
    y = call(*inputs)
    found = {"y": y}
    leaves = {f"d{i}": inputs[i] for i in case.wanted}
    if module is not None:
        leaves |= {f"d {name}": p for name, p in module.named_parameters()}
        found |= {f"buffer {name}": b for name, b in module.named_buffers()}
    if leaves:
        (y * numbers.tensor(wave(*y.shape, phase=5, low=0.5))).sum().backward()
    return found | {name: leaf.grad for name, leaf in leaves.items()}


# ---- the cases --------------------------------------------------------------------------------

REDUCTIONS = ("mean", "sum", "none")
IGNORED = np.array([2, -100, 0, -100, 1])
ROUGH = 1e-7  # where PyTorch calculates with a constant of float32: 1/6, and 1e-12 in BCELoss
X = wave(5, 4)
Y = wave(5, 4, phase=1)


def layers() -> list[Case]:
    """Every layer with every option."""
    found = [
        Case("Linear", (X,), args=(4, 3)),
        Case("Linear", (X,), {"bias": False}, (4, 3)),
        Case("Linear", (wave(2, 3, 4),), args=(4, 3)),
        Case("Linear", (wave(4),), args=(4, 3)),
        Case("Identity", (X,)),
        Case("Flatten", (wave(2, 3, 4),)),
        Case("Flatten", (wave(2, 3, 4),), args=(0, 1)),
        Case("Dropout", (X,), args=(0.0,)),
        Case("Dropout", (X,), args=(1.0,)),
        Case("Dropout", (X,), training=False),
        Case("Embedding", (labels(2, 3, n=5),), args=(5, 4), wanted=()),
        Case("Embedding", (labels(2, 3, n=3),), {"padding_idx": 1}, (5, 4), wanted=()),
        Case("Embedding", (labels(6, n=5),), {"padding_idx": -1}, (5, 2), wanted=()),
        Case("LayerNorm", (X,), args=(4,)),
        Case("LayerNorm", (wave(2, 3, 4),), {"eps": 0.1}, ((3, 4),)),
        Case("LayerNorm", (X,), {"elementwise_affine": False}, (4,)),
        Case("LayerNorm", (X,), {"bias": False}, (4,)),
    ]
    for x in (X, wave(3, 4, 2)):
        found += [
            Case("BatchNorm1d", (x,), args=(4,)),
            Case("BatchNorm1d", (x,), args=(4,), batches=2),
            Case("BatchNorm1d", (x,), args=(4,), batches=2, training=False),
        ]
    for options in (
        {"momentum": None},
        {"momentum": 0.4, "eps": 0.01},
        {"affine": False},
        {"bias": False},
        {"track_running_stats": False},
    ):
        for training in (True, False):
            found.append(Case("BatchNorm1d", (X,), options, (4,), batches=2, training=training))
    return found


def activations() -> list[Case]:
    """Every activation at its kinks and far out."""
    options: list[tuple[str, dict[str, Any]]] = [
        *((name, {}) for name in ("ReLU", "ReLU6", "Hardswish", "SELU", "SiLU")),
        *((name, {}) for name in ("Sigmoid", "LogSigmoid", "Tanh")),
        *(("LeakyReLU", kwargs) for kwargs in ({}, {"negative_slope": 0.2})),
        *(("Hardtanh", kwargs) for kwargs in ({}, {"min_val": -3.0, "max_val": 2.5})),
        *(("ELU", kwargs) for kwargs in ({}, {"alpha": 0.7})),
        *(("GELU", kwargs) for kwargs in ({}, {"approximate": "tanh"})),
        *(("Softplus", kwargs) for kwargs in ({}, {"beta": 2.0, "threshold": 5.0})),
    ]
    found = [Case(name, (KINKS,), kwargs) for name, kwargs in options]
    found.append(Case("Hardsigmoid", (KINKS,), tolerance=ROUGH))
    for name, dim in itertools.product(("Softmax", "LogSoftmax"), (-1, 0)):
        found.append(Case(name, (wave(3, 4),), {"dim": dim}))
    return found


def losses() -> list[Case]:
    """Every loss with every option."""
    p, t = shares(5, 4), shares(5, 4, phase=1)
    hits = labels(5, 4, n=2).astype(float)
    weight = np.array([0.5, 1.5, 0.0, 2.0])
    plain: list[tuple[str, tuple[Array, ...], dict[str, Any], tuple[int, ...]]] = [
        ("MSELoss", (X, Y), {}, (0, 1)),
        ("L1Loss", (X, Y), {}, (0, 1)),
        ("HuberLoss", (X, Y), {}, (0, 1)),
        ("HuberLoss", (np.array([-0.7, 0, 0.3, 0.7, 2]), np.zeros(5)), {"delta": 0.7}, (0,)),
        ("SmoothL1Loss", (X, Y), {}, (0, 1)),
        ("SmoothL1Loss", (np.array([-0.7, 0, 0.3, 0.7, 2]), np.zeros(5)), {"beta": 0.7}, (0,)),
        ("SmoothL1Loss", (X, Y), {"beta": 0.0}, (0,)),
        ("CrossEntropyLoss", (X, labels(5, n=4)), {}, (0,)),
        ("CrossEntropyLoss", (X, labels(5, n=4)), {"weight": weight}, (0,)),
        ("CrossEntropyLoss", (X, labels(5, n=4)), {"label_smoothing": 0.2}, (0,)),
        ("CrossEntropyLoss", (X, IGNORED), {}, (0,)),
        ("CrossEntropyLoss", (X, IGNORED), {"weight": weight, "label_smoothing": 0.1}, (0,)),
        ("CrossEntropyLoss", (X, labels(5, n=4)), {"ignore_index": 3}, (0,)),
        ("CrossEntropyLoss", (wave(2, 4, 3), labels(2, 3, n=4)), {}, (0,)),
        (
            "CrossEntropyLoss",
            (wave(2, 4, 3, 2), labels(2, 3, 2, n=4)),
            {"weight": weight, "ignore_index": 1, "label_smoothing": 0.3},
            (0,),
        ),
        ("CrossEntropyLoss", (X, t), {}, (0, 1)),
        ("CrossEntropyLoss", (X, t), {"weight": weight, "label_smoothing": 0.2}, (0, 1)),
        ("CrossEntropyLoss", (wave(2, 4, 3), shares(2, 4, 3)), {"weight": weight}, (0, 1)),
        ("NLLLoss", (np.log(p), labels(5, n=4)), {}, (0,)),
        ("NLLLoss", (np.log(p), IGNORED), {"weight": weight}, (0,)),
        ("NLLLoss", (np.log(shares(2, 4, 3)), labels(2, 3, n=4)), {"ignore_index": 0}, (0,)),
        ("BCELoss", (p, t), {}, (0, 1)),
        ("BCELoss", (p, hits), {"weight": wave(5, 4, low=0.1)}, (0,)),
        ("BCEWithLogitsLoss", (X * 9, t), {}, (0, 1)),
        ("BCEWithLogitsLoss", (X, hits), {"weight": wave(5, 4, low=0.1)}, (0,)),
        ("BCEWithLogitsLoss", (X, hits), {"pos_weight": weight}, (0,)),
        ("KLDivLoss", (np.log(p), t), {}, (0, 1)),
        ("KLDivLoss", (np.log(p), hits), {}, (0,)),
        ("KLDivLoss", (np.log(p), np.log(t)), {"log_target": True}, (0, 1)),
        ("HingeEmbeddingLoss", (X, 2 * hits - 1), {}, (0,)),
        ("HingeEmbeddingLoss", (X, 2 * hits - 1), {"margin": 0.3}, (0,)),
        ("HingeEmbeddingLoss", (np.ones(2), np.array([-1.0, 1.0])), {}, (0,)),
        ("MultiMarginLoss", (X, labels(5, n=4)), {}, (0,)),
        ("MultiMarginLoss", (X, labels(5, n=4)), {"p": 2, "margin": 0.5, "weight": weight}, (0,)),
    ]
    found = [
        Case(name, inputs, {**options, "reduction": reduction}, wanted=wanted)
        for name, inputs, options, wanted in plain
        for reduction in REDUCTIONS
    ]
    edges = (np.array([0.0, 0, 1, 1, 0.5]), np.array([0.0, 1, 0, 1, 1]))
    return [
        *found,
        Case("BCELoss", edges, tolerance=ROUGH),
        Case("KLDivLoss", (np.log(p), t), {"reduction": "batchmean"}),
    ]


def functions() -> list[Case]:
    """Every function, with what the modules do not reach."""
    log_p, t = np.log(shares(5, 4)), shares(5, 4, phase=1)
    hits = labels(5, 4, n=2).astype(float)
    numbers = labels(5, n=4)
    names = "relu relu6 hardswish elu selu gelu silu sigmoid logsigmoid tanh softplus"
    return [
        *(Case(name, (X,)) for name in (*names.split(), "leaky_relu", "hardtanh")),
        Case("hardsigmoid", (X,), tolerance=ROUGH),
        Case("leaky_relu", (X,), args=(0.3,)),
        Case("hardtanh", (X,), args=(-0.5, 0.25)),
        Case("softplus", (X,), args=(3.0, 2.0)),
        Case("softmax", (X,), {"dim": 1}),
        Case("log_softmax", (X,), {"dim": 0}),
        Case("linear", (X, wave(3, 4), wave(3)), wanted=(0, 1, 2)),
        Case("dropout", (X,), args=(0.3, False)),
        Case(
            "embedding",
            (
                labels(2, 3, n=5),
                wave(5, 4),
            ),
            args=(-3,),
            wanted=(1,),
        ),
        Case("one_hot", (labels(2, 3, n=5),), wanted=()),
        Case("one_hot", (numbers,), {"num_classes": 6}, wanted=()),
        Case("layer_norm", (X,), args=((4,),)),
        Case("layer_norm", (X,), {"weight": wave(4), "bias": wave(4)}, ((4,),)),
        Case("batch_norm", (X, wave(4), wave(4, low=1)), {"eps": 0.1}),
        Case("batch_norm", (X, wave(4), wave(4, low=1)), {"training": True, "weight": wave(4)}),
        Case("normalize", (X,)),
        Case("normalize", (X,), {"p": 1.0, "dim": 0}),
        Case("normalize", (X,), {"p": 3.0, "eps": 50.0}),
        *(Case(name, (X, Y)) for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")),
        Case("cross_entropy", (X, numbers)),
        Case("nll_loss", (log_p, numbers)),
        Case("binary_cross_entropy", (t, hits)),
        Case("binary_cross_entropy_with_logits", (X, hits)),
        Case("kl_div", (log_p, t), {"reduction": "batchmean"}),
        Case("hinge_embedding_loss", (X, 2 * hits - 1)),
        Case("multi_margin_loss", (X, numbers)),
    ]


def cases() -> dict[str, Case]:
    """All of them by name; equal names are numbered."""
    found: dict[str, Case] = {}
    for case in [*layers(), *activations(), *losses(), *functions()]:
        names = (case.id + (f" #{n}" if n > 1 else "") for n in itertools.count(1))
        found[next(name for name in names if name not in found)] = case
    return found


CASES = cases()


def record() -> None:
    """Write what PyTorch gives for every case, in float64."""
    import torch

    torch.set_default_dtype(torch.float64)
    lines = []
    for name, case in CASES.items():
        found = trace(torch.nn, Numbers(torch.tensor, np.float64), case)
        kept = {key: tensor.tolist() for key, tensor in found.items()}
        lines.append(f"{json.dumps(name)}: {json.dumps(kept)}")
    body = ",\n".join(lines)
    RECORD.write_text(f'{{"torch": "{torch.__version__}", "cases": {{\n{body}\n}}}}\n')


if __name__ == "__main__":
    record()
