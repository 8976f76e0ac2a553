"""What lint sees: every operation, backward pass and step of a block, handed to its rules.

Order: where the program is · an operation · a rule · the session · the observer.
"""

from __future__ import annotations

import os
from functools import cached_property, partial
from threading import get_ident
from typing import Any

import numpy as np

from ...observer import Observer
from ...places import PACKAGE, frames, line_of
from ..finding import Finding

BACKWARD = " backward"  # stands behind the name of an operation in those of its derivatives
CAPTURE = os.path.join(PACKAGE, "capture", "")

# ---- where the program is ---------------------------------------------------------------------


class Where:
    """The nearest line outside this package, and what of the package lies between."""

    def __init__(self) -> None:
        self.functions: set[str] = set()
        self.modules: list[Any] = []  # the layers whose forward is being run
        self.given: Any = None  # what nll_loss was given
        self.line, self.captured = "", False
        for frame, is_users in frames():
            code = frame.f_code
            if is_users:
                self.line = line_of(frame)
                break
            self.functions.add(code.co_name)
            self.captured = self.captured or code.co_filename.startswith(CAPTURE)
            if code.co_name == "forward":
                self.modules.append(frame.f_locals.get("self"))
            elif code.co_name == "nll_loss":
                self.given = frame.f_locals["log_probabilities"]


# ---- an operation -----------------------------------------------------------------------------


class Call:
    """One call of an operation, or with ``backward`` of one of its derivatives, as arrays."""

    def __init__(
        self, name: str, inputs: tuple[Any, ...], params: Any, value: Any, xp: Any
    ) -> None:
        self.backward = name.endswith(BACKWARD)
        self.name = name.removesuffix(BACKWARD)
        self.inputs, self.params, self.value, self.xp = inputs, params, value, xp

    @cached_property
    def where(self) -> Where:
        """Where it was called; to be asked while it is being handled."""
        return Where()

    @cached_property
    def arrays(self) -> list[Any]:
        """The inputs that are arrays of floats."""
        return [x for x in self.inputs if is_floats(x)]

    def finite(self, array: Any) -> bool:
        """Whether all its numbers are."""
        return bool(self.xp.isfinite(array).all())


def is_floats(x: Any) -> bool:
    """Whether this is an array of floats."""
    return getattr(getattr(x, "dtype", None), "kind", "") == "f" and hasattr(x, "shape")


# ---- a rule -----------------------------------------------------------------------------------


class Rule:
    """One mistake: what it looks at, and what it says. All that happens comes by here."""

    name = ""
    level = "warning"

    def __init__(self, session: Session) -> None:
        self.session = session

    def begin(self) -> None:
        """The block begins."""

    def operation(self, call: Call) -> None:
        """An operation was run."""

    def before_backward(self, loss: Any) -> None:
        """A backward pass is about to run."""

    def after_backward(self, loss: Any) -> None:
        """It has run."""

    def before_step(self, optimizer: Any, closure: bool) -> None:
        """An optimizer is about to step."""

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """It has stepped; gradients are still there."""

    def found(self, what: str, evidence: str, try_this: str, line: str | None = None) -> None:
        """Report, once for each place; without a line it is the one where the program is."""
        at = Where().line if line is None else line
        text = f"{at}: {what}" if at else what
        self.session.report(Finding(self.level, self.name, text, evidence, try_this), at)


# ---- the session ------------------------------------------------------------------------------


class Session:
    """What is linted, the rules at work, and what they have found."""

    def __init__(self, model: Any, optimizer: Any, scheduler: Any, rules: list[type[Rule]]) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.names = {} if model is None else {p: n for n, p in model.named_parameters()}
        self.used: dict[Any, Any] = {}  # the gradients that steps were taken with
        self.findings: list[Finding] = []
        self.places: set[tuple[str, str]] = set()
        self.thread = get_ident()
        made = [rule(self) for rule in rules]
        self.listeners = {
            event: [getattr(rule, event) for rule in made if event in vars(type(rule))]
            for event, member in vars(Rule).items()
            if callable(member)
        }

    def report(self, finding: Finding, line: str) -> None:
        """Note a finding, unless its rule has spoken of this place."""
        place = (finding.rule, line or finding.what)
        if place not in self.places:
            self.places.add(place)
            self.findings.append(finding)

    def name_of(self, array: Any) -> str:
        """The name of the parameter that holds an array; "" where it is another's."""
        return next((name for p, name in self.names.items() if p._data is array), "")

    def tell(self, event: str, *args: Any) -> None:
        """Hand an event to the rules that listen to it."""
        for listener in self.listeners[event]:
            listener(*args)


# ---- the observer -----------------------------------------------------------------------------


class Watcher(Observer):
    """Stands before a device and tells the session of what its thread does there."""

    def __init__(self, device: Any, session: Session) -> None:
        super().__init__(device)
        self.session = session

    @property
    def _elsewhere(self) -> bool:
        return get_ident() != self.session.thread

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run it, and tell of it."""
        result = super().operation(kernel, *inputs, **params)
        value = result[0] if type(result) is tuple else result
        if not self._elsewhere and isinstance(getattr(value, "shape", None), tuple):
            self.session.tell("operation", Call(kernel.name, inputs, params, value, self.xp))
        return result

    def backward(self, function: Any, *args: Any) -> None:
        """Run a backward pass, and tell before and after."""
        tell = (lambda *_: None) if self._elsewhere else self.session.tell
        tell("before_backward", args[2])
        function(*args)
        tell("after_backward", args[2])

    def step(self, function: Any, *args: Any) -> Any:
        """Run a step, and tell before and after; what its closure does is seen."""
        *before, step, closure = args
        optimizer, has_closure = step.__self__, closure is not None
        if self._elsewhere or Where().captured:
            return super().step(function, *args)
        self.session.tell("before_step", optimizer, has_closure)
        with self.away():
            result = function(*before, step, closure and partial(self._seen, closure))
        self.session.tell("after_step", optimizer, has_closure)
        self.session.used |= {p: p.grad for p in optimizer.parameters() if p.grad is not None}
        return result

    def _seen(self, closure: Any) -> Any:
        with self.watching():
            return closure()


def norm(xp: Any, array: Any) -> float:
    """‖array‖."""
    return float(xp.sqrt(xp.sum(array * array)))


def percent_of(count: Any, array: Any) -> str:
    """So many of its numbers."""
    return f"{int(count):,} of {int(np.prod(array.shape)):,} values"
