"""What stands between the layers of a network, and losses that treat every element alike.

Order: smooth steps · straight pieces · smooth bends · Huber's loss · binary cross-entropy.
"""

from __future__ import annotations

import math

from ..operation import op
from .elementwise import erf, tanh

__all__ = [
    "sigmoid",
    "softplus",
    "log_sigmoid",
    "relu",
    "leaky_relu",
    "hardtanh",
    "relu6",
    "hardsigmoid",
    "hardswish",
    "elu",
    "selu",
    "gelu",
    "silu",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]

# ---- smooth steps -----------------------------------------------------------------------------


@op(lambda xp, g, y, x: g * y * (1 - y))
def sigmoid(xp, x):
    """1 / (1 + e⁻ˣ), without overflow."""
    z = xp.exp(0.0 - xp.abs(x))  # not −|x|, which bytes have not
    return xp.where(x >= 0, 1 / (1 + z), z / (1 + z))


@op(lambda xp, g, y, x: g * sigmoid.within(xp, x))
def softplus(xp, x):
    """ln(1 + eˣ), without overflow."""
    return xp.logaddexp(x, 0)


@op(lambda xp, g, y, x: g * sigmoid.within(xp, -x))
def log_sigmoid(xp, x):
    """ln sigmoid(x) = −softplus(−x)."""
    return -xp.logaddexp(0.0 - x, 0)


# ---- straight pieces --------------------------------------------------------------------------


@op(lambda xp, g, y, x: g * (x > 0))
def relu(xp, x):
    """max(x, 0) (Nair & Hinton 2010); the derivative at 0 is 0."""
    return xp.maximum(x, 0)


@op(lambda xp, g, y, x, slope=0.01: xp.where(x > 0, g, slope * g))
def leaky_relu(xp, x, slope=0.01):
    """x where x > 0, else slope · x."""
    return xp.where(x > 0, x, slope * x)


@op(lambda xp, g, y, x, low=-1.0, high=1.0: g * ((x > low) & (x < high)))
def hardtanh(xp, x, low=-1.0, high=1.0):
    """x held between low and high; unlike clip, the derivative at a bound is 0."""
    return xp.clip(x, low, high)


def relu6(x):
    """min(max(x, 0), 6)."""
    return hardtanh(x, low=0.0, high=6.0)


def hardsigmoid(x):
    """min(max(x / 6 + ½, 0), 1), with derivative 0 at ±3."""
    return relu6(x + 3) / 6


@op(lambda xp, g, y, x: g * xp.where(x <= -3, 0, xp.where(x < 3, x / 3 + 0.5, 1)))
def hardswish(xp, x):
    """x · hardsigmoid(x) (Howard et al. 2019, arXiv:1905.02244)."""
    return x * xp.clip(x + 3, 0, 6) / 6


# ---- smooth bends -----------------------------------------------------------------------------


@op(lambda xp, g, y, x, alpha=1.0: xp.where(x > 0, g, g * alpha * xp.exp(xp.minimum(x, 0))))
def elu(xp, x, alpha=1.0):
    """x where x > 0, else α(eˣ − 1) (Clevert et al. 2015, arXiv:1511.07289)."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


def selu(x):
    """λ elu(x, α) with the constants of Klambauer et al. 2017 (arXiv:1706.02515)."""
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


def gelu(x, approximate="none"):
    """x Φ(x), Φ the normal distribution's; "tanh" takes its approximation (arXiv:1606.08415)."""
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f"gelu: approximate is {approximate!r}; it is 'none' or 'tanh'.")
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def silu(x):
    """x · sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)."""
    return x * sigmoid(x)


# ---- Huber's loss -----------------------------------------------------------------------------


@op(
    lambda xp, g, y, p, t, delta=1.0: g * xp.clip(p - t, -delta, delta),
    lambda xp, g, y, p, t, delta=1.0: -g * xp.clip(p - t, -delta, delta),
)
def huber_loss(xp, p, t, delta=1.0):
    """½d² where d = |p − t| ≤ δ, else δ(d − ½δ) (Huber 1964)."""
    d = xp.abs(p - t)
    return xp.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


# ---- binary cross-entropy ---------------------------------------------------------------------


@op(
    lambda xp, g, y, p, t: g * (p - t) / xp.maximum(p * (1 - p), 1e-12),
    lambda xp, g, y, p, t: g * (xp.maximum(xp.log1p(-p), -100) - xp.maximum(xp.log(p), -100)),
)
def binary_cross_entropy(xp, p, t):
    """−t ln p − (1 − t) ln(1 − p), each logarithm held above −100, as in PyTorch."""
    return -(t * xp.maximum(xp.log(p), -100) + (1 - t) * xp.maximum(xp.log1p(-p), -100))


def _from_label(xp, g, y, z, t, w):
    """g·((1 − t) σ(z) − w t σ(−z)), of which neither sigmoid is taken from 1."""
    right = z >= 0
    e = xp.exp(xp.where(right, -z, z))
    t, rest = t if w is None else w * t, 1 - t
    return g * xp.where(right, rest - t * e, rest * e - t) / (1 + e)


@op(
    _from_label,
    lambda xp, g, y, z, t, w: g * (-z if w is None else (w - 1) * softplus.within(xp, -z) - z),
    lambda xp, g, y, z, t, w: g * t * softplus.within(xp, -z),
)
def binary_cross_entropy_with_logits(xp, z, t, w=None):
    """−w t ln σ(z) − (1 − t) ln σ(−z), without overflow."""
    far = softplus.within(xp, -z)
    return (1 - t) * z + (far if w is None else ((w - 1) * t + 1) * far)
