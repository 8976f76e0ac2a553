"""Only the sign of the gradient counts: how steep it is does not matter, which way is up does."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import ABOVE_1, AT_LEAST_0, BELOW_1, BETWEEN_0_AND_1, Flags
from .parameters import Params


class Rprop(Optimizer):
    """Rprop (Riedmiller & Braun 1993): a step size for every number, grown while signs agree.

        s = g · g₋
        Δ ← clip(Δ · {η⁺ if s > 0, η⁻ if s < 0, 1 if s = 0}, Δ_min, Δ_max)
        g ← 0 where s < 0,  g₋ ← g
        p ← p − sign(g) Δ

    Where the sign has turned, the step went too far: it shrinks, and waits once. Δ starts as `lr`,
    which does nothing afterwards, and g₋, the last gradient, as 0; η⁻, η⁺ are `etas`. For full
    batches: with others the sign is noise. Optax emits the previous step's update.
    """

    state = {"g_last": "prev", "step_size": "step_size"}
    start = {"step_size": "lr"}
    flags = ("capturable", "foreach", "maximize", "differentiable")
    allowed = {"etas": (BETWEEN_0_AND_1, ABOVE_1), "step_sizes": AT_LEAST_0}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "etas": etas, "step_sizes": step_sizes}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, g_last, step_size, *, etas, step_sizes):
        shrink, grow = etas
        s = g * g_last
        step_size = xp.where(
            s > 0, grow * step_size, xp.where(s < 0, shrink * step_size, step_size)
        )
        step_size = xp.clip(step_size, *step_sizes)
        g = xp.where(s < 0, 0, g)
        return p - xp.sign(g) * step_size, g, step_size


class SignSGD(Optimizer):
    """Sign descent (Bernstein et al. 2018, arXiv:1802.04434, algorithm 1).

        p ← p − η sign(g)

    One bit of each gradient is enough, so workers can send bits and take a vote. Weight decay is
    decoupled, as in all that follow.
    """

    fixed = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay}, flags)

    @staticmethod
    def rule(xp, p, g, *, lr):
        return p - lr * xp.sign(g)


class Signum(Optimizer):
    """Sign descent with momentum (Bernstein et al. 2018, arXiv:1802.04434, algorithm 2).

        m ← μ m + (1 − μ) g
        p ← p − η sign(m)

    With μ = 0 it is SignSGD.
    """

    state = {"m": "momentum_buffer"}
    fixed = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, *, lr, momentum):
        m = momentum * m + (1 - momentum) * g
        return p - lr * xp.sign(m), m


class Tiger(Optimizer):
    """Tiger (Su 2023, github.com/bojone/tiger): Signum, tuned to need as little memory as it can.

        m ← β m + (1 − β) g
        p ← p − η sign(m)

    As m is all that is kept, gradients of several batches may be added into it.
    """

    state = {"m": "exp_avg"}
    fixed = {"decoupled_weight_decay": True}
    allowed = {"beta": BELOW_1}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        beta: float = 0.965,
        weight_decay: float = 0.01,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay}, flags)

    @staticmethod
    def rule(xp, p, g, m, *, lr, beta):
        m = beta * m + (1 - beta) * g
        return p - lr * xp.sign(m), m


class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): found by a search over programs.

        p ← p − η sign(β₁ m + (1 − β₁) g)
        m ← β₂ m + (1 − β₂) g

    The step looks at the fresh gradient more than the memory does; with β₁ = β₂ it is Signum. It
    wants a rate 3 to 10 times smaller than Adam's, and λ as many times larger.
    """

    state = {"m": "exp_avg"}
    fixed = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}, flags)

    @staticmethod
    def rule(xp, p, g, m, *, lr, betas):
        beta1, beta2 = betas
        step = xp.sign(beta1 * m + (1 - beta1) * g)
        return p - lr * step, beta2 * m + (1 - beta2) * g
