"""Seeded runs, each made to fail in a known way, and healthy ones beside them.

Order: Run · how they are made · faults · the healthy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim
from tinygrad_opt.data import DataLoader, Dataset
from tinygrad_opt.teach import Finding, History, diagnose, fit

Make = Callable[[Any], Any]


@dataclass(frozen=True)
class Run:
    """A recipe: data set, network, optimizer; `change` spoils data, `spoil` the model."""

    fault: str  # the rule that has to fire; "" for a healthy run
    optimizer: Make
    dataset: str = "digits"
    hidden: tuple[int, ...] = (32,)
    activation: Callable[[], nn.Module] = nn.ReLU
    last: Callable[[], nn.Module] | None = None
    change: Callable[[Dataset], Dataset] = lambda part: part
    spoil: Callable[[nn.Module], Any] = lambda model: None
    batch: int = 32
    epochs: int = 4
    seed: int = 0
    schedule: str = ""
    gap: bool = False  # a value is missing in the data

    def __call__(self) -> tuple[History, list[Finding]]:
        """Train, and diagnose."""
        tg.manual_seed(self.seed)
        train, test = map(self.change, prepared(self.dataset))
        sizes = [train.n_features, *self.hidden, train.n_outputs]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), self.activation()]
        layers[-1:] = [self.last()] if self.last else []
        model = nn.Sequential(*layers)
        self.spoil(model)
        batches: Any = DataLoader(train, self.batch, seed=self.seed)
        if self.gap:
            batches = list(batches)
            batches[1][0].data[0, 0] = np.nan
        optimizer = self.optimizer(model.parameters())
        scheduler = None
        if self.schedule:
            scheduler = optim.lr_scheduler.ScheduleLR(optimizer, optim.parse(self.schedule))
        history = fit(
            model,
            batches,
            optimizer,
            epochs=self.epochs,
            scheduler=scheduler,
            test=DataLoader(test, None),
            norms=True,
        )
        return history, diagnose(history, model, batches)


# ---- how they are made ------------------------------------------------------------------------


def prepared(name: str) -> tuple[Dataset, Dataset]:
    """A data set in two scaled parts; "raw wine" is not scaled."""
    if name.startswith("raw "):
        train, test = data.split(data.load(name.removeprefix("raw ")))
        return floats(train), floats(test)
    train, test = data.prepare(name)
    return train, test


def floats(part: Dataset) -> Dataset:
    return replaced(part, x=part.x.reshape(len(part), -1).astype(np.float32))


def replaced(part: Dataset, **changes: Any) -> Dataset:
    """The same with other arrays."""
    return Dataset(
        part.name, **{"x": part.x, "y": part.y, "class_names": part.class_names} | changes
    )


def shuffled(part: Dataset) -> Dataset:
    """Labels that have lost their examples."""
    return replaced(part, y=np.random.default_rng(1).permutation(part.y))


def times(factor: float) -> Callable[[Dataset], Dataset]:
    return lambda part: replaced(part, x=part.x * np.float32(factor))


def first(count: int) -> Callable[[Dataset], Dataset]:
    """Few examples to train on; a test part that is not larger stays whole."""
    return lambda part: (
        part if len(part) < 400 else replaced(part, x=part.x[:count], y=part.y[:count])
    )


def drawn(std: float) -> Callable[[nn.Module], None]:
    """Weights from a normal distribution of this width."""

    def spoil(model: nn.Module) -> None:
        for p in model.parameters():
            if p.ndim > 1:
                p.data = p.device.from_host(
                    np.random.default_rng(2).normal(0, std, p.shape).astype(np.float32)
                )
            else:
                p.data = p.data * 0

    return spoil


def shifted(model: nn.Module) -> None:
    """Biases so low that no relu ever opens."""
    model[0].bias.data = model[0].bias.data - np.float32(50)


class Forgetful(optim.SGD):
    """Does not forget its gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


class Log(nn.Module):
    """A logarithm of what may be negative."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return tg.log(x)


class Blind(nn.Module):
    """Where a signal ends by mistake."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return x * 0


def sgd(lr: float, momentum: float = 0.0) -> Make:
    return lambda params: optim.SGD(params, lr=lr, momentum=momentum)


def adam(lr: float) -> Make:
    return lambda params: optim.Adam(params, lr=lr)


def forgetful(lr: float) -> Make:
    return lambda params: Forgetful(params, lr=lr)


# ---- faults -----------------------------------------------------------------------------------

HIGH, LOW = "learning rate too high", "learning rate too low"
UNEVEN, ONE_BATCH = "vanishing or exploding", "cannot overfit one batch"

FAULTS = {
    "lr 30 for sgd": Run(HIGH, sgd(30.0)),
    "lr 2 for sgd": Run(HIGH, sgd(2.0)),
    "lr 1 for momentum": Run(HIGH, sgd(1.0, 0.9)),
    "lr 1 for adam": Run(HIGH, adam(1.0)),
    "lr 0.3 for adam": Run(HIGH, adam(0.3), seed=1),
    "lr 3 on the diabetes": Run(HIGH, sgd(3.0), "diabetes"),
    "lr 10 on the spiral": Run(HIGH, sgd(10.0), "spiral"),
    "lr 3e-4 for sgd": Run(LOW, sgd(3e-4)),
    "lr 1e-4 for sgd": Run(LOW, sgd(1e-4), seed=1),
    "lr 3e-6 for adam": Run(LOW, adam(3e-6)),
    "lr 1e-5 for momentum on the wine": Run(LOW, sgd(1e-5, 0.9), "wine"),
    "no zero_grad": Run("forgot zero_grad", forgetful(0.1), epochs=6),
    "no zero_grad, another seed": Run("forgot zero_grad", forgetful(0.1), epochs=8, seed=3),
    "no zero_grad, lower lr": Run("forgot zero_grad", forgetful(0.05), epochs=8, seed=1),
    "biases far below zero": Run("dead relus", sgd(0.1), spoil=shifted),
    "relus killed by the rate": Run("dead relus", sgd(5.0, 0.9)),
    "biases far below zero, wine": Run("dead relus", adam(1e-3), "wine", spoil=shifted),
    "shuffled labels": Run("labels do not belong", adam(3e-3), change=shuffled),
    "shuffled labels, learned by heart": Run(
        "labels do not belong", adam(1e-2), hidden=(128,), change=shuffled, epochs=25
    ),
    "inputs 0..255": Run("input scale", sgd(0.1), change=times(255)),
    "raw wine": Run("input scale", sgd(0.1), "raw wine"),
    "raw breast cancer": Run("input scale", adam(1e-3), "raw breast_cancer"),
    "small weights, eight layers": Run(UNEVEN, sgd(0.1), hidden=(32,) * 8, spoil=drawn(0.01)),
    "large weights, eight layers": Run(UNEVEN, sgd(1e-7), hidden=(32,) * 8, spoil=drawn(0.8)),
    "eight sigmoids": Run(UNEVEN, sgd(0.1), hidden=(32,) * 8, activation=nn.Sigmoid),
    "twelve sigmoids, adam": Run(UNEVEN, adam(1e-3), hidden=(16,) * 12, activation=nn.Sigmoid),
    "softmax before cross-entropy": Run(ONE_BATCH, adam(1e-3), last=nn.Softmax),
    "a signal that ends": Run(ONE_BATCH, adam(1e-3), last=Blind),
    "all weights zero": Run(UNEVEN, sgd(0.1), spoil=drawn(0.0)),
    "large last layer": Run("initial loss", sgd(0.01), spoil=drawn(2.0)),
    "inputs times 100": Run("initial loss", sgd(1e-3), change=times(100)),
    "200 digits": Run("overfitting", sgd(0.05, 0.9), change=first(200), epochs=60),
    "100 digits": Run("overfitting", adam(3e-3), change=first(100), epochs=60, seed=1),
    "breast cancer, too long": Run("overfitting", adam(1e-2), "breast_cancer", epochs=60),
    "diabetes, too large": Run("overfitting", adam(1e-2), "diabetes", hidden=(64, 64), epochs=40),
    "all answers one class": Run("one class", sgd(2.0)),
    "one class by imbalance": Run("one class", sgd(0.1), change=lambda part: one_sided(part)),
    "a constant rate, batches of 8": Run(
        "noise floor", sgd(0.1, 0.9), "spiral", batch=8, epochs=40
    ),
    "a constant rate, batches of 4": Run("noise floor", sgd(0.03, 0.9), batch=4, epochs=12),
    "adam at 0.03": Run("noise floor", adam(0.03), "sine", activation=nn.Tanh, batch=8, epochs=40),
    "a log of negative numbers": Run("not finite", sgd(0.1), last=Log),
    "a gap in the data": Run("not finite", adam(1e-3), gap=True),
    "overflow": Run("not finite", sgd(1e6), "diabetes"),
    "a saddle": Run(
        "stalled early", sgd(0.03), "xor", hidden=(2,), activation=nn.Tanh, spoil=drawn(0.02)
    ),
    "another": Run(
        "stalled early", sgd(0.1), "circles", hidden=(8, 8), activation=nn.Tanh, spoil=drawn(0.05)
    ),
}


def one_sided(part: Dataset) -> Dataset:
    """Twenty times as many zeros as other digits."""
    zeros = np.flatnonzero(part.y == 0)
    rows = np.concatenate([np.tile(zeros, 150), np.flatnonzero(part.y)[:400]])
    return replaced(part, x=part.x[rows], y=part.y[rows])


# ---- the healthy ------------------------------------------------------------------------------

HEALTHY = {
    "digits, sgd": Run("", sgd(0.1), epochs=10),
    "digits, sgd 0.3": Run("", sgd(0.3), epochs=10, seed=1),
    "digits, momentum": Run("", sgd(0.05, 0.9), epochs=10, seed=2),
    "digits, adam": Run("", adam(3e-3), epochs=15),
    "digits, adam 0.01, cosine": Run("", adam(1e-2), epochs=15, seed=3, schedule="cosine(675)"),
    "digits, two layers": Run("", adam(3e-3), hidden=(64, 32), epochs=10, seed=4),
    "digits, tanh": Run("", sgd(0.1), activation=nn.Tanh, epochs=10),
    "digits, adamw": Run("", lambda p: optim.AdamW(p, lr=3e-3), epochs=10, seed=5),
    "digits, rmsprop": Run("", lambda p: optim.RMSprop(p, lr=1e-3), epochs=10, seed=6),
    "digits, sam": Run("", lambda p: optim.SAM(optim.SGD(p, lr=0.1)), epochs=8, seed=7),
    "iris": Run("", adam(1e-2), "iris", hidden=(16,), epochs=40),
    "iris, linear": Run("", sgd(0.1, 0.9), "iris", hidden=(), epochs=40, seed=1),
    "wine": Run("", adam(3e-3), "wine", hidden=(16,), epochs=20),
    "wine, linear": Run("", adam(1e-2), "wine", hidden=(), epochs=60),
    "wine, sgd": Run("", sgd(0.1), "wine", epochs=30, seed=2),
    "breast cancer": Run("", adam(1e-3), "breast_cancer", epochs=10),
    "breast cancer, sgd": Run("", sgd(0.05), "breast_cancer", epochs=10, seed=3),
    "moons": Run("", adam(1e-2), "moons", hidden=(16, 16), epochs=40),
    "circles": Run("", adam(1e-2), "circles", hidden=(16,), epochs=40),
    "spiral": Run("", adam(1e-2), "spiral", hidden=(32, 32), epochs=60),
    "diabetes, linear": Run("", sgd(0.01), "diabetes", hidden=(), epochs=20),
    "diabetes": Run("", adam(1e-3), "diabetes", hidden=(16,), epochs=15),
    "sine": Run("", adam(1e-2), "sine", hidden=(32,), activation=nn.Tanh, epochs=60),
}
