"""Recording: a step runs for real, on arrays that take notes, and every call becomes a line.

What is known to be an operation but cannot be followed call by call, because it draws numbers, or
belongs to a user, is one line that runs it whole. Steps of optimizers are lines that call them.

Order: operations · Python that stays alive · the tensors of the world.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..live import record_into
from ..observer import seen_on, stand_before
from ..operation import Variable, wrap
from . import watch
from .alive import Live, Question, Whole, observed
from .calls import Calls
from .noted import Look, Noted
from .tape import Array
from .world import World

EARLIER = (
    "capture: the step uses the gradient of an earlier call. Call zero_grad() in the step, before "
    "backward(), of every network that backward() reaches."
)
OPTIONS = "it changes lr or another option of an optimizer"


class Recorder(Calls):
    """Stands for NumPy while a step is recorded."""

    def __init__(self, device: Any, world: World) -> None:
        super().__init__(device)
        self.world, self.options = world, world.options()
        self.before = seen_on(device)
        self.inside = False  # an operation
        self.draws: list[Whole] = []
        self.arrays: dict[Any, Array] = {}  # of the tensors that hold noted ones meanwhile
        self.marks: dict[Any, Any] = {}
        self.earlier: dict[Any, Any] = {}  # their gradients from before,
        self.shadows: dict[Any, Any] = {}  # what stands for those,
        self.handed: dict[Any, Any] = {}  # and what p.grad holds where the program is
        self.times: Counter[Any] = Counter()  # how often it was given one
        self.worked_on: dict[Any, Any] = {}  # by live calls
        self.stepped: dict[Any, Any] = {}  # with a gradient from before
        self.refused: list[str] = []

    # ---- operations -----------------------------------------------------------------------------

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """The value of an operation, or one of its derivatives: call by call, or as a whole."""
        if self.elsewhere:
            return kernel(np, *inputs, **params)
        if self.inside:
            return self.followed(kernel, inputs, params)
        self.real([x for x in inputs if not isinstance(x, Variable)])
        if params.get("out") is not None:
            params["out"] = None  # see move_gradients_home
        is_pure = kernel.function.__module__.startswith(f"{_ROOT}.")  # a user's may do anything
        if is_pure:
            state = len(self.lines), self.effects
            self.inside = True
            try:
                y = self.followed(kernel, inputs, params)
                self.real(y)
                return y
            except Exception:  # the whole says what is wrong, if anything is
                del self.lines[state[0] :]
                self.effects = state[1]
            finally:
                self.inside = False
        return self.whole(kernel, inputs, params, is_pure)

    def followed(self, kernel: Any, inputs: Any, params: dict[str, Any]) -> Any:
        """An operation call by call: NumPy's text or, where that looks at data, the other one."""
        state = len(self.lines), self.effects
        try:
            return kernel.numpy(self, *inputs, **params)
        except Look:
            if kernel.numpy is kernel.function:
                raise
            del self.lines[state[0] :]
            self.effects = state[1]
            return kernel.function(self, *inputs, **params)

    def whole(self, kernel: Any, inputs: Any, params: dict[str, Any], is_pure: bool) -> Any:
        """An operation that is run as it is at every replay."""
        reals = [x.array if isinstance(x, Noted) else x for x in inputs]
        call = Whole(kernel, reals, self.real(params), is_pure)
        y = call.begin(lambda array: self.note(array, own=True))
        if isinstance(y, Variable):
            raise Look(
                f"capture: {kernel.name} gives a {type(y).__name__}, which no replay can hold. Use "
                "the dense form."
            )
        if call.draws:
            self.draws.append(call)
        into = ", ".join(map(self.spelled, call.rooms))
        about = ", ".join(self.spelled(x) for x in reals if isinstance(x, np.ndarray))
        text = f"{self.bind(call, 'op')}()  # {kernel.name}({about}) -> {into}"
        self.write(text, effect=not is_pure)
        return y

    # ---- Python that stays alive ----------------------------------------------------------------

    def ask(self, check: Any, *args: Any, **options: Any) -> Any:
        """A question about data, asked again at every replay."""
        if self.elsewhere:
            return check(*args, **options)
        question = Question(check, self.plain(args), self.plain(options))
        question.late, question.draws = self.effects, list(self.draws)
        self.write(f"{self.bind(question, 'ask')}()  # {check.__name__}")
        return question.answer

    def plain(self, x: Any) -> Any:
        """Arguments with real arrays, in tensors too."""
        if isinstance(x, Variable):
            return wrap(self.real(x._data), x.device)
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.plain, x))
        if isinstance(x, dict):
            return {key: self.plain(value) for key, value in x.items()}
        return self.real(x)

    def step(self, function: Any, *args: Any) -> Any:
        """A step of an optimizer."""
        if self.elsewhere:
            return function(*args)
        return self.call(Live(observed, (self.device, function, *args), {}))

    def live(self, function: Any, *args: Any, **options: Any) -> Any:
        """A function that says of itself that it has to be called at every replay."""
        if self.elsewhere:
            return function(*args, **options)
        return self.call(Live(function, args, options))

    def call(self, call: Live) -> None:
        """A call that is made at every replay, on real arrays and gradients."""
        if any(watch.is_closure(x) for x in (*call.args, *call.options.values())):
            raise Look(
                f"capture: {call.name} is given a closure, which runs the network by itself; a "
                "replay could not. Leave that step out of the captured function."
            )
        self.hand_over()
        with watch.asleep():
            for p in call.parameters():
                self.worked_on[p] = p
                if p.grad is not None and p.grad is self.shadows.get(p):
                    self.stepped[p] = p
        if self.options != self.world.options():
            self.refused.append(OPTIONS)
        with self.outside():
            result = call()
        self.options = self.world.options()
        if result is not None:
            raise Look(
                f"capture: {call.name} gives a {type(result).__name__}, which a replay would not "
                "pass on. Call it outside of the captured function."
            )
        self.write(f"{self.bind(call, 'live')}()  # {call.name}", effect=True)

    # ---- the tensors of the world ---------------------------------------------------------------

    @contextlib.contextmanager
    def inhabiting(self) -> Iterator[None]:
        """Inside this block the tensors of the world hold arrays that take notes."""
        for t in self.world.tensors:
            if not t.is_sparse:
                self.arrays[t], self.marks[t] = t._data, _marks(t)
                t._data = self.note(t._data, "p" if t._requires_grad else "d")
                if t.grad is not None and not t.grad.is_sparse:
                    self.hide_gradient(t)
        record_into(self)
        try:
            yield
        finally:
            record_into(None)
            self.over = True
            for t, array in self.arrays.items():
                if isinstance(t._data, Noted):
                    t._data = t._data.array
                elif t._data is not array:
                    self.refused.append("it gives a tensor another array, by .data = …")
                if _marks(t) != self.marks[t]:
                    self.refused.append("it freezes, unfreezes or hooks a tensor")
                t.grad = self.real_gradient(t)

    def hide_gradient(self, t: Any) -> None:
        """Put something in the place of a gradient from before that the step may not read."""
        array, self.earlier[t] = t.grad._data, t.grad
        t.grad = self.shadows[t] = wrap(self.note(array, "old"), t.device)
        self.forbidden[id(array)] = EARLIER

    def moving(self) -> list[Array]:
        """Arrays of the world that the step writes into, or lets an optimizer move."""
        return [*self.touched, *(p._data for p in self.worked_on if p in self.arrays)]

    def faults(self, inputs: list[Any]) -> Iterator[str]:
        """What the step has changed that a replay would not change."""
        if any(x is not None and id(x) in self.written for x in inputs):
            yield "it writes into an argument"
        if self.world.unsteady:
            yield f"it can use {self.world.unsteady[0]}, which may give other numbers each time"
        if self.options != self.world.options():
            yield OPTIONS
        changed = self.world.difference()
        if changed is not None:
            yield f"it changes {changed}"

    def real_gradient(self, t: Any) -> Any:
        """The gradient of a tensor, around a real array of its own."""
        g = t.grad
        if g is None or g is not self.shadows.get(t):
            return wrap(g._data.array.copy(), t.device) if _holds_notes(g) else g
        return self.earlier[t]

    def hand_over(self) -> None:
        """Put into p.grad what a call that stays alive, or the end of the step, will find there."""
        for t in self.arrays:
            if t.grad is self.handed.get(t, self.shadows.get(t)):
                continue
            is_first, self.handed[t] = t not in self.handed, t.grad
            if is_first and t.grad is None:
                continue  # a replay begins with that
            self.times[t] += t.grad is not None
            name = self.bind(t, "t")
            if t.grad is None:
                self.write(f"{name}.grad = None")
            elif _holds_notes(t.grad):
                self.objects["wrap"], self.objects["device"] = wrap, t.device
                array = t.grad._data.array
                self.write(f"{name}.grad = wrap({self.names[id(array)]}.copy(), device)")

    @contextlib.contextmanager
    def behind(self) -> Iterator[None]:
        """Let what stood before the device stand there again inside this block: a profile."""
        stand_before(self.device, self.before)
        try:
            yield
        finally:
            stand_before(self.device, self)

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Record nothing inside this block, where tensors are real."""
        arrays = [(t, t._data) for t in self.arrays]
        grads = [(t, t.grad, self.real_gradient(t)) for t in self.arrays]
        for t, noted in arrays:
            t._data = noted.array if isinstance(noted, Noted) else noted
        for t, _, real in grads:
            t.grad = real
        record_into(None)
        try:
            with self.behind(), watch.asleep():
                yield
        finally:
            record_into(self)
            for t, noted in arrays:
                if isinstance(noted, Noted) and t._data is noted.array:
                    t._data = noted
                else:
                    t._data = self.note(t._data, "p")
            for t, before, real in grads:
                if t.grad is real:
                    t.grad = before


_ROOT = __name__.split(".")[0]


def _marks(t: Any) -> Any:
    """What of a tensor can be changed, beside its array and its gradient."""
    return t._requires_grad, len(t._hooks or ())


def _holds_notes(t: Any) -> bool:
    return t is not None and not t.is_sparse and isinstance(t._data, Noted)
