"""What layers and losses demand of their inputs, as sentences with the fix.

Values are looked at on the CPU only: on a GPU a look would wait for it.
"""

from __future__ import annotations

from typing import Any

from ..operation import Variable
from ..ops.checks import check_same_float, check_same_shape
from ..tensor import Tensor


def check_share(name: str, p: float) -> float:
    """A dropout rate between 0 and 1."""
    if not 0 <= p <= 1:
        raise ValueError(
            f"{name}: p is {p}; it is the share of values set to zero, between 0 and 1."
        )
    return p


def check_indices(name: str, indices: Tensor, n: int) -> None:
    """Integers from 0 to n − 1."""
    array = indices._data
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: {array.dtype} does not count; give integers.")
    if indices.device.kind == "cpu" and array.size and not 0 <= array.min() <= array.max() < n:
        raise ValueError(
            f"{name}: numbers run from {array.min()} to {array.max()}, outside 0..{n - 1}."
        )


def check_tensor(name: str, target: Any) -> None:
    """A target is a tensor, not a raw array."""
    if not isinstance(target, Variable):
        raise TypeError(f"{name}: the target is a {type(target).__name__}. Wrap it: tensor(...).")


def check_probabilities(name: str, prediction: Tensor) -> None:
    """Numbers between 0 and 1, or NaN."""
    p = prediction._data
    if prediction.device.kind == "cpu" and ((p < 0) | (p > 1)).any():
        raise ValueError(
            f"{name}: predictions run from {p.min():g} to {p.max():g}, and probabilities from 0 to "
            f"1. For raw scores there is {name}_with_logits."
        )


def matching(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    """The target, of the prediction's shape and dtype."""
    check_tensor(name, target)
    check_same_shape(name, prediction, target)
    if target.dtype == prediction.dtype:
        return target
    check_same_float(name, prediction, target)
    return target.astype(prediction.dtype)


def signs(name: str, scores: Tensor, target: Tensor) -> Tensor:
    """The target, matching the scores and −1 or 1 everywhere."""
    target = matching(name, scores, target)
    labels = target._data
    if target.device.kind == "cpu" and (abs(labels) != 1).any():
        raise ValueError(
            f"{name}: targets are -1 and 1, and one is {labels[abs(labels) != 1][0]:g}. From 0 and "
            "1 they are 2 * t - 1."
        )
    return target


def class_weights(name: str, scores: Tensor, weight: Tensor | None) -> Tensor | None:
    """One weight for each class (axis 1), ready to broadcast against the scores."""
    if weight is None:
        return None
    if weight.shape != scores.shape[1:2]:
        raise ValueError(
            f"{name}: weight {weight.shape} must hold one number for each class of {scores.shape}."
        )
    check_same_float(name, scores, weight)
    return weight.reshape(1, -1, *(1,) * (scores.ndim - 2))
