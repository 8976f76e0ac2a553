"""The driver of all schedulers: it reads and writes lr, counts steps and saves.

A class of `lr_scheduler` says only how its f(t) looks.

Order: what every scheduler shares · the driver of closed forms.
"""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...live import live
from ..schedules.demands import demand, whole
from .hyperparameter import HasGroups, Key, checked, initial, number, read, write

Factor = Callable[[float], float]


class LRScheduler:
    """The base of all schedulers: it reads and writes one value of every group, and saves itself.

    The value is `group["lr"]` unless `key` says otherwise.
    """

    key: Key = "lr"
    optimizer: HasGroups
    last_epoch: float
    _last_lr: list[float]
    _step_count: int
    unsaved: tuple[str, ...] = ("optimizer", "key")

    def get_last_lr(self) -> list[float]:
        """The values that were written last, one per group, as copies."""
        return list(self._last_lr)

    def _read(self) -> list[float]:
        return [read(group, self.key) for group in self.optimizer.param_groups]

    def _write(self, values: Sequence[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values):
            write(group, self.key, value)
        self._last_lr = self._read()

    def _warn_if_early(self) -> None:
        if self._step_count == 1 and self.optimizer.step_count == 0:
            warnings.warn(
                f"{type(self).__name__}.step() was called before the first optimizer.step(), so "
                f"the first learning rate is skipped; call optimizer.step() first.",
                UserWarning,
                stacklevel=3,
            )

    # ---- what containers ask of their children ------------------------------------------------

    def _rewind(self) -> None:
        """Write the initial values, from which `_start` begins."""
        rates = zip(self.optimizer.param_groups, self._read())
        self._write([number(group.setdefault(initial(self.key), lr)) for group, lr in rates])

    def _start(self, t: float) -> None:
        """Begin at t, as at construction, from the values that the groups have now."""
        raise NotImplementedError(f"{type(self).__name__} cannot be started again")

    def _advance(self, metric: Any) -> None:
        """One step; the metric is for those who listen to one."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it steps")

    def _listens(self) -> bool:
        """Whether the next step needs a metric."""
        return False

    # ---- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, as plain values under PyTorch's names.

        `_group_lr`, the rates as they are now, is ours: they may have been edited or moved by a
        second scheduler, and `load_state_dict` writes them back.
        """
        own = {name: plain(value) for name, value in vars(self).items() if name not in self.unsaved}
        return own | {"_group_lr": self._read()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from ours or PyTorch's `state_dict`; unknown keys are ignored.

        lr is written back into the groups, so it does not matter whether the optimizer is loaded
        before or after. ValueError, and nothing is changed, if the state is no scheduler's, has
        the options of another class, or more groups than the optimizer.
        """
        self._check(state_dict)
        self._load(state_dict)
        self._settle()

    def _check(self, state: Mapping[str, Any]) -> None:
        name, groups = type(self).__name__, len(self.optimizer.param_groups)
        demand(
            isinstance(state, Mapping) and ("last_epoch" in state or "_schedulers" in state),
            f"{name}: this is no state of a scheduler, it says nothing about last_epoch; load what "
            f"scheduler.state_dict() returned",
        )
        saved = len(self._saved_rates(state))
        demand(
            saved <= groups,
            f"{name}: the state to load belongs to {saved} parameter groups, this optimizer has "
            f"{groups}; build the same groups before loading.",
        )
        known = _built_with(LRScheduler) | {"_schedulers"}
        foreign = sorted(known & state.keys() - vars(self).keys())
        missing = sorted(_built_with(type(self)) & vars(self).keys() - {*state, *self.unsaved})
        demand(
            not foreign and not missing,
            f"{name}: this is the state of another scheduler, it "
            f"{'has ' + ', '.join(foreign) if foreign else 'lacks ' + ', '.join(missing)}; build "
            f"the scheduler that was saved, then load.",
        )

    def _saved_rates(self, state: Mapping[str, Any]) -> list[float]:
        rates = state.get("_group_lr", state.get("_last_lr", self._read()))
        return [number(lr) for lr in rates]

    def _load(self, state: Mapping[str, Any]) -> None:
        for name in vars(self).keys() & state.keys() - set(self.unsaved):
            setattr(self, name, plain(state[name]))
        self._write(self._saved_rates(state))

    def _settle(self) -> None:
        """Write what else belongs to the loaded t, if this scheduler is at work."""


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

    def __init__(
        self, optimizer: HasGroups, last_epoch: int = -1, bases: Sequence[float] | None = None
    ) -> None:
        name, origin = type(self).__name__, initial(self.key)
        self.optimizer = checked(name, optimizer)
        resumed = whole(f"{name}: last_epoch", last_epoch, -1) >= 0
        for i, group in enumerate(optimizer.param_groups):
            if resumed and origin not in group:
                raise KeyError(
                    f"{name}(last_epoch={last_epoch}) resumes from {origin!r}, "
                    f"which param_groups[{i}] does not have; load the optimizer's state first, or "
                    f"leave last_epoch at -1 for a new run"
                )
        self._prepare(resumed)
        found = self._read()
        rates = zip(optimizer.param_groups, found)
        known = [number(group.get(origin, lr)) for group, lr in rates]
        self.base_lrs = known if bases is None else list(bases)
        self._is_initial = self._get_lr_called_within_step = False  # always, in PyTorch's files
        self._begin(found if self.follows_edits and not resumed else self.base_lrs, last_epoch + 1)
        for group, base in zip(optimizer.param_groups, self.base_lrs):
            group.setdefault(origin, base)

    def _prepare(self, resumed: bool) -> None:
        """Write into the groups what the class needs there beside lr, before the first lr."""

    def schedule(self, group: int) -> Factor:
        """The f(t) of one group."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its f(t) is")

    def floor(self, group: int) -> float:
        """The η of one group: where lr goes when f(t) is 0."""
        return 0.0

    def value(self, group: int, base: float, t: float) -> float:
        """The lr of one group at t."""
        floor = self.floor(group)
        return float(floor + (base - floor) * self.schedule(group)(t))

    @live
    def step(self, epoch: float | None = None) -> None:
        """Move to the next t, or to `epoch`, and write lr into every group.

        Warns once if the optimizer has not stepped yet: the first lr would never be used.
        """
        self._warn_if_early()
        self._move(self.last_epoch + 1 if epoch is None else epoch)

    def _advance(self, metric: Any) -> None:
        self._move(self.last_epoch + 1)

    def _move(self, t: float) -> None:
        self._join()
        if self.follows_edits:
            self._follow()
        self._place(t)
        self._step_count += 1

    def _start(self, t: float) -> None:
        self._join()
        self._begin(self._read() if self.follows_edits else self.base_lrs, t)

    def _begin(self, bases: Sequence[float], t: float) -> None:
        self._bases = list(bases)
        self._step_count = int(t) + 1
        self._place(t)

    def _place(self, t: float) -> None:
        values = [self.value(i, base, t) for i, base in enumerate(self._bases)]
        self.last_epoch = t
        self._write(values)

    def _load(self, state: Mapping[str, Any]) -> None:
        super()._load(state)
        self.base_lrs = [number(lr) for lr in self.base_lrs]
        if "_bases" not in state:  # PyTorch's files keep none, their lr tells them
            self._bases = list(self.base_lrs)
        self._join()
        if self.follows_edits:
            self._follow()

    def _join(self) -> None:
        """Take in the groups that were added since."""
        for group in self.optimizer.param_groups[len(self._bases) :]:
            lr = read(group, self.key)
            self.base_lrs.append(number(group.setdefault(initial(self.key), lr)))
            self._bases.append(lr if self.follows_edits else self.base_lrs[-1])

    def _follow(self) -> None:
        """Where lr is not what this scheduler would write at t, take the base that gives it."""
        for i, (lr, base) in enumerate(zip(self._read(), self._bases)):
            expected = self.value(i, base, self.last_epoch)
            if lr != expected and not math.isclose(lr, expected, rel_tol=1e-6):
                f, floor = self.schedule(i)(self.last_epoch), self.floor(i)
                self._bases[i] = floor + (lr - floor) / f if f else base


def _built_with(kind: type) -> set[str]:
    """The names of what is passed to this class, and to those derived from it."""
    own = set(inspect.signature(kind).parameters) - {"optimizer"}
    return own.union(*map(_built_with, kind.__subclasses__()))


def plain(value: Any) -> Any:
    """A copy that shares nothing and needs no class to be read: lists, dicts, numbers, text."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return copy.copy(value)
