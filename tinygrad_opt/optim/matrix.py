"""A matrix is more than its numbers: rules that look at its directions."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ..tensor import Tensor
from .optimizer import Optimizer
from .options import ANY_NUMBER, Allowed, Flags, one_of
from .parameters import Params


class Muon(Optimizer):
    """Muon (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982): equal steps in all directions.

        b ← b + (1 − μ)(g − b)
        u = g + μ (b − g)
        p ← p (1 − η λ) − η r NS(u)

    Without `nesterov` u is b. NS(u), of Newton and Schulz, is nearly U Vᵀ of u = U S Vᵀ: all
    singular values about 1. X ← u / ‖u‖, then `ns_steps` times X ← a X + (b A + c A²) X with
    A = X Xᵀ, a polynomial that pushes them there. `adjust_lr_fn`: r = √max(1, rows / columns)
    ("original"), or 0.2 √max(rows, columns), which makes steps about as large as AdamW's
    ("match_rms_adamw").

    For hidden weight matrices; with `flatten`, kernels (out, in, …) count as (out, in · …).
    ValueError for other shapes: give those to AdamW with `MultiOptimizer`. PyTorch iterates in
    bfloat16, this in the dtype of p.
    """

    state = {"b": "momentum_buffer"}
    saves_step = False
    scope = "matrix"
    flags = ()
    allowed = {
        "nesterov": Allowed("True or False", lambda x, _: x in (True, False)),
        "ns_coefficients": ANY_NUMBER,
        "ns_steps": Allowed("between 0 and 99", lambda x, _: 0 <= x < 100),
        "adjust_lr_fn": one_of(None, "original", "match_rms_adamw"),
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        flatten: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, options | ({"flatten": True} if flatten else {}), flags)

    def check_parameter(self, p: Tensor, who: str, group: Mapping[str, Any]) -> None:
        if p.ndim == 2 or (p.ndim > 2 and group.get("flatten")):
            return
        raise ValueError(
            f"Muon: {who} has shape {p.shape} and is not a matrix. Give it to AdamW with "
            "MultiOptimizer" + (", or say flatten=True for kernels." if p.ndim > 2 else ".")
        )

    @staticmethod
    def rule(
        xp,
        p,
        g,
        b,
        *,
        lr,
        weight_decay,
        momentum,
        nesterov,
        ns_coefficients,
        eps,
        ns_steps,
        adjust_lr_fn,
    ):
        b = b + (1 - momentum) * (g - b)
        u = g + momentum * (b - g) if nesterov else b
        u = u.reshape(u.shape[0], -1)
        rows, columns = u.shape
        if adjust_lr_fn == "match_rms_adamw":
            r = 0.2 * max(rows, columns) ** 0.5
        else:
            r = max(1, rows / columns) ** 0.5
        step = newton_schulz(xp, u, ns_coefficients, eps, ns_steps).reshape(p.shape)
        return p * (1 - lr * weight_decay) - lr * r * step, b


def newton_schulz(xp, u, coefficients, eps, steps):
    """A matrix with the directions of u, and singular values near 1."""
    if u.shape[0] > u.shape[1]:
        return newton_schulz(xp, u.T, coefficients, eps, steps).T
    a, b, c = coefficients
    x = u / xp.maximum(xp.sqrt(xp.sum(u * u)), eps)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x
