"""The driver of all learning rate schedulers: it reads and writes lr, counts steps and saves.

A class of `lr_scheduler` says only how its f(t) looks.

Order: what every scheduler shares · the driver of closed forms · helpers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

Factor = Callable[[float], float]
T = TypeVar("T")


class HasGroups(Protocol):
    """What a scheduler needs of an optimizer: its groups, and how often it has stepped."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, each with its "lr"."""

    @property
    def step_count(self) -> int:
        """The number of calls of `step()` so far."""


class LRScheduler:
    """The base of all schedulers: it reads and writes the groups' lr, and saves itself.

    A one-element array in `group["lr"]` is filled in place, a number is replaced.
    """

    optimizer: HasGroups
    last_epoch: float
    _last_lr: list[float]

    def get_last_lr(self) -> list[float]:
        """The learning rates that were written last, one per group, as copies."""
        return list(self._last_lr)

    def _read(self) -> list[float]:
        return [number(group["lr"]) for group in self.optimizer.param_groups]

    def _write(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=False):
            if hasattr(group["lr"], "__setitem__"):
                group["lr"][...] = lr
            else:
                group["lr"] = lr
        self._last_lr = self._read()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, as plain values under PyTorch's names.

        `_group_lr`, the rates as they are now, is ours: they may have been edited or moved by a
        second scheduler, and `load_state_dict` writes them back.
        """
        saved = {name: plain(value) for name, value in vars(self).items() if name != "optimizer"}
        return saved | {"_group_lr": self._read()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from ours or PyTorch's `state_dict`; unknown keys are ignored.

        lr is written back into the groups, so it does not matter whether the optimizer is loaded
        before or after. ValueError if the state has more groups than the optimizer.
        """
        rates = state_dict.get("_group_lr", state_dict.get("_last_lr", self._read()))
        if len(rates) > len(self.optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__}: the state to load belongs to {len(rates)} parameter "
                f"groups, this optimizer has {len(self.optimizer.param_groups)}; build the same "
                f"groups before loading."
            )
        self._write([float(lr) for lr in rates])
        for name in vars(self).keys() & state_dict.keys() - {"optimizer"}:
            setattr(self, name, plain(state_dict[name]))


class ClosedForm(LRScheduler):
    """The driver: in every group lr = η + (γ − η) f(t), with t = `last_epoch`.

    γ is the group's base, η its floor (0 for most classes). Construction stores `initial_lr`, sets
    t = last_epoch + 1 and writes the lr for t; `step` moves to t + 1, or to `epoch`. Nothing is
    accumulated: `last_epoch=k-1` after k steps gives exactly the lr of step k.

    Where `follows_edits`, an lr that was changed from outside, by hand or by a second scheduler, is
    continued from: the base becomes the one that gives this lr at t. Otherwise it is overwritten.
    KeyError if last_epoch ≥ 0 and a group has no `initial_lr`.
    """

    follows_edits = True

    def __init__(self, optimizer: HasGroups, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}(last_epoch={last_epoch}) resumes from 'initial_lr', "
                    f"which param_groups[{i}] does not have; load the optimizer's state first, or "
                    f"leave last_epoch at -1 for a new run"
                )
        self.last_epoch = last_epoch + 1
        self._step_count = 1
        self._is_initial = self._get_lr_called_within_step = False  # always, in PyTorch's files
        self.base_lrs: list[float] = []
        self._bases: list[float] = []
        self._join(resumed=last_epoch >= 0)
        self._move()

    def schedule(self, group: int) -> Factor:
        """The f(t) of one group."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its f(t) is")

    def floor(self, group: int) -> float:
        """The η of one group: where lr goes when f(t) is 0."""
        return 0.0

    def step(self, epoch: float | None = None) -> None:
        """Move to the next t, or to `epoch`, and write lr into every group.

        Warns once if the optimizer has not stepped yet: the first lr would never be used.
        """
        if self._step_count == 1 and self.optimizer.step_count == 0:
            warnings.warn(
                f"{type(self).__name__}.step() was called before the first optimizer.step(), so "
                f"the first learning rate is skipped; call optimizer.step() first.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._join()
        if self.follows_edits:
            self._follow()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._move()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As in `LRScheduler`; PyTorch's files keep no bases, their `_last_lr` tells them."""
        super().load_state_dict(state_dict)
        if "_bases" not in state_dict:
            self._bases = list(self.base_lrs)
        self._join()
        if self.follows_edits:
            self._follow()

    def _join(self, resumed: bool = False) -> None:
        """Take in the groups that are new: all at construction, later those that were added."""
        from_found = self.follows_edits and not resumed
        groups = zip(self.optimizer.param_groups, self._read(), strict=True)
        for group, lr in list(groups)[len(self._bases) :]:
            self.base_lrs.append(number(group.setdefault("initial_lr", lr)))
            self._bases.append(lr if from_found else self.base_lrs[-1])

    def _follow(self) -> None:
        """Where lr is not what this scheduler would write at t, take the base that gives it."""
        for i, (lr, expected) in enumerate(zip(self._read(), self._values(), strict=True)):
            f, floor = self.schedule(i)(self.last_epoch), self.floor(i)
            if f and not math.isclose(lr, expected, rel_tol=1e-6):
                self._bases[i] = floor + (lr - floor) / f

    def _values(self) -> list[float]:
        return [self._value(i, base) for i, base in enumerate(self._bases)]

    def _value(self, group: int, base: float) -> float:
        floor = self.floor(group)
        return float(floor + (base - floor) * self.schedule(group)(self.last_epoch))

    def _move(self) -> None:
        self._write(self._values())


def plain(value: Any) -> Any:
    """A copy that shares nothing and needs no class to be read: lists, dicts, numbers, text."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value


def number(value: Any) -> float:
    """A Python float from a number or a one-element array."""
    return float(value.item() if hasattr(value, "item") else value)


def one_each(optimizer: HasGroups, value: T | Sequence[T], name: str) -> list[T]:
    """One value per group: the same for all, or as listed. ValueError if the list is too short."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [cast(T, value)] * groups
    demand(
        len(value) == groups,
        f"{name}: {len(value)} given for {groups} parameter groups; give one each, or one for all",
    )
    return list(value)


def demand(condition: bool, otherwise: str) -> None:
    """ValueError with this sentence unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)
