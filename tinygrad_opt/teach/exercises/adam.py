"""Adam to write: the mistakes of momentum and RMSprop, and those about the bias correction."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from ...optim import Adam
from .exercise import Function
from .formula import Formula, wrong
from .rules import (
    IN_ROOT,
    NO_EPS,
    NO_RATE,
    NO_ROOT,
    NOT_SQUARED,
    PARENTHESES,
    STEP_ALONE,
    UPHILL,
    walks,
)


def _adam(params, lr, beta1, beta2, eps):
    return Adam(params, lr, (beta1, beta2), eps)


def _as_adam(rule: Function) -> Function:
    def step(p, g, m, v, t, lr, beta1, beta2, eps):
        options = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "amsgrad": False}
        return rule(np, p, g, m, v, None, t=t, **options)[:3]

    return step


_ZEROS = "m and v start at zero and are too small at first"

ADAM = Formula(
    name="adam",
    title="the step of Adam",
    file="ex05_adam.py",
    arguments=("p", "g", "m", "v", "t", "lr", "beta1", "beta2", "eps"),
    gives=("p", "m", "v"),
    cases=walks(_adam, "mv", (0.9, 0.999, 1e-8), (0.5, 0.7, 1e-2), counts=True),
    formula=Adam.rule,
    adapt=_as_adam,
    mistakes=(
        wrong("uphill", UPHILL, "p - lr * m_hat → p + lr * m_hat"),
        wrong("the step alone", STEP_ALONE, "p - lr * m_hat → lr * m_hat"),
        wrong("no rate", NO_RATE, "p - lr * m_hat → p - m_hat"),
        wrong("no bias correction",
              f"The bias correction is missing: {_ZEROS}. Divide by 1 − β₁ᵗ and 1 − β₂ᵗ.",
              " / (1 - beta1**t) →", " / (1 - beta2**t) →"),
        wrong("m not corrected", f"m̂ is missing: {_ZEROS}, both. Divide m by 1 − β₁ᵗ, too.",
              " / (1 - beta1**t) →"),
        wrong("v not corrected", f"v̂ is missing: {_ZEROS}, both. Divide v by 1 − β₂ᵗ, too.",
              " / (1 - beta2**t) →"),
        wrong("correction without t",
              "The bias correction never ends: it divides by 1 − β, where 1 − βᵗ comes near 1.",
              "beta1**t → beta1", "beta2**t → beta2"),
        wrong("times t",
              "βᵗ is a power, beta**t. Here it is a product, β times t.",
              "beta1**t → beta1 * t", "beta2**t → beta2 * t"),
        wrong("t one too small",
              "t is off by one, t − 1. It counts from 1, so that 1 − β¹ is what m and v lack at "
              "the first update.",
              "beta1**t → beta1**(t - 1)", "beta2**t → beta2**(t - 1)"),
        wrong("t one too large",
              "t is off by one, t + 1. It already counts from 1: use it as it comes.",
              "beta1**t → beta1**(t + 1)", "beta2**t → beta2**(t + 1)"),
        wrong("ε inside the root", IN_ROOT.replace("v", "v̂"),
              "xp.sqrt(v_hat) + eps → xp.sqrt(v_hat + eps)"),
        wrong("ε before the correction",
              "ε is added before v is corrected, as in Keras and in the shorter form of the paper: "
              "√v + ε. Here it is √v̂ + ε.",
              "+ eps) → + eps / (1 - beta2**t) ** 0.5)"),
        wrong("no root", NO_ROOT, "xp.sqrt(v_hat) → v_hat"),
        wrong("no ε", NO_EPS, " + eps →"),
        wrong("parentheses", PARENTHESES.replace("√v", "√v̂"),
              "m_hat / (xp.sqrt(v_hat) + eps) → m_hat / xp.sqrt(v_hat) + eps"),
        wrong("not squared", NOT_SQUARED, "* g * g → * g"),
        wrong("v from m", "v is made from m. Both are means of their own: m of g, v of g².",
              "(1 - beta2) * g * g → (1 - beta2) * m * m"),
        wrong("the betas swapped",
              "β₁ and β₂ changed places: β₁ = 0.9 belongs to m, β₂ = 0.999 to v.",
              "beta1, beta2 = betas → beta2, beta1 = betas"),
        wrong("β on the wrong side",
              "β and 1 − β changed places: β, near 1, is the share that is kept of the old value.",
              "beta1 * m + (1 - beta1) → (1 - beta1) * m + beta1",
              "beta2 * v + (1 - beta2) → (1 - beta2) * v + beta2"),
        wrong("the whole of g added",
              "The factor 1 − β₁ before g is missing: Adam's m is a mean, not momentum's sum.",
              "(1 - beta1) * g → g"),
        wrong("the old m used", "The step uses the m that came in. Bring m up to date first.",
              "m = beta1 * m → old, m = m, beta1 * m", "m_hat = m / → m_hat = old /"),
        wrong("the old v used", "The step uses the v that came in. Bring v up to date first.",
              "v = beta2 * v → old, v = v, beta2 * v", "else v) / → else old) /"),
        wrong("the corrected ones returned",
              "What is returned as m and v are m̂ and v̂. Those are for this step alone: return m "
              "and v themselves, else the correction is applied again and again.",
              "+ eps), m, v, → + eps), m_hat, v_hat,"),
        wrong("g in the numerator",
              "The step moves along g. That is RMSprop's; Adam moves along the mean, m̂.",
              "lr * m_hat / → lr * g /"),
    ),
)  # fmt: skip
