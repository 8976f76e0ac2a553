"""Gradient descent, with momentum, and averaged: the gradient, a running sum of it, a mean of p."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from ..device import Device
from ..operation import enable_grad, there
from ..random_numbers import generator
from .optimizer import Optimizer
from .options import ANY_NUMBER, AT_LEAST_0, Flags, plain
from .parameters import Params
from .places import numbers, square
from .storage import Storage


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


class ASGD(Optimizer):
    """Averaged gradient descent (Ruppert 1988; Polyak & Juditsky 1992): the mean of the path.

        p ← p (1 − λ̃ ηₜ) − ηₜ g
        p̄ ← p̄ + μ (p − p̄)
        ηₜ ← η / (1 + λ̃ η t)^α
        μ ← 1 / max(1, t − t₀)

    The path circles around the minimum; its mean p̄ comes closer. λ̃ is `lambd`. ηₜ starts as η and μ
    as 1, so that until t₀ the mean is p itself. It stays in the state, as `ax`, and p goes its own
    way; for a mean of any optimizer's path there is averaging. PyTorch keeps ηₜ and μ in float32,
    and is a billionth off in float64 unless that is its default dtype.
    """

    state = {"eta": "eta", "mu": "mu", "p_mean": "ax"}
    scalars = ("eta", "mu")
    start = {"eta": "lr", "mu": 1.0}
    flags = ("foreach", "maximize", "differentiable", "capturable")
    allowed = {"lambd": ANY_NUMBER, "alpha": ANY_NUMBER, "t0": ANY_NUMBER}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, eta, mu, p_mean, *, t, lr, lambd, alpha, t0):
        p = p * (1 - lambd * eta) - eta * g
        p_mean = p if mu == 1 else p_mean + mu * (p - p_mean)
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / max(1, t - t0)
        return p, eta, mu, p_mean


class PolyakStep(Optimizer):
    """Polyak's step (Polyak 1987; bounded: Loizou et al. 2021, arXiv:2002.10542).

        α = min(η, (f − f*) / ‖g‖²)           ‖g‖ over all parameters
        p ← p − α g

    How far down it is and how steep say how far to go: no rate has to be found where the least
    loss f* is known, and it is 0 for a model that can fit all examples. η is the longest step. The
    loss comes from the closure of `step`, which waits for a GPU once; TypeError without one.
    """

    saves_step = False
    scope = "closure"
    flags = ("maximize", "foreach")
    allowed = {"f_star": ANY_NUMBER}

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        f_star: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "f_star": f_star, "gap": 0.0, "square": 0.0}, flags)

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is None:
            raise TypeError(
                "PolyakStep.step: the step depends on the loss. Write step(closure); a closure "
                "clears the gradients, computes the loss, calls backward and returns the loss."
            )
        with enable_grad():
            loss = closure()
        gradients = [p.grad._data for p in self.parameters() if p.grad is not None]
        f, *squares = numbers(loss._data, *map(square, gradients))
        for group in self.param_groups:
            gap = f - plain(group["f_star"])
            group.update(gap=-gap if group["maximize"] else gap, square=sum(squares))
        super()._step()
        return loss

    @staticmethod
    def rule(xp, p, g, *, lr, gap, square):
        alpha = min(lr, max(gap, 0) / square) if square else 0
        return p - alpha * g


class SGLD(Optimizer):
    """Stochastic gradient Langevin dynamics (Welling & Teh 2011): descent that becomes sampling.

        p ← p − η g + √(2 η T) ξ              ξ ~ N(0, 1)

    With enough noise p does not settle but visits every place as often as exp(−f / T) says. For a
    mean loss over N examples T = 1/N samples the posterior. T is `temperature`; the noise comes
    from the generator of `manual_seed`, on the host; a GPU is sent it at every step.
    """

    state = {"xi": "noise"}
    flags = ("maximize", "foreach")
    allowed = {"temperature": AT_LEAST_0}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        temperature: float = 1e-4,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "temperature": temperature, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    def _advance(self) -> None:
        for storage, group in zip(self._storages, self.param_groups):
            assert isinstance(storage, Storage)
            for arrays in storage.arrays(group):
                xi, device = arrays["xi"], Device.of(arrays["xi"])
                drawn = device.from_host(generator().standard_normal(xi.shape), xi.dtype)
                there(device, xi.__setitem__, ..., drawn)
        super()._advance()

    @staticmethod
    def rule(xp, p, g, xi, *, lr, temperature):
        return p - lr * g + (2 * lr * temperature) ** 0.5 * xi, xi
