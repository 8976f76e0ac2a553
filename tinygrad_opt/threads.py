"""Threads that share a long computation: permanent, each waiting at a queue of its own.

A pool of executors hands work over in 80 µs, a bare queue in some 10. It pays because NumPy and
compiled loops let go of the interpreter while they compute.

Order: how many · shares · the crew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
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


# ---- shares -----------------------------------------------------------------------------------


class Share:
    """Calls that somebody makes once: a helper or, where none has come to it, who waits for it."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.context = calls, copy_context()  # where NumPy keeps `errstate`
        self.taken, self.done = threading.Lock(), threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None

    def work(self) -> None:
        """Make the calls, unless somebody else does."""
        if self.taken.acquire(blocking=False):
            try:
                self.context.run(make, self.calls)
            except BaseException as error:
                self.error = error
            self.done.release()

    def end(self) -> BaseException | None:
        """Wait until all calls are made; gives the error that they ended with."""
        self.work()
        with self.done:
            return self.error


def make(calls: Calls) -> None:
    """Make all calls."""
    for call in calls:
        call()


# ---- the crew ---------------------------------------------------------------------------------


class Helper:
    """A thread that works off the shares that are put before it."""

    def __init__(self) -> None:
        self.shares: SimpleQueue[Share | None] = SimpleQueue()
        self.thread = threading.Thread(target=self.work, name="tinygrad_opt", daemon=True)
        self.thread.start()

    def work(self) -> None:
        """What the thread does, until it is given nothing more."""
        while (share := self.shares.get()) is not None:
            share.work()
            del share


class Crew:
    """The helpers of this process; who comes while they are busy does everything by itself."""

    def __init__(self) -> None:
        self.helpers: list[Helper] = []
        self.free = threading.Lock()

    def run(self, shares: Sequence[Calls]) -> None:
        """Work off all shares, the first of them here; when all are done, raise the first error.

        That is so after Ctrl-C, too: nobody may go on while the arrays are being written.
        """
        if not self.free.acquire(blocking=False):
            for calls in shares:
                make(calls)
            return
        error: BaseException | None = None
        open_shares: list[Share] = []
        try:
            while len(self.helpers) < len(shares) - 1:
                self.helpers.append(Helper())
            open_shares = [Share(calls) for calls in shares[1:]]
            for helper, share in zip(self.helpers, open_shares):
                helper.shares.put(share)
            make(shares[0])
        except BaseException as first:
            error = first
        while open_shares:
            try:
                found = open_shares[0].end()
                del open_shares[0]
            except BaseException as interruption:
                found = interruption
            error = error or found
        self.free.release()
        if error is not None:
            raise error

    def dismiss(self) -> None:
        """End the helpers, where they have nothing to do; the next computation gets others.

        Before a fork, so that Python need not warn of threads that no child process has.
        """
        if self.free.acquire(blocking=False):
            helpers, self.helpers = self.helpers, []
            for helper in helpers:
                helper.shares.put(None)
            for helper in helpers:
                helper.thread.join()
            self.free.release()

    def forget(self) -> None:
        """Have no helpers: those that were busy at a fork are none of the child's."""
        self.__init__()  # type: ignore[misc]


crew = Crew()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=crew.dismiss, after_in_child=crew.forget)
