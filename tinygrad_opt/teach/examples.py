"""Small computations to look at: each gives a loss, and what it was made of, by name.

Order: `EXAMPLES` by name · one function for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import nn, ops
from ..creation import tensor
from ..names import did_you_mean
from ..nn import functional as F
from ..tensor import Tensor

Built = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Example:
    """``build()`` computes it anew and returns the loss and its leaves by name."""

    build: Callable[[], Built]
    sentence: str


def listed() -> str:
    """A line for each example: its name and its sentence."""
    return "\n".join(f"  {name:9}{example.sentence}" for name, example in EXAMPLES.items())


def get_example(name: str) -> Example:
    """An example by its name; ValueError, with the nearest, for an unknown one."""
    if name not in EXAMPLES:
        raise ValueError(
            f"there is no example {name!r}.{did_you_mean(name, EXAMPLES)} There are "
            f"{', '.join(EXAMPLES)}."
        )
    return EXAMPLES[name]


def _leaf(name: str, values: object, learned: bool = True) -> Tensor:
    x = tensor(values, dtype="float32", requires_grad=learned)
    x.name = name
    return x


def _neuron() -> Built:
    x = _leaf("x", [1.0, 2.0], learned=False)
    w, b = _leaf("w", [0.5, -1.0]), _leaf("b", 0.5)
    y = ops.tanh((w * x).sum() + b)
    return (y - 1.0) ** 2, {"x": x, "w": w, "b": b}


def _linear() -> Built:
    x = _leaf("x", [[1.0, 2.0], [0.0, 1.0], [-1.0, 1.0]], learned=False)
    y = _leaf("y", [[1.0], [0.0], [2.0]], learned=False)
    w, b = _leaf("w", [[0.5, -0.5]]), _leaf("b", [0.1])
    return ((x @ w.T + b - y) ** 2).mean(), {"x": x, "y": y, "w": w, "b": b}


def _mlp() -> Built:
    x = _leaf("x", [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], learned=False)
    labels = tensor([1, 1, 0, 0])
    labels.name = "labels"
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    leaves = {"x": x, "labels": labels, **dict(model.named_parameters())}
    return F.cross_entropy(model(x), labels), leaves


def _fan_out() -> Built:
    x = _leaf("x", 3.0)
    return x * x + ops.sin(x), {"x": x}


def _softmax() -> Built:
    z = _leaf("z", [2.0, 1.0, -1.0])
    e = ops.exp(z)
    p = e / e.sum()
    return -ops.log(p[0]), {"z": z}


EXAMPLES = {
    "neuron": Example(_neuron, "One neuron, tanh(w·x + b), and its squared error."),
    "linear": Example(_linear, "A line through three points, and its mean squared error."),
    "mlp": Example(_mlp, "Two layers on the four points of XOR, and their cross-entropy."),
    "fan_out": Example(
        _fan_out, "x² + sin x: one number is used three times; its gradients add up."
    ),
    "softmax": Example(_softmax, "−log softmax(z)₀ from exp, sum, divide and log."),
}
