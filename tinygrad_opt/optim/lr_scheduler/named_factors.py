"""The factors of the transformers library by name, as functions of a moment of the run.

W is the warmup and T the whole run with it; w = t/max(1, W) rises through the warmup, and
p = (t − W)/max(1, T − W) is how much of the rest has passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from ..schedules.demands import one_of
from ..schedules.families import half_cosine


class Moment(NamedTuple):
    """A step t of a run, and the base rate of the group whose factor is asked for."""

    t: float
    W: int
    T: int
    w: float
    base: float

    def passed(self, early: float = 0) -> float:
        """p, or where it would be `early` steps later."""
        return (self.t - self.W + early) / max(1, self.T - self.W)


Shape = Callable[..., float]
SHAPES: dict[str, Shape] = {}


def _named(shape: Shape) -> Shape:
    SHAPES[shape.__name__] = shape
    return shape


def _after_warmup(shape: Shape) -> Shape:
    """A factor that is w until the warmup is over."""

    @wraps(shape)
    def factor(now: Moment, **options: Any) -> float:
        return now.w if now.t < now.W else shape(now, **options)

    return _named(factor)


@_named
def constant(now: Moment) -> float:
    """1, without a warmup."""
    return 1.0


@_after_warmup
def constant_with_warmup(now: Moment) -> float:
    """1."""
    return 1.0


@_after_warmup
def linear(now: Moment) -> float:
    """(T − t)/(T − W) = 1 − p, then 0."""
    return max(0.0, (now.T - now.t) / max(1, now.T - now.W))


@_after_warmup
def cosine(now: Moment, *, num_cycles: float = 0.5) -> float:
    """½(1 + cos 2πnp): with n = ½ it falls to 0, and rises again in a run longer than T."""
    return half_cosine(2 * num_cycles * now.passed())


@_after_warmup
def cosine_with_restarts(now: Moment, *, num_cycles: float = 1) -> float:
    """½(1 + cos π((np) mod 1)), then 0."""
    p = now.passed()
    return half_cosine(num_cycles * p % 1) if p < 1 else 0.0


@_after_warmup
def polynomial(now: Moment, *, lr_end: float = 1e-7, power: float = 1.0) -> float:
    """((γ − γₑ)(1 − p)^power + γₑ)/γ, then γₑ/γ."""
    left = math.pow(1 - min(1.0, now.passed()), power)
    return ((now.base - lr_end) * left + lr_end) / now.base


@_after_warmup
def inverse_sqrt(now: Moment, *, timescale: float | None = None) -> float:
    """√(τ/(t + τ − W)), τ = W or, without a warmup, 10,000."""
    tau = timescale or now.W or 10_000
    return math.sqrt(tau / (now.t + tau - now.W))


@_after_warmup
def cosine_with_min_lr(
    now: Moment,
    *,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> float:
    """½(1 + cos 2πnp)(1 − r) + r, r = min_lr_rate or min_lr/γ."""
    rate = min_lr / now.base if min_lr is not None else min_lr_rate or 0.0
    return max(0.0, half_cosine(2 * num_cycles * now.passed()) * (1 - rate) + rate)


@_named
def cosine_warmup_with_min_lr(
    now: Moment,
    *,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> float:
    """The same one step further on: the warmup is (t + 1)/W, or a line from warmup_lr_rate to 1."""
    rate = min_lr / now.base if min_lr is not None else min_lr_rate or 0.0
    if now.t < now.W and warmup_lr_rate is None:
        return (now.t + 1) / max(1, now.W)
    if now.t < now.W and warmup_lr_rate is not None:
        return warmup_lr_rate + (1 - warmup_lr_rate) * now.t / max(1, now.W - 1)
    return max(0.0, half_cosine(2 * num_cycles * now.passed(early=1)) * (1 - rate) + rate)


@_named
def warmup_stable_decay(
    now: Moment,
    *,
    num_decay_steps: int,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> float:
    """x(1 − r) + r up, 1 for num_stable_steps, y(1 − r) + r down for num_decay_steps, then r.

    x is w, ½(1 − cos πw) or 1 − √(1 − w); y, of the part q of the decay that has passed, is 1 − q,
    ½(1 + cos 2πnq) or 1 − √q.
    """
    for name, kind in [("warmup_type", warmup_type), ("decay_type", decay_type)]:
        one_of(f"get_scheduler: {name}", kind, ("linear", "cosine", "1-sqrt"))
    stable = now.T - now.W - num_decay_steps if num_stable_steps is None else num_stable_steps
    decayed = now.t - now.W - stable
    if now.t < now.W:
        falling, cycles, q = warmup_type, 0.5, 1 - now.w
    elif decayed < 0:
        return 1.0
    elif decayed < num_decay_steps:
        falling, cycles, q = decay_type, num_cycles, decayed / num_decay_steps
    else:
        return min_lr_ratio
    y = {"linear": 1 - q, "cosine": half_cosine(2 * cycles * q), "1-sqrt": 1 - math.sqrt(q)}
    return max(0.0, y[falling] * (1 - min_lr_ratio) + min_lr_ratio)
