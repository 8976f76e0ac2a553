"""Losses as modules: each holds the options of the function of the same name.

``reduction`` is "mean", "sum" or "none".

Order: distances · classes · probabilities · margins.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .checks import check_reduction
from .module import Module

# ---- distances --------------------------------------------------------------------------------


class MSELoss(Module):
    """mean (prediction − target)²."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """`functional.mse_loss`."""
        return F.mse_loss(prediction, target, reduction=self.reduction)


class L1Loss(Module):
    """mean |prediction − target|."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """`functional.l1_loss`."""
        return F.l1_loss(prediction, target, reduction=self.reduction)


class HuberLoss(Module):
    """A parabola up to a distance δ, straight beyond it: outliers pull no harder than δ."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction, self.delta = check_reduction(reduction), delta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """`functional.huber_loss`."""
        return F.huber_loss(prediction, target, self.reduction, self.delta)


class SmoothL1Loss(Module):
    """The Huber loss divided by β: slope 1 beyond a distance β, and the L1 loss for β = 0."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        self.reduction, self.beta = check_reduction(reduction), beta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """`functional.smooth_l1_loss`."""
        return F.smooth_l1_loss(prediction, target, reduction=self.reduction, beta=self.beta)


# ---- classes ----------------------------------------------------------------------------------


class CrossEntropyLoss(Module):
    """−ln softmax(logits)[label], the softmax included: give raw scores (N, C) and labels (N,).

    The target may also be probabilities (N, C), and there may be more axes: (N, C, d₁, …). Where
    all labels are ignored the mean is NaN.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, check_reduction(reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`functional.cross_entropy`."""
        return F.cross_entropy(
            logits,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Module):
    """−log_probabilities[label]: with log_softmax before it, the cross-entropy."""

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, check_reduction(reduction)

    def forward(self, log_probabilities: Tensor, target: Tensor) -> Tensor:
        """`functional.nll_loss`."""
        return F.nll_loss(
            log_probabilities,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


# ---- probabilities ----------------------------------------------------------------------------


class BCELoss(Module):
    """−t ln p − (1 − t) ln(1 − p) for probabilities p; for raw scores see BCEWithLogitsLoss."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        self.register_buffer("weight", weight)
        self.reduction = check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """`functional.binary_cross_entropy`."""
        return F.binary_cross_entropy(prediction, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """−w t ln σ(z) − (1 − t) ln(1 − σ(z)) for raw scores z; w is ``pos_weight``."""

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = check_reduction(reduction)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`functional.binary_cross_entropy_with_logits`."""
        return F.binary_cross_entropy_with_logits(
            logits, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(Module):
    """Σ p (ln p − log_q): how far log-probabilities are from the target distribution p.

    ``reduction`` may be "batchmean", over examples; "mean" is over elements, as in PyTorch.
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        self.reduction = check_reduction(reduction, "batchmean")
        self.log_target = log_target

    def forward(self, log_q: Tensor, target: Tensor) -> Tensor:
        """`functional.kl_div`."""
        return F.kl_div(log_q, target, reduction=self.reduction, log_target=self.log_target)


# ---- margins ----------------------------------------------------------------------------------


class HingeLoss(Module):
    """max(0, margin − target · score) for targets −1 and 1: the support vector machine's loss.

    PyTorch has no loss of this name; its HingeEmbeddingLoss is about distances.
    """

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean") -> None:
        self.margin, self.reduction = margin, check_reduction(reduction)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """`functional.hinge_loss`."""
        return F.hinge_loss(scores, target, margin=self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(Module):
    """Distances of pairs: small for target 1, beyond the margin for target −1."""

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        self.margin, self.reduction = margin, check_reduction(reduction)

    def forward(self, distances: Tensor, target: Tensor) -> Tensor:
        """`functional.hinge_embedding_loss`."""
        return F.hinge_embedding_loss(distances, target, self.margin, reduction=self.reduction)


class MultiMarginLoss(Module):
    """The hinge loss for more classes: the label's score ahead of every other by a margin."""

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        self.p, self.margin = p, margin
        self.register_buffer("weight", weight)
        self.reduction = check_reduction(reduction)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """`functional.multi_margin_loss`."""
        return F.multi_margin_loss(
            scores, target, self.p, self.margin, self.weight, reduction=self.reduction
        )
