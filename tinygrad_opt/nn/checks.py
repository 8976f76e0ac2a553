"""What layers and losses demand of their inputs, as sentences with the fix.

Values are looked at on the CPU only: on a GPU a look would wait for it.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..live import question
from ..operation import Variable
from ..ops.checks import check_same_float, check_same_shape
from ..tensor import Tensor


def check_size(name: str, what: str, n: Any, least: int = 1) -> int:
    """A number of features or rows."""
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"{name}: {what} is {n!r} and must be an integer.") from None
    if n < least:
        raise ValueError(f"{name}: {what} is {n} and must be {least} or more.")
    return int(n)


def check_reduction(reduction: str, *more: str) -> str:
    """A way to make one number of many losses."""
    known = (*more, "mean", "sum", "none")
    if reduction not in known:
        *others, last = known
        names = f"{', '.join(map(repr, others))} or {last!r}"
        raise ValueError(f"reduction: {reduction!r} is unknown. Write {names}.")
    return reduction


def check_share(name: str, p: float) -> float:
    """A dropout rate between 0 and 1."""
    if not 0 <= p <= 1:
        raise ValueError(
            f"{name}: p is {p}; it is the share of values set to zero, between 0 and 1."
        )
    return p


@question
def check_indices(name: str, indices: Tensor, n: int) -> None:
    """Integers from 0 to n − 1."""
    check_tensor(name, indices, "input")
    array = indices._data
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: {array.dtype} does not count; give integers.")
    if indices.device.kind == "cpu" and array.size and not 0 <= array.min() <= array.max() < n:
        raise ValueError(
            f"{name}: numbers run from {array.min()} to {array.max()}, outside 0..{n - 1}."
        )


def check_tensor(name: str, value: Any, what: str = "target") -> None:
    """A tensor, not a list or a raw array."""
    if not isinstance(value, Variable):
        raise TypeError(f"{name}: the {what} is a {type(value).__name__}. Wrap it: tensor(...).")


def _are_shares(t: Tensor) -> bool:
    """Whether all numbers lie in 0 … 1, which NaN does not; taken for granted on a GPU."""
    a = t._data
    return t.device.kind != "cpu" or not a.size or (a.min() >= 0 and a.max() <= 1)


@question
def check_probabilities(name: str, prediction: Tensor) -> None:
    """Numbers between 0 and 1, or NaN."""
    p = prediction._data
    if not _are_shares(prediction) and ((p < 0) | (p > 1)).any():
        raise ValueError(
            f"{name}: predictions run from {p.min():g} to {p.max():g}, and probabilities from 0 to "
            f"1. For raw scores there is {name}_with_logits."
        )


@question
def check_target_shares(name: str, target: Tensor, fix: str) -> None:
    """Numbers between 0 and 1 but for rounding, or NaN."""
    if _are_shares(target):
        return
    t = target._data
    rounding = 8 * np.finfo(t.dtype).eps if t.dtype.kind == "f" else 0
    for place in np.argwhere((t < -rounding) | (t > 1 + rounding))[:1].tolist():
        raise ValueError(
            f"{name}: target{place or ''} is {t[tuple(place)]:g}; a target is a probability, from "
            f"0 to 1. {fix}"
        )


def matching(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    """The target, of the prediction's shape and dtype."""
    check_tensor(name, prediction, "prediction")
    check_tensor(name, target)
    a, b = prediction._data, target._data
    if a.shape == b.shape and a.dtype is b.dtype:
        return target
    check_same_shape(name, a, b)
    check_same_float(name, prediction, target)
    return target.astype(prediction.dtype)


def signs(name: str, scores: Tensor, target: Tensor) -> Tensor:
    """The target, matching the scores and −1 or 1 everywhere."""
    target = matching(name, scores, target)
    check_signs(name, target)
    return target


@question
def check_signs(name: str, target: Tensor) -> None:
    """−1 and 1, nothing else."""
    labels = target._data
    if target.device.kind == "cpu" and (abs(labels) != 1).any():
        raise ValueError(
            f"{name}: targets are -1 and 1, and one is {labels[abs(labels) != 1][0]:g}. From 0 and "
            "1 they are 2 * t - 1."
        )


def class_weights(name: str, scores: Tensor, weight: Tensor | None) -> Tensor | None:
    """One weight for each class (axis 1), ready to broadcast against the scores."""
    if weight is None:
        return None
    check_tensor(name, weight, "weight")
    if weight.shape != scores.shape[1:2]:
        raise ValueError(
            f"{name}: weight {weight.shape} must hold one number for each class of {scores.shape}."
        )
    check_same_float(f"{name}, weight", scores, weight)
    return weight.reshape(1, -1, *(1,) * (scores.ndim - 2))


def check_weight(name: str, prediction: Tensor, weight: Tensor | None, what: str) -> None:
    """Weights that broadcast to the prediction, as (C,) does to (N, C), and leave its shape."""
    if weight is None:
        return
    check_tensor(name, weight, what)
    given, wanted = weight.shape, prediction.shape
    pairs = zip(reversed(given), reversed(wanted))
    if len(given) > len(wanted) or any(n not in (1, of) for n, of in pairs):
        raise ValueError(
            f"{name}: {what} {given} does not broadcast to the prediction {wanted}. Give one "
            f"number for each element, {wanted}, or for each column, {wanted[-1:]}."
        )
    check_same_float(f"{name}, {what}", prediction, weight)
