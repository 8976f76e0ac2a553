"""Activations as modules: each calls the function of the same name.

Order: straight pieces · smooth ones · softmax.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module

# ---- straight pieces --------------------------------------------------------------------------


class ReLU(Module):
    """max(x, 0) (Nair & Hinton 2010); the derivative at 0 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope · x."""

    _shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """x, or a little of it."""
        return F.leaky_relu(x, self.negative_slope)


class ReLU6(Module):
    """min(max(x, 0), 6); the derivative at 0 and 6 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        """min(max(x, 0), 6)."""
        return F.relu6(x)


class Hardtanh(Module):
    """x held between two numbers; the derivative at a bound is 0."""

    _shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        """x between the bounds."""
        return F.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(Module):
    """min(max(x / 6 + ½, 0), 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Between 0 and 1."""
        return F.hardsigmoid(x)


class Hardswish(Module):
    """x · hardsigmoid(x) (Howard et al. 2019, arXiv:1905.02244)."""

    def forward(self, x: Tensor) -> Tensor:
        """x · hardsigmoid(x)."""
        return F.hardswish(x)


# ---- smooth ones ------------------------------------------------------------------------------


class ELU(Module):
    """x where x > 0, else α(eˣ − 1) (Clevert et al. 2015, arXiv:1511.07289)."""

    _shown = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """x, or α(eˣ − 1)."""
        return F.elu(x, self.alpha)


class SELU(Module):
    """λ elu(x, α) with constants that keep mean 0 and variance 1 (arXiv:1706.02515)."""

    def forward(self, x: Tensor) -> Tensor:
        """λ elu(x, α)."""
        return F.selu(x)


class GELU(Module):
    """x Φ(x), Φ the normal distribution's; "tanh" takes its approximation (arXiv:1606.08415)."""

    _shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """x Φ(x)."""
        return F.gelu(x, self.approximate)


class SiLU(Module):
    """x · sigmoid(x), also called swish (Elfwing et al. 2017, arXiv:1702.03118)."""

    def forward(self, x: Tensor) -> Tensor:
        """x · sigmoid(x)."""
        return F.silu(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """Between 0 and 1."""
        return F.sigmoid(x)


class LogSigmoid(Module):
    """ln sigmoid(x), without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """Below 0."""
        return F.logsigmoid(x)


class Tanh(Module):
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """Between −1 and 1."""
        return F.tanh(x)


class Softplus(Module):
    """ln(1 + e^(βx)) / β, and x itself where βx > threshold."""

    _shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        """Above 0."""
        return F.softplus(x, self.beta, self.threshold)


# ---- softmax ----------------------------------------------------------------------------------


class Softmax(Module):
    """eˣ / Σ eˣ along an axis: positive, and the sum is 1.

    The axis is the last one unless given; PyTorch guesses one and warns. CrossEntropyLoss wants raw
    scores: it takes the softmax itself.
    """

    _shown = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Shares."""
        return F.softmax(x, self.dim)


class LogSoftmax(Module):
    """x − ln Σ eˣ along an axis, the last one unless given, without overflow."""

    _shown = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of shares."""
        return F.log_softmax(x, self.dim)
