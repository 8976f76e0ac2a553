"""Adam with another denominator: what a number's steps are measured by, where Adam has √v̂ + ε."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import AT_LEAST_0, Allowed, Flags
from .parameters import Params


class AdaBelief(Optimizer):
    """AdaBelief (Zhuang et al. 2020, arXiv:2010.07468): short steps where gradients surprise.

        m ← β₁ m + (1 − β₁) g                 m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂)(g − m)² + ε       v̂ = v / (1 − β₂ᵗ)
        p ← p − η m̂ / (√v̂ + ε)

    v is the spread of g around m, the belief, where Adam's is its size: on a steady slope steps
    grow. Decay is decoupled. The authors' code has RAdam's factor as well (`rectify`) by default.
    """

    state = {"m": "exp_avg", "v": "exp_avg_var"}
    fixed = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g - m) ** 2 + eps
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - lr * m_hat / (xp.sqrt(v_hat) + eps), m, v


class Yogi(Optimizer):
    """Yogi (Zaheer et al. 2018, NeurIPS): v forgets slowly, so that rates do not leap up.

        m ← β₁ m + (1 − β₁) g                       m̂ = m / (1 − β₁ᵗ)
        v ← v − (1 − β₂) sign(v − g²) g²            v̂ = v / (1 − β₂ᵗ)
        p ← p − η m̂ / (√v̂ + ε)

    Adam's v falls in proportion to v − g², here in proportion to g² alone. m and v begin as
    `initial_accumulator`, as in Optax; decay is decoupled.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    start = {"m": "initial_accumulator", "v": "initial_accumulator"}
    fixed = {"decoupled_weight_decay": True}
    allowed = {"initial_accumulator": AT_LEAST_0}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-3,
        initial_accumulator: float = 1e-6,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "initial_accumulator": initial_accumulator,
            "weight_decay": weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * xp.sign(v - g**2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - lr * m_hat / (xp.sqrt(v_hat) + eps), m, v


class ADOPT(Optimizer):
    """ADOPT (Taniguchi et al. 2024, arXiv:2411.02853): Adam that converges with any β₂.

        t = 1   v ← g²
        t > 1   n = g / max(√v, ε),    n ← clip(n, ± (t − 1)^c)
                m ← β₁ m + (1 − β₁) n
                p ← p − η m
                v ← β₂ v + (1 − β₂) g²

    g is divided by what earlier gradients made of v, and only then averaged: so n is not biased
    by itself. c is `clip_exp`, None for no clipping. p does not move in the first step; decay is
    decoupled. timm has c = 1/3, and pytorch_optimizer clips at tᶜ.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    allowed = {
        "clip_exp": Allowed("None or at least 0", lambda x, _: x is None or x >= 0, number=False)
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.9999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        clip_exp: float | None = 0.25,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "clip_exp": clip_exp,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, first, lr, betas, eps, weight_decay, clip_exp):
        beta1, beta2 = betas
        if first:
            return p, m, g**2
        n = g / xp.maximum(xp.sqrt(v), eps)
        if clip_exp is not None:
            bound = (t - 1) ** clip_exp
            n = xp.clip(n, -bound, bound)
        m = beta1 * m + (1 - beta1) * n
        v = beta2 * v + (1 - beta2) * g**2
        return p * (1 - lr * weight_decay) - lr * m, m, v
