"""A student's function is called: its numbers, or a sentence about why there are none.

Order: the function · what it returns · what it raises.
"""

from __future__ import annotations

import copy
import inspect
import linecache
import traceback
import warnings
from typing import Any

import numpy as np

from ...tensor import Tensor
from .exercise import Exercise, Function

Outputs = tuple[Any, ...]


class Trouble(Exception):
    """A call gave nothing that can be compared; the text is the hint."""


def called(exercise: Exercise, function: Function, arguments: Outputs) -> tuple[Any, Outputs]:
    """What a function returns, and the arguments that it had: copies, which it may have changed.

    `Trouble` where it takes others, or raises.
    """
    given = copy.deepcopy(arguments)
    try:
        inspect.signature(function).bind(*given)
    except ValueError:
        pass  # a function of NumPy's own does not say what it takes
    except TypeError:
        raise Trouble(
            f"It is called as {exercise.name}({', '.join(exercise.arguments)}), in this order. Put "
            "its first line back as it was."
        ) from None
    try:
        return quietly(function, given), given
    except (Exception, SystemExit) as error:
        code = getattr(inspect.unwrap(function), "__code__", None)
        where = stopped(error, code.co_filename if code else "")
        meaning = _meaning(error, shapes(exercise, arguments))
        raise Trouble(f"{where} {meaning}".rstrip()) from None


def quietly(function: Function, arguments: tuple[Any, ...]) -> Any:
    """The result, without warnings about nan and overflow: the hints speak of those."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


def shapes(exercise: Exercise, arguments: Outputs) -> str:
    """Of the arrays among the arguments."""
    pairs = zip(exercise.arguments, arguments, strict=True)
    return ", ".join(f"{name} {np.shape(value)}" for name, value in pairs if np.ndim(value))


# ---- what it returns --------------------------------------------------------------------------


def taken_apart(result: Any, gives: tuple[str, ...]) -> Outputs:
    """The outputs, each as float64."""
    wanted = f"return {', '.join(gives)}"
    if result is None:
        raise Trouble(f"It gives nothing yet. Write the equation, and end with: {wanted}.")
    if len(gives) == 1 and not isinstance(result, tuple):
        result = (result,)
    if not isinstance(result, tuple) or len(result) != len(gives):
        kind = "a list" if isinstance(result, list) else "one value"
        found = f"{len(result)} values" if isinstance(result, tuple) else kind
        number = "is one" if len(gives) == 1 else f"are {len(gives)}"
        raise Trouble(f"It gives {found}. Asked for {number}: {wanted}.")
    return tuple(map(_numbers, gives, result))


def _numbers(name: str, value: Any) -> Any:
    """A number or an array as float64."""
    if isinstance(value, Tensor):
        raise Trouble(f"{name} is a Tensor. Compute with NumPy: arrays go in, arrays come out.")
    array = np.asarray(None if isinstance(value, (list, tuple)) else value)
    if array.dtype.kind not in "fiub":
        kind = type(value).__name__
        raise Trouble(f"{name} is of the type {kind}, and should be an array or a number.")
    if array.dtype in (np.float32, np.float16):
        raise Trouble(f"{name} is {array.dtype}, though float64 went in. Leave the type as it is.")
    return array.astype(np.float64)


# ---- what it raises ---------------------------------------------------------------------------

_SAID = {  # by NumPy or Python: what it means here
    "truth value of an array": "An `if` decides once for a whole array; np.where(x > 0, a, b), or "
    "a factor (x > 0), decides for each of its numbers.",
    "only 0-dimensional arrays": "float() and math.sqrt take one number; np.sqrt takes arrays.",
    "only length-1 arrays": "float() and math.sqrt take one number; np.sqrt takes arrays.",
    "type(s) for ^": "A power is written **: g**2.",
    "type(s) for @": "@ is the product of matrices; number by number it is *.",
    "math domain error": "Its argument is negative: look at where its sign comes from.",
    "recursion": "The function calls itself, again and again.",
}


def stopped(error: BaseException, filename: str) -> str:
    """In which line of a file it stopped, and with what."""
    if isinstance(error, SyntaxError) and error.filename == filename:
        text = (error.text or "").strip()
        return f"Line {error.lineno}, `{text}`, is no Python yet: {error.msg}."
    said = ": ".join(filter(None, (type(error).__name__, str(error)))).rstrip(". ")
    frames = traceback.walk_tb(error.__traceback__)
    own = [number for frame, number in frames if frame.f_code.co_filename == filename]
    if not own:
        return f"It stops with {said}."
    line = linecache.getline(filename, own[-1]).strip()
    return f"Line {own[-1]}, `{line}`, stops with {said}."


def _meaning(error: BaseException, given: str) -> str:
    for words, meaning in _SAID.items():
        if words in str(error):
            return meaning
    return f"The shapes: {given}." if isinstance(error, ValueError) and given else ""
