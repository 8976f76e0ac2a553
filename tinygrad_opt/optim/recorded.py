"""Steps that are part of the graph: the rule runs on Tensors, so training can be differentiated.

    w.grad = grad(loss(w), w, create_graph=True)
    optimizer.step()                         # SGD([w], lr=lr, differentiable=True), lr a Tensor
    grad(loss(w), lr)                        # how should the learning rate have been?

A parameter is a result afterwards, no leaf: its next gradient comes from `grad`, not `backward`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import ops
from ..operation import Variable, enable_grad, there, wrap
from .flat import Entry
from .options import plain
from .parameters import check_gradient
from .rule import Rule, each


class Recorded:
    """The parameters of a group whose steps are recorded."""

    def __init__(self, params: Sequence[Variable], labels: Sequence[str], rule: Rule) -> None:
        self.params, self.labels, self.rule = params, labels, rule
        self.entries: dict[Variable, tuple[int, dict[str, Any]]] = {}

    def gather(self) -> None:
        """Look at the gradients before anything is changed."""
        for p, label in zip(self.params, self.labels):
            if p.grad is not None:
                check_gradient(self.rule.name, p, label)

    def advance(self, group: Mapping[str, Any]) -> None:
        """Take one step with the options of the group, which may be Tensors."""
        options = {name: _tracked(group[name]) for name in self.rule.options}
        kept = self.rule.kept(options)
        for p in self.params:
            if p.grad is None:
                continue
            t, state = self.entries.get(p, (0, {}))
            first = not state.keys() >= set(kept)
            with enable_grad():
                old = [self._old(p, letter, state, options) for letter in self.rule.letters]
                new = self.rule(ops, p, p.grad, *old, t=t + 1, first=first, **options)
            p._data, p._node, p._requires_grad = new[0]._data, new[0]._node, True
            results = dict(zip(self.rule.letters, new[1:]))
            self.entries[p] = t + 1, state | {letter: results[letter] for letter in kept}

    def _old(
        self, p: Variable, letter: str, state: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Any:
        """The state before the step, or where it begins."""
        if letter in state:
            return state[letter]
        new = there(p.device, self.rule.begin, letter, p.device.xp, p, options)
        if letter in self.rule.scalars:
            return new
        if letter in self.rule.apart:
            return each(lambda array: wrap(array, p.device), new)
        return ops.clone(p) if new is p else ops.zeros_like(p) + new

    def entry(self, p: Variable) -> Entry:
        """Step count and state of a parameter, without the graph."""
        t, state = self.entries.get(p, (0, {}))
        return t, {
            s: plain(value) if s in self.rule.scalars else each(lambda tensor: tensor._data, value)
            for s, value in state.items()
        }

    def load(self, entries: Mapping[Any, Entry]) -> None:
        """Continue from these step counts and states."""
        for p, (t, state) in entries.items():
            tensors = {
                s: value
                if s in self.rule.scalars
                else each(lambda array, p=p: wrap(p.device.put(array), p.device), value)
                for s, value in state.items()
            }
            self.entries[p] = t, tensors


def _tracked(value: Any) -> Any:
    """An option as the rule gets it: a Tensor that requires a gradient stays one."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_tracked, value))
    return value if isinstance(value, Variable) and value._requires_grad else plain(value)
