"""What is alive in this process, and how much memory it takes."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks import memory
from tinygrad_opt import Tensor

HANDFUL = 8  # objects, such as what Python itself makes on the way
KEPT = 2**14  # bytes
RESIDENT = 3 * 2**20  # bytes, which the allocator of the C library gives back when it likes


class Ledger(NamedTuple):
    """How many objects the collector knows, how many are Tensors, and bytes of the process."""

    objects: int
    tensors: int
    resident: int

    @classmethod
    def now(cls) -> Ledger:
        """What is there, without a collection."""
        known = gc.get_objects()
        tensors = sum(issubclass(type(one), Tensor) for one in known)
        return cls(len(known), tensors, memory.resident("VmRSS") if memory.COUNTED else 0)


def kinds() -> Counter[str]:
    """The objects by their types, to say in an error what has grown."""
    return Counter(type(one).__name__ for one in gc.get_objects())


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Collect, and then no more inside this block: what is in a cycle stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_flat(run: Callable[[], Any], collector: bool = False) -> None:
    """Whether as much is alive after a run as before, with the collector at work or without.

    Without it nothing may be in a cycle, where only it would find it.
    """
    gc.collect()
    their_kinds = kinds()  # first, for looking fills caches of Python's
    before = Ledger.now()
    with contextlib.nullcontext() if collector else without_collector():
        run()
        in_cycles = gc.collect()  # by hand
        after = Ledger.now()
        grown = kinds() - their_kinds
    assert collector or in_cycles <= HANDFUL
    assert after.tensors == before.tensors
    assert after.objects - before.objects <= HANDFUL, grown.most_common(5)
    resident = after.resident - before.resident
    for _ in range(3):  # what a process takes once, by chance, it does not take again
        if resident > RESIDENT:
            before = Ledger.now()
            run()
            gc.collect()
            resident = Ledger.now().resident - before.resident
    assert resident <= RESIDENT


def check_traced(run: Callable[[], Any], kept: int = KEPT) -> None:
    """Whether Python and NumPy hold as many bytes after a run as before."""
    tracemalloc.start()
    try:
        run()
        run()  # twice: what replaces something that was there before the tracer counts in full
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        run()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before <= kept
