"""Schedulers made of schedulers: SequentialLR one after another, ChainedScheduler all at once.

Any scheduler can be a child, containers and ReduceLROnPlateau too: `step(metric)` hands the metric
down to the child that listens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...live import live
from ..schedules.demands import demand, whole
from .driver import LRScheduler
from .hyperparameter import HasGroups, checked


class Container(LRScheduler):
    """What both do: check their children, hand down the metric, save and load them."""

    unsaved = (*LRScheduler.unsaved, "_schedulers")

    def _adopt(self, optimizer: HasGroups | None, schedulers: Sequence[LRScheduler]) -> None:
        owner = type(self).__name__
        demand(len(schedulers) > 0, f"{owner}: there are no schedulers; give at least one")
        for i, child in enumerate(schedulers):
            if not isinstance(child, LRScheduler):
                raise TypeError(f"{owner}: schedulers[{i}] is no scheduler, got {child!r}")
        self.optimizer = checked(owner, schedulers[0].optimizer if optimizer is None else optimizer)
        for i, child in enumerate(schedulers):
            demand(
                child.optimizer is self.optimizer,
                f"{owner}: schedulers[{i}], {type(child).__name__}, drives another optimizer; "
                f"build all of them on one",
            )
        self._schedulers = list(schedulers)
        self._step_count = 1

    @live
    def step(self, metric: Any = None) -> None:
        """Move to the next t; the metric is for a ReduceLROnPlateau inside.

        TypeError, and nothing is changed, where one listens and there is no metric. Warns once if
        the optimizer has not stepped yet.
        """
        if metric is None and self._listens():
            raise TypeError(
                f"{type(self).__name__}.step: a ReduceLROnPlateau inside needs its metric; write "
                f"scheduler.step(loss)"
            )
        self._warn_if_early()
        self._step_count += 1
        self._advance(metric)

    def _rewind(self) -> None:
        for child in self._schedulers:
            child._rewind()

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`, with the states of the children under `_schedulers`."""
        states = [child.state_dict() for child in self._schedulers]
        return super().state_dict() | {"_schedulers": states}

    def _check(self, state: Mapping[str, Any]) -> None:
        super()._check(state)
        saved, owner = state.get("_schedulers", []), type(self).__name__
        demand(
            len(saved) == len(self._schedulers),
            f"{owner}: the state to load has {len(saved)} schedulers inside, this one has "
            f"{len(self._schedulers)}; build the same before loading.",
        )
        for child, one in zip(self._schedulers, saved):
            child._check(one)

    def _load(self, state: Mapping[str, Any]) -> None:
        for child, one in zip(self._schedulers, state["_schedulers"]):
            child._load(one)
        super()._load(state)  # the last word on lr


class SequentialLR(Container):
    """One scheduler after another: the next begins where t reaches a milestone.

        lr = f_i(t − m_i), i = number of milestones ≤ t

    Every scheduler begins at its own t = 0 and from `initial_lr`, not from the lr that was reached.
    ValueError unless there is one milestone less than schedulers, in ascending order and ≥ 0, and
    all share the optimizer.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._adopt(optimizer, schedulers)
        demand(
            len(milestones) == len(schedulers) - 1,
            f"SequentialLR: {len(schedulers)} schedulers change {len(schedulers) - 1} times, got "
            f"{len(milestones)} milestones",
        )
        self._milestones = [whole("SequentialLR: a milestone", one, 0) for one in milestones]
        demand(
            all(a <= b for a, b in pairwise(self._milestones)),
            f"SequentialLR: milestones must ascend, got {self._milestones}",
        )
        whole("SequentialLR: last_epoch", last_epoch, -1)
        self._start(last_epoch + 1)

    def _active(self, t: float) -> tuple[LRScheduler, float]:
        """The scheduler at work at t, and when it began."""
        i = bisect_right(self._milestones, t)
        return self._schedulers[i], self._milestones[i - 1] if i else 0

    def _listens(self) -> bool:
        child, began = self._active(self.last_epoch + 1)
        return began != self.last_epoch + 1 and child._listens()

    def _start(self, t: float) -> None:
        child, began = self._active(t)
        self._rewind()
        child._start(t - began)
        self._arrive(t)

    def _advance(self, metric: Any) -> None:
        t = self.last_epoch + 1
        child, began = self._active(t)
        if t == began:
            self._start(t)
        else:
            child._advance(metric)
            self._arrive(t)

    def _settle(self) -> None:
        self._active(self.last_epoch)[0]._settle()

    def _arrive(self, t: float) -> None:
        self.last_epoch = t
        self._last_lr = self._read()


class ChainedScheduler(Container):
    """Several schedulers at once: they step one after another.

        lr = γ f₁(t) f₂(t) …

    That is the product of the factors for those that continue from the lr they find; one that
    computes from `initial_lr`, such as LambdaLR, overwrites what those before it did. ValueError
    unless all share the optimizer.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: HasGroups | None = None
    ) -> None:
        self._adopt(optimizer, schedulers)
        self._last_lr = self._read()

    def _listens(self) -> bool:
        return any(child._listens() for child in self._schedulers)

    def _start(self, t: float) -> None:
        for child in self._schedulers:
            child._start(t)
        self._last_lr = self._read()

    def _advance(self, metric: Any) -> None:
        for child in self._schedulers:
            child._advance(metric)
        self._last_lr = self._read()

    def _settle(self) -> None:
        for child in self._schedulers:
            child._settle()
