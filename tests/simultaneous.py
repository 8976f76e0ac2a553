"""Several threads that do something at once, and are made to take turns as often as can be."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

SECONDS = 120  # until a test that hangs fails


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Python changes threads after every few instructions inside this block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What calls give that begin together, each in a thread of its own; the first error, if any."""
    barrier = threading.Barrier(len(calls), timeout=SECONDS)
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def work(i: int) -> None:
        try:
            barrier.wait()
            results[i] = calls[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(calls))]
    with hurried():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def in_thread(call: Callable[[], Any]) -> Any:
    """What a call gives in a thread of its own, when that has ended."""
    return at_once([call])[0]
