"""Schedulers of any function of t: LambdaLR, MultiplicativeLR, ScheduleLR, any hyperparameter.

Order: how functions are saved · functions of lr · schedules, of lr and of anything else.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

from ..schedules.schedule import Schedule
from .driver import ClosedForm, Factor, plain
from .hyperparameter import HasGroups, Key, checked, one_each, read

# ---- how functions are saved ------------------------------------------------------------------


def settings_of(function: Any) -> dict[str, Any] | None:
    """What a checkpoint keeps of a callable object, its attributes; None of a function."""
    is_function = isinstance(function, FunctionType | Schedule)  # a Schedule, too, holds some
    return None if is_function or not hasattr(function, "__dict__") else plain(vars(function))


def name_of(function: Any) -> str:
    """What a checkpoint says about a function, to compare with when it is loaded."""
    if function is None or isinstance(function, Schedule):
        return str(function)
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def warn_if_others(owner: str, saved: Sequence[str], names: Sequence[str]) -> None:
    """Warn where a state comes from a scheduler with other functions."""
    if list(saved) != list(names):
        warnings.warn(
            f"{owner}: the state to load was saved with {', '.join(saved)}, this "
            f"scheduler was built with {', '.join(names)} and keeps it.",
            UserWarning,
            stacklevel=4,
        )


# ---- functions of lr --------------------------------------------------------------------------


class LambdaLR(ClosedForm):
    """Any function of t, one for all groups or a list with one per group.

        lr = initial_lr λ(t)

    Always computed from `initial_lr`, so an edited lr is overwritten. A checkpoint holds the
    `__dict__` of a callable object, but of a function only its name; loading warns if names differ.
    ValueError if the list is not as long as the groups, TypeError for what cannot be called.
    """

    follows_edits = False
    unsaved = (*ClosedForm.unsaved, "lr_lambdas")

    def __init__(
        self, optimizer: HasGroups, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        owner = type(self).__name__
        self.lr_lambdas = one_each(optimizer, lr_lambda, owner)
        for one in self.lr_lambdas:
            if not callable(one):
                raise TypeError(f"{owner}: lr_lambda is a function of t, got {one!r}")
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """λ; groups that are added later take the last one."""
        return self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)]

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`; functions are represented by their names."""
        return super().state_dict() | {
            "lr_lambdas": [settings_of(one) for one in self.lr_lambdas],
            "_lr_lambda_names": self._names(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        names = self._names()
        warn_if_others(type(self).__name__, state.get("_lr_lambda_names", names), names)
        for function, settings in zip(self.lr_lambdas, state.get("lr_lambdas", [])):
            if settings:
                vars(function).update(plain(settings))
        super()._load(state)

    def _names(self) -> list[str]:
        return [name_of(one) for one in self.lr_lambdas]


class MultiplicativeLR(LambdaLR):
    """A factor for every step, computed when it is due.

        lr = γ λ(1) λ(2) … λ(t)

    λ(0) is never asked for. Errors and checkpoints as in `LambdaLR`; unlike there, an edited lr is
    continued from.
    """

    follows_edits = True
    unsaved = (*LambdaLR.unsaved, "_products")

    def __init__(
        self, optimizer: HasGroups, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        self._products: dict[int, tuple[int, float]] = {}
        super().__init__(optimizer, lr_lambda, last_epoch)

    def schedule(self, group: int) -> Factor:
        """∏ λ(i) over i = 1 … t, multiplied on from where it was asked for last."""
        factor = super().schedule(group)

        def product(t: float) -> float:
            done, value = self._products.get(group, (0, 1.0))
            if t < done:
                done, value = 0, 1.0
            for i in range(done + 1, int(t) + 1):
                value *= factor(i)
            self._products[group] = max(done, int(t)), value
            return value

        return product

    def _load(self, state: Mapping[str, Any]) -> None:
        self._products.clear()
        super()._load(state)


# ---- schedules, of lr and of anything else ----------------------------------------------------


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
                    f"{type(self).__name__} drives a Schedule such as cosine(900), got {one!r}; "
                    f"wrap a function of t as Schedule(function), and read text with parse(text)"
                )
        super().__init__(optimizer, schedule, last_epoch)


class HyperparameterScheduler(ScheduleLR):
    """Any number in the groups, by its key: "momentum", "weight_decay", "eps", or ("betas", 0).

        value = base f(t)

    The base is kept in the groups as `initial_<key>`; "lr" is a key like the others. ValueError if
    a group has no such number.

        HyperparameterScheduler(optimizer, "momentum", linear(500, 0.5, 1.0))
    """

    def __init__(
        self,
        optimizer: HasGroups,
        key: Key,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
    ) -> None:
        self.key = key if isinstance(key, str) else (key[0], key[1])
        groups = checked("HyperparameterScheduler", optimizer).param_groups
        if not any([_base(group, i, self.key) for i, group in enumerate(groups)]):
            warnings.warn(
                f"HyperparameterScheduler: {key!r} is 0 in every group and stays 0, as every "
                f"schedule multiplies it; give the optimizer the value to be scheduled.",
                UserWarning,
                stacklevel=2,
            )
        super().__init__(optimizer, schedule, last_epoch)

    def get_last_value(self) -> list[float]:
        """The values that were written last, one per group; the same as `get_last_lr`."""
        return self.get_last_lr()


def _base(group: Mapping[str, Any], i: int, key: Key) -> float:
    numbers = [name for name, value in group.items() if isinstance(value, float)]
    try:
        if isinstance(group[key if isinstance(key, str) else key[0]], bool):
            raise TypeError
        return read(group, key)
    except (IndexError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"HyperparameterScheduler: param_groups[{i}] has no number {key!r} to move; among its "
            f"numbers are {', '.join(numbers)}"
        ) from None
