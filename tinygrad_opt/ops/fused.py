"""Operations tuned for speed, each beside the composition that it replaces.

The composition is the definition: tests hold the two equal in value and gradient, and gradients of
gradients differentiate the composition. The derivatives here see raw arrays only.

Order: linear · softmax and its logarithm · cross-entropy · squared error · dropout.
"""

from __future__ import annotations

from ..operation import fused
from .elementwise import exp, multiply, subtract
from .linalg import matmul, same_float
from .reduce import logsumexp, mean
from .shape import getitem, transpose

# ---- linear -----------------------------------------------------------------------------------


def _linear(x, weight, bias=None):
    y = matmul(x, transpose(weight))
    return y if bias is None else y + bias


def _rows(x):
    """Everything before the last axis as rows of one matrix."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _explain_linear(name, x, weight, bias=(), **params):
    if len(weight) == 2 and x and x[-1] != weight[1]:
        return (
            f"linear: the input has {x[-1]} features, {x}, and the weight {weight} expects "
            f"{weight[1]}; weights are (out, in)."
        )
    return (
        f"linear: input {x}, weight {weight} and bias {bias} do not fit; they are (…, in), "
        "(out, in) and (out,)."
    )


@fused(
    _linear,
    lambda xp, g, y, x, weight, bias: _rows(g).dot(weight).reshape(x.shape),
    lambda xp, g, y, x, weight, bias: _rows(g).T.dot(_rows(x)),
    lambda xp, g, y, x, weight, bias: xp.add.reduce(_rows(g), axis=0),
    explain=_explain_linear,
)
def linear(xp, x, weight, bias=None):
    """x Wᵀ + b: x (…, in), weight (out, in), bias (out,) -> (…, out)."""
    same_float("linear", x, weight)
    y = _rows(x).dot(weight.T)
    if bias is not None:
        y += bias
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])


# ---- softmax and its logarithm ----------------------------------------------------------------


def _softmax(x, axis=-1):
    return exp(_log_softmax(x, axis))


def _softmax_back(xp, g, y, x, axis=-1):
    weighted = g * y
    return weighted - y * weighted.sum(axis=axis, keepdims=True)


@fused(_softmax, _softmax_back)
def softmax(xp, x, axis=-1):
    """eˣ / Σ eˣ along an axis, without overflow: positive, and the sum is 1."""
    e = xp.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e


def _log_softmax(x, axis=-1):
    return subtract(x, logsumexp(x, axis=axis, keepdims=True))


def _log_softmax_back(xp, g, y, x, axis=-1):
    return g - xp.exp(y) * g.sum(axis=axis, keepdims=True)


@fused(_log_softmax, _log_softmax_back)
def log_softmax(xp, x, axis=-1):
    """x − ln Σ eˣ along an axis, without overflow."""
    x = x - x.max(axis=axis, keepdims=True)
    x -= xp.log(xp.exp(x).sum(axis=axis, keepdims=True))
    return x


# ---- cross-entropy ----------------------------------------------------------------------------


def _cross_entropy_of(logits, labels):
    rows = labels.device.xp.arange(logits.shape[0])
    return -mean(getitem(log_softmax(logits), (rows, labels)))


def _cross_entropy_back(xp, g, saved, logits, labels):
    e, total_e, index = saved
    p = e / total_e
    p.reshape(-1)[index] -= 1
    p *= g / logits.shape[0]
    return p.T


@fused(_cross_entropy_of, _cross_entropy_back, None)
def _cross_entropy(xp, logits, labels):
    # Classes by examples: reductions over a short last axis would cost a loop start for every row.
    n = logits.shape[0]
    z = logits.T.copy()
    z -= z.max(axis=0)
    e = xp.exp(z)
    total_e = xp.add.reduce(e, axis=0)
    index = labels * n + xp.arange(n)
    losses = xp.log(total_e) - z.reshape(-1)[index]
    return xp.add.reduce(losses) / n, (e, total_e, index)


def cross_entropy(logits, labels):
    """−mean ln softmax(logits)[label]: logits (N, C), integer labels (N,) -> one number.

    The softmax is part of it: pass raw scores. Labels outside 0 … C − 1 raise ValueError on the
    CPU; on a GPU the check would wait for it.
    """
    check_labels(logits, labels)
    return _cross_entropy(logits, labels)


def check_labels(logits, labels, ignore_index=None):
    """Labels must be integers, one for each row, each the number of a class (axis 1)."""
    shape = (logits.shape[0], *logits.shape[2:])
    n_classes = logits.shape[1] if len(logits.shape) > 1 else 0
    array = labels._data
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy: labels are {array.dtype}. Give class numbers as integers, or one row "
            f"of probabilities per example with shape {logits.shape}."
        )
    if array.shape != shape:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} want labels of shape {shape}, not {array.shape}."
        )
    if labels.device.kind != "cpu" or not array.size:
        return
    unsigned = array.view(f"u{array.itemsize}")  # a negative label becomes a huge one
    if unsigned.max() < n_classes:
        return
    wrong = unsigned >= n_classes
    if ignore_index is not None:
        wrong &= array != ignore_index
    for place in wrong.ravel().nonzero()[0][:1]:
        raise ValueError(
            f"cross_entropy: label {array.ravel()[place]} at position {place} is outside "
            f"0..{n_classes - 1} for {n_classes} classes. Labels count from 0."
        )


# ---- squared error ----------------------------------------------------------------------------


def _mse_loss(prediction, target):
    difference = subtract(prediction, target)
    return mean(multiply(difference, difference))


@fused(
    _mse_loss,
    lambda xp, g, difference, prediction, target: difference * (g * 2 / max(1, difference.size)),
    lambda xp, g, difference, prediction, target: difference * (g * -2 / max(1, difference.size)),
)
def _mse(xp, prediction, target):
    difference = prediction - target
    flat = difference.reshape(-1)
    return flat.dot(flat) / flat.size, difference


def mse_loss(prediction, target):
    """mean (prediction − target)², of two tensors of one shape."""
    check_same_shape("mse_loss", prediction, target)
    return _mse(prediction, target)


def check_same_shape(name, prediction, target):
    """A loss never broadcasts: (N, 1) against (N,) would compare every one with every other."""
    a, b = prediction.shape, target.shape
    if a == b:
        return
    text = f"{name}: prediction {a} and target {b} must have one shape."
    if {len(a), len(b)} == {1, 2} and a[0] == b[0] and 1 in (a[-1], b[-1]):
        fix = (
            f"target.reshape({b[0]}, 1) or prediction[:, 0]"
            if len(a) == 2
            else f"prediction.reshape({a[0]}, 1) or target[:, 0]"
        )
        text = (
            f"{name}: prediction {a} and target {b} would be compared every one with every other, "
            f"{a[0] * b[0]} differences instead of {a[0]}. Write {fix}."
        )
    raise ValueError(text)


# ---- dropout ----------------------------------------------------------------------------------


@fused(
    lambda x, keep, scale: multiply(x, keep) * scale,
    lambda xp, g, y, x, keep, scale: g * keep * scale,
    None,
)
def dropout(xp, x, keep, scale):
    """x where keep is true, times scale; zeros elsewhere (Srivastava et al. 2014)."""
    return x * keep * scale
