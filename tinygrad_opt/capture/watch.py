"""Watching the Python of a step while it is recorded, for what no replay would do again."""

from __future__ import annotations

import contextlib
import random
import sys
import time
import types
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from .. import random_numbers
from .world import PACKAGE, draws_from_numpy, is_of_optim, is_theirs

OPTIM = str(Path(PACKAGE) / "optim")
CAN_BE_RECORDED = {"clip", "regularization", "places", "options", "parameters", "rule"}
HARMLESS = {"zero_grad", "parameters", "__getattr__", "param_groups"}
SPEAKS = (print, input, open)
CLOCKS = (time, datetime, date)


def is_closure(x: Any) -> bool:
    """Whether it is a function that the user wrote."""
    return isinstance(x, types.FunctionType) and is_theirs(x.__code__.co_filename)


@contextlib.contextmanager
def side_effects() -> Iterator[list[str]]:
    """A list of sentences about what happens in this block and could not be replayed."""
    found: list[str] = []
    before = sys.getprofile()

    def see(frame: Any, event: str, what: Any) -> None:
        code = frame.f_code
        if event == "c_call" and is_theirs(code.co_filename):
            source = getattr(what, "__self__", None)
            if (
                what in SPEAKS
                or any(source is clock for clock in CLOCKS)
                or isinstance(source, random.Random)
            ):
                name = getattr(what, "__qualname__", "a function")
                found.append(f"{name}() in {_place(frame)}")
        elif event == "call" and code is random_numbers.generator.__code__:
            found.append("it draws random numbers, other than those of dropout")
        elif event == "call" and code.co_filename.startswith(OPTIM):
            known = code.co_name in HARMLESS or code.co_qualname == "Optimizer.step"
            if not known and Path(code.co_filename).stem not in CAN_BE_RECORDED:
                found.append(f"{code.co_qualname}() of the optimizers")
        elif event == "call" and is_theirs(code.co_filename):
            if draws_from_numpy(code, frame.f_globals):
                found.append(f"np.random in {_place(frame)}")
            if code.co_argcount and is_of_optim(frame.f_locals.get(code.co_varnames[0])):
                found.append(f"{code.co_qualname}(), which works on an optimizer")
        elif event == "call" and frame.f_globals.get("__name__") == "logging":
            found.append(f"logging in {_place(frame.f_back or frame)}")

    sys.setprofile(see)
    try:
        yield found
    finally:
        sys.setprofile(before)


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
