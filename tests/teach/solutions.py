"""Solutions of the exercises: what a student may write into the hole of each file."""

from __future__ import annotations

import linecache
from pathlib import Path

from tinygrad_opt.teach.exercises import EXERCISES

EXAMPLES = Path(__file__).parents[2] / "examples" / "exercises"

SOLUTIONS = {
    "relu_backward": """
        return np.where(x > 0, g, 0)
    """,
    "linear_backward": """
        return g @ w, g.T @ x, g.sum(0)
    """,
    "momentum": """
        b = mu * b + g
        p = p - lr * b
        return p, b
    """,
    "rmsprop": """
        v = alpha * v + (1 - alpha) * g**2
        return p - lr * g / (np.sqrt(v) + eps), v
    """,
    "adam": """
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - lr * m_hat / (v_hat**0.5 + eps), m, v
    """,
    "cross_entropy_backward": """
        s = np.exp(logits - logits.max(axis=1, keepdims=True))
        s = s / s.sum(axis=1, keepdims=True)
        s[np.arange(len(labels)), labels] -= 1
        return s / len(labels)
    """,
    "warmup_cosine": """
        if t < warmup:
            return (t + 1) / (warmup + 1)
        if t >= total:
            return 0.0
        return (1 + math.cos(math.pi * (t - warmup) / (total - warmup))) / 2
    """,
    "break_it": """
        x = np.array([[-2.0, 0.3, 1.5], [0.7, -0.4, 3.0]])
        return (x, x[::-1] + 0.1) if name in ("product", "quotient") else x
    """,
}


def unsolved(name: str) -> str:
    """The text of the file with the hole."""
    return (EXAMPLES / EXERCISES[name].file).read_text(encoding="utf-8")


def filled(name: str, body: str) -> str:
    """The same with something written where the comments of the hole are."""
    lines = unsolved(name).splitlines()
    hole = [i for i, line in enumerate(lines) if line.startswith("    # ")]
    assert hole == list(range(hole[0], hole[-1] + 1)), "one hole, and no other comments"
    written = [line[4:] for line in body.strip("\n").splitlines() if line.strip()]
    return "\n".join([*lines[: hole[0]], *written, *lines[hole[-1] + 1 :]]) + "\n"


def written(name: str, body: str):
    """The function that a student has with this body."""
    text, file = filled(name, body), EXERCISES[name].file
    linecache.cache[file] = len(text), None, text.splitlines(), file  # as if it were there
    names: dict = {"__name__": "exercise"}
    exec(compile(text, file, "exec"), names)
    return names[name]
