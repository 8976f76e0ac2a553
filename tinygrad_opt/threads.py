"""Threads that share a long computation: permanent, each waiting behind a lock of its own.

A pool of executors hands work over in 80 µs, a bare lock in some 10. It pays because NumPy and
compiled loops let go of the interpreter while they compute.

Order: how many · a helper · the crew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

THREADS = "TINYGRAD_OPT_THREADS"

MOST = 4  # unless told otherwise: what long vectors wait for is the memory, which all threads share

Calls = Sequence[Callable[[], Any]]

# ---- how many ---------------------------------------------------------------------------------


def threads() -> int:
    """How many threads may share a computation: what TINYGRAD_OPT_THREADS says, or one a core.

    Without it at most four. ValueError where it says anything but a number of at least 1.
    """
    text = os.environ.get(THREADS, "")
    if not text:
        return min(cores(), MOST)
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(
            f"{THREADS} is {text!r}; it has to be a number of threads, 1 or more. Set "
            f"{THREADS}=1 for none besides the program's own, or leave it unset."
        )
    return int(text)


def cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def together(shares: Sequence[Calls]) -> Calls:
    """The calls that make all calls of all shares, each share in its order, on a thread each."""
    return shares[0] if len(shares) == 1 else [partial(crew.run, shares)]


# ---- a helper ---------------------------------------------------------------------------------


class Helper:
    """A thread that makes the calls of one share each time its lock is opened."""

    def __init__(self) -> None:
        self.ready, self.done = threading.Lock(), threading.Lock()
        self.ready.acquire()
        self.done.acquire()
        self.share: Callable[[], None] = nothing
        self.error: BaseException | None = None
        threading.Thread(target=self.work, name="tinygrad_opt", daemon=True).start()

    def begin(self, calls: Calls) -> None:
        """Start on a share, in the caller's context: NumPy keeps `errstate` there."""
        self.share = partial(copy_context().run, make, calls)
        self.ready.release()

    def end(self) -> BaseException | None:
        """Wait for the share, or work it off where the thread has not come to it: cores are busy.

        Gives the error that the share ended with.
        """
        if self.ready.acquire(blocking=False):
            self.perform()
        else:
            try:
                self.done.acquire()
            except BaseException:  # Ctrl-C: nobody may go on while the arrays are being written
                self.done.acquire()
                raise
        error, self.error = self.error, None
        return error

    def work(self) -> None:
        """What the thread does."""
        while True:
            self.ready.acquire()
            self.perform()
            self.done.release()

    def perform(self) -> None:
        """Work off the share."""
        try:
            self.share()
        except BaseException as error:
            self.error = error
        self.share = nothing


def make(calls: Calls) -> None:
    """Make all calls."""
    for call in calls:
        call()


nothing = partial(make, ())


# ---- the crew ---------------------------------------------------------------------------------


class Crew:
    """The helpers of this process; who comes while they are busy does everything by itself."""

    def __init__(self) -> None:
        self.helpers: list[Helper] = []
        self.free = threading.Lock()

    def run(self, shares: Sequence[Calls]) -> None:
        """Work off all shares, the first of them here; when all are done, raise the first error."""
        if not self.free.acquire(blocking=False):
            for share in shares:
                make(share)
            return
        busy: list[Helper] = []
        errors: list[BaseException | None] = []
        try:
            while len(self.helpers) < len(shares) - 1:
                self.helpers.append(Helper())
            try:
                for helper, share in zip(self.helpers, shares[1:]):
                    helper.begin(share)
                    busy.append(helper)
                make(shares[0])
            finally:
                errors = [helper.end() for helper in busy]
        finally:
            self.free.release()
        for error in filter(None, errors):
            raise error

    def dismiss(self) -> None:
        """Forget the helpers: a child process has none of its parent's threads."""
        self.__init__()  # type: ignore[misc]


crew = Crew()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=crew.dismiss)
