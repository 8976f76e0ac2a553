"""Training a model, with a record: initialise, then forward, loss, backward, update.

Order: `fit` · `evaluate` · the penalties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sized
from typing import Any, Protocol

from ..device import default_device
from ..nn import Module
from ..nn import functional as F
from ..operation import no_grad
from ..optim import Optimizer
from ..tensor import Tensor
from .history import History

Loss = Callable[[Tensor, Tensor], Tensor]


class Batches(Sized, Iterable[tuple[Tensor, Tensor]], Protocol):
    """What training reads: pairs (x, y), a new pass at each iteration, and how many they are."""


def fit(
    model: Module,
    train: Batches,
    optimizer: Optimizer,
    *,
    epochs: int = 30,
    loss: Loss | None = None,
    scheduler: Any = None,
    test: Batches | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train for some passes over the data and return the record of the run.

    For every batch: w ← w − η dL/dw by the optimizer's rule, L the loss of the batch + `penalty`.
    The scheduler moves after every update. Without ``loss`` it is cross-entropy for integer labels
    and the mean squared error for floats. ``on_epoch(epoch, history)`` is called after every pass.
    A run that meets NaN or diverges ends after that pass; ``history.status`` says so. ValueError
    for no epochs or negative penalties.
    """
    if epochs < 1 or l1 < 0 or l2 < 0:
        raise ValueError(
            f"fit: epochs {epochs}, l1 {l1}, l2 {l2} do not make sense: at least one epoch, and "
            "penalties ≥ 0."
        )
    history = History()
    weights = [p for p in model.parameters() if p.ndim > 1]
    began = time.perf_counter()
    model.train()
    with default_device().errstate(all="ignore"):  # `status` says it better than a warning
        for epoch in range(1, epochs + 1):
            losses: list[Tensor] = []
            sizes: list[int] = []
            hits = 0.0
            for x, y in train:
                optimizer.zero_grad()
                prediction = model(x)
                batch_loss = (loss or default_loss(y))(prediction, y)
                losses.append(batch_loss.detach())
                sizes.append(len(x))
                hits += _hits(prediction, y) * len(x)
                if l1 or l2:
                    batch_loss = batch_loss + penalty(weights, l1, l2)
                batch_loss.backward()
                history.lr.append(float(optimizer.param_groups[0]["lr"]))
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
            history.loss += [one.item() for one in losses]
            history.step = list(range(len(history.loss)))
            history.note(epoch, **_means(history.loss[-len(sizes) :], sizes, hits, y))
            if test is not None:
                found = evaluate(model, test, loss)
                history.note(epoch, **{f"test_{name}": value for name, value in found.items()})
            history.seconds = time.perf_counter() - began
            if on_epoch is not None:
                on_epoch(epoch, history)
            if history.status_step() is not None:
                break
    history.judge()
    if not all(bool(p.isfinite().all()) for p in model.parameters()):
        history.status = "nan"
    return history


def default_loss(y: Tensor) -> Loss:
    """Cross-entropy where targets are class numbers, else the mean squared error."""
    return F.cross_entropy if y.dtype.kind in "iu" else F.mse_loss


def _hits(prediction: Tensor, y: Tensor) -> Any:
    """The share of right answers, still on the device; 0 where there are no classes."""
    if y.dtype.kind not in "iu":
        return 0.0
    return (prediction.detach().argmax(axis=1) == y).float().mean()


def _means(losses: list[float], sizes: list[int], hits: Any, y: Tensor) -> dict[str, float | None]:
    total = sum(sizes)
    mean = sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / total
    classes = y.dtype.kind in "iu"
    return {"train_loss": mean, "train_accuracy": float(hits) / total if classes else None}


def evaluate(model: Module, data: Batches, loss: Loss | None = None) -> dict[str, float]:
    """The mean loss over data, and the accuracy where there are classes; changes nothing.

    The model runs in evaluation mode, and every module is put back into the mode that it was in.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, hits, count = 0.0, 0.0, 0
    try:
        with no_grad():
            for x, y in data:
                prediction = model(x)
                total += float((loss or default_loss(y))(prediction, y)) * len(x)
                hits += float(_hits(prediction, y)) * len(x)
                count += len(x)
    finally:
        for module, training in modes:
            module.training = training
    found = {"loss": total / count}
    return found | ({"accuracy": hits / count} if y.dtype.kind in "iu" else {})


# ---- penalties --------------------------------------------------------------------------------


def penalty(weights: Iterable[Tensor], l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """l1 Σ |w| + ½ l2 Σ w² over weight matrices: its gradient is l1 sign w + l2 w."""
    total: Any = 0.0
    for w in weights:
        if l1:
            total = total + l1 * w.abs().sum()
        if l2:
            total = total + 0.5 * l2 * w.square().sum()
    result: Tensor = total
    return result
