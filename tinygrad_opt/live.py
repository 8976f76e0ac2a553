"""What a replay of a captured step has to run again as Python: steps, and questions about data.

`capture` records array calls. Some Python is none of them, and changes what no array holds: a count
of steps, a learning rate. It says so with `@live`. A check that looks at values is a `@question`:
asked again at every replay. Where nothing is being recorded both are plain calls.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_recorder: Any = None  # of the step that is being recorded


def active() -> Any:
    """What records a step at the moment, or None."""
    return _recorder


def record_into(new: Any) -> None:
    """Begin to record, or with None end."""
    global _recorder
    _recorder = new


def live(function: F) -> F:
    """Run this function as it is at every replay, on the tensors as they then are."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if _recorder is None:
            return function(*args, **options)
        return _recorder.live(function, *args, **options)

    return call  # type: ignore[return-value]


def question(check: F) -> F:
    """Ask this again at every replay: whether data are as they should be."""

    @functools.wraps(check)
    def ask(*args: Any, **options: Any) -> Any:
        if _recorder is None:
            return check(*args, **options)
        return _recorder.ask(check, *args, **options)

    return ask  # type: ignore[return-value]
