"""Random numbers, the same on every device: all begin at one seed.

Weights, orders and noise come from a generator on the host. Dropout takes its numbers by their
place in a stream that depends on the seed alone, so that any device can compute them, and compute
them again.

A process has one source of them, that of its main thread. All other threads draw from it too, in
whatever order they come: each number is given out once, to whom depends on chance. A thread that
calls `manual_seed` has a source of its own from then on, and draws the same numbers whatever the
others do:

    def work(seed):                     # in a thread
        tg.manual_seed(seed)
        ...                             # weights, `randn` and dropout are those of this seed

A forked process goes on with copies of its parent's sources, as NumPy's does, so that both draw the
same numbers: call `manual_seed` there, too. A process that is spawned begins anew, unseeded.

Order: sources · the generator · the counted stream · saving · nothing drawn.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from .live import live
from .locks import Lock

# ---- sources ----------------------------------------------------------------------------------


class Source:
    """A generator and a counted stream that begin at one seed, made when they are first asked for.

    NumPy loads its generators late. Without a seed they begin at the system's choice.
    """

    def __init__(self, seed: Any = None) -> None:
        self.seed = seed
        self.generator: np.random.Generator | None = None
        self.stream: Stream | None = None


class _Own(threading.local):
    source: Source | None = None  # of this thread


_shared = Source()
_own = _Own()
_turn = Lock()


def _source() -> Source:
    """Where this thread draws from."""
    return _own.source or _shared


def _is_main() -> bool:
    """Whether this is the main thread, whose source is the process's."""
    return threading.current_thread() is threading.main_thread()


# ---- the generator ----------------------------------------------------------------------------


@live
def manual_seed(seed: int) -> np.random.Generator:
    """Restart the random numbers behind initialization, `rand`, `randn` and dropout.

    The same seed gives the same weights and the same dropout masks on every device. Called in the
    main thread, it is for all threads that have not called it; in another, for that one alone.
    """
    global _shared
    source = Source(seed)
    source.generator = np.random.default_rng(seed)
    if _is_main():
        _shared, _own.source = source, None
    else:
        _own.source = source
    return source.generator


def generator() -> np.random.Generator:
    """The generator that `manual_seed` restarts; seeded by the system until then."""
    source = _source()
    if source.generator is None:
        with _turn:
            source.generator = source.generator or np.random.default_rng(source.seed)
    return source.generator


# ---- the counted stream -----------------------------------------------------------------------

PER_BLOCK = 8  # numbers of 32 bits in a block of Philox4x64


class Stream:
    """Philox4x64-10 (Salmon et al. 2011): block b of a key is a function of b and the key alone.

    `key` is two words of 64 bits; `position` the number of blocks that have been used.
    """

    def __init__(self, seed: Any) -> None:
        sequence = np.random.SeedSequence(seed, spawn_key=(1,))  # apart from the generator's
        self.key = sequence.generate_state(2, np.uint64)
        self.position = 0
        self.bits = np.random.Philox(key=self.key)
        self.bits_at = 0  # the block that comes next there

    def reserve(self, count: int) -> int:
        """Set aside so many numbers, and give the block at which they begin."""
        with _turn:
            first = self.position
            self.position += -(-count // PER_BLOCK)
        return first

    def numbers(self, first: int, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """So many numbers of 32 bits from this block on."""
        blocks = -(-count // PER_BLOCK)
        with _turn:
            if self.bits_at != first:
                self.bits = np.random.Philox(key=self.key, counter=first)
            self.bits_at = first + blocks
            words = self.bits.random_raw(blocks * (PER_BLOCK // 2))
        halves: np.ndarray[Any, np.dtype[np.uint32]] = words.astype("<u8", copy=False).view("<u4")
        return halves[:count]


def stream() -> Stream:
    """The stream that `manual_seed` restarts."""
    source = _source()
    if source.stream is None:
        with _turn:
            source.stream = source.stream or Stream(source.seed)
    return source.stream


# ---- saving -----------------------------------------------------------------------------------


def state_dict() -> dict[str, Any]:
    """Where this thread's source of random numbers stands, as plain data."""
    counted = stream()
    return {
        "generator": generator().bit_generator.state,
        "stream": {"key": counted.key.copy(), "position": counted.position},
    }


def load_state_dict(state: Any) -> None:
    """Go on from there; ValueError, and nothing is changed, for what is no such state."""
    before = generator().bit_generator.state
    try:
        key, position = state["stream"]["key"], int(state["stream"]["position"])
        counted = Stream(0)
        counted.key[:] = key
        counted.position, counted.bits = position, np.random.Philox(key=counted.key)
        generator().bit_generator.state = state["generator"]
    except (KeyError, TypeError, ValueError, OverflowError):
        generator().bit_generator.state = before
        raise ValueError("random numbers: this is no state of a generator and a stream.") from None
    _source().stream = counted


# ---- nothing drawn ----------------------------------------------------------------------------


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn in the block, what comes after it is as it would have been without.

    That is true of NumPy's global generator too, which a model may ask.
    """
    global _shared
    own, shared = _own.source, _shared
    drawn, counted = generator(), stream()
    state, position = drawn.bit_generator.state, counted.position
    of_numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        _own.source = own
        if _is_main():
            _shared = shared
        drawn.bit_generator.state, counted.position = state, position
        np.random.set_state(of_numpy)  # noqa: NPY002
