"""A process of its own for every peer: it makes the work that it is asked for, runs it, answers.

Libraries in one process disturb each other: their threads spin on the same cores, and what one sets
holds for all. A worker lives as long as its parent wants it, and is ended by it.

A peer is a module with a function `facts(**options)`, which tells versions and threads, and one
that makes each kind of work: `train(task, **options)`, `update(…)`, `operate(…)`.

Order: what a peer makes · in the process · the parent's end.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BLOCK = 0.01  # seconds between two looks at the clock
PATIENCE = 300.0  # seconds for an answer: some peers compile

# ---- what a peer makes ------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A step, what number it shows, and how to wait until it is done."""

    step: Callable[[], Any]
    read: Callable[[Any], float]
    wait: Callable[[Any], Any] | None = None  # `read` waits


class Absent(Exception):
    """The peer is not here: a sentence says what is missing."""


class Failed(Exception):
    """The peer could not do what it was asked: its own words."""


@dataclass(frozen=True)
class Peer:
    """One that is timed: its name for people, its module, what that takes, and the libraries."""

    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    asked: bool = False  # takes part only when it is named


# ---- in the process ---------------------------------------------------------------------------


class Hands:
    """What a worker does when it is asked."""

    def __init__(self, peer: Peer) -> None:
        for library in peer.needs:
            try:
                importlib.import_module(library)
            except ModuleNotFoundError as error:
                if error.name != library:
                    raise
                raise Absent(f"{library} is not installed: pip install {library}.") from None
        self.module = importlib.import_module(peer.module)
        self.options = peer.options
        self.work: Any = None
        self.calls = 1  # in a block

    def facts(self) -> dict[str, Any]:
        """Versions and threads."""
        found: dict[str, Any] = self.module.facts(**self.options)
        return found

    def prepare(self, task: Any) -> None:
        """Make the work, and forget what there was."""
        self.work = None
        gc.collect()
        self.work = getattr(self.module, task.verb)(task, **self.options)

    def first(self, count: int) -> list[float]:
        """The numbers that the next steps show."""
        return [float(self.work.read(self.work.step())) for _ in range(count)]

    def warm_up(self, seconds: float) -> None:
        """Run for a while, and find how many steps fill a block; the first ones may compile."""
        began, self.calls, wanted, quickest = time.perf_counter(), 1, 2, math.inf
        self._block()
        while self.calls < wanted or time.perf_counter() - began < seconds:
            quickest = min(quickest, self._block())
            wanted = max(1, round(BLOCK / quickest))
            self.calls = min(2 * self.calls, wanted)

    def burst(self, seconds: float) -> list[float]:
        """Seconds a step, block by block."""
        blocks: list[float] = []
        began = time.perf_counter()
        while not blocks or time.perf_counter() - began < seconds:
            blocks.append(self._block())
        return blocks

    def _block(self) -> float:
        step, wait = self.work.step, self.work.wait or self.work.read
        began = time.perf_counter()
        for _ in range(self.calls):
            result = step()
        wait(result)
        return (time.perf_counter() - began) / self.calls

    def spent(self) -> float:
        """Seconds of processors that this process and its children have used."""
        return sum(os.times()[:4])


def serve(pipe: Any, peer: Peer) -> None:
    """Answer ("done" | "absent" | "failed", value) to every (name, arguments), until the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    try:
        hands = Hands(peer)
        pipe.send(("done", hands.facts()))
    except Absent as sentence:
        pipe.send(("absent", str(sentence)))
        return
    except Exception:
        pipe.send(("failed", traceback.format_exc()))
        return
    with contextlib.suppress(EOFError):  # the parent is gone
        while True:
            name, arguments = pipe.recv()
            try:
                answer = "done", getattr(hands, name)(*arguments)
            except Exception:
                answer = "failed", traceback.format_exc()
            pipe.send(answer)


# ---- the parent's end -------------------------------------------------------------------------


class Worker:
    """The process of a peer, seen from its parent."""

    def __init__(self, peer: Peer) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(theirs, peer), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, name: str, *arguments: Any) -> Any:
        """What it answers; Failed where it cannot."""
        try:
            self.pipe.send((name, arguments))
        except OSError:
            raise self._ended() from None
        return self.answer()

    def answer(self) -> Any:
        """What it says next; the first is its facts."""
        try:
            if not self.pipe.poll(PATIENCE):
                self.end()
                raise Failed(f"It gave no answer in {PATIENCE:.0f} seconds.")
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if kind != "done":
            raise {"absent": Absent, "failed": Failed}[kind](value)
        return value

    def _ended(self) -> Failed:
        self.process.join(5)
        return Failed(f"Its process ended, exit code {self.process.exitcode}.")

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
