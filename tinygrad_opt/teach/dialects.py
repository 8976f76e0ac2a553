"""One name, several formulas: what frameworks mean by the same optimizer, side by side.

    print(dialects("adam"))

Every dialect is a formula that runs, with the same options as all others, down f(w) = w² from 3.
Order: `dialects` · what it gives · the formulas, by rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..names import did_you_mean
from ..optim import get_optimizer
from ..tensor import Tensor

START, STEPS, FALL = 3.0, 12, 6  # after FALL steps a second run goes on with a tenth of the rate
NOTICED = 1e-12  # relative; what is nearer is rounding

State = dict[str, float]
Step = Callable[..., float]  # (p, g, t, s, **options) -> new p; s is its state


@dataclass(frozen=True)
class Dialect:
    """Whose formula, how it is written, and in what it differs from ours."""

    who: str
    formula: str
    differs: str
    step: Step = field(repr=False)

    def path(self, options: dict[str, float], falls: bool = False) -> list[float]:
        """w after every step down w²; where the rate ``falls``, it does after half of them."""
        p, points = START, []
        state: State = {}
        for t in range(1, STEPS + 1):
            rate = options["lr"] * (0.1 if falls and t > FALL else 1)
            p = self.step(p, 2 * p, t, state, **{**options, "lr": rate})
            points.append(p)
        return points


@dataclass(frozen=True)
class Row:
    """A dialect with the step at which its numbers leave ours; None, where they never do."""

    who: str
    formula: str
    differs: str
    parts_at: int | None
    parts_when_lr_falls: int | None
    apart: float  # in w, after the last step


class Dialects:
    """The ``rows`` for a rule; print them."""

    def __init__(self, rule: str, options: dict[str, float], rows: list[Row]) -> None:
        self.rule, self.options, self.rows = rule, options, rows

    def __str__(self) -> str:
        given = ", ".join(f"{name} {value:g}" for name, value in self.options.items())
        lines = [f"{self.rule}, all with {given}, on w² from {START:g}:"]
        wide = max(len(row.who) for row in self.rows)
        for row in self.rows:
            lines.append(f"  {row.who.ljust(wide)}  {row.formula}")
            lines.append(f"  {' ' * wide}  {row.differs}{_parts(row)}")
        return "\n".join(lines)

    __repr__ = __str__


def dialects(rule: str, **options: float) -> Dialects:
    """What the paper, PyTorch, Keras, optax and MLX mean by a rule, and where numbers part.

    Options replace those of the comparison: ``dialects("adam", eps=1e-2)`` shows what the place of
    ε does. ValueError for a rule without an entry, or an option that it does not have.
    """
    name = "".join(c for c in str(rule).lower() if c.isalnum())
    if name not in TABLE:
        raise ValueError(
            f"dialects: there is no entry for {rule!r}.{did_you_mean(name, TABLE)} There are "
            f"{', '.join(TABLE)}."
        )
    used, entries = TABLE[name]
    unknown = options.keys() - used.keys()
    if unknown:
        raise ValueError(
            f"dialects: {name} has no {', '.join(sorted(unknown))} here; its options are "
            f"{', '.join(used)}."
        )
    used = used | {key: float(value) for key, value in options.items()}
    ours = [our_path(name, used, falls) for falls in (False, True)]
    rows = [Row("ours", entries[0].formula, "PyTorch's numbers", None, None, 0.0)]
    for one in entries:
        paths = [one.path(used, falls) for falls in (False, True)]
        steady, falling = (_first(a, b) for a, b in zip(paths, ours, strict=True))
        apart = abs(paths[0][-1] - ours[0][-1])
        rows.append(Row(one.who, one.formula, one.differs, steady, falling, apart))
    return Dialects(name, used, rows)


def our_path(name: str, options: dict[str, float], falls: bool = False) -> list[float]:
    """The same walk with the optimizer of this library."""
    entry = get_optimizer(name)
    own = {key: value for key, value in options.items() if key in entry.defaults}
    if "betas" in entry.defaults:
        own["betas"] = (options["beta1"], options["beta2"])  # type: ignore[assignment]
    w = Tensor(np.array([START]), requires_grad=True, device="cpu")
    optimizer, points = entry([w], **own), []
    for t in range(1, STEPS + 1):
        optimizer.param_groups[0]["lr"] = options["lr"] * (0.1 if falls and t > FALL else 1)
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        points.append(w.detach().item())
    return points


def _first(path: list[float], other: list[float]) -> int | None:
    """The first step at which two paths are apart."""
    for t, (a, b) in enumerate(zip(path, other, strict=True), start=1):
        if not abs(a - b) <= NOTICED * max(1.0, abs(b)):
            return t
    return None


def _parts(row: Row) -> str:
    if row.who == "ours":
        return ""
    if row.parts_at is None and row.parts_when_lr_falls is None:
        return ": the same numbers"
    if row.parts_at is None:
        return f": the same until the rate falls, apart from step {row.parts_when_lr_falls} on"
    return f": apart from step {row.parts_at} on, by {row.apart:.2g} after {STEPS}"


# ---- the formulas -----------------------------------------------------------------------------


def _mean(s: State, name: str, beta: float, x: float) -> float:
    """A running mean that starts at 0."""
    s[name] = beta * s.get(name, 0.0) + (1 - beta) * x
    return s[name]


def _polyak(p: float, g: float, t: int, s: State, *, lr: float, momentum: float, **_: Any) -> float:
    new = p - lr * g + momentum * (p - s.get("p", p))
    s["p"] = p
    return new


def _momentum(nesterov: bool = False, damped_first: bool = False, folded: bool = False) -> Step:
    """b ← μ b + (1 − τ) g; η outside of b, or folded into it."""

    def step(
        p: float, g: float, t: int, s: State, *, lr: float, momentum: float, dampening: float = 0.0
    ) -> float:
        if folded:
            s["v"] = momentum * s.get("v", 0.0) - lr * g
            return p + (momentum * s["v"] - lr * g if nesterov else s["v"])
        undamped = t == 1 and not damped_first
        s["b"] = momentum * s.get("b", 0.0) + (1.0 if undamped else 1 - dampening) * g
        return p - lr * (g + momentum * s["b"] if nesterov else s["b"])

    return step


def _adagrad(inside: bool, start: float, with_eps: bool = True) -> Step:
    """S ← S + g²; ε beside the root or inside it."""

    def step(p: float, g: float, t: int, s: State, *, lr: float, eps: float) -> float:
        s["S"] = s.get("S", start) + g * g
        eps = eps if with_eps else 0.0
        return p - lr * g / (math.sqrt(s["S"] + eps) if inside else math.sqrt(s["S"]) + eps)

    return step


def _rmsprop(inside: bool, with_eps: bool = True) -> Step:
    def step(p: float, g: float, t: int, s: State, *, lr: float, alpha: float, eps: float) -> float:
        v, eps = _mean(s, "v", alpha, g * g), eps if with_eps else 0.0
        return p - lr * g / (math.sqrt(v + eps) if inside else math.sqrt(v) + eps)

    return step


def _adam(eps_on_raw: bool = False, corrected: bool = True, decay: str = "") -> Step:
    """Adam; ε beside √v̂ or beside √v, with correction of the start or without."""

    def step(
        p: float, g: float, t: int, s: State, *,
        lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0,
    ) -> float:  # fmt: skip
        m, v = _mean(s, "m", beta1, g), _mean(s, "v", beta2, g * g)
        first, second = (1 - beta1**t, 1 - beta2**t) if corrected else (1.0, 1.0)
        if eps_on_raw:
            move = lr * math.sqrt(second) / first * m / (math.sqrt(v) + eps)
        else:
            move = lr * (m / first) / (math.sqrt(v / second) + eps)
        shrink = {"": 0.0, "rate": lr * weight_decay, "alone": weight_decay}[decay]
        return p * (1 - shrink) - move

    return step


def _adamax(eps: str, corrected: bool = True) -> Step:
    place = eps

    def step(
        p: float, g: float, t: int, s: State, *, lr: float, beta1: float, beta2: float, eps: float
    ) -> float:
        m = _mean(s, "m", beta1, g)
        size = abs(g) + (eps if place == "max" else 0.0)
        s["u"] = max(beta2 * s.get("u", 0.0), size)
        rate = lr / (1 - beta1**t) if corrected else lr
        return p - rate * m / (s["u"] + (eps if place == "below" else 0.0))

    return step


def _nadam(psi: float | None, constant: bool = False) -> Step:
    """Nesterov's look ahead in Adam; β₁ warmed up by ψ, or constant."""

    def step(
        p: float, g: float, t: int, s: State, *,
        lr: float, beta1: float, beta2: float, eps: float, momentum_decay: float,
    ) -> float:  # fmt: skip
        m, v_hat = _mean(s, "m", beta1, g), _mean(s, "v", beta2, g * g) / (1 - beta2**t)
        if constant:
            ahead = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        else:
            decay = momentum_decay if psi is None else psi
            mu, after = (beta1 * (1 - 0.5 * 0.96 ** (k * decay)) for k in (t, t + 1))
            s["Pi"] = s.get("Pi", 1.0) * mu
            ahead = (1 - mu) / (1 - s["Pi"]) * g + after / (1 - s["Pi"] * after) * m
        return p - lr * ahead / (math.sqrt(v_hat) + eps)

    return step


_BETAS = {"beta1": 0.9, "beta2": 0.999}
_SAME = "as ours"

TABLE: dict[str, tuple[dict[str, float], list[Dialect]]] = {
    "momentum": ({"lr": 0.1, "momentum": 0.9, "dampening": 0.0}, [
        Dialect("PyTorch", "b ← μ b + (1 − τ) g, b₁ = g₁;  p ← p − η b", _SAME, _momentum()),
        Dialect("paper", "p ← p − η g + μ (p − p₋)", "Polyak keeps the last step, with its η",
                _polyak),
        Dialect("Keras", "v ← μ v − η g;  p ← p + v", "η is folded into the velocity",
                _momentum(folded=True)),
        Dialect("optax", "b ← μ b + g;  p ← p − η b", "no dampening", _momentum()),
        Dialect("MLX", "b ← μ b + (1 − τ) g;  p ← p − η b", "dampens the first gradient, too",
                _momentum(damped_first=True)),
    ]),
    "nesterov": ({"lr": 0.1, "momentum": 0.9}, [
        Dialect("PyTorch", "b ← μ b + g;  p ← p − η (g + μ b)", _SAME, _momentum(nesterov=True)),
        Dialect("Keras", "v ← μ v − η g;  p ← p + μ v − η g", "η is folded into the velocity",
                _momentum(nesterov=True, folded=True)),
        Dialect("optax", "b ← μ b + g;  p ← p − η (g + μ b)", _SAME, _momentum(nesterov=True)),
        Dialect("MLX", "b ← μ b + g;  p ← p − η (g + μ b)", _SAME, _momentum(nesterov=True)),
    ]),
    "adagrad": ({"lr": 0.1, "eps": 1e-7}, [
        Dialect("PyTorch", "p ← p − η g / (√S + ε), S₀ = 0", _SAME, _adagrad(False, 0.0)),
        Dialect("paper", "p ← p − η g / √S, S₀ = 0", "no ε", _adagrad(False, 0.0, False)),
        Dialect("Keras", "p ← p − η g / √(S + ε), S₀ = 0.1", "ε inside the root, S begins at 0.1",
                _adagrad(True, 0.1)),
        Dialect("optax", "p ← p − η g / √(S + ε), S₀ = 0.1", "ε inside the root, S begins at 0.1",
                _adagrad(True, 0.1)),
        Dialect("MLX", "p ← p − η g / (√S + ε), S₀ = 0", _SAME, _adagrad(False, 0.0)),
    ]),
    "rmsprop": ({"lr": 0.1, "alpha": 0.9, "eps": 1e-7}, [
        Dialect("PyTorch", "p ← p − η g / (√v + ε)", _SAME, _rmsprop(False)),
        Dialect("paper", "p ← p − η g / √v", "no ε in the lecture", _rmsprop(False, False)),
        Dialect("Keras", "p ← p − η g / √(v + ε)", "ε inside the root", _rmsprop(True)),
        Dialect("optax", "p ← p − η g / √(v + ε)",
                "ε inside the root, unless eps_in_sqrt=False", _rmsprop(True)),
        Dialect("MLX", "p ← p − η g / (√v + ε)", _SAME, _rmsprop(False)),
    ]),
    "adam": ({"lr": 0.1, **_BETAS, "eps": 1e-8}, [
        Dialect("PyTorch", "p ← p − η m̂ / (√v̂ + ε)", _SAME, _adam()),
        Dialect("paper", "p ← p − η m̂ / (√v̂ + ε)", "algorithm 1, as ours", _adam()),
        Dialect("Keras", "p ← p − η √(1−β₂ᵗ)/(1−β₁ᵗ) m / (√v + ε)",
                "ε beside √v, before its correction", _adam(eps_on_raw=True)),
        Dialect("optax", "p ← p − η m̂ / (√v̂ + ε)", _SAME, _adam()),
        Dialect("MLX", "p ← p − η m / (√v + ε)", "no bias correction unless it is asked for",
                _adam(corrected=False)),
    ]),
    "adamw": ({"lr": 0.1, **_BETAS, "eps": 1e-8, "weight_decay": 0.01}, [
        Dialect("PyTorch", "p ← p (1 − η λ) − η m̂ / (√v̂ + ε)", _SAME, _adam(decay="rate")),
        Dialect("paper", "p ← p (1 − λ) − η m̂ / (√v̂ + ε)",
                "λ is not multiplied by η, only by the schedule's factor", _adam(decay="alone")),
        Dialect("Keras", "p ← p (1 − η λ) − η √(1−β₂ᵗ)/(1−β₁ᵗ) m / (√v + ε)",
                "ε beside √v, before its correction", _adam(eps_on_raw=True, decay="rate")),
        Dialect("optax", "p ← p − η (m̂ / (√v̂ + ε) + λ p)", _SAME, _adam(decay="rate")),
        Dialect("MLX", "p ← p (1 − η λ) − η m / (√v + ε)",
                "no bias correction unless it is asked for",
                _adam(corrected=False, decay="rate")),
    ]),
    "adamax": ({"lr": 0.1, **_BETAS, "eps": 1e-6}, [
        Dialect("PyTorch", "u ← max(β₂ u, |g| + ε);  p ← p − η/(1−β₁ᵗ) m/u", _SAME,
                _adamax("max")),
        Dialect("paper", "u ← max(β₂ u, |g|);  p ← p − η/(1−β₁ᵗ) m/u", "no ε", _adamax("")),
        Dialect("Keras", "u ← max(β₂ u, |g|);  p ← p − η/(1−β₁ᵗ) m/(u + ε)", "ε below",
                _adamax("below")),
        Dialect("optax", "u ← max(β₂ u, |g| + ε);  p ← p − η/(1−β₁ᵗ) m/u", _SAME, _adamax("max")),
        Dialect("MLX", "u ← max(β₂ u, |g|);  p ← p − η m/(u + ε)",
                "ε below, no bias correction", _adamax("below", corrected=False)),
    ]),
    "nadam": ({"lr": 0.1, **_BETAS, "eps": 1e-8, "momentum_decay": 0.004}, [
        Dialect("PyTorch", "μₜ = β₁ (1 − ½ 0.96^(t ψ)), ψ = 0.004", _SAME, _nadam(None)),
        Dialect("Keras", "μₜ = β₁ (1 − ½ 0.96^t)", "ψ is 1", _nadam(1.0)),
        Dialect("optax", "β₁ m/(1−β₁ᵗ⁺¹) + (1−β₁) g/(1−β₁ᵗ) above", "β₁ is constant",
                _nadam(None, constant=True)),
    ]),
}  # fmt: skip
