"""What a replay calls as it is: operations as a whole, steps of optimizers, questions about data.

Order: operations · calls · questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import random_numbers
from ..observer import Observer
from .program import Stale
from .tape import Array

# ---- operations ---------------------------------------------------------------------------------


class Whole:
    """Runs an operation on real arrays, and copies its results to where they were at first.

    One that has drawn random numbers from the common stream draws anew.
    """

    def __init__(
        self, kernel: Any, inputs: Sequence[Any], params: dict[str, Any], is_pure: bool
    ) -> None:
        self.kernel, self.inputs, self.params, self.is_pure = kernel, inputs, params, is_pure
        stream = params.get("stream")
        self.draws = stream is random_numbers.stream() and (
            params["first"] + self.blocks() == stream.position
        )
        self.first_block = params["first"] if self.draws else 0
        self.rooms: list[Array] = []
        self.form: Any = None

    def blocks(self) -> int:
        """How many blocks of random numbers it takes."""
        return -(-int(self.inputs[0].size) // random_numbers.PER_BLOCK)

    def run(self) -> Any:
        """What the operation gives."""
        return self.kernel.numpy(np, *self.inputs, **self.params)

    def begin(self, note: Callable[[Array], Any]) -> Any:
        """The first results, in memory that stays theirs, as what stands for them."""
        value = self.run()
        self.form = form_of(value)

        def settle(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(settle, value))
            if isinstance(value, (np.ndarray, np.generic)):
                self.rooms.append(np.array(value, order="K"))
                return note(self.rooms[-1])
            return value

        return settle(value)

    def __call__(self) -> None:
        """Run it again; RuntimeError where it gives something of another form."""
        if self.draws:
            stream = random_numbers.stream()
            self.first_block = stream.reserve(self.inputs[0].size)
            self.params |= {"stream": stream, "first": self.first_block}
        value = self.run()
        if form_of(value) != self.form:
            raise RuntimeError(
                f"capture: {self.kernel.name} gave {self.form} when it was recorded, and "
                f"{form_of(value)} now. An operation that is captured always gives arrays of the "
                "same shapes."
            )
        for room, array in zip(self.rooms, _arrays(value)):
            room[...] = array

    def put_back(self) -> None:
        """Let its random numbers be drawn again."""
        random_numbers.stream().position = self.first_block

    def __eq__(self, other: object) -> bool:
        """Whether another one does the same, as far as can be told."""
        if not isinstance(other, Whole) or self.kernel is not other.kernel:
            return False
        same = repr(self.params) == repr(other.params)
        return self.form == other.form and (same or self.draws or not self.is_pure)

    __hash__ = None  # type: ignore[assignment]


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for one in value:
            yield from _arrays(one)
    elif isinstance(value, (np.ndarray, np.generic)):
        yield value


def form_of(value: Any) -> Any:
    """Shapes and dtypes in place of arrays."""
    if isinstance(value, tuple):
        return tuple(map(form_of, value))
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype, value.shape
    return value


# ---- calls --------------------------------------------------------------------------------------


class Live:
    """A call that is made at every replay."""

    def __init__(self, function: Any, args: Any, options: Any) -> None:
        self.function, self.args, self.options = function, args, options
        method = next((a for a in (function, *args) if hasattr(a, "__self__")), function)
        self.own = own = getattr(method, "__self__", args[0] if args else None)
        last = method.__name__.lstrip("_").removesuffix("_with_hooks")
        self.name = f"{type(own).__name__}.{last}()" if own is not None else f"{last}()"

    def __call__(self) -> Any:
        """Make it."""
        return self.function(*self.args, **self.options)

    def parameters(self) -> list[Any]:
        """The tensors that it may work on."""
        owners = [x for x in (self.own, *self.args) if callable(getattr(x, "parameters", None))]
        return [p for x in owners for p in x.parameters()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Live) and (self.function, self.args, self.options) == (
            other.function,
            other.args,
            other.options,
        )

    __hash__ = None  # type: ignore[assignment]


def observed(device: Any, function: Callable[..., Any], *args: Any) -> Any:
    """A step, under the eyes of what watches the device at the time of the replay."""
    if isinstance(xp := device.xp, Observer):
        return xp.step(function, *args)
    return function(*args)


# ---- questions ----------------------------------------------------------------------------------


class Question:
    """A check of data, made again at every replay: it raises, or answers as it did at first.

    With another answer the step is another one: it is recorded anew, where nothing has changed yet.
    """

    def __init__(self, check: Callable[..., Any], args: Any, options: Any) -> None:
        self.check, self.args, self.options = check, args, options
        self.answer = check(*args, **options)
        self.late = False
        self.draws: list[Whole] = []  # before it

    def __call__(self) -> None:
        """Ask again."""
        if self.check(*self.args, **self.options) == self.answer:
            return
        if self.late:
            raise RuntimeError(
                f"capture: {self.check.__name__} finds other data than when the step was recorded, "
                "and the step has already changed something by then. Call .eager with such data."
            )
        for draw in self.draws[:1]:
            draw.put_back()
        raise Stale
