"""Normalization: mean 0 and variance 1, over the batch or within each example.

Both divide by √(variance + ε) with the biased variance (divided by n), then scale and shift by what
they learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..creation import ones, zeros
from ..device import Device
from ..tensor import Tensor
from . import functional as F
from .checks import check_size, check_tensor
from .module import Module, Parameter


class BatchNorm1d(Module):
    """(x − x̄) / √(var x + ε) · w + b over the batch: x (N, C) or (N, C, L), w and b (C,).

    Ioffe & Szegedy 2015 (arXiv:1502.03167). In evaluation the running statistics stand in for the
    batch's: after each training batch they move by ``momentum`` towards it (None: plain average of
    all batches), the variance as the unbiased one, as in PyTorch.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | Device | None = None,
        dtype: Any = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features = check_size("BatchNorm1d", "num_features", num_features)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features, dtype=dtype, device=device)) if affine else None
        bias = affine and bias
        self.bias = Parameter(zeros(num_features, dtype=dtype, device=device)) if bias else None
        mean = var = count = None
        if track_running_stats:
            mean = zeros(num_features, dtype=dtype, device=device)
            var = ones(num_features, dtype=dtype, device=device)
            count = zeros((), dtype=np.int64, device=device)
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)
        self.register_buffer("num_batches_tracked", count)

    def forward(self, x: Tensor) -> Tensor:
        """x, normalized over the batch."""
        check_tensor("BatchNorm1d", x, "input")
        if x.ndim not in (2, 3) or x.shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm1d({self.num_features}): the input must be (N, {self.num_features}) or "
                f"(N, {self.num_features}, L), and it is {x.shape}."
            )
        learns = self.training and self.track_running_stats
        momentum: Any = self.momentum or 0.0
        if learns and self.momentum is None:
            momentum = (1 / (1 + self.num_batches_tracked.double()))._data  # nobody waits for it
        y = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            momentum,
            self.eps,
        )
        if learns:
            self.num_batches_tracked += 1
        return y

    def extra_repr(self) -> str:
        """Size and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class LayerNorm(Module):
    """(x − x̄) / √(var x + ε) · w + b over the last axes of each example (arXiv:1607.06450).

    x (…, *normalized_shape), w and b (*normalized_shape).
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = np.float32,
    ) -> None:
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else [normalized_shape]
        shape = tuple(check_size("LayerNorm", "normalized_shape", n) for n in sizes)
        self.normalized_shape = shape
        self.eps, self.elementwise_affine = eps, elementwise_affine
        affine, bias = elementwise_affine, elementwise_affine and bias
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype, device=device)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x, each example normalized."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Size and options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )
