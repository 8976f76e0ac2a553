"""A class's rule as engines run it: behind a prelude, which is what all classes share."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from ..tracing import Program
    from .optimizer import Optimizer


def prelude(xp, p, g, *, lr=0, maximize=False, weight_decay=0, decoupled_weight_decay=False):
    """What all rules share: which way is up, and weight decay in both its forms.

        g ← −g                  maximize
        p ← p (1 − η λ)         decoupled decay
        g ← g + λ p             coupled decay

    The sign comes first, so that decay shrinks p whichever way it goes.
    """
    if maximize:
        g = -g
    if weight_decay and decoupled_weight_decay:
        p = p * (1 - lr * weight_decay)
    elif weight_decay:
        g = g + weight_decay * p
    return p, g


DECAY = {"weight_decay", "decoupled_weight_decay"}


class Rule:
    """The rule of a class behind the prelude, for groups with these options.

    A rule that asks for `weight_decay` itself decays in its own way. `letters` names the state:
    `scalars` are Python numbers, `apart` is what a function makes and has any shape, and the rest
    lies flat beside the parameters. `options` is what an engine is given besides them.
    """

    def __init__(self, kind: type[Optimizer], options: Sequence[str]) -> None:
        self.name, self.cause, self.start = kind.__name__, f"{kind.__name__}.step()", kind.start
        self.text, self.letters, self.kept_if = kind.rule, tuple(kind.state), kind.state_if
        for letter in self.letters:
            if not letter.isidentifier() or re.fullmatch(r"[kst]\d+|p|g", letter):
                raise ValueError(
                    f"{self.name}: the state {letter!r} has a name that engines use for what they "
                    "compute (p, g, t0, k0, s0, …) or that is no name. Choose another letter."
                )
        self.scalars = tuple(s for s in self.letters if s in kind.scalars)
        self.apart = tuple(s for s in self.letters if callable(self.start.get(s)))
        self.whole = kind.scope in ("tensor", "matrix")
        self.own = _keywords(kind.rule)
        taken = DECAY if "weight_decay" in self.own else set()
        self.shared = [k for k in _keywords(prelude) if k in options and k not in taken]
        wanted = {*self.own, *self.shared, *self.kept_if.values()}
        for start in self.start.values():
            wanted.update(_keywords(start) if callable(start) else [start])
        self.options = tuple(name for name in options if name in wanted)
        self.programs: dict[bool, list[Program]] = {True: [], False: []}  # factors carried, or not

    def __call__(self, xp: Any, p: Any, g: Any, *state: Any, **values: Any) -> tuple[Any, ...]:
        """The new p and the new state; None stands for letters that these options do not keep."""
        p, g = prelude(xp, p, g, **{name: values[name] for name in self.shared})
        kept = self.kept(values)
        state = tuple(s if letter in kept else None for letter, s in zip(self.letters, state))
        new = self.text(xp, p, g, *state, **{name: values[name] for name in self.own})
        new = new if isinstance(new, tuple) else (new,)
        if len(new) != 1 + len(self.letters):
            raise TypeError(
                f"{self.name}.rule returned {len(new)} value(s); it has to return "
                f"{', '.join(('p', *self.letters))}."
            )
        return new

    def kept(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The letters of the state that exist with these options."""
        gates = self.kept_if
        return tuple(s for s in self.letters if s not in gates or options[gates[s]])

    def begin(self, letter: str, xp: Any, p: Any, options: Mapping[str, Any]) -> Any:
        """Where the state with this letter begins: a number, p itself, or what a function makes."""
        start = self.start.get(letter, 0.0)
        if callable(start):
            return start(xp, p, **{name: options[name] for name in _keywords(start)})
        if isinstance(start, str):
            return p if start == "p" else options[start]
        return start


def _keywords(rule: Any) -> list[str]:
    """The options that a rule asks for."""
    parameters = inspect.signature(rule).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def each(function: Any, value: Any) -> Any:
    """The function of an array, or of each in a list of them; None stays None."""
    if isinstance(value, list):
        return [each(function, one) for one in value]
    return None if value is None else function(value)


_rules: WeakKeyDictionary[type[Optimizer], dict[tuple[str, ...], Rule]] = WeakKeyDictionary()


def rule_of(kind: type[Optimizer], options: tuple[str, ...]) -> Rule:
    """One `Rule`, and one set of traced programs, for all optimizers of a class."""
    known = _rules.setdefault(kind, {})
    return known.get(options) or known.setdefault(options, Rule(kind, options))
