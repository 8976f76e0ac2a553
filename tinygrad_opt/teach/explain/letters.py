"""The paper's letters for the names in a rule, numbers for people, and what state means."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

GREEK = {
    "lr": "η", "eta": "ηₜ", "scheduled_lr": "ηₜ", "eps": "ε", "momentum": "μ", "mu": "μ",
    "dampening": "τ", "weight_decay": "λ", "lambd": "λ̃", "alpha": "α", "beta": "β", "betas": "β",
    "gamma": "γ", "delta": "δ", "rho": "ρ", "nu": "ν", "xi": "ξ", "temperature": "T", "dlr": "a",
    "slope": "f′", "pi": "π", "alphas": "α", "Pi": "Π", "minus_g": "−g₋",
}  # fmt: skip

MARKS = {"_hat": "\u0302", "_mean": "\u0304", "_star": "*", "_last": "₋", "_next": "₊"}

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPTS = str.maketrans("-0123456789tk", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵗᵏ")

MEANINGS = {
    "momentum_buffer": "momentum: gradients so far, older ones less",
    "exp_avg": "running mean of gradients",
    "exp_avg_sq": "running mean of squares",
    "max_exp_avg_sq": "largest mean of squares so far",
    "square_avg": "running mean of squares",
    "sum": "sum of squares",
    "acc_delta": "running mean of squared steps",
    "exp_inf": "largest gradient, slowly forgotten",
    "hessian": "running mean of the curvature",
    "ax": "mean of the path",
    "noise": "the noise of this step",
    "direction": "direction of the search",
    "prev_grad": "the gradient before",
    "prev": "the gradient before",
    "step_size": "a rate for each number",
    "z": "the point that takes the plain steps",
    "x0": "where it began",
    "p0": "where it began",
}


def letter(name: str) -> str:
    """A name as papers write it: beta1 is β₁, m_hat is m̂, g_last is g₋."""
    for ending, mark in MARKS.items():
        if name.endswith(ending):
            return letter(name.removesuffix(ending)) + mark
    head, _, tail = name.partition("_")
    if name not in GREEK and head in ("rho", "alpha", "beta", "gamma"):
        return f"{GREEK[head]}_{tail}"
    stem, number = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]
    return GREEK.get(stem, stem) + number.translate(SUBSCRIPTS)


def number(value: Any, digits: int | None = 6) -> str:
    """A number with at most so many significant digits, or None for all that it has."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if not math.isfinite(value):
        return str(value).replace("-", "−").replace("inf", "∞")
    text = repr(value).removesuffix(".0") if digits is None else f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return mantissa.replace("-", "−") + (f"e{int(exponent)}" if e else "")


def array(value: Any) -> str:
    """An array by its shape and norm: ⟨3×4, norm 0.512⟩."""
    host = np.asarray(value.get() if hasattr(value, "get") else value)
    shape = "×".join(map(str, host.shape))
    if host.dtype.kind not in "fiub":
        return f"⟨{shape}⟩"
    return f"⟨{shape}, norm {number(float(np.linalg.norm(host.astype(np.float64))), 4)}⟩"
