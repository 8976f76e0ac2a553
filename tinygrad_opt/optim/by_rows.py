"""Tables of which a batch sees a few rows: only those move, and only their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..operation import Variable, changed, there
from .flat import Entry, same_shape
from .options import Reader
from .parameters import check_gradient
from .places import copied, taken
from .rule import Rule


class ByRows:
    """The parameters of a group; the rule gets the rows of each that have a gradient."""

    def __init__(self, params: Sequence[Variable], labels: Sequence[str], rule: Rule) -> None:
        self.params, self.labels, self.rule = params, labels, rule
        self.read = Reader(rule.options)
        self.entries: dict[Variable, Entry] = {}
        self.own: dict[Variable, Any] = {}  # copies: rows are written into the arrays
        self.take_in()

    def take_in(self) -> None:
        """Copy the arrays that somebody else gave to parameters."""
        for p, label in zip(self.params, self.labels):
            if p._data is not self.own.get(p):
                if p in self.own:
                    same_shape(self.rule.name, label, p, self.own[p].shape)
                p._data = self.own[p] = copied(p)
                if p in self.entries:
                    self.load({p: self.entries[p]})  # in its dtype and on its device

    def gather(self) -> None:
        """Look at the gradients before anything is changed."""
        self.take_in()
        for p, label in zip(self.params, self.labels):
            if p.grad is None:
                continue
            check_gradient(self.rule.name, p, label)
            if not p.grad.is_sparse:
                raise TypeError(
                    f"{self.rule.name}: the gradient of {label} is not one of rows. Make the layer "
                    "Embedding(…, sparse=True), or take Adam."
                )

    def advance(self, group: Mapping[str, Any]) -> None:
        """Take one step with the options of the group."""
        options = dict(zip(self.rule.options, self.read(group)))
        moving = [p for p in self.params if p.grad is not None]
        for p in moving:
            there(p.device, self.move, p, options)
        if moving:
            changed(moving, self.rule.cause)

    def move(self, p: Variable, options: Mapping[str, Any]) -> None:
        """Apply the rule to the rows of a parameter that have a gradient."""
        t, state = self.entries.get(p, (0, {}))
        if not state:
            state = {s: p.device.xp.zeros_like(p._data) for s in self.rule.letters}
        self.entries[p] = t + 1, state
        g, arrays = p.grad.coalesce(), (p._data, *state.values())
        old, *kept = (array[g.indices] for array in arrays)
        new = self.rule(p.device.xp, old, g.values, *kept, t=t + 1, first=t == 0, **options)
        for array, rows in zip(arrays, new):
            array[g.indices] = rows

    def entry(self, p: Variable) -> Entry:
        """Step count and state of a parameter; the arrays are its own."""
        return self.entries.get(p, (0, {}))

    def load(self, entries: Mapping[Any, Entry]) -> None:
        """Continue from these step counts and states."""
        for p, (t, state) in entries.items():
            self.entries[p] = t, {s: taken(p, array) for s, array in state.items()}
