"""Schedulers that multiply lr by a factor of t: stairs, lines and curves, each its schedule.

Their settings are finite numbers ≥ 0; others are a ValueError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ..schedules import constant, exponential, linear, milestones, polynomial, step
from ..schedules.demands import demand, finite
from ..schedules.schedule import Schedule
from .driver import ClosedForm, Factor
from .hyperparameter import HasGroups


@lru_cache(256, typed=True)
def same(family: Callable[..., Schedule], *settings: Any) -> Schedule:
    """The schedule with these settings, made once: they are asked for at every step."""
    return family(*settings)


class StepLR(ClosedForm):
    """Stairs of equal width: every `step_size` steps lr is multiplied by gamma.

        lr = γ gamma^⌊t/step_size⌋

    ValueError if step_size < 1.
    """

    def __init__(
        self, optimizer: HasGroups, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        finite("StepLR: step_size", step_size, 1)
        finite("StepLR: gamma", gamma, 0)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gamma^⌊t/step_size⌋."""
        return same(step, self.step_size, self.gamma)


class MultiStepLR(ClosedForm):
    """Stairs at chosen steps: at each milestone, in any order, lr is multiplied by gamma.

        lr = γ gamma^(number of milestones ≤ t)

    A milestone given twice counts twice.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        milestones: Sequence[float],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = dict(Counter(milestones))
        for one in self.milestones:
            finite("MultiStepLR: a milestone", one)
        finite("MultiStepLR: gamma", gamma, 0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gamma^(number of milestones ≤ t)."""
        return same(_stairs, tuple(self.milestones.items()), self.gamma)


def _stairs(counts: tuple[tuple[float, int], ...], gamma: float) -> Schedule:
    return milestones([one for one, n in counts for _ in range(n)], gamma)


class ConstantLR(ClosedForm):
    """A lower rate for the first `total_iters` steps.

        lr = γ factor  for t < total_iters, then γ

    ValueError if factor is outside [0, 1].
    """

    def __init__(
        self,
        optimizer: HasGroups,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        demand(0 <= factor <= 1, f"ConstantLR: factor {factor} is outside [0, 1]")
        finite("ConstantLR: total_iters", total_iters, 0)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """A level, then 1."""
        return same(_level_then_one, self.factor, self.total_iters)


def _level_then_one(factor: float, total_iters: int) -> Schedule:
    return constant(factor, total_iters) >> constant(1.0)


class LinearLR(ClosedForm):
    """A straight line between two factors, most often a warmup.

        lr = γ (start_factor + (end_factor − start_factor) t/total_iters), then γ end_factor

    ValueError if start_factor is outside (0, 1] or end_factor outside [0, 1].
    """

    def __init__(
        self,
        optimizer: HasGroups,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        demand(0 < start_factor <= 1, f"LinearLR: start_factor {start_factor} is outside (0, 1]")
        demand(0 <= end_factor <= 1, f"LinearLR: end_factor {end_factor} is outside [0, 1]")
        finite("LinearLR: total_iters", total_iters, 0)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """A line from start_factor to end_factor."""
        return same(linear, self.total_iters, self.start_factor, self.end_factor)


class ExponentialLR(ClosedForm):
    """The same fraction lost at every step.

    lr = γ gammaᵗ
    """

    def __init__(self, optimizer: HasGroups, gamma: float, last_epoch: int = -1) -> None:
        finite("ExponentialLR: gamma", gamma, 0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gammaᵗ."""
        return same(exponential, self.gamma)


class PolynomialLR(ClosedForm):
    """A line to zero, bent by a power.

    lr = γ (1 − t/total_iters)^power, then 0

    """

    def __init__(
        self, optimizer: HasGroups, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        finite("PolynomialLR: total_iters", total_iters, 0)
        finite("PolynomialLR: power", power, 0)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """(1 − t/total_iters)^power."""
        return same(polynomial, self.total_iters, self.power)
