"""A training that goes on: it can be saved after any update, and continues to the bit.

Order: Training · what it measures.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..checkpoint import Checkpoints
from ..optim import SophiaG
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.wrapper import OptimizerLike, Wrapper
from ..tensor import Tensor
from .history import History, Recording
from .one_pass import Loss, Pair, Pass, fetched


class Training:
    """Passes over the data, and everything that has to be remembered between two updates."""

    def __init__(
        self,
        model: Any,
        train: Any,
        optimizer: OptimizerLike,
        loss: Loss | None,
        scheduler: Any,
        recording: Recording,
        *,
        test: Any,
        checkpoints: Checkpoints | None,
        told: dict[str, Any],
        penalty: Callable[[], Any] | None,
        budget: int | None,
        norms: bool,
        snapshots: bool,
    ) -> None:
        self.model, self.train, self.optimizer = model, train, optimizer
        self.loss, self.scheduler, self.recording = loss, scheduler, recording
        self.test, self.checkpoints = test, checkpoints
        self.penalty, self.budget, self.snapshots = penalty, budget, snapshots
        owned = set(map(id, optimizer.parameters())) if norms else set()
        self.watched = {name: p for name, p in model.named_parameters() if id(p) in owned}
        metric = "train_loss" if test is None else "test_loss"
        self.heard = metric if _listens(scheduler) else None  # by the scheduler
        self.told = {**told, "the scheduler's metric": self.heard}  # the same in all parts of a run
        self.wants_prediction = isinstance(unwrapped(optimizer), SophiaG)  # to draw labels from
        self.epoch = 1  # the pass that goes on
        self.found = Pass()  # in it
        self.rates: list[float] = []
        self.spent: list[int] = []  # gradients that each update took
        self.seconds = 0.0

    def run(
        self,
        epochs: int,
        measure: Callable[[], dict[str, float]] | None,
        on_epoch: Callable[[int, History], None] | None,
        stop: Callable[[], bool] | None,
    ) -> History:
        """Go on to the end of the last pass, or until it is stopped or hopeless."""
        began = time.perf_counter() - self.seconds
        self.model.train()
        if self.snapshots and not self.recording.snapshots:
            self.recording.snapshots.append((0, _all_weights(self.model)))
        history = self.recording.history(seconds=self.seconds)
        while not self._is_over(epochs, history):
            _switch(self.optimizer, "train")

            def then(pair: Pair, again: Callable[[], Pair]) -> bool:
                self._update(pair, again)
                self.seconds = time.perf_counter() - began
                if self.checkpoints is not None and self.checkpoints.due(len(self.spent)):
                    self._save()
                return stop is not None and stop()

            if self.found.over(self.model, self._batches(), self.loss, then):
                self._save()  # with the weights to learn with
                _switch(self.optimizer, "eval")
                self._write_rows()
                self.recording.meta["stopped"] = "by hand"
                return self.recording.history(seconds=time.perf_counter() - began)
            self._end_pass(measure)
            history = self.recording.history(seconds=time.perf_counter() - began)
            if on_epoch is not None:
                on_epoch(self.epoch, history)
            if self.heard is not None and history.stopped_at is None and self._can_pay():
                self.scheduler.step(history.last(self.heard))
            self.epoch, self.found = self.epoch + 1, Pass()
            self.seconds = time.perf_counter() - began
            after_passes = self.checkpoints is not None and self.checkpoints.every is None
            if after_passes or self._is_over(epochs, history):
                self._save()
        if not all(fetched([p.detach().isfinite().all() for p in self.model.parameters()])):
            history.status = "nan"
        return history

    def _is_over(self, epochs: int, history: History) -> bool:
        """Whether no pass is to follow."""
        return self.epoch > epochs or history.stopped_at is not None or not self._can_pay()

    def _batches(self) -> Iterator[Pair]:
        """Those of this pass that are left, as far as the budget goes."""
        resumes = hasattr(self.train, "load_state_dict")
        for batch in itertools.islice(self.train, 0 if resumes else len(self.found), None):
            if not self._can_pay():
                return
            yield batch

    def _can_pay(self) -> bool:
        """Whether an update as dear as the dearest so far is within the budget."""
        return can_pay(self.spent, self.budget)

    def _update(self, first: Pair, again: Callable[[], Pair]) -> None:
        optimizer, watched, spent = self.optimizer, self.watched, self.spent
        spent.append(0)
        passes = itertools.chain([first], iter(again, None))
        gradients: dict[str, float] = {}

        def closure() -> Any:
            total, prediction = next(passes)
            spent[-1] += 1
            optimizer.zero_grad()
            total = total if self.penalty is None else total + self.penalty()
            total.backward()
            if spent[-1] == 1:
                gradients.update({name: _norm_of(p.grad) for name, p in watched.items()})
            return (total, prediction) if self.wants_prediction else total

        self.recording.meta["outputs"] = list(getattr(first[1], "shape", ())[1:])
        self.rates.append(float(optimizer.param_groups[0]["lr"]))
        before = {name: p._data.copy() for name, p in watched.items()}
        count = optimizer.step_count
        optimizer.step(closure)
        self.recording.add_all(_norms(watched, before, gradients))
        moved = optimizer.step_count > count  # a wrapper may wait, or leave a step out
        if self.scheduler is not None and self.heard is None and moved:
            self.scheduler.step()

    def _write_rows(self) -> None:
        """The updates of this pass, into the record."""
        done = len(self.recording)
        taken = itertools.accumulate(self.spent)
        values = self.found.values()
        rows = zip(values, self.rates[done:], itertools.islice(taken, done, None), strict=True)
        for step, (value, rate, total) in enumerate(rows, start=done):
            self.recording.add(step=step, loss=value, lr=rate, evaluations=total)

    def _end_pass(self, measure: Callable[[], dict[str, float]] | None) -> None:
        found = self.found.means()
        self._write_rows()
        done = len(self.recording)
        self.recording.note(done, **{f"train_{name}": value for name, value in found.items()})
        _switch(self.optimizer, "eval")
        if measure is not None:
            found = measure()
            self.recording.note(done, **{f"test_{name}": value for name, value in found.items()})
        if self.snapshots:
            self.recording.snapshots.append((done, _all_weights(self.model)))

    # ---- saving ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, beside model, optimizer, scheduler and loader."""
        return {
            "told": self.told,
            "recording": self.recording.state_dict(),
            "epoch": self.epoch,
            "pass": self.found.state_dict(),
            "rates": np.array(self.rates),
            "spent": np.array(self.spent, np.int64),
            "seconds": self.seconds,
            "outputs": self.recording.meta.get("outputs"),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; ValueError for a run that was told something else."""
        differ = [
            f"{name} was {state['told'][name]!r} and is {here!r}"
            for name, here in self.told.items()
            if state["told"][name] != here
        ]
        if differ:
            raise ValueError(
                f"fit: this run was begun in another way: {'; '.join(differ)}. Give what was given "
                "then, or another folder."
            )
        begun = state["epoch"] - (not state["pass"]["sizes"])
        if begun > (epochs := self.recording.meta["epochs"]):
            raise ValueError(
                f"fit: epochs is {epochs}, and this run has begun pass {begun}. Give that many, or "
                "more."
            )
        self.recording.load_state_dict(state["recording"])
        self.recording.meta["outputs"] = state["outputs"]
        self.found.load_state_dict(state["pass"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.rates, self.spent = state["rates"].tolist(), state["spent"].tolist()

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        if self.checkpoints is not None:
            self.checkpoints.load(**self._parts())

    def _save(self) -> None:
        if self.checkpoints is not None:
            self.checkpoints.save(len(self.spent), **self._parts())

    def _parts(self) -> dict[str, Any]:
        """All that a checkpoint holds."""
        known = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        known |= {"loader": self.train, "test": self.test, "run": self}
        return {name: part for name, part in known.items() if hasattr(part, "load_state_dict")}


def can_pay(spent: list[int], evaluations: int | None) -> bool:
    """Whether an update as dear as the dearest so far is within the budget."""
    return evaluations is None or sum(spent) + max(spent, default=1) <= evaluations


# ---- what it measures -------------------------------------------------------------------------


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


def _all_weights(model: Any) -> Any:
    """All parameters in a row, on the host."""
    rows = [p.device.to_host(p._data).reshape(-1) for p in model.parameters()]
    return np.concatenate(rows).astype(np.float64)


def unwrapped(optimizer: OptimizerLike) -> OptimizerLike:
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
