"""Steps only where they agree with the gradient: a change that any rule can undergo."""

# mypy: allow-untyped-defs

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .adam import AdamW
from .sign import Lion


def cautious(rule: Callable[..., Any]) -> Any:
    """A rule that leaves out where its step would go up the present gradient.

        u = what the rule takes from p,    k = 1 where u g > 0, else 0
        p ← p − u k / max(mean k, 10⁻³)

    Liang et al. 2024 (arXiv:2411.16085). The mean is over one parameter, so a class whose rule this
    is has the scope "tensor". Decay before the rule is not masked. As in the authors' code; their
    text divides by (Σ k + 1) / n.

        class CautiousAdamW(AdamW):
            scope = "tensor"
            rule = cautious(AdamW.rule)
    """

    @functools.wraps(rule)
    def masked(xp, p, g, *state, **options):
        new, *state = rule(xp, p, g, *state, **options)
        u = p - new
        k = (u * g > 0).astype(p.dtype)
        return p - u * k / xp.maximum(xp.mean(k), 1e-3), *state

    return staticmethod(masked)


class CautiousAdamW(AdamW):
    """AdamW whose steps wait where momentum and gradient disagree (arXiv:2411.16085).

        u = η m̂ / (√v̂ + ε),    k = 1 where u g > 0, else 0
        p ← p (1 − η λ) − u k / max(mean k, 10⁻³)

    m and v as in Adam; the mean is over one parameter, so that the steps that are left grow.
    """

    scope = "tensor"
    rule = cautious(AdamW.rule)


class CautiousLion(Lion):
    """Lion whose steps wait where momentum and gradient disagree (arXiv:2411.16085).

    u = η sign(β₁ m + (1 − β₁) g),    k = 1 where u g > 0, else 0
    p ← p (1 − η λ) − u k / max(mean k, 10⁻³)
    m ← β₂ m + (1 − β₂) g
    """

    scope = "tensor"
    rule = cautious(Lion.rule)
