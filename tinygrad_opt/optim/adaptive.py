"""A rate for every number of its own: divide by a running size of its gradients."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import AT_LEAST_0, Allowed, Flags, plain
from .parameters import Params


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011): the sum of squares makes seldom features move further.

        S ← S + g²
        p ← p − η / (1 + (t − 1) γ) · g / (√S + ε)

    γ is `lr_decay`; S begins as `initial_accumulator_value`. Optax and Keras put ε inside the root
    and start S at 0.1.
    """

    state = {"S": "sum"}
    start = {"S": "initial_accumulator_value"}
    state_at_once = True
    flags = ("maximize", "foreach", "differentiable", "fused")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, S, *, t, lr, lr_decay, eps):
        S = S + g * g
        return p - lr / (1 + (t - 1) * lr_decay) * g / (xp.sqrt(S) + eps), S


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, arXiv:1212.5701): steps measured by the size of earlier steps.

        v ← ρ v + (1 − ρ) g²
        Δ = √(u + ε) / √(v + ε) · g
        u ← ρ u + (1 − ρ) Δ²
        p ← p − η Δ

    The paper has η = 1; Keras has 0.001.
    """

    state = {"v": "square_avg", "u": "acc_delta"}
    flags = ("maximize", "capturable", "foreach", "differentiable")

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, v, u, *, lr, rho, eps):
        v = rho * v + (1 - rho) * g * g
        delta = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta * delta
        return p - lr * delta, v, u


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012): a running mean of squares, where Adagrad's sum only grows.

        v ← α v + (1 − α) g²
        D = √v + ε
        p ← p − η g / D

    `centered` (Graves 2013, arXiv:1308.0850) subtracts the squared mean of the gradients, which
    leaves their variance; `momentum` sums up the steps:

        ḡ ← ḡ + (1 − α)(g − ḡ)       D = √max(v − ḡ², 0) + ε
        b ← μ b + g / D              p ← p − η b

    Keras and Optax put ε inside the root. PyTorch does not clamp v − ḡ², which rounding makes
    negative when the gradient stays the same: it gives NaN after a thousand steps.
    """

    state = {"v": "square_avg", "b": "momentum_buffer", "g_mean": "grad_avg"}
    state_if = {"b": "momentum", "g_mean": "centered"}
    flags = ("capturable", "foreach", "maximize", "differentiable")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, v, b, g_mean, *, lr, alpha, eps, momentum, centered):
        variance = v = alpha * v + (1 - alpha) * g * g
        if centered:
            g_mean = g_mean + (1 - alpha) * (g - g_mean)
            variance = xp.maximum(v - g_mean * g_mean, 0)
        step = g / (xp.sqrt(variance) + eps)
        if momentum:
            step = b = momentum * b + step
        return p - lr * step, v, b, g_mean


class FTRL(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013, "Ad click prediction", algorithm 1).

        n' = n + g²
        z ← z + g − (√n' − √n) / η · p,    n ← n'
        p ← (clip(z, −λ₁, λ₁) − z) / (√n' / η + 2 λ₂ + β / η)

    For linear models with many features: p is exactly 0 where |z| ≤ λ₁, which no rule that only
    adds steps can give. `lr_power` −½ is the root. p should begin at 0, as the rule computes it
    anew from z; a rate of 0 leaves all as it is. Same as Keras's; pytorch_optimizer's differs.
    """

    state = {"z": "linear", "n": "accumulator"}
    start = {"n": "initial_accumulator_value"}
    allowed = {
        "lr_power": Allowed("at most 0", lambda x, _: x <= 0),
        "initial_accumulator_value": Allowed(
            "above 0, or 0 with beta above 0",
            lambda x, o: x > 0 or (x == 0 and plain(o["beta"]) > 0),
        ),
        "l1": AT_LEAST_0,
        "l2": AT_LEAST_0,
        "beta": AT_LEAST_0,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        lr_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1: float = 0,
        l2: float = 0,
        beta: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "lr_power": lr_power,
            "initial_accumulator_value": initial_accumulator_value,
            "l1": l1,
            "l2": l2,
            "beta": beta,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, z, n, *, lr, lr_power, l1, l2, beta):
        if lr == 0:
            return p, z, n
        root, n = n**-lr_power, n + g**2
        new_root = n**-lr_power
        z = z + g - (new_root - root) / lr * p
        return (xp.clip(z, -l1, l1) - z) / (new_root / lr + 2 * l2 + beta / lr), z, n
