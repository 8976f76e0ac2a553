"""The rule as it stands, tensor by tensor: the truth that other engines are held equal to."""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..rule import Rule


class Reference:
    """Call the rule on whole tensors and write what it returns; the engine to debug a rule with."""

    def __init__(
        self, rule: Rule, xp: Any, arrays: dict[str, Any], shapes: list[tuple[int, ...]]
    ) -> None:
        self.rule, self.xp = rule, xp
        bounds = pairwise(accumulate(map(prod, shapes), initial=0))
        self.tensors = [
            {name: array[start:stop].reshape(shape) for name, array in arrays.items()}
            for shape, (start, stop) in zip(shapes, bounds)
        ]

    def __call__(self, t: int, first: bool, options: tuple[Any, ...]) -> None:
        """Take one step."""
        values = {"t": t, "first": first, **dict(zip(self.rule.options, options))}
        for tensor in self.tensors:
            p, g, *state = (tensor.get(name) for name in ("p", "g", *self.rule.letters))
            results = self.rule(self.xp, p, g, *state, **values)
            pairs = [(a, r) for a, r in zip((p, *state), results) if a is not None and r is not a]
            swapped = [r.copy() if any(r is a for a, _ in pairs) else r for _, r in pairs]
            for (array, _), result in zip(pairs, swapped):
                array[...] = result
