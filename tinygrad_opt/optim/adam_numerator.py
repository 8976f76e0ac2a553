"""Adam with another numerator: which way a number goes, where Adam has m̂."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from math import log
from typing import Unpack

from .optimizer import Optimizer
from .options import AT_LEAST_0, Allowed, Flags, plain
from .parameters import Params


class Adan(Optimizer):
    """Adan (Xie et al. 2022, arXiv:2208.06677): Nesterov's look ahead, from gradients at hand.

        d = g − g₋,    g₋ ← g
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) d
        n ← β₃ n + (1 − β₃)(g + β₂ d)²
        u = (m / (1 − β₁ᵗ) + β₂ v / (1 − β₂ᵗ)) / (√(n / (1 − β₃ᵗ)) + ε)
        p ← (p − η u) / (1 + η λ)

    g₋ begins as g; −g₋ is what is kept, as by the authors. With `no_prox` decay is decoupled:
    p ← p (1 − η λ) − η u. The paper's β are 1 − β here. Optax weighs v by 1 − β₂; adan-pytorch
    leaves out the first averages.
    """

    state = {
        "m": "exp_avg",
        "v": "exp_avg_diff",
        "n": "exp_avg_sq",
        "minus_g": "previous_grad",
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0,
        no_prox: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "no_prox": no_prox,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, n, minus_g, *, t, first, lr, betas, eps, weight_decay, no_prox):
        beta1, beta2, beta3 = betas
        d = g + (-g if first else minus_g)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * d
        n = beta3 * n + (1 - beta3) * (g + beta2 * d) ** 2
        numerator = m / (1 - beta1**t) + beta2 * v / (1 - beta2**t)
        u = numerator / (xp.sqrt(n / (1 - beta3**t)) + eps)
        if no_prox:
            p = p * (1 - lr * weight_decay) - lr * u
        else:
            p = (p - lr * u) / (1 + lr * weight_decay)
        return p, m, v, n, -g


class AdEMAMix(Optimizer):
    """AdEMAMix (Pagliardini et al. 2024, arXiv:2409.03137): a second, much longer memory.

        m ← β₁ m + (1 − β₁) g                m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²               v̂ = v / (1 − β₂ᵗ)
        s ← β₃ s + (1 − β₃) g
        p ← p − η ((m̂ + α s) / (√v̂ + ε) + λ p)

    s is not corrected for its start at 0. With T = `t_alpha_beta3` steps of warm-up α grows from 0
    like t / T, and β₃ from β₁ so that the half-life grows like t / T; then β₁ has to be above 0.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq", "s": "exp_avg_slow"}
    allowed = {
        "t_alpha_beta3": Allowed(
            "None, or above 0 with betas[0] and betas[2] above 0",
            lambda t, o: t > 0 and min(plain(o["betas"])[::2]) > 0,
        )
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        eps: float = 1e-8,
        weight_decay: float = 0,
        t_alpha_beta3: float | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "t_alpha_beta3": t_alpha_beta3,
            "half_life": 1.0,
        }
        super().__init__(params, options, flags)

    def _advance(self) -> None:
        for group in self.param_groups:
            if group["t_alpha_beta3"] is not None:
                beta1, _, beta3 = plain(group["betas"])
                group["half_life"] = log(beta3) / log(beta1)  # of β₁, where that of β₃ is 1
        super()._advance()

    @staticmethod
    def rule(
        xp, p, g, m, v, s, *, t, lr, betas, alpha, eps, weight_decay, t_alpha_beta3, half_life
    ):
        beta1, beta2, beta3 = betas
        if t_alpha_beta3 is not None:
            done = min(t / t_alpha_beta3, 1)
            alpha = done * alpha
            beta3 = beta3 ** (1 / ((1 - done) * half_life + done))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        s = beta3 * s + (1 - beta3) * g
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - lr * ((m_hat + alpha * s) / (xp.sqrt(v_hat) + eps) + weight_decay * p), m, v, s


class MARS(Optimizer):
    """MARS (Yuan et al. 2024, arXiv:2411.10438): each gradient corrected by the one before it.

        c = g + γ β₁ / (1 − β₁) (g − g₋),    c ← c / max(1, ‖c‖),    g₋ ← g
        m ← β₁ m + (1 − β₁) c                m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) c²               v̂ = v / (1 − β₂ᵗ)
        p ← p − η (m̂ / (√v̂ + ε) + λ p)

    The noise that two gradients share cancels. g₋ begins as g; vectors and numbers take c = g, as
    in timm. The paper takes g₋ anew on the present batch where that can be afforded.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq", "g_last": "last_grad"}
    scope = "tensor"
    allowed = {"gamma": AT_LEAST_0}

    def __init__(
        self,
        params: Params,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        gamma: float = 0.025,
        eps: float = 1e-8,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "gamma": gamma,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, g_last, *, t, first, lr, betas, gamma, eps, weight_decay):
        beta1, beta2 = betas
        c = g
        if p.ndim > 1:
            c = g + gamma * beta1 / (1 - beta1) * (g - (g if first else g_last))
            c = c / xp.maximum(xp.sqrt(xp.sum(c**2)), 1)
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - lr * (m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * p), m, v, g
