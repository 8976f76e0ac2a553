"""Sophia: steps measured by the curvature along each number, which is estimated at random."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from .. import ops
from ..autograd import grad
from ..live import live
from ..operation import enable_grad, wrap
from ..random_numbers import generator
from ..tensor import Tensor
from .optimizer import Optimizer
from .options import AT_LEAST_0, COUNT, Flags, plain
from .parameters import Params, label
from .second_order import gradient, product
from .storage import Storage


class Sophia(Optimizer):
    """What both forms share: when the curvature is estimated, and how it enters."""

    state = {"m": "exp_avg", "h": "hessian"}
    fixed = {"decoupled_weight_decay": True}
    scope = "closure"
    flags = ("maximize", "foreach")
    allowed = {"rho": AT_LEAST_0, "gamma": AT_LEAST_0, "update_period": COUNT}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.965, 0.99),
        rho: float = 1.0,
        gamma: float = 0.01,
        eps: float = 1e-12,
        weight_decay: float = 0.1,
        update_period: int = 10,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "rho": rho,
            "gamma": gamma,
            "eps": eps,
            "weight_decay": weight_decay,
            "update_period": update_period,
        }
        self._hessian: Sequence[Any] | None = None
        self._estimates: dict[Tensor, Any] = {}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, h, *, lr, betas, rho, gamma, eps):
        beta1, _ = betas
        m = beta1 * m + (1 - beta1) * g
        return p - lr * xp.clip(m / xp.maximum(gamma * h, eps), -rho, rho), m, h

    @live
    def step(
        self, closure: Callable[[], Any] | None = None, hessian: Sequence[Any] | None = None
    ) -> Any:
        """One step; the loss of the closure is returned.

        `hessian` is a ready estimate, an array for each parameter, None for those to leave out. It
        is used whenever it is given. TypeError where an estimate is due and cannot be made,
        ValueError for one that does not fit.
        """
        self._hessian = hessian
        try:
            return super().step(closure)
        finally:
            self._hessian, self._estimates = None, {}

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        returned = None
        if closure is not None:
            with enable_grad():
                returned = closure()
        due = [
            p
            for group, storage in zip(self.param_groups, self._storages)
            for p in group["params"]
            if p.grad is not None and storage.entry(p)[0] % plain(group["update_period"]) == 0
        ]
        if self._hessian is not None:
            self._estimates = self._fitting(self._hessian)
        elif due:
            self._estimates = dict(zip(due, self.estimate(returned, due)))
        super()._step()
        return returned[0] if isinstance(returned, tuple) else returned

    def _advance(self) -> None:
        """h ← β₂ h + (1 − β₂) ĥ, then the rule."""
        for group, storage in zip(self.param_groups, self._storages):
            assert isinstance(storage, Storage)
            _, beta2 = plain(group["betas"])
            for _ in storage.arrays(group):
                pass  # all state exists from here on
            for p in group["params"]:
                if p in self._estimates and p.grad is not None:
                    h = storage.view(p, "h")
                    h[...] = beta2 * h + (1 - beta2) * self._estimates[p]
        super()._advance()

    def estimate(self, returned: Any, params: Sequence[Tensor]) -> list[Any]:
        """ĥ of these parameters, from what the closure returned."""
        raise NotImplementedError

    def _fitting(self, hessian: Sequence[Any]) -> dict[Tensor, Any]:
        """The estimate that was given, by parameter."""
        params, name = list(self.parameters()), f"{type(self).__name__}.step"
        if len(hessian) != len(params):
            raise ValueError(
                f"{name}: hessian has {len(hessian)} arrays, and there are {len(params)} "
                "parameters. Give one for each, or None for some."
            )
        arrays = {
            p: p.device.put(getattr(one, "_data", one))
            for p, one in zip(params, hessian)
            if one is not None
        }
        for i, p in enumerate(params):
            if p in arrays and arrays[p].shape != p.shape:
                raise ValueError(
                    f"{name}: hessian has shape {arrays[p].shape} for {label(p, i)}, which is "
                    f"{p.shape}."
                )
        return arrays


class SophiaH(Sophia):
    """Sophia with Hutchinson's estimate (Liu et al. 2023, arXiv:2305.14342, algorithms 1 and 3).

        ĥ = u · H u,    u = ±1 at random                   once in k steps
        h ← β₂ h + (1 − β₂) ĥ
        m ← β₁ m + (1 − β₁) g
        p ← p (1 − η λ) − η clip(m / max(γ h, ε), ±ρ)

    The mean of ĥ is the diagonal of H; H u is a derivative along u. Where the curvature is small
    or negative the clip leaves η ρ sign(m). k is `update_period`. `step` takes a closure, which
    clears the gradients, calls backward and returns the loss, or a ready `hessian`. u is
    drawn on the host, and sent to a GPU. Optax has m̂, and h from before the step.
    """

    def estimate(self, returned: Any, params: Sequence[Tensor]) -> list[Any]:
        """u · H u, from the graph of the loss."""
        if not isinstance(returned, Tensor):
            raise TypeError(
                "SophiaH.step: the curvature is due, and the graph of the loss is needed for it. "
                "Write step(closure), with a closure that returns the loss, or step(hessian=…)."
            )
        u = [signs(p) for p in params]
        sign = -1 if self.param_groups[0]["maximize"] else 1
        curved = product(gradient(returned, params), params, u)
        return [sign * one * Hu for one, Hu in zip(u, curved)]


class SophiaG(Sophia):
    """Sophia with the Gauss–Newton–Bartlett estimate (arXiv:2305.14342, algorithms 2 and 3).

        ĥ = B g̃²,    g̃ the gradient for drawn labels       once in k steps
        h ← β₂ h + (1 − β₂) ĥ
        m ← β₁ m + (1 − β₁) g
        p ← p (1 − η λ) − η clip(m / max(γ h, ε), ±ρ)

    For classes: labels are drawn from the model's own softmax(logits), g̃ is the gradient of their
    mean cross-entropy, B the number of examples. The mean of ĥ is the diagonal of the Gauss–Newton
    matrix, so it is never negative, and needs no second derivative. `step` takes a closure that
    returns the loss and the logits (…, C), or a ready `hessian`. A number for each label is drawn
    on the host, and sent to a GPU.
    """

    def estimate(self, returned: Any, params: Sequence[Tensor]) -> list[Any]:
        """B g̃², from the graph of the logits."""
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise TypeError(
                "SophiaG.step: the curvature is due, and labels are drawn from the logits for it. "
                "Write step(closure), with a closure that returns loss, logits, or step(hessian=…)."
            )
        logits = returned[1]
        with enable_grad():
            rows = ops.reshape(logits, (-1, logits.shape[-1]))
            loss = ops.cross_entropy(rows, drawn(rows))
        found = grad(loss, params, allow_unused=True)
        return [0.0 if g is None else rows.shape[0] * g._data**2 for g in found]


def signs(p: Tensor) -> Any:
    """±1 at random, in the shape of a parameter; drawn on the host, and sent to a GPU."""
    drawn = 2 * generator().integers(0, 2, p.shape) - 1
    return p.device.from_host(drawn, p.dtype)


def drawn(logits: Tensor) -> Tensor:
    """A label for each row (N, C) -> (N,), as often as its softmax says.

    One number for each row is drawn on the host, and sent to a GPU.
    """
    share = ops.softmax(logits.detach(), axis=-1)._data
    chance = logits.device.from_host(generator().random((len(share), 1)))
    below = share.cumsum(axis=-1) <= chance * share.sum(axis=-1, keepdims=True)
    labels: Tensor = wrap(below.sum(axis=-1), logits.device)
    return labels
