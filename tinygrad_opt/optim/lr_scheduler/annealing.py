"""Schedulers that lead lr to a value of its own: cosines down to eta_min, SWALR to swa_lr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...live import live
from ..schedules.demands import finite, one_of, whole
from ..schedules.families import half_cosine
from ..schedules.schedule import cycle_at
from .driver import ClosedForm, Factor
from .hyperparameter import HasGroups, numbers_each


class CosineAnnealingLR(ClosedForm):
    """Half a cosine wave from γ down to eta_min (Loshchilov & Hutter 2016, arXiv:1608.03983).

        lr = eta_min + (γ − eta_min)(1 + cos(π t/T_max))/2

    As in PyTorch it rises again after T_max, with period 2 T_max; the schedule `cosine` holds its
    end. ValueError if T_max < 1.
    """

    def __init__(
        self, optimizer: HasGroups, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        finite("CosineAnnealingLR: T_max", T_max, 1)
        finite("CosineAnnealingLR: eta_min", eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """(1 + cos(π t/T_max))/2, for every t."""
        return lambda t: half_cosine(t, self.T_max)

    def floor(self, group: int) -> float:
        """eta_min."""
        return self.eta_min


class CosineAnnealingWarmRestarts(ClosedForm):
    """Half cosine waves one after another, each T_mult times longer than the one before: SGDR.

        lr = eta_min + (γ − eta_min)(1 + cos(π T_cur/T_i))/2

    T_cur counts the steps since the last restart, T_i = T_0 T_multⁿ; `step(epoch)` takes parts of
    an epoch. Always computed from `initial_lr`, so an edited lr is overwritten. ValueError unless
    T_0 and T_mult are whole numbers ≥ 1. Loshchilov & Hutter 2016, arXiv:1608.03983.
    """

    follows_edits = False

    def __init__(
        self,
        optimizer: HasGroups,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = whole("CosineAnnealingWarmRestarts: T_0", T_0, 1)
        self.T_mult = whole("CosineAnnealingWarmRestarts: T_mult", T_mult, 1)
        finite("CosineAnnealingWarmRestarts: eta_min", eta_min)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """(1 + cos(π T_cur/T_i))/2."""
        return lambda t: half_cosine(*self._place_in_cycle(t))

    def floor(self, group: int) -> float:
        """eta_min."""
        return self.eta_min

    @live
    def step(self, epoch: float | None = None) -> None:
        """As in `ClosedForm`; ValueError for an epoch below 0."""
        finite("CosineAnnealingWarmRestarts.step: epoch", epoch or 0, 0)
        super().step(epoch)

    @property
    def T_cur(self) -> float:
        """Steps since the last restart."""
        return self._place_in_cycle(self.last_epoch)[0]

    @property
    def T_i(self) -> float:
        """Steps from the last restart to the next."""
        return self._place_in_cycle(self.last_epoch)[1]

    def _place_in_cycle(self, t: float) -> tuple[float, float]:
        start, size = cycle_at(t, self.T_0, self.T_mult)
        return t - start, size

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`, with T_cur and T_i for PyTorch, which counts with them."""
        return super().state_dict() | {"T_cur": self.T_cur, "T_i": self.T_i}

    def _load(self, state: Mapping[str, Any]) -> None:
        super()._load(state)
        if "T_cur" in state:  # PyTorch keeps parts of an epoch there alone
            self.last_epoch = self.last_epoch // 1 + state["T_cur"] % 1


class SWALR(ClosedForm):
    """From the lr found at its first step to swa_lr, which it holds: for averaging weights.

        lr = swa_lr α + start (1 − α)    α = (1 − cos πu)/2 or u    u = min(1, t/anneal_epochs)

    It is built early and stepped late, after another scheduler (Izmailov et al. 2018,
    arXiv:1803.05407). `swa_lr`, one or one per group, is written into the groups. ValueError for an
    unknown strategy, or unless anneal_epochs is a whole number ≥ 0.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        one_of("SWALR: anneal_strategy", anneal_strategy, ("cos", "linear"))
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = whole("SWALR: anneal_epochs", anneal_epochs, 0)
        self._goals = numbers_each(optimizer, swa_lr, "SWALR: swa_lr")
        super().__init__(optimizer, last_epoch)

    def _prepare(self, resumed: bool) -> None:
        for group, goal in zip(self.optimizer.param_groups, self._goals):
            group["swa_lr"] = goal

    def schedule(self, group: int) -> Factor:
        """1 − α."""
        fall = half_cosine if self._anneal_strategy == "cos" else lambda u: 1.0 - u
        return lambda t: fall(min(1.0, t / self.anneal_epochs) if self.anneal_epochs else 1.0)

    def floor(self, group: int) -> float:
        """swa_lr; groups that are added later take the last one."""
        goal = self._goals[min(group, len(self._goals) - 1)]
        return float(self.optimizer.param_groups[group].setdefault("swa_lr", goal))
