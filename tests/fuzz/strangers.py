"""What a stranger may hand over, and what comes of it: a value or a sentence, soon, in little."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONGEST = 10.0  # seconds; what hangs takes for ever
BARE = ("Traceback", "object at 0x", "list index", "codec can't", "not subscriptable")


def bounded(examples: int) -> settings:
    """So many examples, drawn without chance, and nothing written.

    Hypothesis also draws constants that it finds in the modules that are loaded: the examples are
    the same ones only where the tests that ran before are.
    """
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def outcome(read: Callable[..., Any], *arguments: Any, memory: int | None = None) -> Any:
    """What a reader gives, or the sentence with which it refuses; any other end is a failure.

    ``memory`` bounds the bytes that it takes in between; that is slow to watch.
    """
    if memory is not None:
        tracemalloc.start()
    start = time.thread_time()
    try:
        found = read(*arguments)
    except (ValueError, TypeError, OSError) as error:
        found = error
    finally:
        spent = time.thread_time() - start
        most = tracemalloc.get_traced_memory()[1] if memory is not None else 0
        tracemalloc.stop()
    assert spent < LONGEST, f"it took {spent:.1f} s"
    assert most <= (memory or 0), f"it took {most:,} bytes"
    return says(found) if isinstance(found, Exception) else found


class Refused(str):
    """The sentence of a refusal."""


def says(error: Exception) -> Refused:
    """Its text, which a person can read."""
    text = str(error)
    assert type(error) is not UnicodeDecodeError, text
    assert len(text) > 20 and " " in text and not any(bare in text for bare in BARE), text
    assert len(text) < 5000, f"{len(text):,} characters"
    return Refused(text)


@st.composite
def damaged(draw: Callable[..., Any], content: bytes) -> bytes:
    """These bytes after a few accidents: flipped bits, holes, cuts, repeats, foreign bytes."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(found) - 1)))
        end = min(len(found), start + draw(st.integers(1, 40)))
        kind = draw(st.sampled_from(("flip", "drop", "cut", "repeat", "insert", "replace")))
        if kind == "flip" and found:
            found[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "drop":
            del found[start:end]
        elif kind == "cut":
            del found[start:]
        elif kind == "repeat":
            found[start:start] = found[start:end]
        elif kind == "insert":
            found[start:start] = draw(st.binary(max_size=20))
        else:
            found[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
    return bytes(found)
