"""get_scheduler: schedulers by the names, and with the values, of the transformers library."""

from __future__ import annotations

import inspect
from typing import Any

from ...names import did_you_mean
from ..schedules.demands import demand, finite, whole
from .driver import ClosedForm, Factor, LRScheduler
from .hyperparameter import HasGroups
from .named_factors import SHAPES, Moment
from .plateau import ReduceLROnPlateau

PLATEAU = "reduce_lr_on_plateau"


class NamedLR(ClosedForm):
    """A factor by its name, made by `get_scheduler`; γ is the base of each group.

        lr = γ f(t)

    Always computed from `initial_lr`, as the LambdaLR that it stands for in checkpoints.
    """

    follows_edits = False

    def __init__(
        self,
        optimizer: HasGroups,
        name: str,
        num_warmup_steps: int = 0,
        num_training_steps: int = 0,
        first_step_nonzero: bool = False,
        last_epoch: int = -1,
        **options: Any,
    ) -> None:
        self.name = name
        self.num_warmup_steps = num_warmup_steps
        self.num_training_steps = num_training_steps
        self.first_step_nonzero = first_step_nonzero
        self.options = options
        super().__init__(optimizer, last_epoch)

    def schedule(self, group: int) -> Factor:
        """The factor of one group."""
        W, T, base = self.num_warmup_steps, self.num_training_steps, self.base_lrs[group]

        def factor(t: float) -> float:
            w = (t + 1) / (W + 1) if self.first_step_nonzero else t / max(1, W)
            return SHAPES[self.name](Moment(t, W, T, w, base), **self.options) if base else 0.0

        return factor

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`, with a place for the functions that LambdaLR would have."""
        return super().state_dict() | {"lr_lambdas": [None for _ in self.base_lrs]}


WITHOUT_LENGTH = ("constant", "constant_with_warmup", "inverse_sqrt")


def get_scheduler(
    name: str,
    optimizer: HasGroups,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    *,
    first_step_nonzero: bool = False,
    last_epoch: int = -1,
    **options: Any,
) -> LRScheduler:
    """A scheduler by the name that it has in the transformers library, with the same values.

        get_scheduler("cosine", optimizer, num_warmup_steps=100, num_training_steps=1000)

    The training steps include the warmup, whose first step does nothing, f(0) = 0, unless
    `first_step_nonzero` makes it (t + 1)/(W + 1). Options are those of the factor: num_cycles,
    lr_end, power, timescale, min_lr, min_lr_rate, … Where a factor needs the base rate, the
    group's counts; there it is the optimizer's default. ValueError for unknown names and missing
    or impossible values, TypeError for unknown options.
    """
    if name == PLATEAU:
        return ReduceLROnPlateau(optimizer, **options)
    _check(name, num_warmup_steps, num_training_steps, options)
    return NamedLR(
        optimizer,
        name,
        num_warmup_steps or 0,
        num_training_steps or 0,
        first_step_nonzero,
        last_epoch,
        **options,
    )


def _check(name: str, W: int | None, T: int | None, options: dict[str, Any]) -> None:
    if name not in SHAPES:
        names = [*SHAPES, PLATEAU]
        hint = did_you_mean(str(name), names)
        raise ValueError(f"there is no scheduler {name!r}.{hint} There are {', '.join(names)}.")
    parameters = inspect.signature(SHAPES[name]).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    for one in options.keys() - known.keys():
        has = ", ".join(known) or "none"
        raise TypeError(f"get_scheduler: {name} has no option {one!r}; its options: {has}.")
    steps = {"num_warmup_steps": W, "num_training_steps": T}
    needed = [one for one, default in known.items() if default is inspect.Parameter.empty]
    needed += ["num_warmup_steps"] if name != "constant" else []
    needed += ["num_training_steps"] if name not in WITHOUT_LENGTH else []
    given = {one: value for one, value in (steps | options).items() if value is not None}
    if "num_stable_steps" in given:
        given.setdefault("num_training_steps", 0)
    missing = [one for one in needed if one not in given]
    demand(not missing, f"get_scheduler: {name} needs {' and '.join(missing)}")
    demand(
        "min_lr" not in known or ("min_lr" in given) != ("min_lr_rate" in given),
        f"get_scheduler: {name} needs min_lr or min_lr_rate, one of the two",
    )
    for one, value in given.items():
        if one.endswith("_steps"):
            whole(f"get_scheduler: {one}", value, 0)
        elif not one.endswith("_type"):
            finite(f"get_scheduler: {one}", value)
