"""The work that is timed, in words that ours and PyTorch understand alike.

A peer with another interface takes the same batch and weights from here and brings its own step.

Order: networks · training one · an optimizer alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

Step = Callable[[], Any]

# ---- networks ---------------------------------------------------------------------------------


class Network(NamedTuple):
    """Linear layers of these sizes with a ReLU between them, and what they are trained with."""

    sizes: tuple[int, ...]
    batch: int
    loss: str
    optimizer: str


NETWORKS: dict[str, Network] = {
    "tiny1": Network((2, 16, 16, 1), 1, "MSELoss", "SGD"),
    "tiny100": Network((2, 16, 16, 1), 100, "MSELoss", "SGD"),
    "small": Network((64, 32, 10), 32, "CrossEntropyLoss", "Adam"),
    "medium": Network((784, 256, 128, 10), 128, "CrossEntropyLoss", "Adam"),
    "large": Network((1024, 2048, 2048, 10), 512, "CrossEntropyLoss", "Adam"),
}


def described(network: Network) -> str:
    """Its sizes and its batch, in words."""
    return f"{'-'.join(map(str, network.sizes))}, batch {network.batch}"


def batch_of(network: Network) -> tuple[Any, Any]:
    """The batch that it is trained on, the same at each call."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((network.batch, network.sizes[0])).astype(np.float32)
    y = rng.integers(0, network.sizes[-1], network.batch)
    if network.loss == "MSELoss":
        y = rng.standard_normal((network.batch, network.sizes[-1])).astype(np.float32)
    return x, y


def weights_of(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Weights to start from, the same at each call."""
    rng = np.random.default_rng(1)
    weights = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        for name, shape in (("weight", (n_out, n_in)), ("bias", (n_out,))):
            drawn = rng.uniform(-1, 1, shape) / np.sqrt(n_in)
            weights[f"{2 * layer}.{name}"] = drawn.astype(np.float32)  # a ReLU is a layer, too
    return weights


def layers_of(sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """The same weights as a list of (weight, bias), for peers without modules."""
    arrays = list(weights_of(sizes).values())
    return list(zip(arrays[::2], arrays[1::2]))


# ---- training one -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A whole training step: zero_grad, forward, loss, backward, optimizer."""

    verb: ClassVar[str] = "train"
    network: Network
    lr: float


def model_of(nn: Any, sizes: tuple[int, ...]) -> Any:
    """The layers of a network, of either framework."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def training(
    framework: Any, device: Any, network: Network, lr: float, **options: Any
) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """The training step of a network, of either framework, and the x and y that it takes."""
    x, y = (framework.tensor(data, device=device) for data in batch_of(network))
    weights = weights_of(network.sizes)
    model = model_of(framework.nn, network.sizes).to(device)
    model.load_state_dict({key: framework.tensor(value) for key, value in weights.items()})
    criterion = getattr(framework.nn, network.loss)()
    optimizer = getattr(framework.optim, network.optimizer)(model.parameters(), lr=lr, **options)

    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return train, x, y


def stepper(framework: Any, device: Any, network: Network, lr: float, **options: Any) -> Step:
    """The training step on its batch; it gives the loss."""
    step, x, y = training(framework, device, network, lr, **options)
    return partial(step, x, y)


def first_losses(step: Step, count: int) -> list[float]:
    """The losses of the first steps."""
    return [step().item() for _ in range(count)]


# ---- an optimizer alone -----------------------------------------------------------------------


class Rule(NamedTuple):
    """A class of `optim`, its options, and the bytes that it has to move for a parameter."""

    kind: str
    options: dict[str, float]
    bytes: int


RULES = {
    "SGD": Rule("SGD", {}, 12),  # reads p and g, writes p
    "momentum": Rule("SGD", {"momentum": 0.9}, 20),  # and the buffer, both ways
    "Adam": Rule("Adam", {}, 28),  # and m and v
    "AdamW": Rule("AdamW", {}, 28),
}


@dataclass(frozen=True)
class Update:
    """The step of an optimizer over so many parameters in so many tensors."""

    verb: ClassVar[str] = "update"
    rule: str
    parameters: int
    tensors: int
    lr: float


def parts_of(parameters: int, tensors: int) -> list[Any]:
    """Values to start from, the same at each call."""
    values = np.random.default_rng(0).standard_normal(parameters, np.float32)
    return np.array_split(values, tensors)


def updating(
    framework: Any, device: Any, kind: str, parts: list[Any], lr: float, options: dict[str, Any]
) -> tuple[Step, list[Any]]:
    """The step of an optimizer and its parameters, after two steps with the gradient of ½ Σ p².

    The gradients lie where a backward pass puts them, and stay what they were in the second step.
    """
    params = [framework.tensor(part, device=device, requires_grad=True) for part in parts]
    made = getattr(framework.optim, kind)(params, lr=lr, **options)
    for _ in range(2):
        made.zero_grad()
        for p in params:
            ((p * p).sum() / 2).backward()
        made.step()
    return made.step, params


def update(
    framework: Any, device: Any, kind: str, parts: list[Any], options: dict[str, Any]
) -> Step:
    """That step alone, at a rate that moves next to nothing."""
    return updating(framework, device, kind, parts, 1e-7, options)[0]
