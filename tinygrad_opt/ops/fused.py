"""Operations tuned for speed, each beside the composition that it replaces.

The composition is the definition: tests hold the two equal in value and gradient, and gradients of
gradients differentiate the composition. The derivatives here see raw arrays only.

Order: linear · softmax and its logarithm · squared error · normalization.
"""

from __future__ import annotations

import math

import numpy as np

from ..constants import ones, zero
from ..kernels import Kernel
from ..operation import fused
from .activation import relu
from .checks import check_same_float, check_same_shape
from .elementwise import exp, multiply, sqrt, subtract
from .linalg import matmul
from .reduce import logsumexp, mean
from .shape import transpose

__all__ = [
    "linear",
    "linear_relu",
    "softmax",
    "log_softmax",
    "mse_loss",
    "standardize",
]

SIGN_PAYS = 1024  # elements up to which a sign in floats is a quicker mask than truths

# ---- linear -----------------------------------------------------------------------------------


def _linear(x, weight, bias=None):
    y = matmul(x, transpose(weight))
    return y if bias is None else y + bias


def _rows(x):
    """Everything before the last axis as rows of one matrix."""
    if x.ndim == 0:
        raise ValueError("one number has no features")
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _explain_linear(name, x, weight, bias=(), **params):
    if len(weight) == 2 and x and x[-1] != weight[1]:
        return (
            f"{name}: the input has {x[-1]} features, {x}, and the weight {weight} expects "
            f"{weight[1]}; weights are (out, in)."
        )
    if len(weight) == 2 and x and bias in ((), weight[:1]):
        return None
    return (
        f"{name}: input {x}, weight {weight} and bias {bias} do not fit; they are (…, in), "
        "(out, in) and (out,)."
    )


def _linear_x(xp, g, y, x, weight, bias):
    """g·W."""
    return g.dot(weight) if x.ndim == 2 else g.dot(weight).reshape(x.shape)


def _linear_weight(xp, g, y, x, weight, bias, out=None):
    """gᵀ·x."""
    return g.T.dot(x if x.ndim == 2 else _rows(x), out if x.dtype is g.dtype else None)


def _linear_bias(xp, g, y, x, weight, bias, out=None):
    """Σ g over the rows."""
    return ones(xp, len(g), g.dtype).dot(g, out if bias.dtype is g.dtype else None)


_linear_derivatives = (_linear_x, _linear_weight, _linear_bias)  # they get g as rows


def _weighted(x, weight, bias):
    """x Wᵀ as rows, to which this bias can be added."""
    if x.dtype is not weight.dtype:
        check_same_float("linear", x, weight)
    if bias is not None:
        if bias.dtype is not weight.dtype:
            check_same_float("linear", weight, bias)
        if bias.ndim != 1 or len(bias) != len(weight):
            raise ValueError("the bias would be broadcast")
    if weight.ndim != 2:
        raise ValueError("the weight is no matrix")
    return (x if x.ndim == 2 else _rows(x)).dot(weight.T)


@fused(
    _linear,
    *_linear_derivatives,
    arrives=lambda xp, g, y: _rows(g),
    explain=_explain_linear,
)
def linear(xp, x, weight, bias=None):
    """x Wᵀ + b: x (…, in), weight (out, in), bias (out,) -> (…, out)."""
    y = _weighted(x, weight, bias)
    if bias is not None:
        y += bias
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])


def _add_then_relu(xp, y, bias):
    return xp.maximum(y + bias, 0)


def _add_then_relu_in_place(xp, y, bias):
    y += bias
    return xp.maximum(y, zero(xp, y.dtype), out=y)


def _relu_back(xp, g, y):
    return g * (y > 0)


def _relu_back_on_numpy(xp, g, y):
    mask = xp.sign(y) if y.size <= SIGN_PAYS else y > zero(xp, y.dtype)  # of floats, or truths
    return xp.multiply(g, mask)


_add_then_relu = Kernel(_add_then_relu, numpy=_add_then_relu_in_place)
_relu_back = Kernel(_relu_back, numpy=_relu_back_on_numpy)


@fused(
    lambda x, weight, bias=None: relu(_linear(x, weight, bias)),
    *_linear_derivatives,
    arrives=lambda xp, g, y: _rows((_relu_back_on_numpy if xp is np else _relu_back)(xp, g, y)),
    explain=_explain_linear,
)
def linear_relu(xp, x, weight, bias=None):
    """max(x Wᵀ + b, 0), a layer and its activation in one pass: shapes as `linear`."""
    y = _weighted(x, weight, bias)
    if bias is None:
        y = xp.maximum(y, zero(xp, y.dtype), out=y)
    else:
        y = (_add_then_relu_in_place if xp is np else _add_then_relu)(xp, y, bias)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])


# ---- softmax and its logarithm ----------------------------------------------------------------


def _softmax(x, axis=-1):
    return exp(_log_softmax(x, axis))


def _softmax_back(xp, g, y, x, axis=-1):
    """y·(g − Σ g·y)."""
    weighted = g * y
    return weighted - y * weighted.sum(axis=axis, keepdims=True)


@fused(_softmax, _softmax_back)
def softmax(xp, x, axis=-1):
    """eˣ / Σ eˣ along an axis, without overflow: positive, and the sum is 1."""
    e = xp.exp(x - x.max(axis=axis, keepdims=True) if x.size else x)
    e /= e.sum(axis=axis, keepdims=True)
    return e


def _log_softmax(x, axis=-1):
    return subtract(x, logsumexp(x, axis=axis, keepdims=True))


def _log_softmax_back(xp, g, y, x, axis=-1):
    """g − softmax(x)·Σ g."""
    return g - xp.exp(y) * g.sum(axis=axis, keepdims=True)


@fused(_log_softmax, _log_softmax_back)
def log_softmax(xp, x, axis=-1):
    """x − ln Σ eˣ along an axis, without overflow."""
    if not x.size:
        return x.copy()
    x = x - x.max(axis=axis, keepdims=True)
    return x - xp.log(xp.exp(x).sum(axis=axis, keepdims=True))


# ---- squared error ----------------------------------------------------------------------------


def _mse_loss(prediction, target):
    difference = subtract(prediction, target)
    return mean(multiply(difference, difference))


def _scaled(xp, difference, g, factor):
    """g·2·(prediction − target) / n, for the target with −."""
    g = g.item() if xp is np else g  # a number is quicker there than an array without axes
    return difference * (g * factor / max(1, difference.size))


@fused(
    _mse_loss,
    lambda xp, g, difference, prediction, target: _scaled(xp, difference, g, 2),
    lambda xp, g, difference, prediction, target: _scaled(xp, difference, g, -2),
)
def mse_loss(xp, prediction, target):
    """mean (prediction − target)², of two tensors of one shape."""
    if prediction.shape != target.shape or prediction.dtype is not target.dtype:
        check_same_shape("mse_loss", prediction, target)
        check_same_float("mse_loss", prediction, target)
    difference = prediction - target
    flat = difference.reshape(-1)
    return flat.dot(flat) / flat.size, difference


# ---- normalization ----------------------------------------------------------------------------


def _standardize(x, axis, eps):
    centered = subtract(x, mean(x, axis=axis, keepdims=True))
    return centered / sqrt(mean(multiply(centered, centered), axis=axis, keepdims=True) + eps)


def _means(a, axis):
    total = a.sum(axis=axis, keepdims=True)
    return total * (total.size / max(1, a.size))


def _standardize_back(xp, g, saved, x, axis, eps):
    """(g − mean g − y·mean g·y) / σ."""
    y, scale = saved
    dx = g - _means(g, axis)
    dx -= y * _means(g * y, axis)
    dx *= scale
    return dx


@fused(_standardize, _standardize_back)
def standardize(xp, x, axis, eps):
    """(x − x̄) / √(var x + ε) over these axes: what batch and layer normalization share."""
    y = x - _means(x, axis)
    scale = 1 / xp.sqrt(_means(y * y, axis) + eps)
    y *= scale
    return y, (y, scale)
