"""Adam's relatives in PyTorch: another norm, Nesterov's look ahead, a careful start, rows."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import ABOVE_0, Flags
from .parameters import Params


class Adamax(Optimizer):
    """Adamax (Kingma & Ba 2015, arXiv:1412.6980, section 7.1): Adam with the largest gradient.

        m ← β₁ m + (1 − β₁) g
        u ← max(β₂ u, |g| + ε)
        p ← p − η / (1 − β₁ᵗ) · m / u

    Where Adam's √v̂ is a 2-norm of the gradients so far, u is their ∞-norm: it needs no correction.
    The paper has no ε; Keras and MLX add it in the denominator.
    """

    state = {"m": "exp_avg", "u": "exp_inf"}
    flags = ("foreach", "maximize", "differentiable", "capturable")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, u, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        u = xp.maximum(beta2 * u, xp.abs(g) + eps)
        return p - lr / (1 - beta1**t) * m / u, m, u


class NAdam(Optimizer):
    """NAdam (Dozat 2016): Adam that looks ahead as Nesterov's momentum does.

        μ = β₁ (1 − ½ · 0.96^(t ψ)),  μ′ = β₁ (1 − ½ · 0.96^((t + 1) ψ))
        Π ← Π μ
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²,  v̂ = v / (1 − β₂ᵗ)
        p ← p − η [(1 − μ) / (1 − Π) g + μ′ / (1 − Π μ′) m] / (√v̂ + ε)

    ψ is `momentum_decay`: the momentum μ grows to β₁ slowly, and Π, which starts at 1, is what all
    of them shrink a start by. Keras has ψ = 1, Optax a constant μ. PyTorch keeps Π in float32, and
    is a billionth off in float64 unless that is its default dtype.
    """

    state = {"Pi": "mu_product", "m": "exp_avg", "v": "exp_avg_sq"}
    scalars = ("Pi",)
    start = {"Pi": 1.0}
    flags = ("foreach", "maximize", "capturable", "differentiable")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, Pi, m, v, *, t, lr, betas, eps, momentum_decay):
        beta1, beta2 = betas
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        Pi = Pi * mu
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        v_hat = v / (1 - beta2**t)
        direction = (1 - mu) / (1 - Pi) * g + mu_next / (1 - Pi * mu_next) * m
        return p - lr * direction / (xp.sqrt(v_hat) + eps), Pi, m, v


class RAdam(Optimizer):
    """RAdam (Liu et al. 2020, arXiv:1908.03265): Adam that trusts v only once it knows enough.

        m ← β₁ m + (1 − β₁) g,  m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²
        ρ∞ = 2 / (1 − β₂) − 1
        ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        r = √[(ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ)]
        p ← p − η m̂ r √(1 − β₂ᵗ) / (√v + ε) if ρ > 5, else p − η m̂

    It warms up by itself: ρ says how many gradients v has seen, in effect, and of few the variance
    of 1/√v is large. With the usual β₂ the first 5 steps are momentum. Optax puts ε beside √v̂.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    flags = ("foreach", "maximize", "capturable", "differentiable")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        rho_end = 2 / (1 - beta2) - 1
        rho = rho_end - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            r2 = (rho - 4) * (rho - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * rho)
            return p - lr * m_hat * (r2 * (1 - beta2**t)) ** 0.5 / (xp.sqrt(v) + eps), m, v
        return p - lr * m_hat, m, v


class SparseAdam(Optimizer):
    """SparseAdam (PyTorch's): Adam on the rows that occurred in a batch, and on no others.

        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        p ← p − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)

    For `Embedding(…, sparse=True)`: a step costs what the batch has seen, not what the table holds.
    A row that is not seen neither decays nor moves, t counts the steps of the whole table, and ε
    stands beside the uncorrected root. A step waits for a GPU once for each table, to
    know how many rows were seen. TypeError for other gradients: those are Adam's.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    scope = "rows"
    flags = ("maximize",)
    allowed = {"lr": ABOVE_0, "eps": ABOVE_0}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps}, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        return p - rate * m / (xp.sqrt(v) + eps), m, v
