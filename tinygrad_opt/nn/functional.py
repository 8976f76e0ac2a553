"""What the layers compute, as functions with PyTorch's names and argument order.

Order: linear and lookup · activations · dropout · normalization · losses (from `loss_functions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops, random_numbers
from ..creation import arange
from ..operation import changed, there
from ..rows import lookup as _lookup
from ..tensor import Tensor
from .checks import check_indices, check_share, check_tensor
from .loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_embedding_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    multi_margin_loss,
    nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "linear_relu",
    "log_softmax",
    "logsigmoid",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]

Function = Callable[..., Tensor]
_where: Function = ops.where
_softmax: Function = ops.softmax
_log_softmax: Function = ops.log_softmax
_softplus: Function = ops.softplus
_leaky_relu: Function = ops.leaky_relu
_hardtanh: Function = ops.hardtanh
_standardize: Function = ops.standardize
_dropout: Function = ops.dropout

# ---- linear and lookup ------------------------------------------------------------------------

linear: Function = ops.linear
linear_relu: Function = ops.linear_relu


def embedding(
    indices: Tensor, weight: Tensor, padding_idx: int | None = None, sparse: bool = False
) -> Tensor:
    """Rows of a matrix: indices (…), weight (n, dim) -> (…, dim); row padding_idx gets no gradient.

    With ``sparse`` the gradient is a `RowGradient`, which holds the rows that occurred and no
    zeros. Indices outside 0 … n − 1 raise ValueError on the CPU; on a GPU a look would wait for
    it, and they wrap around.
    """
    n = weight.shape[0]
    check_indices("embedding", indices, n)
    return _lookup(weight, indices, None if padding_idx is None else padding_idx % n, sparse)


def one_hot(labels: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the label and 0 elsewhere: integers (…) -> (…, C).

    With num_classes -1 the C is the largest label + 1, for which a GPU is waited for. Other labels
    raise ValueError on the CPU, and are rows of zeros on a GPU.
    """
    check_tensor("one_hot", labels, "input")
    n = int(labels.max().item()) + 1 if num_classes == -1 else num_classes
    check_indices("one_hot", labels, n)
    return (labels.expand_dims(-1) == arange(n, device=labels.device)).astype("int64")


# ---- activations ------------------------------------------------------------------------------

relu: Function = ops.relu
relu6: Function = ops.relu6
hardsigmoid: Function = ops.hardsigmoid
hardswish: Function = ops.hardswish
elu: Function = ops.elu
selu: Function = ops.selu
gelu: Function = ops.gelu
silu: Function = ops.silu
sigmoid: Function = ops.sigmoid
logsigmoid: Function = ops.log_sigmoid
tanh: Function = ops.tanh


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x."""
    return _leaky_relu(x, slope=negative_slope)


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x held between two numbers; the derivative at a bound is 0."""
    return _hardtanh(x, low=min_val, high=max_val)


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(βx)) / β, and x itself where βx > threshold."""
    check_tensor("softplus", x, "input")
    scaled = x if beta == 1 else x * beta
    return _where(scaled > threshold, x, _softplus(scaled) / beta)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """eˣ / Σ eˣ along an axis: positive, and the sum is 1."""
    return _softmax(x, axis=dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """x − ln Σ eˣ along an axis, without overflow."""
    return _log_softmax(x, axis=dim)


# ---- dropout ----------------------------------------------------------------------------------


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeros with probability p, the rest times 1/(1 − p); x itself when not training."""
    if not training or check_share("dropout", p) == 0:
        return x
    check_tensor("dropout", x, "input")
    numbers = random_numbers.stream()
    return _dropout(x, stream=numbers, first=numbers.reserve(x.size), p=float(p))


# ---- normalization ----------------------------------------------------------------------------


def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − x̄) / √(var x + ε) · w + b, over the last axes, which have the normalized shape."""
    check_tensor("layer_norm", x, "input")
    shape = tuple(normalized_shape)
    if x.shape[x.ndim - len(shape) :] != shape:
        raise ValueError(f"layer_norm: an input {x.shape} does not end in {shape}.")
    y = _standardize(x, axis=tuple(range(-len(shape), 0)), eps=eps)
    return _scale_and_shift(y, weight, bias)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − x̄) / √(var x + ε) · w + b for each channel, axis 1, over all other axes.

    In training x̄ and var are the batch's, and the running ones move towards them, the variance as
    the unbiased one; else they are the running ones.
    """
    axes = (0, *range(2, x.ndim))
    channels = (1, -1, *(1,) * (x.ndim - 2))
    if training:
        n = math.prod(x.shape[axis] for axis in axes)
        if n < 2:
            raise ValueError(
                f"batch_norm: {x.shape} has {n} value(s) for each channel, and a variance takes "
                "two. Use a larger batch, or eval()."
            )
        if running_mean is not None and running_var is not None:
            there(x.device, _move, running_mean, momentum, x._data.mean, {"axis": axes})
            there(x.device, _move, running_var, momentum, x._data.var, {"axis": axes, "ddof": 1})
        y = _standardize(x, axis=axes, eps=eps)
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: without running statistics it must be training.")
    else:
        deviation = (running_var.reshape(channels) + eps).sqrt()
        y = (x - running_mean.reshape(channels)) / deviation
    weight = weight if weight is None else weight.reshape(channels)
    return _scale_and_shift(y, weight, bias if bias is None else bias.reshape(channels))


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖ₚ, ε): vectors along an axis brought to length 1."""
    return x / x.norm(p, axis=dim, keepdims=True).clip(eps, None)


def _scale_and_shift(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _move(running: Tensor, momentum: Any, of_batch: Callable[..., Any], how: Any) -> None:
    running._data += momentum * (of_batch(**how) - running._data)
    changed([running], "batch_norm")
