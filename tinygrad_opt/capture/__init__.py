"""Capture: a training step is recorded once, and replayed as the array calls that it made."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from threading import Lock, get_ident
from typing import Any

from ..device import Device, default_device
from ..live import active
from ..observer import may_replay
from ..operation import Variable
from .program import Stale
from .recording import CARRIED_OUT, Elsewhere, Recording, key_of, record

__all__ = ["Captured", "capture"]

KEPT = 8  # recordings, of different shapes, say, or of training and evaluation
PATIENCE = 4  # recordings in a row that are not like the one before
OFTEN = 50  # recordings, after which a warning says so
SECONDS = 60  # to wait for another thread that records


def capture(function: Callable[..., Any]) -> Captured:
    """A step that is recorded at its first two calls, and from then on replayed without Python.

        @tg.capture
        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

    A replay makes the same array calls in the same memory, so results are equal to the bit; it
    builds no graph. Data come in through arguments, which are Tensors; what is returned, Tensors,
    alone or in tuples, lists and dicts, are copies without a graph. Optimizers, schedulers and
    averages stay alive: they are called at every replay, with the learning rate of the moment.
    Dropout draws anew, and labels are checked. ``print(step)`` shows the program.

    Other shapes, another Python value that the step can see, such as `model.training`, or a tensor
    that was given another array make it record again. RuntimeError for what a replay could not
    repeat: numbers read in Python (`loss.item()`, `if`), changes of Python values (`losses.append`,
    `self.count += 1`), print, clocks, iterators, random numbers and data made in the step,
    gradients from before it, steps with a closure, shapes that depend on data, sparse gradients.
    Looked at is what the user's own functions reach: closures, globals, defaults, attributes, what
    lists and dicts hold, and what their code names of modules, optimizers, schedulers and tensors.
    Not seen is what Python hides: names that are put together at run time, classes and functions of
    other packages, the state of a C extension, files that another package writes.

    A call that is refused has been carried out as far as the error says, so begin anew after it.

    Every intermediate result keeps its memory as long as the captured function lives, and a
    captured function belongs to the thread that calls it. On a GPU the function runs as it is, and
    says so once: CUDA graphs are not used yet.
    """
    if not callable(function):
        raise TypeError(f"capture: a {type(function).__name__} is no function.")
    return Captured(function)


class Captured:
    """What `capture` makes of a function; `eager` is the function itself."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.eager, self.name = function, getattr(function, "__name__", repr(function))
        self.recordings: list[Recording] = []  # ready ones, the latest first
        self.waiting: dict[Any, Recording] = {}  # those that wait for their like, by arguments
        self.fruitless = 0  # recordings in a row that were not like the one before
        self.recorded = 0
        self.warned = False
        self.thread: int | None = None
        self.replay: Callable[..., Any] = _nothing

    def __call__(self, *args: Any, **named: Any) -> Any:
        """What the function does."""
        if not named:
            try:
                return self.replay(*args)
            except Stale:
                pass
        return self.choose(args, named)

    def choose(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Replay the recording that fits, or make one."""
        recorder = active()
        if recorder is not None and recorder.thread == get_ident():
            raise RuntimeError(
                "capture: a captured function is called in a step that is being recorded. Call "
                "its .eager there."
            )
        if self.thread not in (None, get_ident()):
            raise RuntimeError(
                f"capture: {self.name} belongs to the thread that called it first, for its "
                "memory is in use there. Capture it anew in each thread."
            )
        self.thread = get_ident()
        given = (*args, *(named[name] for name in sorted(named)))
        if not may_replay(Device("cpu")):
            return self.eager(*args, **named)
        devices = {x.device for x in given if isinstance(x, Variable)} or {default_device()}
        if devices != {Device("cpu")}:
            return self.run_elsewhere(args, named)
        _check(given)
        for recording in self.recordings:
            if recording.fits(args, named):
                try:
                    result = recording.replay(*given)
                except Stale:
                    continue
                self.recordings.remove(recording)
                self.use(recording)
                return result
        try:
            return self.record(args, named)
        except Elsewhere:
            return self.run_elsewhere(args, named)

    def use(self, recording: Recording) -> None:
        """Try this recording first from now on."""
        self.recordings.insert(0, recording)
        del self.recordings[KEPT:]
        self.replay = recording.replay if not recording.names and recording.fast else _nothing

    def record(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run the function, for real, and write down what it does: twice the same is enough."""
        first = self.waiting.pop(key_of(args, named), None)
        why = None if first is None else first.why()
        with _alone(self.name):
            result, recording = record(self.eager, args, named)
        self.recorded += 1
        if self.recorded == OFTEN:
            warnings.warn(
                f"capture: {self.name} was recorded {OFTEN} times, which is slower than to run it "
                f"as it is. It keeps {KEPT} recordings: let it see fewer shapes and Python values, "
                "or capture a function for each.",
                stacklevel=4,
            )
        if first is None:
            self.wait(recording)
            return result
        why = why or first.difference(recording)
        if why is None:
            self.fruitless = 0
            recording.finish(first)
            self.use(recording)
            return result
        self.wait(recording)
        self.fruitless += 1
        if self.fruitless == PATIENCE:
            self.fruitless = 0
            raise RuntimeError(
                f"capture: {self.name} never does the same twice: {why}. A replay repeats one "
                "call. What changes from call to call has to be a Tensor that is passed as an "
                f"argument. {CARRIED_OUT}"
            )
        return result

    def wait(self, recording: Recording) -> None:
        """Keep it until there is another one for arguments like these."""
        self.waiting[recording.key] = recording
        if len(self.waiting) > KEPT:
            del self.waiting[next(iter(self.waiting))]

    def __get__(self, instance: Any, kind: Any = None) -> Captured:
        """Itself; TypeError where it is a method, each of whose objects has steps of its own."""
        if instance is None:
            return self
        raise TypeError(
            f"capture: {self.name} is a method, which is captured for one object at a time. Leave "
            f"@capture away, and write self.{self.name} = capture(self.{self.name}) in __init__."
        )

    def run_elsewhere(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run the function as it is; says so once."""
        if not self.warned:
            self.warned = True
            warnings.warn(
                f"capture: {self.name} runs as it is on a GPU, for CUDA graphs are not used yet.",
                stacklevel=4,
            )
        return self.eager(*args, **named)

    @property
    def calls(self) -> int:
        """How many calls a replay makes; 0 before there is one."""
        return len(self.recordings[0].lines) if self.recordings else 0

    def __str__(self) -> str:
        return self.recordings[0].text if self.recordings else repr(self)

    def __repr__(self) -> str:
        state = f"{self.calls} calls" if self.recordings else "not recorded yet"
        return f"<captured {self.name}: {state}>"


_lock = Lock()  # a recording has the device for itself


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    if not _lock.acquire(timeout=SECONDS):
        raise RuntimeError(
            f"capture: {name} cannot be recorded, for another thread has been recording a step for "
            f"{SECONDS} seconds, one that waits for this thread perhaps. Call its .eager there."
        )
    try:
        yield
    finally:
        _lock.release()


def _nothing(*args: Any) -> Any:
    raise Stale


def _check(given: tuple[Any, ...]) -> None:
    for i, x in enumerate(given):
        if isinstance(x, Variable):
            if x._requires_grad:
                raise RuntimeError(
                    f"capture: argument {i} requires a gradient, which would stay inside. Pass "
                    "x.detach(), or let the function use the tensor by its name."
                )
        elif not (x is None or isinstance(x, (bool, str))):
            raise TypeError(
                f"capture: argument {i} is a {type(x).__name__}, which a replay could not change. "
                "Pass a Tensor: tensor(...)."
            )
