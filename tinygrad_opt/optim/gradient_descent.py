"""Gradient descent and its momentum: the direction is the gradient, or a running sum of it."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import Flags
from .parameters import Params


class SGD(Optimizer):
    """Gradient descent (Robbins & Monro 1951), and with momentum (Polyak 1964; Nesterov 1983).

        p ← p − η g                                             plain
        b ← μ b + (1 − τ) g,    p ← p − η b                     momentum
        b ← μ b + (1 − τ) g,    p ← p − η (g + μ b)             nesterov

    μ is `momentum`, τ `dampening`; b begins as the first g. Nesterov's form is that of Sutskever et
    al. (2013). Keras and Chainer fold η into b: the same for a constant rate, not for one that
    moves.
    """

    state = {"b": "momentum_buffer"}
    state_if = {"b": "momentum"}
    saves_step = False
    flags = ("maximize", "foreach", "differentiable", "fused")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, b, *, first, lr, momentum, dampening, nesterov):
        if not momentum:
            return p - lr * g, b
        b = g if first else momentum * b + (1 - dampening) * g
        return p - lr * (g + momentum * b if nesterov else b), b
