"""Training a model, with a record: initialise, then forward, loss, backward, update.

Order: `fit` · one pass over the data · `evaluate` · the penalties.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any, Protocol

import numpy as np

from .. import __version__
from ..device import Device
from ..nn import Module
from ..nn import functional as F
from ..operation import no_grad
from ..ops import stack
from ..optim import SophiaG
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.wrapper import OptimizerLike, Wrapper
from ..tensor import Tensor
from .history import History, Recording

Loss = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]


class Batches(Sized, Iterable[Pair], Protocol):
    """What training reads: pairs (x, y), a new pass at each iteration, and how many they are."""


def fit(
    model: Module,
    train: Batches,
    optimizer: OptimizerLike,
    *,
    epochs: int = 30,
    evaluations: int | None = None,
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
    The optimizer, or a wrapper around one, gets a closure and evaluates the loss of the batch as
    often as it needs it. The scheduler moves after every update; one that listens to a metric, as
    ReduceLROnPlateau does, after every pass: to the test loss or, without ``test``, to the mean of
    the pass. Without ``loss`` it is cross-entropy for integer labels and the mean squared error for
    floats. The record has an accuracy where the prediction has a
    score for each class: (N, C), (N, C, …) or (N, …, C) with integers (N, …), C > 1. With ``norms``
    it holds ‖w‖ and ‖g‖ before each update, g as the first backward pass of the update left it, and
    ‖update‖, of every parameter, which makes a GPU wait at every update; with ``snapshots`` all
    weights, at the start and after every pass. All modules are put into training mode: a layer that
    is to stay as it is, as a BatchNorm1d with its running statistics, has to say so in its own
    `train`. ``on_epoch(epoch, history)`` is called after every pass. A run that
    meets NaN or diverges ends after that pass; ``history.status`` says so. With ``evaluations`` a
    run ends before it has computed more gradients than that, of which rules with a closure take
    several for an update. ValueError for no epochs, no batches or negative penalties, TypeError for
    what is no model, no batches or no optimizer.
    """
    _check(model, train, optimizer)
    payable = _can_pay([], evaluations)
    if epochs < 1 or len(train) < 1 or not (payable and l1 >= 0 and l2 >= 0):
        raise ValueError(
            f"fit: epochs {epochs}, {len(train)} batches, evaluations {evaluations}, l1 {l1}, l2 "
            f"{l2} do not make sense: at least one of the first three, and penalties ≥ 0."
        )
    recording = Recording(optimizer=type(optimizer).__name__, epochs=epochs, version=__version__)
    recording.meta["loss"] = loss and getattr(loss, "__name__", type(loss).__name__)
    weights = [p for p in model.parameters() if p.ndim > 1]
    watched = dict(model.named_parameters()) if norms else {}
    gradients: dict[str, float] = {}  # their norms, in the update that goes on
    wants_prediction = isinstance(_unwrapped(optimizer), SophiaG)  # it draws labels from it
    listens = _listens(scheduler)
    rates: list[float] = []
    spent: list[int] = []  # gradients that each update took
    began = time.perf_counter()
    model.train()
    if snapshots:
        recording.snapshots.append((0, _all_weights(model)))
    for epoch in range(1, epochs + 1):
        done = len(recording)
        _switch(optimizer, "train")

        def update(first: Pair, again: Callable[[], Pair]) -> None:
            spent.append(0)
            passes = itertools.chain([first], iter(again, None))

            def closure() -> Any:
                total, prediction = next(passes)
                spent[-1] += 1
                optimizer.zero_grad()
                total = total + penalty(weights, l1, l2) if l1 or l2 else total
                total.backward()
                if spent[-1] == 1:
                    gradients.update({name: _norm_of(p.grad) for name, p in watched.items()})
                return (total, prediction) if wants_prediction else total

            recording.meta["outputs"] = list(getattr(first[1], "shape", ())[1:])
            rates.append(float(optimizer.param_groups[0]["lr"]))
            before = {name: p._data.copy() for name, p in watched.items()}
            count = optimizer.step_count
            optimizer.step(closure)
            recording.add_all(_norms(watched, before, gradients))
            moved = optimizer.step_count > count  # a wrapper may wait, or leave a step out
            if scheduler is not None and not listens and moved:
                scheduler.step()

        losses, found = _one_pass(model, _payable(train, spent, evaluations), loss, update)
        taken = itertools.accumulate(spent)
        rows = zip(losses, rates[done:], itertools.islice(taken, done, None), strict=True)
        for step, (value, rate, total) in enumerate(rows, start=done):
            recording.add(step=step, loss=value, lr=rate, evaluations=total)
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
        if history.stopped_at is not None or not _can_pay(spent, evaluations):
            break
        if listens:
            scheduler.step(history.last("train_loss" if test is None else "test_loss"))
    if not all(_fetched([p.detach().isfinite().all() for p in model.parameters()])):
        history.status = "nan"
    return history


def _check(model: Any, data: Any, *optimizer: Any, who: str = "fit") -> None:
    """TypeError for what cannot be trained with."""
    if not isinstance(model, Module):
        raise TypeError(f"{who}: the model is {_kind(model)}. Give an nn.Module.")
    if not hasattr(data, "__len__") or isinstance(data, str):
        raise TypeError(
            f"{who}: the data are {_kind(data)}, which cannot be read again at each pass. Give a "
            "DataLoader, or a list of pairs (x, y)."
        )
    if isinstance(data, list | tuple) and not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in data
    ):
        raise TypeError(
            f"{who}: the data are a {type(data).__name__} of what are no pairs (x, y), one for "
            "each batch. Write [(x, y)] for a single batch, or DataLoader((x, y))."
        )
    for one in optimizer:
        if not hasattr(one, "param_groups"):
            raise TypeError(
                f"{who}: the optimizer is {_kind(one)}. Write Adam(model.parameters(), lr=1e-3), "
                "or another of tinygrad_opt.optim."
            )


def _kind(thing: Any) -> str:
    return repr(thing) if isinstance(thing, str) else f"a {type(thing).__name__}"


def _can_pay(spent: list[int], evaluations: int | None) -> bool:
    """Whether an update as dear as the dearest so far is within the budget."""
    return evaluations is None or sum(spent) + max(spent, default=1) <= evaluations


def _payable(train: Batches, spent: list[int], evaluations: int | None) -> Iterator[Pair]:
    """The batches of a pass, as far as the budget goes."""
    for batch in train:
        if not _can_pay(spent, evaluations):
            return
        yield batch


def _norms(
    params: dict[str, Any], before: dict[str, Any], gradients: dict[str, float]
) -> dict[str, float]:
    """‖w‖ before the update, ‖g‖ and ‖update‖ of each parameter."""
    row = {}
    for name, p in params.items():
        row[f"norms.{name}.weight"] = _norm(before[name])
        row[f"norms.{name}.grad"] = gradients.get(name, 0.0)
        row[f"norms.{name}.update"] = _norm(p._data - before[name])
    return row


def _norm_of(gradient: Any) -> float:
    """‖g‖, where a sparse one may name a row more than once; 0 where there is none."""
    if gradient is None:
        return 0.0
    return _norm(gradient.coalesce().values if gradient.is_sparse else gradient._data)


def _norm(array: Any) -> float:
    return float((array**2).sum() ** 0.5)


def _all_weights(model: Module) -> Any:
    """All parameters in a row, on the host."""
    rows = [p.device.to_host(p._data).reshape(-1) for p in model.parameters()]
    return np.concatenate(rows).astype(np.float64)


def _unwrapped(optimizer: OptimizerLike) -> OptimizerLike:
    """The optimizer inside all wrappers."""
    while isinstance(optimizer, Wrapper):
        optimizer = optimizer.optimizer
    return optimizer


def _listens(scheduler: Any) -> bool:
    """Whether a metric moves the scheduler, or one inside it."""
    inside = getattr(scheduler, "_schedulers", ())
    return isinstance(scheduler, ReduceLROnPlateau) or any(map(_listens, inside))


def _switch(optimizer: OptimizerLike, mode: str) -> None:
    """Some optimizers learn with other weights than those to evaluate: `train()` and `eval()`."""
    getattr(optimizer, mode, lambda: None)()


def _one_pass(
    model: Module,
    data: Iterable[Pair],
    loss: Loss | None,
    then: Callable[[Pair, Callable[[], Pair]], None],
) -> tuple[list[float], dict[str, float]]:
    """The losses of all batches, and the means over all examples.

    ``then`` gets loss and prediction of each batch, and a function that computes them again.

    Values are fetched after the pass, so that a GPU need not be waited for at every batch.
    """
    losses, sizes, hits = [], [], []
    with Device("cpu").errstate(all="ignore"):  # the status says it better than a warning
        for x, y in data:
            criterion = loss or default_loss(y)
            batch_loss, prediction = _loss_of(model, criterion, x, y)
            losses.append(batch_loss.detach())
            sizes.append(len(x))
            if (axis := _class_axis(prediction, y)) is not None:
                hits.append((prediction.detach().argmax(axis=axis) == y).float().mean())
            then((batch_loss, prediction), partial(_loss_of, model, criterion, x, y))
    if not sizes:
        raise ValueError("there are no batches in the data; give at least one pair (x, y).")
    values = _fetched(losses)
    found = {"loss": _mean(values, sizes)}
    if len(hits) == len(sizes):
        found["accuracy"] = _mean(_fetched(hits), sizes)
    return values, found


def _class_axis(prediction: Any, y: Tensor) -> int | None:
    """Along which axis a prediction has a score for each class; None where it has not, or two."""
    shape = getattr(prediction, "shape", ())
    if y.dtype.kind not in "iu" or not y.ndim or len(shape) != y.ndim + 1:
        return None
    axes = {axis for axis in (1, y.ndim) if shape[:axis] + shape[axis + 1 :] == y.shape}
    return axes.pop() if len(axes) == 1 and shape[max(axes)] > 1 else None


def _loss_of(model: Module, criterion: Loss, x: Tensor, y: Tensor) -> Pair:
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

    The model runs in evaluation mode, and every module is put back into the mode that it was in. A
    loader that shuffles counts the pass, as any other: inside a pass over it, give another.
    """
    _check(model, data, who="evaluate")
    with evaluating(model), no_grad():
        return _one_pass(model, data, loss, then=lambda *_: None)[1]


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode inside this block; then every module has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
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
