"""Learning rate schedulers under PyTorch's names, each a thin driver around its closed form.

A scheduler is built after its optimizer and steps after it: optimizer.step(), scheduler.step().

Order: stairs · lines and curves · any function of t. ReduceLROnPlateau, which listens to a metric,
has its own file.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

from .lr_driver import ClosedForm, Factor, HasGroups, LRScheduler, demand, one_each, plain
from .plateau import ReduceLROnPlateau
from .schedules import Schedule, constant, every, exponential, linear, milestones, polynomial

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "ScheduleLR",
    "StepLR",
]


class StepLR(ClosedForm):
    """Stairs of equal width: every `step_size` steps lr is multiplied by gamma.

        lr = γ gamma^⌊t/step_size⌋

    ValueError if step_size < 1.
    """

    def __init__(
        self, optimizer: HasGroups, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        demand(step_size >= 1, f"StepLR: step_size must be ≥ 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gamma^⌊t/step_size⌋."""
        return every(self.step_size, self.gamma)


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
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gamma^(number of milestones ≤ t)."""
        return milestones(list(Counter(self.milestones).elements()), self.gamma)


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
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """A level, then 1."""
        return constant(self.factor, self.total_iters) >> constant(1.0)


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
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """A line from start_factor to end_factor."""
        return linear(self.total_iters, self.start_factor, self.end_factor)


class ExponentialLR(ClosedForm):
    """The same fraction lost at every step.

    lr = γ gammaᵗ
    """

    def __init__(self, optimizer: HasGroups, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """gammaᵗ."""
        return exponential(self.gamma)


class PolynomialLR(ClosedForm):
    """A line to zero, bent by a power.

        lr = γ (1 − t/total_iters)^power, then 0

    ValueError if power or total_iters is negative.
    """

    def __init__(
        self, optimizer: HasGroups, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """(1 − t/total_iters)^power."""
        return polynomial(self.total_iters, self.power)


class CosineAnnealingLR(ClosedForm):
    """Half a cosine wave from γ down to eta_min (Loshchilov & Hutter 2016, arXiv:1608.03983).

        lr = eta_min + (γ − eta_min)(1 + cos(π t/T_max))/2

    As in PyTorch it rises again after T_max, with period 2 T_max; the schedule `cosine` holds its
    end. ValueError if T_max < 1.
    """

    def __init__(
        self, optimizer: HasGroups, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        demand(T_max >= 1, f"CosineAnnealingLR: T_max must be ≥ 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """(1 + cos(π t/T_max))/2, for every t."""
        return lambda t: (1 + math.cos(math.pi * t / self.T_max)) / 2

    def floor(self, group: int) -> float:
        """eta_min."""
        return self.eta_min


class LambdaLR(ClosedForm):
    """Any function of t, one for all groups or a list with one per group.

        lr = initial_lr λ(t)

    Always computed from `initial_lr`, so an edited lr is overwritten. A checkpoint holds the
    `__dict__` of a callable object, but of a function only its name; loading warns if names differ.
    ValueError if the list is not as long as the groups.
    """

    follows_edits = False

    def __init__(
        self, optimizer: HasGroups, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = one_each(optimizer, lr_lambda, type(self).__name__)
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """λ; groups that are added later take the last one."""
        return self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)]

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`; functions are represented by their names."""
        objects = [None if _is_function(f) else plain(vars(f)) for f in self.lr_lambdas]
        return super().state_dict() | {"lr_lambdas": objects, "_lr_lambda_names": self._names()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As in `LRScheduler`; the functions stay those of the constructor."""
        names = state_dict.get("_lr_lambda_names", self._names())
        if names != self._names():
            warnings.warn(
                f"{type(self).__name__}: the state to load was saved with {', '.join(names)}, this "
                f"scheduler was built with {', '.join(self._names())} and keeps it.",
                UserWarning,
                stacklevel=2,
            )
        objects = state_dict.get("lr_lambdas", [])
        for function, attributes in zip(self.lr_lambdas, objects, strict=False):
            if attributes:
                vars(function).update(attributes)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})

    def _names(self) -> list[str]:
        return [
            str(f) if isinstance(f, Schedule) else getattr(f, "__qualname__", type(f).__qualname__)
            for f in self.lr_lambdas
        ]


class ScheduleLR(LambdaLR):
    """Any `Schedule`, such as warmup(100) >> cosine(900), or a list with one per group.

        lr = γ f(t)

    Unlike LambdaLR it goes on from an edited lr, and multiplies with a second scheduler.
    TypeError for what is not a Schedule.
    """

    follows_edits = True

    def __init__(
        self, optimizer: HasGroups, schedule: Schedule | Sequence[Schedule], last_epoch: int = -1
    ) -> None:
        for one in schedule if isinstance(schedule, list | tuple) else [schedule]:
            if not isinstance(one, Schedule):
                raise TypeError(
                    f"ScheduleLR drives a Schedule such as cosine(900), got {one!r}; wrap a "
                    f"function of t as Schedule(function), and read text with parse(text)"
                )
        super().__init__(optimizer, schedule, last_epoch)


def _is_function(value: Any) -> bool:
    """Whether a checkpoint can only name it: a Schedule is a function, too, and holds some."""
    return isinstance(value, FunctionType | Schedule) or not hasattr(value, "__dict__")
