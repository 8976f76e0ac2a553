"""Threads that share a computation: how many, what they run in, and what goes wrong in them."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from tinygrad_opt import threads as module
from tinygrad_opt.threads import Calls, Crew, cores, threads, together

pytestmark = pytest.mark.host


def test_there_is_one_for_each_core_and_at_most_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYGRAD_OPT_THREADS", raising=False)
    assert threads() == min(cores(), 4) >= 1
    monkeypatch.setattr(module, "cores", lambda: 64)
    assert threads() == 4


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("7", 7), ("", None)])
def test_the_environment_has_the_last_word(
    text: str, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", text)
    assert threads() == (count or min(cores(), 4))


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²", " "])
def test_what_is_no_number_of_threads_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", text)
    with pytest.raises(ValueError) as caught:
        threads()
    assert str(caught.value) == (
        f"TINYGRAD_OPT_THREADS is {text!r}; it has to be a number of threads, 1 or more. Set "
        "TINYGRAD_OPT_THREADS=1 for none besides the program's own, or leave it unset."
    )


def test_every_call_is_made_once_each_share_in_order_on_a_thread_of_its_own() -> None:
    crew, seen = Crew(), [[], [], []]  # type: ignore[var-annotated]
    all_here = threading.Barrier(3, timeout=60)

    def note(share: int, number: int) -> None:
        seen[share].append((number, threading.get_ident()))

    shares: list[Calls] = [
        [all_here.wait, *(lambda share=share, i=i: note(share, i) for i in range(5))]
        for share in range(3)
    ]
    for _ in range(20):
        crew.run(shares)
    for lines in seen:
        assert [number for number, _ in lines] == [0, 1, 2, 3, 4] * 20
    names = [{thread for _, thread in lines} for lines in seen]
    assert [len(name) for name in names] == [1, 1, 1] and len(set.union(*names)) == 3
    assert names[0] == {threading.get_ident()}


def test_a_share_that_no_thread_comes_to_is_worked_off_by_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module.Helper, "work", lambda self: None)
    crew, seen = Crew(), []
    for _ in range(3):
        crew.run([[lambda: seen.append(1)], [lambda: seen.append(2)]])
    assert seen == [1, 2] * 3


def test_one_share_needs_no_thread() -> None:
    share = [lambda: None]
    assert together([share]) is share
    assert len(together([share, share])) == 1


def test_errors_travel_and_nobody_is_left_behind() -> None:
    crew, done = Crew(), []

    def fail(text: str) -> None:
        raise LookupError(text)

    for shares in (
        [[lambda: done.append(1)], [lambda: fail("there")]],
        [[lambda: fail("here")], [lambda: done.append(1)]],
    ):
        for _ in range(3):
            with pytest.raises(LookupError, match=r"here|there"):
                crew.run(shares)
    assert len(done) == 6 and len(crew.helpers) == 1
    crew.run([[lambda: done.append(1)]] * 2)
    assert len(done) == 8


@pytest.mark.parametrize("who", [0, 1, 2])
def test_after_an_interruption_nobody_works_on_and_the_crew_is_in_step(who: int) -> None:
    crew, done = Crew(), []

    def late(mark: int) -> None:
        time.sleep(0.02)
        done.append(mark)

    shares = [[partial(late, mark)] for mark in range(3)]
    interrupted: list[Calls] = [list(share) for share in shares]
    interrupted[who] = [partial(signal.raise_signal, signal.SIGINT)]
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            crew.run(interrupted)
        found = len(done)
        time.sleep(0.05)
        assert len(done) == found
        done.clear()
        crew.run(shares)
        assert sorted(done) == [0, 1, 2]
        done.clear()


def test_numpy_errors_are_handled_as_the_caller_says() -> None:
    crew, zero = Crew(), np.zeros(100)
    divide = [lambda: np.divide(1.0, zero)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(divide="ignore"):
            crew.run([[], divide])
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            crew.run([[], divide])
        with pytest.raises(RuntimeWarning, match="divide by zero"):
            crew.run([[], divide])


def test_who_comes_while_the_crew_is_busy_does_it_all_by_himself() -> None:
    crew, seen = Crew(), []
    inner: list[Calls] = [[lambda: seen.append(threading.get_ident())]] * 2
    crew.run([[lambda: crew.run(inner)], [lambda: crew.run(inner)]])
    assert len(seen) == 4
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: crew.run(inner), range(40)))
    assert len(seen) == 84


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_has_a_crew_of_its_own() -> None:
    program: list[Calls] = [[lambda: None], [lambda: None]]
    together(program)[0]()
    assert module.crew.helpers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks in programs with threads
        child = os.fork()
    if not child:
        status = 1
        try:
            status = int(bool(module.crew.helpers))
            together(program)[0]()
            status += 2 * (len(module.crew.helpers) != 1)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
