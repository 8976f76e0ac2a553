"""Single operations: how each is written in bare NumPy, and what it is called elsewhere.

Order: the table · the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .worker import Work

# ---- the table --------------------------------------------------------------------------------


class Operation(NamedTuple):
    """Inputs from a generator and a size, the value, the gradients of float inputs, other names."""

    inputs: Callable[..., list[Any]]
    value: Callable[..., Any]
    slopes: Callable[..., tuple[Any, ...]]
    ours: str
    torch: str
    axis: tuple[int, ...] = ()  # where it has to be said


def matrices(count: int) -> Callable[..., list[Any]]:
    """So many square matrices."""
    return lambda rng, n: [rng.standard_normal((n, n), np.float32) for _ in range(count)]


def layer(rng: Any, n: int) -> list[Any]:
    """A batch, a weight and a bias."""
    return [*matrices(2)(rng, n), rng.standard_normal(n, np.float32)]


def classes(rng: Any, n: int) -> list[Any]:
    """A batch of scores for ten classes, and labels."""
    return [rng.standard_normal((n, 10), np.float32), rng.integers(0, 10, n)]


def softmax(np: Any, x: Any) -> Any:
    """eˣ / Σ eˣ in every row."""
    z = np.exp(x - np.max(x, 1, keepdims=True))
    return z / np.sum(z, 1, keepdims=True)


def cross_entropy(np: Any, x: Any, labels: Any) -> Any:
    """−ln softmax(x) at the labels, on average."""
    x = x - np.max(x, 1, keepdims=True)
    chosen = x[np.arange(len(labels)), labels]
    return np.mean(np.log(np.sum(np.exp(x), 1)) - chosen)


def cross_entropy_slopes(np: Any, g: Any, y: Any, x: Any, labels: Any) -> tuple[Any]:
    """g (softmax(x) − 1 at the labels) / N."""
    found = softmax(np, x)
    found[np.arange(len(labels)), labels] -= 1
    return (found * (g / np.float32(len(labels))),)


OPERATIONS = {
    "add": Operation(
        matrices(2), lambda np, a, b: np.add(a, b), lambda np, g, y, a, b: (g, g), "add", "add"
    ),
    "multiply": Operation(
        matrices(2),
        lambda np, a, b: np.multiply(a, b),
        lambda np, g, y, a, b: (g * b, g * a),
        "multiply",
        "multiply",
    ),
    "matmul": Operation(
        matrices(2),
        lambda np, a, b: np.matmul(a, b),
        lambda np, g, y, a, b: (g @ b.T, a.T @ g),
        "matmul",
        "matmul",
    ),
    "exp": Operation(
        matrices(1), lambda np, x: np.exp(x), lambda np, g, y, x: (g * y,), "exp", "exp"
    ),
    "tanh": Operation(
        matrices(1),
        lambda np, x: np.tanh(x),
        lambda np, g, y, x: (g * (1 - y * y),),
        "tanh",
        "tanh",
    ),
    "relu": Operation(
        matrices(1),
        lambda np, x: np.maximum(x, 0),
        lambda np, g, y, x: (g * (x > 0),),
        "relu",
        "relu",
    ),
    "sum": Operation(
        matrices(1),
        lambda np, x: np.sum(x),
        lambda np, g, y, x: (np.full_like(x, g),),
        "sum",
        "sum",
    ),
    "softmax": Operation(
        matrices(1),
        softmax,
        lambda np, g, y, x: (y * (g - np.sum(g * y, 1, keepdims=True)),),
        "nn.functional.softmax",
        "nn.functional.softmax",
        axis=(1,),
    ),
    "linear": Operation(
        layer,
        lambda np, x, w, b: np.dot(x, w.T) + b,
        lambda np, g, y, x, w, b: (g @ w, g.T @ x, np.sum(g, 0)),
        "nn.functional.linear",
        "nn.functional.linear",
    ),
    "cross_entropy": Operation(
        classes,
        cross_entropy,
        cross_entropy_slopes,
        "nn.functional.cross_entropy",
        "nn.functional.cross_entropy",
    ),
}


# ---- the work ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operating:
    """One operation on arrays of this size, forward alone or with its backward pass."""

    verb: ClassVar[str] = "operate"
    operation: str
    size: int
    backward: bool

    def arrays(self) -> tuple[list[Any], Any]:
        """The inputs, and the gradient that arrives; the same at each call."""
        rng, row = np.random.default_rng(0), OPERATIONS[self.operation]
        inputs = row.inputs(rng, self.size)
        value = row.value(np, *inputs)
        return inputs, rng.standard_normal(value.shape, np.float32)


def is_float(array: Any) -> bool:
    """Whether there is a gradient for it."""
    return bool(array.dtype.kind == "f")


def size_of(result: Any) -> float:
    """Σ |x|: a number that tells whether two results are the same."""
    return float(np.abs(np.asarray(result, np.float64)).sum())


def nothing(result: Any) -> None:
    """It is done as soon as it returns."""


def operated(framework: Any, name: str, task: Operating) -> Work:
    """An operation of a framework with tensors that have `backward`, ours or PyTorch."""
    function, axis = reduce(getattr, name.split("."), framework), OPERATIONS[task.operation].axis
    arrays, g = task.arrays()
    inputs = [
        framework.tensor(a, requires_grad=True) if task.backward and is_float(a) else
        framework.tensor(a) for a in arrays
    ]  # fmt: skip
    wanted = [t for t, a in zip(inputs, arrays) if is_float(a)]
    g = framework.tensor(g)

    def both() -> Any:
        function(*inputs, *axis).backward(g)
        first = wanted[0].grad
        for t in wanted:
            t.grad = None
        return first

    step = both if task.backward else partial(function, *inputs, *axis)
    return Work(step, lambda result: size_of(result.detach().numpy()), nothing)
