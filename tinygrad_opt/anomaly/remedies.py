"""What to do about NaN and infinities, by the operation that makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

_LOG = (
    "The logarithm of 0 is −infinity, of less NaN: log(clip(x, 1e-6)), or log_softmax for the "
    "logarithm of a softmax."
)
_DIVIDE = "Keep the denominator away from 0: add a small ε to it, or clip it."
_EXP = (
    "It leaves {dtype} above {limit:.4g}: log_softmax, logsumexp, softplus and cross_entropy with "
    "raw scores need no such number; or clip x."
)
_SPREAD = "One value has no spread: give several, or correction=0."
_ANGLE = "It is defined from −1 to 1: clip(x, -1, 1)."
_MASKED = (
    "A row that is −infinity as a whole has no softmax: leave such rows out, or one entry in them."
)
_OVERFLOW = (
    "Beyond ±{largest:.2g} there are no numbers in {dtype}: scale the inputs, lower the learning "
    "rate, or clip gradients{wider}."
)
_MIXED = (
    "Infinity minus infinity, 0 times infinity and their quotient are NaN: choose with where, "
    "instead of multiplying by a mask."
)
_USERS = (
    "It divides by 0, takes the logarithm of 0, or leaves {dtype} above {largest:.2g}: keep the "
    "first two away from 0, by a small ε, and scale large inputs{wider}."
)
_UNDEFINED = "0/0 is NaN, and so is what lies outside of the domain of a function: clip its input."

FORWARD = {
    "log": _LOG,
    "log2": _LOG,
    "log1p": "It is defined above −1: log1p(clip(x, -1 + 1e-6)).",
    "sqrt": "The root of a negative number is NaN: sqrt(clip(x, 0)).",
    "divide": _DIVIDE,
    "reciprocal": _DIVIDE,
    "power": "A negative base wants a whole exponent, a base of 0 one that is not negative, and a "
    "large one a small exponent: clip the base.",
    "exp": _EXP,
    "expm1": _EXP,
    "sinh": _EXP,
    "cosh": _EXP,
    "arcsin": _ANGLE,
    "arccos": _ANGLE,
    "mean": "There is no mean of no values, and the sum of very large ones is infinite.",
    "std": _SPREAD,
    "var": _SPREAD,
    "cross_entropy": "There is no mean where every label is ignored, has weight 0, or none is "
    "there; on a GPU labels that are no classes give NaN as well.",
    "binary_cross_entropy": "It wants probabilities from 0 to 1: take a sigmoid first, or "
    "binary_cross_entropy_with_logits.",
    "softmax": _MASKED,
    "log_softmax": _MASKED,
    "logsumexp": _MASKED,
}

BACKWARD = {
    "log": "The derivative is 1/x, infinite at 0: log(clip(x, 1e-6)).",
    "log2": "The derivative is 1/(x ln 2), infinite at 0: log2(clip(x, 1e-6)).",
    "log1p": "The derivative is 1/(1 + x), infinite at −1: log1p(clip(x, -1 + 1e-6)).",
    "sqrt": "The derivative is 1/(2√x), infinite at 0: sqrt(x + 1e-12).",
    "divide": "The derivatives are 1/b and −a/b²: keep b away from 0, by a small ε.",
    "reciprocal": "The derivative is −1/x²: keep x away from 0, by a small ε.",
    "power": "The derivatives are b·aᵇ⁻¹ and aᵇ·ln a: keep a above 0, by a small ε.",
    "arcsin": "The derivative is infinite at ±1: clip(x, -1 + 1e-6, 1 - 1e-6).",
    "arccos": "The derivative is infinite at ±1: clip(x, -1 + 1e-6, 1 - 1e-6).",
}

CAME_IN = (
    "It was in the data, or was written there without an operation, or before the block: "
    "isfinite() shows where, and where(isnan(x), 0, x) fills gaps."
)
NUMBER = "Look at what computes that number."
MADE_BEFORE = "The forward pass was not seen: begin detect_anomaly() before it."
LOSS = "Begin detect_anomaly() before the forward pass, and look for infinities in the data."
SUM = (
    "A gradient is the sum over all uses of a tensor, over the axes along which it was broadcast, "
    "and over backward passes until zero_grad(): scale the loss down, as a mean does."
)
HOOK = "Look at what the hook returns."
CHANGED = (
    "Look at what touches gradients between backward() and step(): clipping, accumulation, "
    "p.grad = …."
)
STEP = "Lower the learning rate, or clip gradients before the step: clip_grad_norm_(params, 1.0)."
NOT_TAKEN = (
    " What arrives there is 0, and 0 times infinity is NaN: where() also asks the branch that it "
    "does not take for its gradient. Give that branch a harmless input, by a second where inside."
)


def remedy(
    name: str,
    values: Any,
    from_infinite: bool = False,
    backward: bool = False,
    is_the_users: bool = False,
) -> str:
    """What to do where this operation, or its gradient, gives these values."""
    is_nan = bool(np.isnan(values).any())
    table = BACKWARD if backward else FORWARD
    text = table.get(name)
    if from_infinite and is_nan and text is not _MASKED:
        text = _MIXED
    if text is None:
        text = _UNDEFINED if is_nan else _USERS if is_the_users else _OVERFLOW
    largest = float(np.finfo(values.dtype).max)
    wider = {"float16": ", or take float32", "float32": ", or take float64"}
    return text.format(
        dtype=values.dtype,
        largest=largest,
        limit=np.log(largest),
        wider=wider.get(str(values.dtype), ""),
    )
