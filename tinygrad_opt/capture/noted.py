"""Arrays that take notes: each holds a real one, and hands what is asked of it to the recorder."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np


class Look(RuntimeError):
    """A number was read while a step is recorded; a replay would not read it."""


AFTERWARDS = (
    "capture: a tensor is used that a step has made while it was recorded, and which ended with "
    "it, by an error perhaps. Return such a tensor from the step, or call .eager."
)
LOOKS = {"ctypes", "data", "dump", "dumps", "flat", "item", "tobytes", "tofile", "tolist"}


def _look(what: str) -> Callable[..., Any]:
    def raise_it(self: Noted, *args: Any, **options: Any) -> Any:
        if self.recorder.over:
            raise Look(AFTERWARDS)
        raise Look(
            f"capture: the step reads a number in Python, by {what}, on which a replay could not "
            f"depend (an array of shape {self.shape}). Return the tensor and read it outside; for "
            "a choice between numbers write where(condition, a, b)."
        )

    return raise_it


class Noted(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array while a step is recorded: computes at once, and writes down what."""

    __slots__ = ("array", "recorder")
    __hash__ = object.__hash__

    def __init__(self, recorder: Any, array: np.ndarray[Any, Any]) -> None:
        self.recorder, self.array = recorder, array

    # ---- what is known of an array without a look at it -----------------------------------------

    shape: Any = property(lambda self: self.array.shape)
    dtype: Any = property(lambda self: self.array.dtype)
    ndim: Any = property(lambda self: self.array.ndim)
    size: Any = property(lambda self: self.array.size)
    flags: Any = property(lambda self: self.array.flags)
    base: Any = property(lambda self: self.recorder.known(self.array.base))
    T: Any = property(lambda self: self.transpose())

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"<an array {self.shape} of {self.dtype}, recorded by capture>"

    # ---- calls ----------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.recorder.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.recorder.function(function, args, options)

    def __getattr__(self, name: str) -> Any:
        if name in LOOKS:
            return partial(_look(f"{name}()"), self)
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"an array has no {name!r} that could be recorded")
        if callable(getattr(np.ndarray, name)):
            return partial(self.recorder.method, name, self)
        return getattr(self.array, name)

    def __getitem__(self, index: Any) -> Any:
        return self.recorder.take_out(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recorder.put_in(self, index, value)

    def __pow__(self, other: Any) -> Any:
        return self.recorder.function(operator.pow, (self, other), {})

    def __rpow__(self, other: Any) -> Any:
        return self.recorder.function(operator.pow, (other, self), {})

    # ---- looks ----------------------------------------------------------------------------------

    __array__ = _look("turning it into a NumPy array")
    __bool__ = _look("if or while")
    __float__ = _look("float()")
    __int__ = _look("int()")
    __index__ = _look("an index or a range")
    __complex__ = _look("complex()")
    __contains__ = _look("in")
    __deepcopy__ = _look("a copy")
    __reduce_ex__ = _look("pickling")
