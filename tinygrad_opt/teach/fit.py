"""Training a model, with a record: initialise, then forward, loss, backward, update.

Order: `fit` · what can be trained · `evaluate`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any, Protocol

from .. import __version__
from ..checkpoint import Checkpoints
from ..nn import Module
from ..operation import no_grad
from ..optim.wrapper import OptimizerLike
from .history import History, Recording
from .one_pass import Loss, Pair, Pass, default_loss
from .training import Training, can_pay, penalty

__all__ = ["Batches", "Loss", "default_loss", "evaluate", "evaluating", "fit", "penalty"]


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
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    stop: Callable[[], bool] | None = None,
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
    ‖update‖, of every parameter of the optimizer, which makes a GPU wait at every update; with
    ``snapshots`` all weights, at the start and after every pass. All modules are put into
    training mode: a layer that is to stay as it is, as a BatchNorm1d with its running statistics,
    has to say so in its own `train`. ``on_epoch(epoch, history)`` is called after every pass. A run
    that meets NaN or diverges ends after that pass; ``history.status`` says so. With
    ``evaluations`` a run ends before it has computed more gradients than that, of which rules with
    a closure take several for an update.

    With ``checkpoints`` all of this is saved as often as they say, at the end, and where the run is
    stopped; with ``resume`` it goes on from the newest, if there is one, and gives the same record
    as if it had never been interrupted, to the bit: the weights, optimizer, schedule, random
    numbers and place in the data are those of that moment. Give what it was begun with; ``epochs``
    alone may be more. ``stop()`` is asked after every update; True ends the run there.

    ValueError for no epochs, no batches or negative penalties, and for a run to resume that was
    begun in another way; TypeError for what is no model, no batches, no optimizer or no
    checkpoints.
    """
    _check(model, train, optimizer)
    payable = can_pay([], evaluations)
    if epochs < 1 or len(train) < 1 or not (payable and l1 >= 0 and l2 >= 0):
        raise ValueError(
            f"fit: epochs {epochs}, {len(train)} batches, evaluations {evaluations}, l1 {l1}, l2 "
            f"{l2} do not make sense: at least one of the first three, and penalties ≥ 0."
        )
    if not isinstance(checkpoints, Checkpoints | None):
        raise TypeError(
            f"fit: checkpoints is {_kind(checkpoints)}. Write Checkpoints(folder), which says how "
            "often."
        )
    if resume and checkpoints is None:
        raise ValueError("fit: resume from where? Give checkpoints=Checkpoints(folder).")
    recording = Recording(optimizer=type(optimizer).__name__, epochs=epochs, version=__version__)
    recording.meta["loss"] = loss and getattr(loss, "__name__", type(loss).__name__)
    parts = {"train": train, "scheduler": scheduler}
    told: dict[str, Any] = {n: None if p is None else type(p).__name__ for n, p in parts.items()}
    told |= {"loss": recording.meta["loss"], "l1": l1, "l2": l2}
    told |= {"evaluations": evaluations, "norms": norms, "snapshots": snapshots}
    weights = [p for p in model.parameters() if p.ndim > 1]
    training = Training(
        model,
        train,
        optimizer,
        loss,
        scheduler,
        recording,
        test=test,
        checkpoints=checkpoints,
        told=told,
        penalty=partial(penalty, weights, l1, l2) if l1 or l2 else None,
        budget=evaluations,
        norms=norms,
        snapshots=snapshots,
    )
    if resume:
        training.resume()
    elif checkpoints is not None and checkpoints.paths():
        raise ValueError(
            f"fit: {checkpoints.folder} holds the checkpoints of a run. Go on with it by resume, "
            "or name another folder."
        )
    measure = None if test is None else partial(evaluate, model, test, loss)
    return training.run(epochs, measure, on_epoch, stop)


# ---- what can be trained ----------------------------------------------------------------------


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


# ---- evaluation -------------------------------------------------------------------------------


def evaluate(model: Module, data: Batches, loss: Loss | None = None) -> dict[str, float]:
    """The mean loss over data, and the accuracy where there are classes; changes nothing.

    The model runs in evaluation mode, and every module is put back into the mode that it was in. A
    loader that shuffles counts the pass, as any other: inside a pass over it, give another.
    """
    _check(model, data, who="evaluate")
    with evaluating(model), no_grad():
        found = Pass()
        found.over(model, data, loss)
        return found.means()


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
