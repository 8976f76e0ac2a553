"""Watching the Python of a step while it is recorded, for what no replay would do again."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import sys
import time
import types
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import random_numbers
from .world import PACKAGE, draws_from_numpy, is_closure, is_of_optim, is_theirs

__all__ = ["asleep", "is_closure", "side_effects"]

OPTIM = str(Path(PACKAGE) / "optim") + os.sep
CAN_BE_RECORDED = {"clip", "regularization", "places", "options", "parameters", "rule"}
HARMLESS = {"zero_grad", "parameters", "__getattr__", "param_groups"}
SPEAKS = (print, input, open, os.open, os.write)
HIDES = (globals, vars, eval, exec, __import__)
CLOCKS = (time, datetime, date)


@contextlib.contextmanager
def side_effects() -> Iterator[list[str]]:
    """A list of sentences about what happens in this block and could not be replayed."""
    found: list[str] = []
    before, chance = sys.getprofile(), _chance()

    def see(frame: Any, event: str, what: Any) -> None:
        code = frame.f_code
        if event == "c_call":
            name = getattr(what, "__qualname__", "a function")
            if is_theirs(code.co_filename):
                if _is_effect(what, getattr(what, "__self__", None)):
                    found.append(f"{name}() in {_place(frame)}")
            elif what is open and frame.f_globals.get("__name__", "").startswith("pathlib"):
                found.append(f"{name}() in {code.co_qualname}")
        elif event == "call" and code is random_numbers.generator.__code__:
            found.append("it draws random numbers, other than those of dropout")
        elif event == "call" and code.co_filename.startswith(OPTIM):
            known = code.co_name in HARMLESS or code.co_qualname == "Optimizer.step"
            if not known and Path(code.co_filename).stem not in CAN_BE_RECORDED:
                found.append(f"{code.co_qualname}() of the optimizers")
        elif event == "call" and is_theirs(code.co_filename):
            if draws_from_numpy(code, frame.f_globals):
                found.append(f"np.random in {_place(frame)}")
            if code.co_argcount and _is_method(code, frame.f_locals.get(code.co_varnames[0])):
                found.append(f"{code.co_qualname}(), which works on an optimizer")
        elif event == "call" and frame.f_globals.get("__name__") == "logging":
            found.append(f"logging in {_place(frame.f_back or frame)}")

    sys.setprofile(see)
    try:
        yield found
    finally:
        sys.setprofile(before)
        drawn = (name for name, state in _chance().items() if state != chance[name])
        found.extend(f"it draws random numbers, from {name}" for name in drawn)


def _is_effect(what: Any, source: Any) -> bool:
    """Whether a C function that the user's code calls does what a replay leaves out."""
    if isinstance(source, io.IOBase):
        return not isinstance(source, (io.BytesIO, io.StringIO))
    return (
        what in (*SPEAKS, *HIDES, os.urandom)
        or any(source is clock for clock in CLOCKS)
        or isinstance(source, random.Random)
    )


def _is_method(code: types.CodeType, own: Any) -> bool:
    """Whether this is the code of a method that a user gave to a kind of optimizer."""
    if not is_of_optim(own):
        return False
    return any(_code(x) is code for k in type(own).__mro__ for x in vars(k).values())


def _code(method: Any) -> Any:
    while isinstance(method, (property, classmethod, functools.partialmethod)):
        method = getattr(method, "fget", None) or getattr(method, "__func__", None)
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return getattr(method, "__code__", None)


def _chance() -> dict[str, Any]:
    """The states of the random numbers that are Python's and NumPy's."""
    kind, key, *rest = np.random.get_state()  # noqa: NPY002
    numpys = (kind, np.asarray(key).tobytes(), *rest)
    return {"Python's random": random.getstate(), "numpy.random": numpys}


@contextlib.contextmanager
def asleep() -> Iterator[None]:
    """See nothing inside this block."""
    before = sys.getprofile()
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.setprofile(before)


def _place(frame: Any) -> str:
    return f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
