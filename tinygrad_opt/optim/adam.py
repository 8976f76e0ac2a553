"""Adam and AdamW: a running mean of gradients, divided by a running size of them."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import Flags
from .parameters import Params


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1).

        m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)
        p ← p − η m̂ / (√v̂ + ε)

    With `amsgrad` (Reddi et al. 2018, arXiv:1904.09237) the largest v so far stands in its place.
    ε stands outside the root and after the bias correction, as in PyTorch; Keras puts it elsewhere.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}
    state_if = {"v_max": "amsgrad"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, v_max, *, t, lr, betas, eps, amsgrad):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        if amsgrad:
            v_max = xp.maximum(v_max, v)
        m_hat = m / (1 - beta1**t)
        v_hat = (v_max if amsgrad else v) / (1 - beta2**t)
        return p - lr * m_hat / (xp.sqrt(v_hat) + eps), m, v, v_max


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

        p ← p (1 − η λ), then Adam's rule

    Adam adds λ p to the gradient instead, where the division by √v̂ undoes it: weights with large
    gradients hardly decay. The paper's λ is not multiplied by η; PyTorch's, and this one, is.
    """

    fixed = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **flags)
