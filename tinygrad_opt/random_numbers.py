"""Random numbers, the same on every device: all begin at one seed.

Weights, orders and noise come from a generator on the host. Dropout takes its numbers by their
place in a stream that depends on the seed alone, so that any device can compute them, and compute
them again.

Order: the generator · the counted stream · nothing drawn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .live import live

_seed: Any = None  # None: the system's choice
_generator: np.random.Generator | None = None  # made when first asked for: NumPy loads it late
_stream: Stream | None = None

# ---- the generator ----------------------------------------------------------------------------


@live
def manual_seed(seed: int) -> np.random.Generator:
    """Restart the random numbers behind initialization, `rand`, `randn` and dropout.

    The same seed gives the same weights and the same dropout masks on every device.
    """
    global _seed, _generator, _stream
    _generator = np.random.default_rng(seed)
    _seed, _stream = seed, None
    return _generator


def generator() -> np.random.Generator:
    """The generator that `manual_seed` restarts; seeded by the system until then."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


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
        first = self.position
        self.position += -(-count // PER_BLOCK)
        return first

    def numbers(self, first: int, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """So many numbers of 32 bits from this block on."""
        blocks = -(-count // PER_BLOCK)
        if self.bits_at != first:
            self.bits = np.random.Philox(key=self.key, counter=first)
        self.bits_at = first + blocks
        words = self.bits.random_raw(blocks * (PER_BLOCK // 2))
        halves: np.ndarray[Any, np.dtype[np.uint32]] = words.astype("<u8", copy=False).view("<u4")
        return halves[:count]


def stream() -> Stream:
    """The stream that `manual_seed` restarts."""
    global _stream
    if _stream is None:
        _stream = Stream(_seed)
    return _stream


# ---- nothing drawn ----------------------------------------------------------------------------


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn in the block, what comes after it is as it would have been without.

    That is true of NumPy's global generator too, which a model may ask.
    """
    global _seed, _generator, _stream
    seed, drawn, counted = _seed, generator(), stream()
    state, position = drawn.bit_generator.state, counted.position
    of_numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        _seed, _generator, _stream = seed, drawn, counted
        drawn.bit_generator.state, counted.position = state, position
        np.random.set_state(of_numpy)  # noqa: NPY002
