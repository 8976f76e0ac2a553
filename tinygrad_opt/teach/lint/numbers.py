"""Mistakes that the numbers show: the wrong kind, the wrong shape, NaN, twice as many digits.

Order: probabilities · shapes · NaN · dtypes.
"""

from __future__ import annotations

from typing import Any

from ...operation import recording
from .watch import Call, Rule, is_floats, percent_of

FLOAT32, FLOAT64 = "f", "d"  # as NumPy and CuPy write dtypes in a letter
REDUCTIONS = ("sum", "mean", "norm")
ONE = 1e-4  # how far from 1 the sum of probabilities may be

# ---- probabilities ----------------------------------------------------------------------------


class SoftmaxTwice(Rule):
    """cross_entropy gets what went through a softmax."""

    name = "softmax before cross-entropy"

    def begin(self) -> None:
        """Nothing was seen."""
        self.made: dict[str, Any] = {}  # the latest result of softmax and of log_softmax
        self.alike = 0  # calls whose rows looked like probabilities

    def operation(self, call: Call) -> None:
        """Look at what each gives, and at what cross_entropy gets."""
        if call.backward:
            return
        inside = call.name == "log_softmax" and "cross_entropy" in call.where.functions
        if call.name in ("softmax", "log_softmax") and not inside:
            self.made[call.name] = call.value
        elif call.name == "cross_entropy" or inside:
            self._judge(call, call.inputs[0])

    def _judge(self, call: Call, scores: Any) -> None:
        if scores.ndim != 2 or scores.shape[1] < 2 or not scores.size:
            return
        if scores is self.made.get("log_softmax"):
            self.level = "info"
            self.found(
                "cross_entropy gets log-probabilities.",
                "it takes the softmax itself, and of these it is the same",
                "the raw scores: log_softmax is not needed; or nll_loss with it.",
            )
            return
        sums = scores.sum(axis=1)
        alike = bool((scores >= 0).all()) and bool((abs(sums - 1) < ONE).all())
        self.alike = self.alike + 1 if alike else 0
        if scores is self.made.get("softmax") or self.alike >= 2:
            self.level = "warning"
            self.found(
                "cross_entropy gets probabilities.",
                "every row is non-negative and sums to 1, as after a softmax",
                "the raw scores (logits): cross_entropy takes the softmax itself.",
            )


class ProbabilitiesIntoNLL(Rule):
    """nll_loss gets what is no logarithm of a probability."""

    name = "probabilities into nll"
    level = "error"

    def operation(self, call: Call) -> None:
        """Look at what nll_loss was given."""
        if call.backward or not call.arrays:
            return
        if call.where.given is None:
            return
        given = call.where.given._data
        if bool((given > 0).any()):
            self.found(
                "nll_loss gets numbers above 0, which are no log-probabilities.",
                f"the largest is {float(given.max()):.3g}",
                "log_softmax before nll_loss; or cross_entropy with the raw scores.",
            )


# ---- shapes -----------------------------------------------------------------------------------


class Outer(Rule):
    """(N, 1) − (N,) compares every one with every other, and a mean hides it."""

    name = "(N, 1) against (N,)"
    level = "error"

    def begin(self) -> None:
        """Nothing was seen."""
        self.outer: list[tuple[Any, str, str, int]] = []  # arrays, and: made where, of what, N

    def operation(self, call: Call) -> None:
        """Follow an N×N difference to its sum or mean."""
        if call.backward:
            return
        from_outer = [known for known in self.outer if any(x is known[0] for x in call.inputs)]
        shapes = [getattr(x, "shape", ()) for x in call.inputs]
        if call.name == "subtract" and _crosses(*shapes):
            text = f"{shapes[0]} − {shapes[1]}"
            self.outer.append((call.value, call.where.line, text, len(call.value)))
        elif from_outer and call.name in REDUCTIONS and call.value.size == 1:
            _, line, text, n = from_outer[0]
            self.found(
                "A difference compares every example with every other.",
                f"{text} gives ({n}, {n}), and the loss is its {call.name}",
                f"target.reshape({n}, 1), or prediction[:, 0].",
                line=line,
            )
        elif from_outer and (call.value.shape == from_outer[0][0].shape or call.name in REDUCTIONS):
            self.outer.append((call.value, *from_outer[0][1:]))

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """Forget the arrays."""
        self.outer = []


def _crosses(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    if len(a) == 1:
        a, b = b, a
    return len(a) == 2 and len(b) == 1 and a == (b[0], 1) and b[0] > 1


# ---- NaN --------------------------------------------------------------------------------------


class NotFinite(Rule):
    """The first operation that makes NaN or an infinity of finite numbers."""

    name = "not finite"
    level = "error"

    def begin(self) -> None:
        """All is well."""
        self.done = False
        self.suspect: tuple[str, str, str] | None = None  # an infinity that may be meant as a mask
        # Where operations were called, and of what, by an array that a derivative reads.
        self.calls: dict[tuple[str, int], tuple[str, Any, Any]] = {}

    def operation(self, call: Call) -> None:
        """Look at inputs and result."""
        if self.done:
            return
        if not call.backward and call.arrays and recording():
            for array in (call.inputs[0], call.value):  # a derivative reads one of them
                self.calls[call.name, id(array)] = call.where.line, array, call.arrays[0]
        value = call.value
        if not is_floats(value) or call.finite(value):
            return
        numbers = [x for x in call.inputs if isinstance(x, float)]
        whole = all(map(call.finite, call.arrays)) and all(x - x == 0 for x in numbers)
        nan = call.xp.isnan(value)
        if whole:
            text = self._sentence(call, nan)
            if bool(nan.any()) or call.backward:
                self._say(text)
            elif self.suspect is None:
                self.suspect = text
        elif bool(nan.any()) and self.suspect is not None:
            self._say(self.suspect)
        elif bool(nan.any()):
            holder = next((x for x in call.arrays if not call.finite(x)), value)
            name = self.session.name_of(holder) or "an input"
            self._say(
                (
                    f"{call.name} gets NaN or infinities.",
                    f"{name} holds them: {percent_of((~call.xp.isfinite(holder)).sum(), holder)}",
                    call.where.line,
                )
            )

    def before_backward(self, loss: Any) -> None:
        """An infinity that reached the loss was no mask."""
        xp = loss.device.xp
        if self.suspect is not None and not bool(xp.isfinite(loss._data).all()):
            self._say(self.suspect)

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """A new step, new arrays."""
        self.suspect, self.calls = None, {}

    def _sentence(self, call: Call, nan: Any) -> tuple[str, str, str]:
        kind = "NaN" if bool(nan.any()) else "an infinity"
        bad = (~call.xp.isfinite(call.value)).sum()
        line, reads = call.where.line, call.arrays[0]
        name = "its input"
        if call.backward:
            known = [(call.name, id(array)) for array in call.inputs[1:]]  # behind g
            made = next((self.calls[key] for key in known if key in self.calls), None)
            line, _, reads = made or (line, None, reads)
            name = name if made else "the gradient that it gets"
        reach = f"{name} goes from {float(reads.min()):.3g} to {float(reads.max()):.3g}"
        what = f"The gradient of {call.name}" if call.backward else call.name
        return f"{what} makes {kind}.", f"{percent_of(bad, call.value)}; {reach}", line

    def _say(self, text: tuple[str, str, str]) -> None:
        what, evidence, line = text
        self.done = True
        self.found(
            what,
            evidence,
            "clip what goes into log, sqrt, division and exp, or use log_softmax; a lower learning "
            "rate; data without gaps.",
            line=line,
        )


# ---- dtypes -----------------------------------------------------------------------------------


class Float64(Rule):
    """An operation gives float64 in a model of float32: twice the memory, and slower."""

    name = "float64 among float32"

    def begin(self) -> None:
        """Whether all parameters are float32."""
        self.expected = {p.dtype.char for p in self.session.names} == {FLOAT32}

    def operation(self, call: Call) -> None:
        """Look at the result."""
        if not self.expected or call.backward or call.value.dtype.char != FLOAT64:
            return
        wide = [x for x in call.arrays if x.ndim and x.dtype.char == FLOAT64]
        if wide:
            self.found(
                f"{call.name} computes in float64, and the model is float32.",
                f"an input of shape {wide[0].shape} is float64",
                'x.astype("float32") where the data are made.',
            )
