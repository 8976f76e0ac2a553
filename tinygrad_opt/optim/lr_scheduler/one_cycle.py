"""OneCycleLR: one rise and one long fall of lr for a whole run, and momentum the other way."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ..schedules.demands import demand, finite, one_of, whole
from ..schedules.families import half_cosine, phase_at
from .cyclic import MovesMomentum
from .hyperparameter import HasGroups, numbers_each


class OneCycleLR(MovesMomentum):
    """One cycle for a whole run: up to max_lr, then far down (Smith & Topin 2017, 1708.07120).

        start = max_lr/div_factor    min = start/final_div_factor    T = total_steps
        two phases:    start → max until pct T − 1,  max → min until T − 1
        three phases:  start → max until pct T − 1,  max → start until 2 pct T − 2,  start → min
        momentum:      max → base,                   base → max,                     and stays

    Half cosines lead from one to the next, or with anneal_strategy "linear" lines. max_lr takes
    the place of the lr that the optimizer was given. The min stands at step T − 1, and is held.
    A first phase of no length is left out. ValueError unless total_steps, or both epochs and
    steps_per_epoch, are whole numbers ≥ 1, and pct_start lies in [0, 1], in [0, 1/2] for three
    phases; for an unknown strategy; for groups without momentum and betas.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        one_of("OneCycleLR: anneal_strategy", anneal_strategy, ("cos", "linear"))
        finite("OneCycleLR: div_factor", div_factor, 0, above=True)
        finite("OneCycleLR: final_div_factor", final_div_factor, 0, above=True)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self._divisors = div_factor, final_div_factor
        self._max_lrs = numbers_each(optimizer, max_lr, "OneCycleLR: max_lr")
        self._cycle(optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def value(self, group: int, base: float, t: float) -> float:
        """From the start of its phase towards the end."""
        return self._between("start_lr", "end_lr", group, t)

    def momentum(self, group: int, t: float) -> float:
        """The same the other way round."""
        return self._between("start_momentum", "end_momentum", group, t)

    def _between(self, start: str, end: str, group: int, t: float) -> float:
        """The phases say what their ends are called in the groups."""
        ends = [float(phase["end_step"]) for phase in self._schedule_phases]
        i, q = phase_at(min(t, self.total_steps - 1), ends)
        phase, bounds = self._schedule_phases[i], self.optimizer.param_groups[group]
        first, last = bounds[phase[start]], bounds[phase[end]]
        if self._anneal_func_type == "linear":
            return float((last - first) * q + first)
        return float(last + (first - last) * half_cosine(q))

    def _move(self, t: float) -> None:
        if self.last_epoch <= self.total_steps < t:
            warnings.warn(
                f"OneCycleLR: this is step {t} of a cycle of {self.total_steps}; lr stays at its "
                f"end. Pass the number of steps of the whole run as total_steps.",
                UserWarning,
                stacklevel=3,
            )
        super()._move(t)

    def _prepare(self, resumed: bool) -> None:
        super()._prepare(resumed)
        self._bound_lr(anew=not resumed)

    def _join(self) -> None:
        super()._join()
        added = self.base_lrs[len(self._max_lrs) :]
        self._max_lrs += [lr * self._divisors[0] for lr in added]
        self._bound_lr(anew=False)

    def _bound_lr(self, anew: bool) -> None:
        """The bounds stand in the groups and are used from there, as in PyTorch."""
        for group, high in zip(self.optimizer.param_groups, self._max_lrs):
            start = high / self._divisors[0]
            low = start / self._divisors[1]
            for name, value in [("initial_lr", start), ("max_lr", high), ("min_lr", low)]:
                if anew or name not in group:
                    group[name] = value


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return whole("OneCycleLR: total_steps", total_steps, 1)
    demand(
        epochs is not None and steps_per_epoch is not None,
        "OneCycleLR: how long is the cycle? Give total_steps, or both epochs and steps_per_epoch",
    )
    return whole("OneCycleLR: epochs", epochs, 1) * whole(
        "OneCycleLR: steps_per_epoch", steps_per_epoch, 1
    )


def _phases(T: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """As PyTorch keeps them in checkpoints: until when, and from which bound to which."""
    limit = 0.5 if three_phase else 1.0
    demand(
        0 <= pct_start <= limit,
        f"OneCycleLR: pct_start must be a number in [0, {limit:g}], got {pct_start!r}"
        + (": the fall of three phases takes as long as the rise" if three_phase else ""),
    )
    peak, fallen = float(pct_start * T) - 1, float(2 * pct_start * T) - 2
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    rows: list[tuple[Any, ...]] = [
        (peak, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
        (T - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
    ]
    if three_phase:
        rows[1:] = [
            (fallen, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
            (T - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]
    return [dict(zip(names, row)) for row in rows]
