"""Optimizers to write: momentum and RMSprop, held against the updates of `optim`.

Every call of a walk starts from where the library stands, so that a mistake is seen by itself and
not by what it led to.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ...optim import SGD, RMSprop
from ...tensor import Tensor
from .exercise import Function
from .formula import Call, Case, Formula, wrong

Make = Callable[..., Any]  # (parameters, lr, *constants) -> optimizer

SHORT = [6.0, 4.8, -2.0]  # gradients with which one can follow by hand


def walks(
    make: Make,
    letters: str,
    gentle: tuple[float, ...],
    harsh: tuple[float, ...],
    counts: bool = False,
) -> Callable[[], list[Case]]:
    """The cases of a rule with these letters of state: constants as usual, then far from it.

    A rule that ``counts`` gets t, the number of the update, before its constants.
    """

    def cases() -> list[Case]:
        random = np.random.default_rng(3)
        numbers = [np.float64(g) for g in SHORT]
        arrays = [random.standard_normal((2, 3)) for _ in range(20)]
        start = random.standard_normal((2, 3))
        walk = partial(_walk, make, letters, counts)
        return [
            Case("one update of one number", [*walk(3.0, numbers[:1], gentle)]),
            Case("three updates of one number", [*walk(3.0, numbers, gentle)]),
            Case("20 updates of an array", [*walk(start, arrays, gentle)]),
            Case(
                "other constants, a rate that moves",
                [*walk(start, arrays, harsh, lambda t: 0.1 / t)],
            ),
        ]

    return cases


def _walk(
    make: Make,
    letters: str,
    counts: bool,
    start: Any,
    gradients: list[Any],
    constants: tuple[float, ...],
    lr_at: Callable[[int], float] = lambda t: 0.1,
) -> Iterator[Call]:
    p = Tensor(np.array(start), requires_grad=True, device="cpu")
    optimizer = make([p], 0.1, *constants)
    state = [np.zeros(p.shape) for _ in letters]
    for t, g in enumerate(gradients, start=1):
        optimizer.param_groups[0]["lr"] = lr = lr_at(t)
        given = (p.detach().numpy().copy(), g, *state)
        p.grad = Tensor(np.array(g), device="cpu")
        optimizer.step()
        found = optimizer.state_of(p)
        state = [np.array(found[letter]).reshape(p.shape) for letter in letters]
        moved = (p.detach().numpy().copy(), *state)
        numbers = (t, lr, *constants) if counts else (lr, *constants)
        yield Call((*map(_plain, given), *numbers), tuple(map(_plain, moved)))


def _plain(array: Any) -> Any:
    """A number as Python has it, an array as it is."""
    return float(array) if np.ndim(array) == 0 else array


def _sgd(params, lr, mu):
    return SGD(params, lr, momentum=mu)


def _rmsprop(params, lr, alpha, eps):
    return RMSprop(params, lr, alpha, eps)


# ---- momentum ---------------------------------------------------------------------------------

UPHILL = "The step goes uphill: the gradient points to where the loss grows, so p moves against it."
STEP_ALONE = "What is returned as p is the step alone. Return p minus the step."
NO_RATE = "The learning rate is missing: it says how long the step is."


def _as_momentum(rule: Function) -> Function:
    flags = {"first": False, "dampening": 0, "nesterov": False}
    return lambda p, g, b, lr, mu: rule(np, p, g, b, lr=lr, momentum=mu, **flags)


MOMENTUM = Formula(
    name="momentum",
    title="the step of gradient descent with momentum",
    file="ex03_momentum.py",
    arguments=("p", "g", "b", "lr", "mu"),
    gives=("p", "b"),
    cases=walks(_sgd, "b", (0.9,), (0.5,)),
    formula=SGD.rule,
    adapt=_as_momentum,
    mistakes=(
        wrong("uphill", UPHILL, "p - lr * (g + momentum → p + lr * (g + momentum"),
        wrong("the step alone", STEP_ALONE, "p - lr * (g + momentum → lr * (g + momentum"),
        wrong("no rate", NO_RATE, "p - lr * (g + momentum → p - (g + momentum"),
        wrong("an average instead of a sum",
              "b became a running average, as in Adam, with (1 − μ) before g. Momentum as PyTorch "
              "has it is a running sum: the whole of g is added.",
              "(1 - dampening) * g → (1 - momentum) * g"),
        wrong("the old b used",
              "p moves along the b from before. First bring b up to date, then use the new one.",
              "b = g if first else → old, b = b, g if first else", "else b) → else old)"),
        wrong("the old b returned",
              "The b that is returned is the one that came in. Return the new one: without it the "
              "next update knows nothing of this one.",
              "b = g if first else → old, b = b, g if first else", "else b), b → else b), old"),
        wrong("memory not used", "p moves along g alone, as without momentum. Move it along b.",
              "nesterov else b → nesterov else g"),
        wrong("nothing fades",
              "b only grows: old gradients have to fade, by the factor μ at each update.",
              "momentum * b + (1 → b + (1"),
        wrong("nothing remembered",
              "b holds nothing but the last gradient. Keep μ times what it was before.",
              "momentum * b + (1 → 0 * b + (1"),
        wrong("Nesterov's form",
              "This is Nesterov's form, p ← p − η (g + μ b), which looks ahead. Asked for is plain "
              "momentum: p moves along b.",
              "if nesterov else → if True else"),
        wrong("the rate inside b",
              "η went into b. Then what b remembers was scaled by old rates, and it differs from "
              "the equation as soon as η moves. Multiply by η where p is changed, nowhere else.",
              "(1 - dampening) * g → lr * g", "lr * (g + momentum * b → (g + momentum * b"),
        wrong("Keras's form",
              "This is the form of Keras, b ← μ b − η g and p ← p + b: the same path as long as η "
              "stays, with another b. Asked for is b ← μ b + g, and η where p is changed.",
              "(1 - dampening) * g → -lr * g", "p - lr * (g + momentum → p + (g + momentum"),
        wrong("b counted down",
              "b has the opposite sign: as the equation is written, g is added to b, and the minus "
              "stands before η.",
              "(1 - dampening) * g → -1.0 * g", "p - lr * (g + momentum → p + lr * (g + momentum"),
    ),
)  # fmt: skip

# ---- RMSprop ----------------------------------------------------------------------------------

IN_ROOT = "ε stands inside the root: √(v + ε). It belongs outside: √v + ε."
NO_ROOT = "The root is missing: v is a mean of squares, and its root has the size of a gradient."
NOT_SQUARED = "v is a mean of gradients, not of their squares: g has to enter it as g²."
PARENTHESES = "Parentheses are missing: a / √v + ε adds ε to the quotient. Write a / (√v + ε)."
NO_EPS = "ε is missing. Where all gradients so far were 0 it keeps 0/0 away."


def _as_rmsprop(rule: Function) -> Function:
    flags = {"momentum": 0, "centered": False}

    def step(p, g, v, lr, alpha, eps):
        return rule(np, p, g, v, None, None, lr=lr, alpha=alpha, eps=eps, **flags)[:2]

    return step


RMSPROP = Formula(
    name="rmsprop",
    title="the step of RMSprop",
    file="ex04_rmsprop.py",
    arguments=("p", "g", "v", "lr", "alpha", "eps"),
    gives=("p", "v"),
    cases=walks(_rmsprop, "v", (0.99, 1e-8), (0.6, 1e-2)),
    formula=RMSprop.rule,
    adapt=_as_rmsprop,
    mistakes=(
        wrong("uphill", UPHILL, "p - lr * step → p + lr * step"),
        wrong("the step alone", STEP_ALONE, "p - lr * step → lr * step"),
        wrong("no rate", NO_RATE, "p - lr * step → p - step"),
        wrong("ε inside the root", IN_ROOT, "xp.sqrt(variance) + eps → xp.sqrt(variance + eps)"),
        wrong("no root", NO_ROOT, "xp.sqrt(variance) → variance"),
        wrong("no ε", NO_EPS, " + eps →"),
        wrong("parentheses", PARENTHESES, " + eps →", "p - lr * step → p - lr * step + eps"),
        wrong("not squared", NOT_SQUARED, "* g * g → * g"),
        wrong("no g above", "g is missing above the line: the step is η g / (√v + ε).",
              "step = g / → step = 1 /"),
        wrong("g² where g belongs",
              "The numerator has g²; the step is in proportion to g, which also has the sign.",
              "step = g / → step = g * g /"),
        wrong("α on the wrong side",
              "α and 1 − α changed places: α, near 1, is the share that is kept of the old v.",
              "alpha * v + (1 - alpha) → (1 - alpha) * v + alpha"),
        wrong("a sum instead of a mean",
              "v is a sum that only grows, which is AdaGrad. RMSprop forgets: α v + (1 − α) g².",
              "alpha * v + (1 - alpha) * g * g → v + g * g"),
        wrong("the whole of g² added",
              "The factor 1 − α before g² is missing: with it, v stays a mean.",
              "(1 - alpha) * g * g → g * g"),
        wrong("the old v used",
              "p is divided by the root of the old v. Bring v up to date first.",
              "variance = v = → variance, v = v,"),
        wrong("the old v returned",
              "The v that is returned is the one that came in. Return the new one.",
              "variance = v = → variance ="),
        wrong("the root kept", "What is returned as v is its root. Keep v itself.",
              "step, v, → step, xp.sqrt(v),"),
    ),
)  # fmt: skip
