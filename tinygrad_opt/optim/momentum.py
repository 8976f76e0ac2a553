"""Momentum beyond SGD's: one formula for its forms, several at once, and for games."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import AT_LEAST_0, UNIT, Flags
from .parameters import Params


class QHM(Optimizer):
    """Quasi-hyperbolic momentum (Ma & Yarats 2019, arXiv:1810.06801).

        b ← μ b + (1 − μ) g
        p ← p − η ((1 − ν) g + ν b)

    A weighted mean of plain and momentum steps. ν = 0 is SGD, ν = 1 is momentum and ν = μ
    Nesterov's, with PyTorch's η divided by 1 − μ.
    """

    state = {"b": "momentum_buffer"}
    allowed = {"nu": UNIT}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.999,
        nu: float = 0.7,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "nu": nu, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, b, *, lr, momentum, nu):
        b = momentum * b + (1 - momentum) * g
        return p - lr * ((1 - nu) * g + nu * b), b


class AggMo(Optimizer):
    """Aggregated momentum (Lucas et al. 2019, arXiv:1804.00325): slow and fast memories at once.

        bᵢ ← βᵢ bᵢ + g           i = 1, 2, 3
        p ← p − η / 3 Σ bᵢ

    The quick ones damp the swings of the slow one, which may then be nearly 1. The paper's number
    of memories is any; its own choice is these three.
    """

    state = {"b1": "momentum_buffer_1", "b2": "momentum_buffer_2", "b3": "momentum_buffer_3"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.0, 0.9, 0.99),
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}, flags)

    @staticmethod
    def rule(xp, p, g, b1, b2, b3, *, lr, betas):
        beta1, beta2, beta3 = betas
        b1 = beta1 * b1 + g
        b2 = beta2 * b2 + g
        b3 = beta3 * b3 + g
        return p - lr / 3 * (b1 + b2 + b3), b1, b2, b3


class OptimisticGD(Optimizer):
    """Optimistic gradient descent (Daskalakis et al. 2018, arXiv:1711.00141): for games.

        p ← p − η ((α + β) g − β g₋),    g₋ ← g

    It expects the next gradient to differ from this as this did from the last. Where two players
    descend and ascend x y, plain steps spiral outward; these reach the equilibrium. g₋ begins as
    the first g.
    """

    state = {"g_last": "previous_grad"}
    allowed = {"beta": AT_LEAST_0}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        alpha: float = 1.0,
        beta: float = 1.0,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "beta": beta, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, g_last, *, first, lr, alpha, beta):
        return p - lr * ((alpha + beta) * g - beta * (g if first else g_last)), g
