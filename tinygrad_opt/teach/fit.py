"""Training a model, with a record: initialise, then forward, loss, backward, update.

Order: `fit` · one pass over the data · `evaluate` · the penalties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sized
from functools import partial
from typing import Any, Protocol

import numpy as np

from .. import __version__
from ..device import Device
from ..nn import Module
from ..nn import functional as F
from ..operation import no_grad
from ..ops import stack
from ..optim import Optimizer, SophiaG
from ..tensor import Tensor
from .history import History, Recording

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
    norms: bool = False,
    snapshots: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train for some passes over the data and return the record of the run.

    For every batch: w ← w − η dL/dw by the optimizer's rule, L the loss of the batch + `penalty`.
    An optimizer with a closure evaluates the loss of the batch as often as it needs it. The
    scheduler moves after every update. Without ``loss`` it is cross-entropy for integer labels
    and the mean squared error for floats. With ``norms`` the record holds ‖w‖, ‖g‖ and ‖update‖ of
    every parameter, which makes a GPU wait at every update; with ``snapshots`` all weights, at the
    start and after every pass. ``on_epoch(epoch, history)`` is called after every pass. A run that
    meets NaN or diverges ends after that pass; ``history.status`` says so. ValueError for no
    epochs, no batches or negative penalties.
    """
    if epochs < 1 or len(train) < 1 or not (l1 >= 0 and l2 >= 0):
        raise ValueError(
            f"fit: epochs {epochs}, {len(train)} batches, l1 {l1}, l2 {l2} do not make sense: at "
            "least one epoch, one batch, and penalties ≥ 0."
        )
    recording = Recording(optimizer=type(optimizer).__name__, epochs=epochs, version=__version__)
    weights = [p for p in model.parameters() if p.ndim > 1]
    watched = dict(model.named_parameters()) if norms else {}
    wants_prediction = isinstance(optimizer, SophiaG)  # it draws labels from it
    rates: list[float] = []
    began = time.perf_counter()
    model.train()
    if snapshots:
        recording.snapshots.append((0, _all_weights(model)))
    for epoch in range(1, epochs + 1):
        done = len(recording)
        _switch(optimizer, "train")

        def update(batch_loss: Tensor, again: Callable[[], tuple[Tensor, Tensor]]) -> None:
            def descend(total: Tensor) -> Tensor:
                optimizer.zero_grad()
                total = total + penalty(weights, l1, l2) if l1 or l2 else total
                total.backward()
                return total

            def closure() -> Any:
                total, prediction = again()
                total = descend(total)
                return (total, prediction) if wants_prediction else total

            rates.append(float(optimizer.param_groups[0]["lr"]))
            before = {name: p._data.copy() for name, p in watched.items()}
            if getattr(optimizer, "scope", "") == "closure":  # it evaluates the loss anew
                optimizer.step(closure)
            else:
                descend(batch_loss)
                optimizer.step()
            recording.add_all(_norms(watched, before))
            if scheduler is not None:
                scheduler.step()

        losses, found = _one_pass(model, train, loss, update)
        for step, (value, rate) in enumerate(zip(losses, rates[done:], strict=True), start=done):
            recording.add(step=step, loss=value, lr=rate)
        done = len(recording)
        recording.note(done, **{f"train_{name}": value for name, value in found.items()})
        _switch(optimizer, "eval")
        if test is not None:
            found = evaluate(model, test, loss)
            recording.note(done, **{f"test_{name}": value for name, value in found.items()})
        if snapshots:
            recording.snapshots.append((done, _all_weights(model)))
        history = recording.history(seconds=time.perf_counter() - began)
        if on_epoch is not None:
            on_epoch(epoch, history)
        if history.stopped_at is not None:
            break
    if not all(_fetched([p.detach().isfinite().all() for p in model.parameters()])):
        history.status = "nan"
    return history


def _norms(params: dict[str, Any], before: dict[str, Any]) -> dict[str, float]:
    """‖w‖ before the update, ‖g‖ and ‖update‖ of each parameter."""
    row = {}
    for name, p in params.items():
        g = 0.0 if p.grad is None or p.grad.is_sparse else float((p.grad._data**2).sum() ** 0.5)
        row[f"norms.{name}.weight"] = float((before[name] ** 2).sum() ** 0.5)
        row[f"norms.{name}.grad"] = g
        row[f"norms.{name}.update"] = float(((p._data - before[name]) ** 2).sum() ** 0.5)
    return row


def _all_weights(model: Module) -> Any:
    """All parameters in a row, on the host."""
    rows = [p.device.to_host(p._data).reshape(-1) for p in model.parameters()]
    return np.concatenate(rows).astype(np.float64)


def _switch(optimizer: Optimizer, mode: str) -> None:
    """Some optimizers learn with other weights than those to evaluate: `train()` and `eval()`."""
    getattr(optimizer, mode, lambda: None)()


def _one_pass(
    model: Module,
    data: Batches,
    loss: Loss | None,
    then: Callable[[Tensor, Callable[[], tuple[Tensor, Tensor]]], None],
) -> tuple[list[float], dict[str, float]]:
    """The losses of all batches, and the means over all examples.

    ``then`` gets the loss of each batch, and a function that computes loss and prediction again.

    Values are fetched after the pass, so that a GPU need not be waited for at every batch.
    """
    losses, sizes, hits = [], [], []
    with Device("cpu").errstate(all="ignore"):  # the status says it better than a warning
        for x, y in data:
            criterion = loss or default_loss(y)
            batch_loss, prediction = _loss_of(model, criterion, x, y)
            losses.append(batch_loss.detach())
            sizes.append(len(x))
            if y.dtype.kind in "iu":
                hits.append((prediction.detach().argmax(axis=1) == y).float().mean())
            then(batch_loss, partial(_loss_of, model, criterion, x, y))
    if not sizes:
        raise ValueError("there are no batches in the data; give at least one pair (x, y).")
    values = _fetched(losses)
    found = {"loss": _mean(values, sizes)}
    if hits:
        found["accuracy"] = _mean(_fetched(hits), sizes)
    return values, found


def _loss_of(model: Module, criterion: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    prediction = model(x)
    return criterion(prediction, y), prediction


def _fetched(numbers: list[Tensor]) -> list[float]:
    """The values of tensors of one number: one wait for a GPU."""
    values: list[float] = stack([number.reshape(()) for number in numbers]).tolist()
    return values


def _mean(values: list[float], sizes: list[int]) -> float:
    """The mean over examples, where the last batch may be smaller."""
    return sum(value * n for value, n in zip(values, sizes, strict=True)) / sum(sizes)


def default_loss(y: Tensor) -> Loss:
    """Cross-entropy where targets are class numbers, else the mean squared error."""
    return F.cross_entropy if y.dtype.kind in "iu" else F.mse_loss


def evaluate(model: Module, data: Batches, loss: Loss | None = None) -> dict[str, float]:
    """The mean loss over data, and the accuracy where there are classes; changes nothing.

    The model runs in evaluation mode, and every module is put back into the mode that it was in.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            return _one_pass(model, data, loss, then=lambda *_: None)[1]
    finally:
        for module, training in modes:
            module.training = training


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
