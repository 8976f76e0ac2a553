"""Operations that turn many elements into fewer: each gives its gradient back to what went in.

``axis`` is None (all), an int or a tuple, negative allowed; ``keepdims`` keeps reduced axes as 1.

Order: sums and means · spread · extremes · norms · running sums · indices and truth (no gradient).
"""

from __future__ import annotations

from math import prod as count_of

from ..operation import op
from .checks import axes_of
from .elementwise import multiply
from .shape import concatenate, moveaxis, reshape

__all__ = [
    "sum",
    "mean",
    "prod",
    "var",
    "std",
    "max",
    "min",
    "logsumexp",
    "norm",
    "cumsum",
    "argmax",
    "argmin",
    "any",
    "all",
]


def _keep(xp, a, shape, axis):
    """A reduced array with its axes back, as length 1, so that it broadcasts against the input."""
    axes = axes_of(axis, len(shape))
    return xp.reshape(a, tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _spread(xp, g, shape, axis):
    """g, for every element that went into it."""
    return xp.broadcast_to(_keep(xp, g, shape, axis), shape)


def _count(shape, axis):
    return count_of(shape[a] for a in axes_of(axis, len(shape)))


# ---- sums and means ---------------------------------------------------------------------------


@op(lambda xp, g, y, x, axis=None, keepdims=False: _spread(xp, g, x.shape, axis))
def sum(xp, x, axis=None, keepdims=False):
    """Σ x over the axes."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


def _spread_mean(xp, g, y, x, axis=None, keepdims=False):
    """g / n, for every element that went into it."""
    n = _count(x.shape, axis)
    return _spread(xp, g / n if n else g, x.shape, axis)


@op(_spread_mean)
def mean(xp, x, axis=None, keepdims=False):
    """Σ x / n over the axes."""
    return xp.mean(x, axis=axis, keepdims=keepdims)


def prod(x, axis=None, keepdims=False):
    """Π x over the axes, multiplied in pairs, so that zeros get their right derivative."""
    axes = axes_of(axis, x.ndim, "prod")
    rest = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    ones = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    y = moveaxis(x, axes, tuple(range(-len(axes), 0)))
    y = reshape(y, (*rest, _count(x.shape, axis)))
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        pairs = multiply(y[..., :half], y[..., half : 2 * half])
        y = concatenate([pairs, y[..., 2 * half :]], axis=-1) if y.shape[-1] % 2 else pairs
    y = sum(y, axis=-1) if y.shape[-1] else sum(y, axis=-1) + 1  # nothing multiplies to 1
    return reshape(y, ones) if keepdims else y


# ---- spread -----------------------------------------------------------------------------------


def var(x, axis=None, correction=0, keepdims=False):
    """Σ (x − x̄)² / (n − correction): 0 as in NumPy, 1 for the unbiased estimate."""
    centered = x - mean(x, axis=axis, keepdims=True)
    n = _count(x.shape, axis)
    squares = sum(centered * centered, axis=axis, keepdims=keepdims)
    return squares / (n - correction if n > correction else float("nan"))


def _spread_std(xp, g, y, x, axis=None, correction=0, keepdims=False):
    """g·(x − x̄) / (n·y)."""
    y = _keep(xp, y, x.shape, axis)
    scale = _keep(xp, g, x.shape, axis) / xp.where(y == 0, 1, y)
    centered = x - xp.mean(x, axis=axis, keepdims=True) if x.size else x
    return centered * xp.where(y == 0, 0, scale) / (_count(x.shape, axis) - correction)


@op(_spread_std)
def std(xp, x, axis=None, correction=0, keepdims=False):
    """√var; the derivative of equal values is 0."""
    centered = x - xp.mean(x, axis=axis, keepdims=True)
    n = _count(x.shape, axis)
    squares = xp.sum(centered * centered, axis=axis, keepdims=keepdims)
    return xp.sqrt(squares / (n - correction if n > correction else float("nan")))


# ---- extremes ---------------------------------------------------------------------------------


def _share(xp, g, y, x, axis=None, keepdims=False):
    """g for the extreme; equal extremes share it."""
    hit = xp.where(x == _keep(xp, y, x.shape, axis), xp.ones_like(x), 0)
    return hit / xp.sum(hit, axis=axis, keepdims=True) * _keep(xp, g, x.shape, axis)


@op(_share)
def max(xp, x, axis=None, keepdims=False):
    """The largest element; ties share the gradient."""
    return xp.max(x, axis=axis, keepdims=keepdims)


@op(_share)
def min(xp, x, axis=None, keepdims=False):
    """The smallest element; ties share the gradient."""
    return xp.min(x, axis=axis, keepdims=keepdims)


def _softmax_share(xp, g, y, x, axis=None, keepdims=False):
    """g·softmax(x)."""
    return _keep(xp, g, x.shape, axis) * xp.exp(x - _keep(xp, y, x.shape, axis))


@op(_softmax_share)
def logsumexp(xp, x, axis=None, keepdims=False):
    """ln Σ eˣ, without overflow; its derivative is the softmax."""
    top = xp.max(x, axis=axis, keepdims=True) if x.size else xp.zeros((), x.dtype)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axes_of(axis, x.ndim))


# ---- norms ------------------------------------------------------------------------------------


def _spread_norm(xp, g, y, x, ord=2, axis=None, keepdims=False):
    """g·x / y, of the norm of order 2."""
    if ord == float("inf"):
        return xp.sign(x) * _share(xp, g, y, xp.abs(x), axis)
    g, y = _keep(xp, g, x.shape, axis), _keep(xp, y, x.shape, axis)
    if ord == 1:
        return g * xp.sign(x)
    zero = y == 0
    ratio = x / xp.where(zero, 1, y)
    if ord != 2:
        ratio = xp.sign(ratio) * xp.abs(ratio) ** (ord - 1)
    return xp.where(zero, 0, g * ratio)


@op(_spread_norm)
def norm(xp, x, ord=2, axis=None, keepdims=False):
    """(Σ |x|^ord)^(1/ord), or the largest |x| for ord = inf; the derivative of zeros is 0."""
    if not ord > 0:
        raise ValueError(f"norm: ord is {ord}; it is a positive number or inf.")
    if ord == float("inf"):
        return xp.max(xp.abs(x), axis=axis, keepdims=keepdims)
    if ord == 2:
        return xp.sqrt(xp.sum(xp.square(x), axis=axis, keepdims=keepdims))
    return xp.sum(xp.abs(x) ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)


# ---- running sums -----------------------------------------------------------------------------


def _running_back(xp, g, y, x, axis):
    return xp.flip(xp.cumsum(xp.flip(g, axis), axis=axis), axis)


@op(_running_back)
def _cumsum(xp, x, axis):
    return xp.cumsum(x, axis=axis)


def cumsum(x, axis=None):
    """Sums of everything up to each element; axis None flattens first, as in NumPy."""
    return _cumsum(reshape(x, (-1,)), axis=0) if axis is None else _cumsum(x, axis=axis)


# ---- indices and truth: no gradient -----------------------------------------------------------


@op(None)
def argmax(xp, x, axis=None, keepdims=False):
    """The index of the largest element, the first of equals."""
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@op(None)
def argmin(xp, x, axis=None, keepdims=False):
    """The index of the smallest element, the first of equals."""
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@op(None)
def any(xp, x, axis=None, keepdims=False):
    """Whether any element is true."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@op(None)
def all(xp, x, axis=None, keepdims=False):
    """Whether all elements are true."""
    return xp.all(x, axis=axis, keepdims=keepdims)
