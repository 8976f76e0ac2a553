"""A learning rate from a single short run, in which the rate grows until the loss explodes.

Order: `lr_range_test` · the valley rule · RangeTest.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..device import Device
from ..nn import Module
from ..optim import SophiaG
from ..random_numbers import undisturbed
from .batches import apart
from .export import strict_json, table
from .fit import Batches, Loss, default_loss
from .history import Array
from .training import unwrapped

SMOOTHING = 0.98  # of the running mean of the loss
EXPLODED = 3.0  # first losses above the best so far: the run ends
FEWEST = 20  # steps
SKIPPED, TAIL = 0.1, 5  # neither the first tenth of the steps is judged, nor the last five


def lr_range_test(
    model: Module,
    batches: Batches,
    optimizer: Any,
    *,
    loss: Loss | None = None,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
) -> RangeTest:
    """Raise the rate from batch to batch and see where the loss falls (arXiv:1506.01186).

        η_k = low (high / low)^(k / (steps − 1))

    It ends where the smoothed loss rises over its best by 3 times the first loss. The suggestion
    lies in the middle of its longest valley, a starting point and not an answer: where the loss
    falls at once depends on the start of training alone, and `lr_sweep` trains in earnest.

    All of it happens to copies of model, optimizer and loss. Weights, gradients, buffers, modes,
    the optimizer's state and options, its schedules, the position in the batches and all random
    numbers that follow are, to the bit, as if it had not been, even where it is interrupted. Hooks
    of the optimizer are not called. With several groups the rates keep their proportions.
    ValueError for rates or steps that make no ramp, for batches that can be read only once, and for
    a loss that reaches for the model itself, which is not the copy; TypeError for a model that
    cannot be copied.
    """
    if not 0 < low < high < math.inf or not isinstance(steps, int) or steps < FEWEST:
        raise ValueError(
            f"lr_range_test: from {low:g} to {high:g} in {steps} steps is no ramp. Take 0 < low < "
            f"high and {FEWEST} steps or more."
        )
    rates = [group.get("lr") for group in optimizer.param_groups]
    if not all(isinstance(lr, (int, float)) and lr > 0 for lr in rates):
        raise ValueError(
            f"lr_range_test: {type(optimizer).__name__} has groups of rates "
            f"{', '.join(map(str, rates))}; it takes positive ones, which keep their proportions."
        )
    found = RangeTest()
    with undisturbed(), Device("cpu").errstate(all="ignore"):
        whole = apart("lr_range_test", batches)
        real, (model, optimizer, loss) = model, _copied(model, optimizer, loss)
        model.train()
        getattr(optimizer, "train", lambda: None)()  # back from the weights to evaluate
        ramp = np.geomspace(low, high, steps)
        for lr, (x, y) in zip(ramp, _again_and_again(whole), strict=False):
            for group, own in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = float(lr) * own / rates[0]
            with _untouched(real):
                found.add(float(lr), _update(model, optimizer, loss or default_loss(y), x, y))
            if found.has_exploded:
                break
    found.judge(round(SKIPPED * steps))
    return found


def _again_and_again(batches: Batches) -> Iterator[Any]:
    """Batches without end."""
    while True:
        yield from batches


def _copied(*parts: Any) -> Any:
    try:
        return copy.deepcopy(parts)
    except TypeError as error:
        raise TypeError(
            f"lr_range_test: it works on copies of model, optimizer and loss, and they cannot be "
            f"copied: {error}. Make what cannot be copied, such as a lock or a file, outside of "
            "them."
        ) from None


@contextlib.contextmanager
def _untouched(model: Module) -> Iterator[None]:
    """ValueError where gradients arrive at this model, not at its copy; it keeps its own."""
    kept = [(p, p.grad) for p in model.parameters()]
    for p, _ in kept:
        p.grad = None
    try:
        yield
        if any(p.grad is not None for p, _ in kept):
            raise ValueError(
                "lr_range_test: the loss uses the model itself, perhaps for a penalty, and the "
                "test works on a copy. Let the optimizer penalize, with weight_decay=, or make the "
                "penalty part of what the model returns."
            )
    finally:
        for p, g in kept:
            p.grad = g


def _update(model: Module, optimizer: Any, criterion: Loss, x: Any, y: Any) -> float:
    """One step on a batch, as a closure so that every rule can take it; the loss before it."""
    losses: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        prediction = model(x)
        total = criterion(prediction, y)
        total.backward()
        losses.append(float(total.item()))
        return (total, prediction) if isinstance(unwrapped(optimizer), SophiaG) else total

    optimizer.step(closure)
    return losses[0]


def valley(losses: Array) -> tuple[int, int]:
    """First and last place of the longest valley: (0, 0) where nothing falls.

    It ends where the longest falling subsequence ends, and is as long as that; losses between its
    members may be higher, so that a spike does not end it. This is the default of fastai since its
    pull request 3377 (see 3408); the steepest slope, which others take, is fooled by spikes.
    """
    lengths = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        lengths[i] += max(lengths[:i][losses[:i] > losses[i]], default=0)
    last = int(np.argmax(lengths)) if len(losses) else 0
    return (last - int(lengths[last]) + 1, last) if len(losses) else (0, 0)


@dataclass(eq=False, repr=False)
class RangeTest:
    """A run whose rate grew; T updates were made.

    ``lr``, ``loss`` and ``smooth`` (T,): the rate, the loss of the batch before the update, and its
    running mean without the bias of its start. ``falls``: the rates between which the smoothed loss
    falls longest, and ``suggestion`` the middle of them; None where it falls nowhere.
    """

    lr: Array = field(default_factory=lambda: np.zeros(0))
    loss: Array = field(default_factory=lambda: np.zeros(0))
    smooth: Array = field(default_factory=lambda: np.zeros(0))
    falls: tuple[float, float] | None = None
    suggestion: float | None = None

    def __len__(self) -> int:
        return len(self.lr)

    def add(self, lr: float, loss: float) -> None:
        """One more update."""
        self.lr, self.loss = np.append(self.lr, lr), np.append(self.loss, loss)
        weights = SMOOTHING ** np.arange(len(self.loss))[::-1]
        self.smooth = np.append(self.smooth, weights @ self.loss / weights.sum())

    @property
    def has_exploded(self) -> bool:
        """Whether the smoothed loss rose so far above its best that there is no way back."""
        best = float(self.smooth.min())
        scale = max(abs(float(self.loss[0])), abs(best))
        return not self.smooth[-1] - best <= EXPLODED * scale

    def judge(self, skipped: int) -> None:
        """Look for the valley, without the first of the steps and without the explosion."""
        end = len(self) - TAIL
        first, last = valley(self.smooth[skipped:end])
        if last > first:
            first, last = first + skipped, last + skipped
            self.falls = float(self.lr[first]), float(self.lr[last])
            self.suggestion = float(self.lr[(first + last) // 2])

    def __repr__(self) -> str:
        return f"RangeTest({len(self)} updates: {self.sentence})"

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> str:
        """What it says, in words."""
        if self.falls is None or self.suggestion is None:
            return "The loss falls nowhere on the way: begin with a lower rate, or take more steps."
        low, high = self.falls
        return (
            f"The loss falls longest from {low:.4g} to {high:.4g}. Halfway, {self.suggestion:.4g} "
            "is a starting point, not an answer."
        )

    def to_csv(self) -> str:
        """A line for each update: rate, loss, smoothed loss."""
        columns = {"lr": self.lr, "loss": self.loss, "smooth": self.smooth}
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return table([dict(zip(columns, row, strict=True)) for row in rows], list(columns))

    def to_json(self, **options: Any) -> str:
        """Strict JSON."""
        return strict_json({"sentence": self.sentence, **vars(self)}, **options)
