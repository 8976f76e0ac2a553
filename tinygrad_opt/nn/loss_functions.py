"""How wrong a prediction is: values for each element or example, and one way to reduce them.

Prediction and target always have one shape; nothing broadcasts. Integer targets take the
prediction's dtype; two different float dtypes raise TypeError, weights included. A weight of
elements broadcasts to the prediction, as (C,) does to (N, C), and never the other way. The values
of targets are checked on the CPU alone: on a GPU a look would wait for it.

Order: reducing · distances · classes · probabilities · margins.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import ops
from ..creation import arange
from ..ops.checks import check_labels, check_same_float
from ..tensor import Tensor
from .checks import (
    check_probabilities,
    check_reduction,
    check_target_shares,
    check_tensor,
    check_weight,
    class_weights,
    matching,
    signs,
)

Function = Callable[..., Tensor]
_where: Function = ops.where
_log_softmax: Function = ops.log_softmax
_cross_entropy: Function = ops.cross_entropy
_mse_loss: Function = ops.mse_loss
_huber_loss: Function = ops.huber_loss
_bce: Function = ops.binary_cross_entropy
_bce_with_logits: Function = ops.binary_cross_entropy_with_logits

# ---- reducing ---------------------------------------------------------------------------------


def _reduce(values: Tensor, reduction: str, weight: Tensor | None = None) -> Tensor:
    """The mean (by weights already in the values: Σ values / Σ weight), the sum, or all of them."""
    if check_reduction(reduction) == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if weight is None:
        return values.mean()
    total = weight.sum()
    return values.sum() / _where(total == 0, float("nan"), total)


# ---- distances --------------------------------------------------------------------------------


def mse_loss(prediction: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(prediction − target)²."""
    target = matching("mse_loss", prediction, target)
    if reduction == "mean":
        return _mse_loss(prediction, target)
    return _reduce((prediction - target).square(), reduction)


def l1_loss(prediction: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|prediction − target|."""
    return _reduce((prediction - matching("l1_loss", prediction, target)).abs(), reduction)


def huber_loss(
    prediction: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """½d² where d = |prediction − target| ≤ δ, else δ(d − ½δ) (Huber 1964)."""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta is {delta}; it is a distance above 0.")
    target = matching("huber_loss", prediction, target)
    return _reduce(_huber_loss(prediction, target, delta=delta), reduction)


def smooth_l1_loss(
    prediction: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """½d²/β where d = |prediction − target| < β, else d − ½β: the Huber loss divided by β."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}; it is a distance, 0 or above.")
    if beta == 0:
        return l1_loss(prediction, target, reduction=reduction)
    target = matching("smooth_l1_loss", prediction, target)
    return _reduce(_huber_loss(prediction, target, delta=beta) / beta, reduction)


# ---- classes ----------------------------------------------------------------------------------


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ t ln softmax(logits): logits (N, C) or (N, C, d₁, …), the softmax is part of it.

    The target is class numbers (N, d₁, …), or probabilities of the logits' shape. ``weight`` (C,)
    counts classes more or less, and the mean is over the weights of the labels. ``label_smoothing``
    mixes that share of the uniform distribution into the target. Labels equal to ``ignore_index``
    do not count; where all are ignored the mean is NaN, as in PyTorch. On the CPU labels that are
    no classes and probabilities outside 0 … 1 raise ValueError; on a GPU, where a look would wait
    for it, such labels make the loss NaN.
    """
    check_tensor("cross_entropy", target)
    labels = target._data
    simple = weight is None and not label_smoothing and reduction == "mean"
    if simple and labels.ndim == 1 and labels.dtype.kind in "iu":
        return _cross_entropy(logits, target, ignore_index=ignore_index)
    check_tensor("cross_entropy", logits, "prediction")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, not in 0..1.")
    weights = class_weights("cross_entropy", logits, weight)
    if labels.dtype.kind == "f" and labels.shape == logits.shape and labels.ndim > 1:
        check_same_float("cross_entropy", logits, target)
        check_target_shares("cross_entropy", target, "Divide each row by its sum.")
        target = target * (1 - label_smoothing) + label_smoothing / logits.shape[1]
        log_p = _log_softmax(logits, axis=1)
        log_p = log_p if weights is None else log_p * weights
        return _reduce(-(target * log_p).sum(axis=1), reduction)
    check_labels("cross_entropy", logits._data, labels, ignore_index)
    log_p = _log_softmax(logits, axis=1)
    losses, shares = _label_losses(log_p, target, weights, ignore_index)
    if label_smoothing:
        log_p = log_p if weights is None else log_p * weights
        uniform = _where(target == ignore_index, 0, -log_p.mean(axis=1))
        losses = losses * (1 - label_smoothing) + uniform * label_smoothing
    return _reduce(losses, reduction, shares)


def nll_loss(
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−log_probabilities[label]: (N, C, d₁, …) and labels (N, d₁, …), as in `cross_entropy`."""
    check_tensor("nll_loss", log_probabilities, "prediction")
    check_tensor("nll_loss", target)
    check_labels("nll_loss", log_probabilities._data, target._data, ignore_index)
    weights = class_weights("nll_loss", log_probabilities, weight)
    losses, shares = _label_losses(log_probabilities, target, weights, ignore_index)
    return _reduce(losses, reduction, shares)


def _label_losses(
    log_p: Tensor, target: Tensor, weights: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """−weight · log_p at the label of each example, and the weight; both 0 where it is ignored."""
    ignored = target == ignore_index
    labels = _where(ignored, 0, target)
    losses = _where(ignored, 0, -_at_label(log_p, labels))
    if weights is None:
        return losses, (~ignored).astype(log_p.dtype)
    weights = weights.broadcast_to(log_p.shape)
    shares = _where(ignored, 0, _at_label(weights, labels))
    return losses * shares, shares


def _at_label(scores: Tensor, labels: Tensor) -> Tensor:
    """From every example the score of its label: (N, C, …), (N, …) -> (N, …)."""
    return scores.take_along_axis(labels.expand_dims(1), axis=1).squeeze(1)


# ---- probabilities ----------------------------------------------------------------------------

_BINARY = "Labels are 0 and 1; for more classes there is cross_entropy."


def binary_cross_entropy(
    prediction: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−t ln p − (1 − t) ln(1 − p), each logarithm held above −100.

    Predictions and targets outside 0 … 1 raise ValueError on the CPU. The form with logits is exact
    where this one saturates.
    """
    target = matching("binary_cross_entropy", prediction, target)
    check_probabilities("binary_cross_entropy", prediction)
    check_target_shares("binary_cross_entropy", target, _BINARY)
    check_weight("binary_cross_entropy", prediction, weight, "weight")
    with prediction.device.errstate(divide="ignore"):  # ln 0, which is then held above −100
        losses = _bce(prediction, target)
    return _reduce(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−w t ln σ(z) − (1 − t) ln(1 − σ(z)) for raw scores z, without overflow; w is pos_weight.

    Targets outside 0 … 1 raise ValueError on the CPU.
    """
    name = "binary_cross_entropy_with_logits"
    target = matching(name, logits, target)
    check_target_shares(name, target, _BINARY)
    check_weight(name, logits, weight, "weight")
    check_weight(name, logits, pos_weight, "pos_weight")
    losses = _bce_with_logits(logits, target, pos_weight)
    return _reduce(losses if weight is None else losses * weight, reduction)


def kl_div(
    log_q: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """p (ln p − log_q), p being the target or with ``log_target`` its exponential; 0 where p = 0.

    "batchmean" divides the sum by the number of examples, which is the divergence; "mean" divides
    by the number of elements.
    """
    check_reduction(reduction, "batchmean")
    target = matching("kl_div", log_q, target)
    if log_target:
        losses = target.exp() * (target - log_q)
    else:
        losses = target * (_where(target == 0, 1, target).log() - log_q)
    if reduction == "batchmean":
        return losses.sum() / log_q.shape[0]
    return _reduce(losses, reduction)


# ---- margins ----------------------------------------------------------------------------------


def hinge_loss(
    scores: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin − target · score), for targets −1 and 1: the support vector machine's loss.

    The derivative on the margin itself is 0.
    """
    target = signs("hinge_loss", scores, target)
    return _reduce((margin - target * scores).relu(), reduction)


def hinge_embedding_loss(
    distances: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """The distance where the target is 1, max(0, margin − distance) where it is −1."""
    target = signs("hinge_embedding_loss", distances, target)
    return _reduce(_where(target > 0, distances, (margin - distances).clip(0, None)), reduction)


def multi_margin_loss(
    scores: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Σ over other classes of max(0, margin − score[label] + score)ᵖ / C: (N, C), labels (N,)."""
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is {p}; it is 1 or 2.")
    check_tensor("multi_margin_loss", scores, "prediction")
    check_tensor("multi_margin_loss", target)
    check_labels("multi_margin_loss", scores._data, target._data)
    n_classes = scores.shape[1]
    excess = (margin - _at_label(scores, target).expand_dims(1) + scores).relu()
    excess = excess if p == 1 else excess.square()
    own = target.expand_dims(1) == arange(n_classes, device=target.device)
    losses = _where(own, 0, excess).sum(axis=1) / n_classes
    if weight is not None:
        class_weights("multi_margin_loss", scores, weight)
        losses = losses * ops.getitem(weight, target)
    return _reduce(losses, reduction)
