"""A step of an optimizer: parameters and state are looked at before and after.

Order: the step · what is said of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ..operation import there
from ..places import user_line
from . import remedies
from .numbers import as_host, floats, is_finite
from .sentence import AnomalyError, kinds, number, place


class Step:
    """What was finite before a step, and has to be so after it."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.look()

    def look(self) -> None:
        """Remember between what numbers each parameter lies, and whose state is not finite."""
        self.ranges = {p: _range(p) for p, *_ in self.parameters() if p._data.size}
        self.known = {(p, letter) for p, letter, _ in self.broken_state()}

    def parameters(self) -> Iterator[tuple[Any, str, Any]]:
        """Every parameter, its name, and its group."""
        for group in self.optimizer.param_groups:
            names = group.get("param_names") or [None] * len(group["params"])
            for i, (p, name) in enumerate(zip(group["params"], names, strict=False)):
                yield p, name or p.name or f"parameter {i}", group

    def broken_state(self) -> Iterator[tuple[Any, str, Any]]:
        """Parameters whose state is not finite, its letter, and its array."""
        for p, *_ in self.parameters():
            for letter, value in self.optimizer.state_of(p).items():
                for array in floats(value):
                    if not is_finite(p.device, array):
                        yield p, letter, array

    def judge(self) -> None:
        """Raise where the step has made what is not finite, in a parameter or in its state."""
        self.judge_parameters()
        for broken, letter, array in self.broken_state():
            if (broken, letter) not in self.known:
                for p, name, group in self.parameters():
                    if p is broken:
                        self.say(p, name, group, as_host(array), f"{letter}, the state of ")

    def judge_parameters(self) -> None:
        """The same, for parameters alone."""
        for p, name, group in self.parameters():
            if not is_finite(p.device, p):
                self.say(p, name, group, as_host(p))

    # ---- what is said of it -------------------------------------------------------------------

    def say(self, p: Any, name: str, group: Any, values: Any, part: str = "") -> NoReturn:
        """Raise for values that are not finite, of a parameter or a part of its state."""
        who = f"{name} {p.shape}"
        step = f"{place(user_line())}{type(self.optimizer).__name__}.step()"
        low, high = map(as_host, self.ranges[p])
        if not (np.isfinite(low) and np.isfinite(high)):
            raise AnomalyError(
                f"{step}: {who} has {kinds(as_host(p))}, and was not finite before the step. No "
                f"operation seen here made it. {remedies.CAME_IN}"
            )
        if p.grad is not None and not is_finite(p.device, p.grad):
            raise AnomalyError(
                f"{step}: the gradient of {who} has {kinds(as_host(p.grad))}, and no operation "
                f"seen here made it. {remedies.CHANGED}"
            )
        facts = [f"Before the step {name} went from {number(low)} to {number(high)}"]
        if p.grad is not None:
            facts.append(f"‖g‖ is {number(_norm(p.grad))}")
        if "lr" in group:
            facts.append(f"lr is {number(getattr(group['lr'], '_data', group['lr']))}")
        others = [s for q, s, _ in self.broken_state() if q is p and not part]
        if others:
            facts.append(f"not finite either: {', '.join(others)}, of its state")
        raise AnomalyError(
            f"{step} makes {kinds(values)} of {part}{who}, of a finite parameter and gradient. "
            f"{'; '.join(facts)}. {remedies.STEP}"
        )


def _range(p: Any) -> tuple[Any, Any]:
    """The least and the largest number of a parameter, as arrays that nobody waits for."""
    return there(p.device, p._data.min), there(p.device, p._data.max)


def _norm(grad: Any) -> float:
    return float(np.linalg.norm(as_host(grad).astype(np.float64)))
