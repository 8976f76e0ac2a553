"""What forward passes over the data tell, and a copy of the model that has to learn one batch.

Order: inputs · activations · predictions · one batch · labels.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator

import numpy as np

from ...nn import Module
from ...operation import enable_grad
from ...optim import Adam
from ...random_numbers import undisturbed
from ...tensor import Tensor
from ..finding import Finding
from ..fit import evaluating
from ..history import Array
from .evidence import RELUS, Evidence, Layer
from .record import LARGE_RATIO, SMALL_RATIO, forgot_zero_grad, too_high, uneven_gradients

LARGE_INPUT = 30.0
SPREADS_APART = 1000.0
MANY_DEAD, NEARLY_ALL_DEAD = 0.6, 0.9  # shares of units
STD_APART = 100.0  # of activations, from the first to the last hidden layer
ONE_CLASS = 0.9  # share of predictions
ONE_BATCH, STEPS, RATE = 32, 200, 1e-2
LEARNED = 0.2  # of the first loss; noisy examples take longer
HALF = 0.5  # the share by which a loss fell that was learned from
CHANCE = 0.1  # of the way from 1 / K to 1: what a guess may reach
MEMORIZED = 0.8  # of ln K: a train loss below


# ---- inputs -----------------------------------------------------------------------------------


def input_scale(run: Evidence) -> Finding | None:
    """Inputs or targets are far from 1, or features far from each other."""
    if run.look is not None and _unscaled(run.look.y):
        return Finding(
            "warning",
            "input scale",
            "The targets are not scaled.",
            f"the largest is {np.abs(run.look.y).max():.3g}",
            "standardize them, and scale predictions back: data.Standardize.",
        )
    if run.look is None or run.look.x.dtype.kind != "f" or not np.isfinite(run.look.x).all():
        return None
    x = run.look.x.reshape(len(run.look.x), -1)
    largest, spreads = float(np.abs(x).max()), x.std(axis=0)
    spreads = spreads[spreads > 0]
    apart = float(spreads.max() / spreads.min()) if len(spreads) else 1.0
    if largest > LARGE_INPUT:
        evidence = f"the largest is {largest:.3g}"
    elif apart > SPREADS_APART:
        evidence = f"one feature is spread {apart:.3g} times as wide as another"
    else:
        return None
    return Finding(
        "warning",
        "input scale",
        "The inputs are not scaled.",
        evidence,
        "standardize them: data.prepare does, and data.Standardize.",
    )


def _unscaled(values: Array) -> bool:
    """Whether floats are far from 1."""
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return False
    return bool(np.abs(values).max() > LARGE_INPUT)


# ---- activations ------------------------------------------------------------------------------


def dead_relus(run: Evidence) -> Finding | None:
    """Units that are 0 for every example: no gradient reaches them any more."""
    layers = [layer for layer in (run.look.layers if run.look else []) if layer.kind in RELUS]
    shares = [float((_units(layer) <= 0).all(axis=0).mean()) for layer in layers]
    if not shares or max(shares) <= MANY_DEAD:
        return None
    worst = int(np.argmax(shares))
    return Finding(
        "error" if shares[worst] > NEARLY_ALL_DEAD else "info",
        "dead relus",
        "Units are 0 for every example and cannot learn.",
        f"{shares[worst]:.0%} of {layers[worst]}",
        "a lower learning rate, He initialization, or leaky_relu.",
    )


def uneven_activations(run: Evidence) -> Finding | None:
    """Activations, or gradients, vanish or explode from layer to layer."""
    layers = run.look.layers if run.look else []
    spreads = [float(_units(layer).std()) for layer in layers]
    if len(spreads) < 2 or not np.isfinite(spreads).all() or not max(spreads[0], spreads[-1]):
        return uneven_gradients(run)
    first, last = spreads[0], spreads[-1]
    if max(first, last) <= STD_APART * min(first, last):
        return uneven_gradients(run)
    return Finding(
        "error",
        "vanishing or exploding",
        "Signals vanish or explode on their way through the layers.",
        f"activations have std {first:.2g} at {layers[0]} and {last:.2g} at {layers[-1]}",
        "initialization that suits the activation (He for relu), normalization, relu in place of "
        "sigmoid.",
    )


def _units(layer: Layer) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Examples by units."""
    return layer.values.reshape(len(layer.values), -1)


# ---- predictions ------------------------------------------------------------------------------


def one_class(run: Evidence) -> Finding | None:
    """Nearly all predictions are the same."""
    look = run.look
    if look is None or look.prediction is None:
        return None
    if look.y.dtype.kind not in "iu" or look.prediction.ndim != 2:
        return None
    if look.prediction.shape[1] < 2 or not np.isfinite(look.prediction).all():
        return None
    counts = np.bincount(look.prediction.argmax(axis=1), minlength=look.prediction.shape[1])
    share = float(counts.max() / counts.sum())
    if share <= ONE_CLASS:
        return None
    return Finding(
        "warning",
        "one class",
        "The network gives nearly always the same answer.",
        f"class {counts.argmax()} for {share:.0%} of the examples",
        "a look at how many examples each class has, at the learning rate, and for dead relus.",
    )


# ---- one batch --------------------------------------------------------------------------------


def one_batch(run: Evidence) -> Finding | None:
    """A copy of the model has to learn a few examples by heart, if all is well with it."""
    if run.model is None or run.sample is None or not run.finite:
        return None
    if run.fell > HALF or (run.look is not None and _unscaled(run.look.y)):
        return None  # it has learned, or its targets are out of reach
    spoiled = map(run.ask, (dead_relus, too_high, forgot_zero_grad))
    if any(finding is not None and finding.level == "error" for finding in spoiled):
        return None  # these weights cannot, and that says why
    model, (x, y) = copy.deepcopy(run.model), run.sample
    params: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    outputs = 1
    if run.look is not None and run.look.prediction is not None:
        outputs = math.prod(run.look.prediction.shape[1:])
    room = sum(p.size for p in params) // (2 * outputs)  # examples that such a network can hold
    count = min(ONE_BATCH, len(x), max(1, room))
    x, y = x[:count], y[:count]
    optimizer = run.optimizer(params) if run.optimizer else Adam(params, lr=RATE)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = run.criterion(model(x), y)
        loss.backward()
        return loss

    quiet, apart = x.device.errstate(all="ignore"), _without_gradients(run.model)
    with undisturbed(), evaluating(model), enable_grad(), quiet, apart:
        loss = optimizer.step(closure).item()
        first = max(loss, run.start) if math.isfinite(run.start) else loss
        for _ in range(STEPS):
            if loss <= LEARNED * first:
                return None
            loss = optimizer.step(closure).item()
    return Finding(
        "error",
        "cannot overfit one batch",
        "A copy of the network cannot even learn a few examples by heart.",
        f"{count} examples, {STEPS} steps of {type(optimizer).__name__}: the loss is {loss:.3g}, "
        f"and was {first:.3g}",
        "not the data: the model (does the gradient reach every layer?), the loss (does it get raw "
        "scores?) or the labels.",
    )


@contextlib.contextmanager
def _without_gradients(model: Module) -> Iterator[None]:
    """Afterwards gradients are as before, also where a loss adds a penalty on the model itself."""
    before = {p: p.grad for p in model.parameters()}
    for p in before:
        p.grad = None
    try:
        yield
    finally:
        for p, gradient in before.items():
            p.grad = gradient


# ---- labels -----------------------------------------------------------------------------------


def unrelated_labels(run: Evidence) -> Finding | None:
    """The network could learn, and predicts no better than chance."""
    accuracy, train = run.metric("test_accuracy"), run.metric("train_loss")
    if run.classes is None or not len(accuracy) or not run.finite:
        return None
    chance = 1 / run.classes
    at_chance = accuracy[-1] < chance + CHANCE * (1 - chance)
    memorized = train[-1] < MEMORIZED * math.log(run.classes)
    moving = run.ratio is None or SMALL_RATIO <= run.ratio <= LARGE_RATIO
    able = moving and not any(map(run.ask, (too_high, one_class, one_batch, forgot_zero_grad)))
    if not at_chance or not (memorized or able):
        return None
    return Finding(
        "error",
        "labels do not belong",
        "Inputs and labels do not seem to belong together.",
        f"train loss {train[-1]:.3g}, and {accuracy[-1]:.0%} of the test examples are right, where "
        f"chance is {chance:.0%}",
        "a look at examples beside their labels: shuffle both in the same order.",
    )
