"""One rate for every tensor, from the size of its weights and of its step."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import AT_LEAST_0, Allowed, Flags, plain
from .parameters import Params


class LARS(Optimizer):
    """LARS (You, Gitman & Ginsburg 2017, arXiv:1708.03888): steps in proportion to the weights.

        r = τ ‖p‖ / (‖g‖ + λ ‖p‖ + ε),   1 where ‖p‖ or the denominator is 0
        u = r (g + λ p)
        b ← μ b + u
        p ← p − η b                      nesterov: p ← p − η (u + μ b)

    Large batches want large rates, which some layers cannot bear: here ‖u‖ is τ ‖p‖ or less in
    all. τ is `trust_coefficient`, b begins as u. Every tensor is scaled; biases and norms are
    usually given a group of plain SGD. Optax divides by ‖g + λ p‖.
    """

    state = {"b": "momentum_buffer"}
    state_if = {"b": "momentum"}
    scope = "tensor"
    allowed = {
        "trust_coefficient": AT_LEAST_0,
        "nesterov": Allowed(
            "False unless momentum is above 0", lambda on, o: not on or plain(o["momentum"]) > 0
        ),
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0,
        nesterov: bool = False,
        trust_coefficient: float = 1e-3,
        eps: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, b, *, first, lr, momentum, weight_decay, nesterov, trust_coefficient, eps):
        size = norm(xp, p)
        r = ratio(xp, trust_coefficient * size, norm(xp, g) + weight_decay * size + eps)
        u = r * (g + weight_decay * p)
        if not momentum:
            return p - lr * u, b
        b = u if first else momentum * b + u
        return p - lr * (u + momentum * b if nesterov else b), b


class LAMB(Optimizer):
    """LAMB (You et al. 2019, arXiv:1904.00962, algorithm 2): Adam with the idea of LARS.

        m ← β₁ m + (1 − β₁) g            m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²           v̂ = v / (1 − β₂ᵗ)
        u = m̂ / (√v̂ + ε) + λ p
        p ← p − η ‖p‖ / ‖u‖ u            ‖p‖ / ‖u‖ is 1 where either is 0

    Decay is inside the ratio, ‖p‖ is not clamped, and gradients are not clipped, as timm does when
    not told otherwise.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    scope = "tensor"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, t, lr, betas, eps, weight_decay):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        u = m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * p
        return p - lr * ratio(xp, norm(xp, p), norm(xp, u)) * u, m, v


class NovoGrad(Optimizer):
    """NovoGrad (Ginsburg et al. 2019, arXiv:1905.11286): Adam with one v for each tensor.

        v ← β₂ v + (1 − β₂) ‖g‖²
        u = g / (√v + ε) + λ p           grad_averaging: times 1 − β₁
        m ← β₁ m + u
        p ← p − η m

    Gradients are scaled before they are averaged, so v, which begins as ‖g‖², needs no correction
    for its start, and the state is half of Adam's.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq"}
    start = {"v": lambda xp, p: xp.zeros((), p.dtype)}
    scope = "tensor"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0,
        grad_averaging: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "grad_averaging": grad_averaging,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, m, v, *, first, lr, betas, eps, weight_decay, grad_averaging):
        beta1, beta2 = betas
        square = xp.sum(g**2)
        v = square if first else beta2 * v + (1 - beta2) * square
        u = g / (xp.sqrt(v) + eps) + weight_decay * p
        if grad_averaging:
            u = (1 - beta1) * u
        m = beta1 * m + u
        return p - lr * m, m, v


class Adafactor(Optimizer):
    """Adafactor (Shazeer & Stern 2018, arXiv:1804.04235): Adam's v from its row and column sums.

        w = t^γ,  α = max(ε₂, RMS(p)) · min(η, 1/√t)
        R ← R + w (mean of each row of g² − R)
        C ← C + w (mean of each column of g² − C)
        V = R C / max(mean(R), ε₁),  U = g / √max(V, ε₁²)
        p ← p (1 − η λ) − α U / max(1, RMS(U) / d)

    A matrix of n × m costs n + m numbers of state; with fewer than two axes V ← V + w (g² − V). It
    has no momentum, steps in proportion to the weights, and η only bounds 1/√t. γ is `beta2_decay`;
    rows and columns are the last two axes; ε₁ None is the dtype's epsilon. Others add ε₁ to g².
    """

    state = {"R": "row_var", "C": "col_var", "V": "variance"}
    start = {
        "R": lambda xp, p: xp.zeros_like(p[..., :1]) if p.ndim > 1 else None,
        "C": lambda xp, p: xp.zeros_like(p[..., :1, :]) if p.ndim > 1 else None,
        "V": lambda xp, p: xp.zeros_like(p) if p.ndim < 2 else None,
    }
    scope = "tensor"
    flags = ("foreach", "maximize")
    allowed = {
        "beta2_decay": Allowed("at most 0", lambda x, _: x <= 0),
        "d": Allowed("at least 1", lambda x, _: x >= 1),
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(xp, p, g, R, C, V, *, t, lr, beta2_decay, eps, d, weight_decay):
        eps1, eps2 = eps
        eps1 = float(xp.finfo(p.dtype).eps) if eps1 is None else eps1
        w = t**beta2_decay
        alpha = xp.maximum(eps2, rms(xp, p)) * min(lr, t**-0.5)
        p = p * (1 - lr * weight_decay)
        if p.ndim > 1:
            R = R + w * (xp.mean(g * g, axis=-1, keepdims=True) - R)
            C = C + w * (xp.mean(g * g, axis=-2, keepdims=True) - C)
            v = R @ C / xp.maximum(xp.mean(R, axis=-2, keepdims=True), eps1)
        else:
            v = V = V + w * (g * g - V)
        u = g / xp.sqrt(xp.maximum(v, eps1 * eps1))
        return p - alpha / xp.maximum(1, rms(xp, u) / d) * u, R, C, V


def rms(xp, x):
    """The root of the mean square of a whole tensor."""
    return xp.sqrt(xp.mean(x * x))


def norm(xp, x):
    """‖x‖ of a whole tensor, 0 where it is empty."""
    return xp.sqrt(xp.sum(x * x))


def ratio(xp, a, b):
    """a / b, or 1 where either is 0."""
    both = (a > 0) & (b > 0)
    return xp.where(both, a / xp.where(both, b, 1), 1)
