"""ReduceLROnPlateau: the scheduler that listens to a metric instead of counting steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, SupportsFloat

from ...live import live
from ..schedules.demands import demand, finite, one_of
from .driver import LRScheduler
from .hyperparameter import HasGroups, checked, number, numbers_each


class ReduceLROnPlateau(LRScheduler):
    """Lower lr when a metric has stopped getting better for more than `patience` steps.

        better:  metric < best − margin  (mode "min"),  metric > best + margin  ("max")
        margin = threshold |best|  ("rel")  or  threshold  ("abs")
        after more than patience steps that are not better:  lr ← max(factor lr, min_lr)

    A change of at most `eps` is not made. For `cooldown` steps after a change nothing counts as
    bad. NaN is never better, so lr falls, with a warning. PyTorch's margin turns negative with
    best, so that something worse replaces it; here it never does. ValueError if factor is outside
    [0, 1), for an unknown mode, or for a list `min_lr` that is not as long as the groups.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        demand(0 <= factor < 1, f"ReduceLROnPlateau: factor must be in [0, 1), got {factor}")
        one_of("ReduceLROnPlateau: mode", mode, ("min", "max"))
        one_of("ReduceLROnPlateau: threshold_mode", threshold_mode, ("rel", "abs"))
        for name, value in [("patience", patience), ("cooldown", cooldown), ("eps", eps)]:
            finite(f"ReduceLROnPlateau: {name}", value, 0)
        finite("ReduceLROnPlateau: threshold", threshold)
        self.optimizer = checked("ReduceLROnPlateau", optimizer)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = numbers_each(optimizer, min_lr, "ReduceLROnPlateau: min_lr")
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.eps = eps
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._start(0)

    def _start(self, t: float) -> None:
        self.last_epoch = t
        self.best = self.mode_worse
        self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = self._read()

    def _listens(self) -> bool:
        return True

    def _advance(self, metric: Any) -> None:
        self.step(metric)

    @live
    def step(self, metrics: SupportsFloat, epoch: float | None = None) -> None:
        """Judge the metric of this step, a number or a one-element array, and lower lr if due.

        A metric on a GPU is waited for: step once an epoch, not after every batch.
        """
        try:
            metric = number(metrics)
        except (TypeError, ValueError):
            raise TypeError(
                f"ReduceLROnPlateau.step: the metric has to be one number, got {metrics!r}"
            ) from None
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if math.isnan(metric):
            warnings.warn(
                f"ReduceLROnPlateau: the metric of step {self.last_epoch} is NaN, which counts as "
                f"not better; has the run diverged?",
                UserWarning,
                stacklevel=2,
            )
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = self._read()
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            rates = [self._reduced(i, lr) for i, lr in enumerate(rates)]
        self._write(rates)

    def _is_better(self, metric: float) -> bool:
        up = 1 if self.mode == "max" else -1
        if math.isinf(self.best):
            limit = self.best
        elif self.threshold_mode == "rel":
            limit = self.best * (1 + up * math.copysign(self.threshold, self.best))
        else:
            limit = self.best + up * self.threshold
        return up * metric > up * limit

    def _reduced(self, group: int, lr: float) -> float:
        lowest = self.min_lrs[min(group, len(self.min_lrs) - 1)]  # later groups: the last one's
        lower = max(lr * self.factor, lowest)
        return lower if lr - lower > self.eps else lr
