"""Small trainings that go on for ever: each is made, and gives a function that takes one step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader

Step = Callable[[], Any]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def batches(keep_on: str = "device") -> Iterator[Any]:
    """Batches without an end, in a new order at every pass."""
    drawn = np.random.default_rng(0)
    x, y = drawn.standard_normal((20, 4)).astype(np.float32), drawn.integers(0, 3, 20)
    loader = DataLoader((x, y), batch_size=8, keep_on=keep_on)
    return itertools.chain.from_iterable(itertools.repeat(loader))


def eager() -> Step:
    """All that a usual training has."""
    model, data = network(), batches()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10)

    def step() -> None:
        x, y = next(data)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()

    return step


def captured() -> Step:
    """The same, replayed; its batches have two sizes."""
    model, data = network(), batches()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9999)

    @tg.capture
    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    return lambda: train(*next(data)).item()


def decorated() -> Step:
    """Hooks of tensors, modules and the optimizer, clipping, an average, gradients of gradients."""
    model, data = network(), batches()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    average = optim.EMA(model, 0.9)
    count = itertools.count()
    optimizer.register_step_post_hook(lambda *_: average.update_parameters(model))

    def step() -> None:
        x, y = next(data)
        parameters = list(model.parameters())
        remove = [
            model[0].register_forward_hook(lambda module, inputs, output: output * 1.0),
            parameters[0].register_hook(lambda g: g * 0.5),
        ]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        if next(count) % 10 == 0:
            gradients = tg.grad(loss, parameters, create_graph=True)
            loss = loss + sum((g * g).sum() for g in gradients)
        loss.backward()
        for end in remove:
            end()
        optim.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with tg.no_grad():
            average.module(x)

    return step


def alone(engine: str) -> Step:
    """An optimizer with gradients that come and go, rates that change, and state that is saved."""
    w = [tg.ones(5, requires_grad=True), tg.ones(2, 3, requires_grad=True)]
    optimizer = optim.RAdam(w, lr=0.001, engine=engine)
    gradients = [tg.ones(5) * 0.1, tg.ones(2, 3) * 0.2]
    count = itertools.count(1)

    def step() -> None:
        n = next(count)
        for i, (p, g) in enumerate(zip(w, gradients)):
            p.grad = None if n % 5 == i else g.clone()
        optimizer.param_groups[0]["lr"] = 0.001 / (n % 100 + 1)
        optimizer.step()
        if n % 500 == 0:
            optimizer.load_state_dict(optimizer.state_dict())

    return step


TRAININGS: dict[str, Callable[[], Step]] = {
    "eager": eager,
    "captured": captured,
    "decorated": decorated,
    "reference": partial(alone, "reference"),
    "blocks": partial(alone, "blocks"),
    "numba": partial(alone, "numba"),
}
