"""CyclicLR: lr goes up and down in triangles, and momentum the other way.

Order: what this and OneCycleLR do with momentum · CyclicLR.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..schedules.demands import demand, finite, one_of
from .driver import ClosedForm, plain
from .hyperparameter import HasGroups, Key, numbers_each, read, write
from .lambdas import name_of, settings_of, warn_if_others


class MovesMomentum(ClosedForm):
    """Moves momentum, or β₁ where a group has betas, together with lr.

    Both are computed from given bounds, so an edited lr is overwritten.
    """

    follows_edits = False
    cycle_momentum: bool
    base_momentums: list[float]
    max_momentums: list[float]

    def momentum(self, group: int, t: float) -> float:
        """The momentum of one group at t."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its momentum is")

    def _cycle(
        self,
        optimizer: HasGroups,
        cycle_momentum: bool,
        base_momentum: float | Sequence[float],
        max_momentum: float | Sequence[float],
    ) -> None:
        """Keep the bounds of momentum; ValueError if a group has none to move."""
        owner = type(self).__name__
        self.cycle_momentum = cycle_momentum
        self.base_momentums = numbers_each(optimizer, base_momentum, f"{owner}: base_momentum")
        self.max_momentums = numbers_each(optimizer, max_momentum, f"{owner}: max_momentum")
        groups = optimizer.param_groups if cycle_momentum else []
        for i, group in enumerate(groups):
            demand(
                "momentum" in group or "betas" in group,
                f"{owner}: param_groups[{i}] has neither momentum nor betas to cycle; pass "
                f"cycle_momentum=False",
            )
        self.use_beta1 = any("betas" in group for group in groups)

    def _prepare(self, resumed: bool) -> None:
        for i, group in enumerate(self._moving()):
            if not resumed and read(group, _momentum_key(group)) == 0:
                warnings.warn(
                    f"{type(self).__name__} moves the momentum of param_groups[{i}], which was 0, "
                    f"between {self.base_momentums[i]} and {self.max_momentums[i]}; pass "
                    f"cycle_momentum=False to leave it.",
                    UserWarning,
                    stacklevel=4,
                )
            self._bound(i, group, anew=not resumed)

    def _moving(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups if self.cycle_momentum else []

    def _bound(self, i: int, group: dict[str, Any], anew: bool) -> None:
        """The bounds stand in the groups too, as in PyTorch."""
        for name, value in [
            ("base_momentum", self.base_momentums[i]),
            ("max_momentum", self.max_momentums[i]),
        ]:
            if anew or name not in group:
                group[name] = value

    def _place(self, t: float) -> None:
        super()._place(t)
        self._settle()

    def _settle(self) -> None:
        for i, group in enumerate(self._moving()):
            write(group, _momentum_key(group), self.momentum(i, self.last_epoch))

    def _join(self) -> None:
        super()._join()
        for bounds in (self.base_momentums, self.max_momentums):
            bounds += [bounds[-1]] * (len(self._bases) - len(bounds))
        for i, group in enumerate(self._moving()):
            self._bound(i, group, anew=False)


def _momentum_key(group: Mapping[str, Any]) -> Key:
    return ("betas", 0) if "betas" in group else "momentum"


class CyclicLR(MovesMomentum):
    """Triangles between base_lr and max_lr (Smith 2015, arXiv:1506.01186).

        S = up + down    cycle = ⌊1 + t/S⌋    x = 1 + t/S − cycle    r = up/S
        h = x/r up to the peak, (x − 1)/(r − 1) after it
        lr = base_lr + (max_lr − base_lr) h k
        momentum = max_momentum − (max_momentum − base_momentum) h k

    k is 1 (mode "triangular"), 2^(1 − cycle) ("triangular2"), gammaᵗ ("exp_range"), or
    `scale_fn` of the cycle or, with scale_mode "iterations", of t. base_lr takes the place of the
    lr that the optimizer was given. Of an own `scale_fn` a checkpoint holds what `LambdaLR`'s do.
    ValueError for unknown modes, sizes that are not positive, groups without momentum and betas.
    """

    unsaved = (*MovesMomentum.unsaved, "_scale_fn_custom")

    def __init__(
        self,
        optimizer: HasGroups,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None:
            one_of("CyclicLR: mode", mode, ("triangular", "triangular2", "exp_range"))
        one_of("CyclicLR: scale_mode", scale_mode, ("cycle", "iterations"))
        down = step_size_up if step_size_down is None else step_size_down
        finite("CyclicLR: step_size_up", step_size_up, 0, above=True)
        finite("CyclicLR: step_size_down", down, 0)
        finite("CyclicLR: gamma", gamma)
        self.total_size = float(step_size_up) + float(down)
        self.step_ratio = float(step_size_up) / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn_custom = scale_fn
        self.max_lrs = numbers_each(optimizer, max_lr, "CyclicLR: max_lr")
        self._cycle(optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(
            optimizer, last_epoch, numbers_each(optimizer, base_lr, "CyclicLR: base_lr")
        )

    def scale_fn(self, x: float) -> float:
        """k, of the cycle or of t."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1)

    def value(self, group: int, base: float, t: float) -> float:
        """base_lr + (max_lr − base_lr) h k."""
        height, scale = self._height(t)
        return base + (self.max_lrs[group] - base) * height * scale

    def momentum(self, group: int, t: float) -> float:
        """max_momentum − (max_momentum − base_momentum) h k."""
        (height, scale), high = self._height(t), self.max_momentums[group]
        return high - (high - self.base_momentums[group]) * height * scale

    def _height(self, t: float) -> tuple[float, float]:
        """h and k."""
        cycle = math.floor(1 + t / self.total_size)
        x, r = 1.0 + t / self.total_size - cycle, self.step_ratio
        height = x / r if x <= r else (x - 1) / (r - 1)
        return height, self.scale_fn(cycle if self.scale_mode == "cycle" else t)

    def _join(self) -> None:
        super()._join()
        for base in self.base_lrs[len(self.max_lrs) :]:  # as high above its lr as the last group
            like = self.base_lrs[len(self.max_lrs) - 1]
            ratio = self.max_lrs[-1] / like if like else 1.0
            self.max_lrs.append(base * ratio)

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`; an own scale_fn is represented by its settings and its name."""
        return super().state_dict() | {
            "_scale_fn_custom": settings_of(self._scale_fn_custom),
            "_scale_fn_name": name_of(self._scale_fn_custom),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        name = name_of(self._scale_fn_custom)
        warn_if_others("CyclicLR", [state.get("_scale_fn_name", name)], [name])
        settings = state.get("_scale_fn_custom")
        if settings and self._scale_fn_custom is not None:
            vars(self._scale_fn_custom).update(plain(settings))
        super()._load(state)
