"""No learning rate: the distance to the solution is estimated on the way, and stands in for it."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from math import inf, prod
from typing import Any, ClassVar, Unpack

import numpy as np

from ..device import Device
from ..operation import there
from .optimizer import Optimizer
from .options import ABOVE_0, BELOW_1, Flags, plain
from .parameters import Params
from .places import numbers, square
from .rule import prelude
from .saving import host_arrays


class Distance(Optimizer):
    """What rules share that estimate d, how far it is from where they began to the solution.

    A step goes over all parameters of all groups twice. `measure` brings the state up to date and
    gives two arrays besides; `estimate` gets the sums of all numbers in them and gives new values
    of options, d among them; then `rule` moves p. `dlr` is what stands for η in all three: `rate`,
    with the d before. Where the second sum is 0, nothing moves.

    The sums are numbers of the host, so a step waits for a GPU once.

    ValueError for groups with different lr; a group with lr=0 is frozen.
    """

    scope = "global"
    flags = ("maximize", "foreach")
    allowed = {"eps": ABOVE_0, "d0": ABOVE_0, "d_coef": ABOVE_0, "growth_rate": ABOVE_0}
    rate: ClassVar[Callable[..., float]]
    measure: ClassVar[Callable[..., tuple[Any, ...]]]
    estimate: ClassVar[Callable[..., dict[str, Any]]]

    def _advance(self) -> None:
        rates = sorted({plain(group["lr"]) for group in self.param_groups} - {0})
        if len(rates) > 1:
            raise ValueError(
                f"{type(self).__name__}: the groups have lr {', '.join(map(str, rates))}, and one "
                "distance has to do for all. Give all the same lr, or 0 to those that stay."
            )
        for lr in rates:  # one, or none
            self._begin()
            shared = self.param_groups[0] | {"lr": lr}
            self._share(dlr=self.rate(**asked(self.rate, shared)))
            first, second = self._sums()
            if second != 0:
                new = self.estimate(first, second, **asked(self.estimate, shared))
                self._share(k=shared["k"] + 1, **new)
                for storage, group in self._moving():
                    storage.advance(group)

    def _begin(self) -> None:
        """What has to be known before."""

    def _moving(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The storages and groups that are not frozen."""
        return ((s, g) for s, g in zip(self._storages, self.param_groups) if plain(g["lr"]) != 0)

    def _share(self, **values: Any) -> None:
        """Write these numbers into every group."""
        for group in self.param_groups:
            group.update(values)

    def _sums(self) -> tuple[float, float]:
        """Bring the state up to date, and add up what is measured."""
        sums: list[Any] = []
        for storage, group in self._moving():
            for arrays in storage.arrays(group):
                sums += there(Device.of(arrays["p"]), self._measured, arrays, group)
        found = numbers(*sums)
        return sum(found[::2]), sum(found[1::2])

    def _measured(self, arrays: Mapping[str, Any], group: Mapping[str, Any]) -> tuple[Any, Any]:
        xp = Device.of(arrays["p"]).xp
        p, g, *state = (arrays[name] for name in ("p", "g", *self.state))
        _, g = prelude(xp, p, g, maximize=group["maximize"])
        first, second, *new = self.measure(xp, p, g, *state, **asked(self.measure, group))
        for array, value in zip(state, new):
            array[...] = value
        return xp.sum(first), xp.sum(second)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], by_name: bool = False, strict: bool = True
    ) -> None:
        """Resume from ours, or from the authors', where some arrays are in a row."""
        state = {}
        for i, entry in state_dict["state"].items():
            shape = np.shape(entry.get("exp_avg", entry.get("x0")))
            state[i] = {
                k: value if k == "step" else in_shape(value, shape) for k, value in entry.items()
            }
        super().load_state_dict({**state_dict, "state": state}, by_name, strict)


def in_shape(value: Any, shape: tuple[int, ...]) -> Any:
    """An array from a file in this shape, if it has as many numbers; one number is for all."""
    array = host_arrays(value, ())
    if array.ndim == 0:
        return np.broadcast_to(array, shape)
    return array.reshape(shape) if array.size == prod(shape) else array


def asked(function: Callable[..., Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the group that a function asks for."""
    return {name: plain(group[name]) for name in names(function) if name in group}


@functools.cache
def names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a function."""
    return tuple(inspect.signature(function).parameters)


def adam_rate(*, d, lr, k, betas, use_bias_correction):
    """d η, or with Adam's correction of both averages in one factor."""
    beta1, beta2 = betas
    t = k + 1
    return d * lr * ((1 - beta2**t) ** 0.5 / (1 - beta1**t) if use_bias_correction else 1)


class DAdaptSGD(Distance):
    """D-Adaptation of SGD (Defazio & Mishchenko 2023, arXiv:2301.07733, algorithm 4).

        a = d η / G₀                                 G₀ = ‖g‖ over all parameters, at first
        r ← r + a ⟨g, s⟩,    s ← s + a g
        d ← max(d, min(2 r / ‖s‖, d · growth_rate))
        p ← μ p + (1 − μ)(x₀ − s)                    x₀ = p at first

    d only grows: where the slope goes on against −s, which has led away from x₀, it was too small.
    Decay is added to g. The authors' code fails when the first gradient is 0; this waits. A step
    waits for a GPU once.
    """

    state = {"s": "s", "x0": "x0"}
    start = {"x0": "p"}
    ignored = ("z",)  # x₀ − s

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        momentum: float = 0,
        weight_decay: float = 0,
        d0: float = 1e-6,
        growth_rate: float = inf,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "d0": d0,
            "growth_rate": growth_rate,
        }
        counted = {"d": d0, "dlr": 0.0, "k": 0, "numerator_weighted": 0.0, "g0_norm": 0.0}
        super().__init__(params, options | counted, flags)

    def _begin(self) -> None:
        if self.param_groups[0]["g0_norm"] == 0:
            gradients = [a["g"] for s, group in self._moving() for a in s.arrays(group)]
            self._share(g0_norm=sum(numbers(*map(square, gradients))) ** 0.5)

    @staticmethod
    def rate(*, d, lr, g0_norm):
        return d * lr / g0_norm if g0_norm else 0.0

    @staticmethod
    def measure(xp, p, g, s, x0, *, dlr, weight_decay):
        g = g + weight_decay * p
        product = dlr * g * s
        s = s + dlr * g
        return product, s * s, s, x0

    @staticmethod
    def estimate(product, square, *, d, numerator_weighted, growth_rate):
        r = numerator_weighted + product
        return {"numerator_weighted": r, "d": max(d, min(2 * r / square**0.5, d * growth_rate))}

    @staticmethod
    def rule(xp, p, g, s, x0, *, momentum):
        return momentum * p + (1 - momentum) * (x0 - s), s, x0


class DAdaptAdam(Distance):
    """D-Adaptation of Adam (Defazio & Mishchenko 2023, arXiv:2301.07733, algorithm 5).

        a = d η,    q = √β₂
        r ← q r + (1 − q) a Σ g s / (√v + ε)         s and v are still the old ones
        m ← β₁ m + (1 − β₁) a g
        v ← β₂ v + (1 − β₂) g²
        s ← q s + (1 − q) a g
        d ← max(d, min(r / ((1 − q) Σ |s|), d · growth_rate))
        p ← p − m / (√v + ε)

    Sums are over all parameters. With `use_bias_correction` a has Adam's √(1 − β₂ᵗ) / (1 − β₁ᵗ).
    Decay is added to g or, with `decouple`, p ← p (1 − λ a). A step waits for a GPU once.
    """

    state = {"s": "s", "m": "exp_avg", "v": "exp_avg_sq"}
    rate = staticmethod(adam_rate)

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decouple: bool = False,
        use_bias_correction: bool = False,
        d0: float = 1e-6,
        growth_rate: float = inf,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decouple": decouple,
            "use_bias_correction": use_bias_correction,
            "d0": d0,
            "growth_rate": growth_rate,
        }
        counted = {"d": d0, "dlr": 0.0, "k": 0, "numerator_weighted": 0.0}
        super().__init__(params, options | counted, flags)

    @staticmethod
    def measure(xp, p, g, s, m, v, *, dlr, betas, eps, weight_decay, decouple):
        beta1, beta2 = betas
        q = beta2**0.5
        if not decouple:
            g = g + weight_decay * p
        product = dlr * g * s / (xp.sqrt(v) + eps)
        m = beta1 * m + (1 - beta1) * dlr * g
        v = beta2 * v + (1 - beta2) * g * g
        s = q * s + (1 - q) * dlr * g
        return product, xp.abs(s), s, m, v

    @staticmethod
    def estimate(product, size, *, d, betas, numerator_weighted, growth_rate):
        q = betas[1] ** 0.5
        r = q * numerator_weighted + (1 - q) * product
        d_hat = r / ((1 - q) * size)
        return {"numerator_weighted": r, "d": max(d, min(d_hat, d * growth_rate))}

    @staticmethod
    def rule(xp, p, g, s, m, v, *, dlr, eps, weight_decay, decouple):
        if decouple:
            p = p * (1 - weight_decay * dlr)
        return p - m / (xp.sqrt(v) + eps), s, m, v


class Prodigy(Distance):
    """Prodigy (Mishchenko & Defazio 2023, arXiv:2306.06101, algorithm 4): a bolder estimate of d.

        a = d η
        r ← β₃ r + d / d₀ · a ⟨g, p₀ − p⟩                p₀ = p at first
        m ← β₁ m + (1 − β₁) d g
        v ← β₂ v + (1 − β₂) d² g²
        s ← β₃ s + d / d₀ · a g                          safeguard_warmup: d in place of a
        d ← max(d, d_coef · r / Σ |s|),  at most d · growth_rate
        p ← p (1 − λ a),    p ← p − a m / (√v + d ε)     a with the d before

    p₀ − p stands where D-Adaptation has the weaker bound s, so d grows sooner. β₃ is √β₂ unless it
    is given. Without `decouple` decay is added to g. A step waits for a GPU once. Optax has the
    form `use_bias_correction`.
    """

    state = {"s": "s", "p0": "p0", "m": "exp_avg", "v": "exp_avg_sq"}
    start = {"p0": "p"}
    rate = staticmethod(adam_rate)
    allowed = Distance.allowed | {"beta3": BELOW_1}

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = inf,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "beta3": beta3,
            "eps": eps,
            "weight_decay": weight_decay,
            "decouple": decouple,
            "use_bias_correction": use_bias_correction,
            "safeguard_warmup": safeguard_warmup,
            "d0": d0,
            "d_coef": d_coef,
            "growth_rate": growth_rate,
        }
        counted = {"d": d0, "d_max": d0, "dlr": 0.0, "k": 0, "d_numerator": 0.0}
        super().__init__(params, options | counted, flags)

    @staticmethod
    def measure(
        xp, p, g, s, p0, m, v, *, d, d0, dlr, betas, beta3, weight_decay, decouple, safeguard_warmup
    ):
        beta1, beta2 = betas
        beta3 = beta2**0.5 if beta3 is None else beta3
        if not decouple:
            g = g + weight_decay * p
        product = d / d0 * dlr * g * (p0 - p)
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d * d * g * g
        s = beta3 * s + d / d0 * (d if safeguard_warmup else dlr) * g
        return product, xp.abs(s), s, p0, m, v

    @staticmethod
    def estimate(product, size, *, d, d0, d_max, d_coef, d_numerator, betas, beta3, growth_rate):
        r = (betas[1] ** 0.5 if beta3 is None else beta3) * d_numerator + product
        d_hat = d_coef * r / size
        if d == d0:
            d = max(d, d_hat)
        d_max = max(d_max, d_hat)
        return {"d_numerator": r, "d_max": d_max, "d": min(d_max, d * growth_rate)}

    @staticmethod
    def rule(xp, p, g, s, p0, m, v, *, d, dlr, eps, weight_decay, decouple):
        if decouple:
            p = p * (1 - weight_decay * dlr)
        return p - dlr * m / (xp.sqrt(v) + d * eps), s, p0, m, v
