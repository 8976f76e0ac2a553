"""The rule as it stands, tensor by tensor: the truth that other engines are held equal to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from .base import Engine


class Reference(Engine):
    """Call the rule on whole tensors and write what it returns; the engine to debug a rule with.

    The only one for rules that need whole tensors; they do not see empty ones.
    """

    def __init__(self, *made_for: Any) -> None:
        super().__init__(*made_for)
        bounds = pairwise(accumulate(map(prod, self.shapes), initial=0))
        self.tensors = [
            ({name: array[start:stop].reshape(shape) for name, array in self.arrays.items()}, own)
            for shape, (start, stop), own in zip(self.shapes, bounds, self.apart)
            if start < stop or not self.rule.whole
        ]

    def __call__(
        self, t: int, first: bool, scalars: tuple[Any, ...], options: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Take one step."""
        values = {"t": t, "first": first, **dict(zip(self.rule.options, options))}
        numbers = new = dict(zip(self.rule.scalars, scalars))
        for flat, own in self.tensors:
            known = {**flat, **own, **numbers}
            old = [known.get(name) for name in ("p", "g", *self.rule.letters)]
            new = dict(zip(("p", *self.rule.letters), self.rule(self.xp, *old, **values)))
            arrays = [s for s in new if s in known and s not in numbers]
            pairs = [pair for s in arrays for pair in _pairs(known[s], new[s])]
            swapped = [r.copy() if any(r is a for a, _ in pairs) else r for _, r in pairs]
            for (array, _), result in zip(pairs, swapped):
                array[...] = result
        return tuple(new[letter] for letter in numbers)


def _pairs(old: Any, new: Any) -> Iterator[tuple[Any, Any]]:
    """Each array that has a new value, with the value."""
    if isinstance(old, list):
        for one, other in zip(old, new):
            yield from _pairs(one, other)
    elif old is not None and new is not old:
        yield old, new
