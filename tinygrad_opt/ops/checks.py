"""What operations demand of their arrays, as sentences with the fix.

Values of arrays are looked at on the CPU only: on a GPU a look would wait for it.
"""

from __future__ import annotations

import numpy

from ..live import question

_UNSIGNED = {size: numpy.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def axes_of(axis, ndim, name="axis"):
    """Axes counted from 0, from one or several, negative allowed; None stands for all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, (tuple, list, range)) else (axis,)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ValueError(f"{name}: there is no axis {a} among {ndim}, which count from 0.")
    return tuple(a % ndim for a in axes)


def check_same_float(name, a, b):
    """Products of two float dtypes are a mistake more often than a wish."""
    if a.dtype != b.dtype and a.dtype.kind == b.dtype.kind == "f":
        narrow, wide = sorted((a.dtype, b.dtype))
        raise TypeError(
            f"{name}: {a.dtype} meets {b.dtype}. Convert one of them: x.to('{narrow}') makes both "
            f"{narrow}, model.to('{wide}') both {wide}."
        )


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


@question
def check_labels(name, logits, labels, ignore_index=None):
    """Labels must be integers, one for each row, each the number of a class (axis 1).

    Gives whether it is known that none is the one to ignore.
    """
    shape = logits.shape[:1] + logits.shape[2:]
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: labels are {labels.dtype}. Give class numbers as integers, or one row of "
            f"probabilities per example with shape {logits.shape}."
        )
    if labels.shape != shape or logits.ndim < 2:
        raise ValueError(
            f"{name}: logits {logits.shape} want labels of shape {shape}, not {labels.shape}."
        )
    n_classes = logits.shape[1]
    if not isinstance(labels, numpy.ndarray):
        return False
    if not labels.size:
        return True
    unsigned = labels.view(_UNSIGNED[labels.itemsize])  # a negative label becomes a huge one
    limit = n_classes
    if labels.dtype.kind == "i":
        limit = min(limit, 1 << 8 * labels.itemsize - 1)  # in int8, −1 would become 255
    if numpy.maximum.reduce(unsigned, axis=None) < limit:
        return ignore_index is None or ignore_index < 0
    wrong = unsigned >= limit
    if ignore_index is not None:
        wrong &= labels != ignore_index
    for place in wrong.ravel().nonzero()[0][:1]:
        raise ValueError(
            f"{name}: label {labels.ravel()[place]} at position {place} is outside "
            f"0..{n_classes - 1} for {n_classes} classes. Labels count from 0."
        )
    return False
