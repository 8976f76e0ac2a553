"""The stand-in counts memory as CuPy's pool does, and may run out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.standin import strict_cupy
from tests.standin.strict_cupy import watch

pytestmark = pytest.mark.host


@pytest.fixture
def xp() -> Iterator[Any]:
    with strict_cupy.installed() as module:
        yield module


def test_the_pool_counts_live_arrays_in_blocks_of_512_bytes(xp: Any) -> None:
    pool = xp.get_default_memory_pool()
    x = xp.zeros(1000, np.float32)
    view = x[10:20]
    assert (pool.used_bytes(), pool.free_bytes(), pool.total_bytes()) == (4096, 0, 4096)
    del x
    assert pool.used_bytes() == 4096, "a view holds the memory of its base"
    del view
    assert (pool.used_bytes(), pool.free_bytes(), pool.n_free_blocks()) == (0, 4096, 1)
    x = xp.zeros(1000, np.float32)
    assert (pool.used_bytes(), pool.free_bytes()) == (4096, 0), "what was kept is used again"
    with xp.cuda.Device(1):
        assert pool.used_bytes() == 0
    del x
    pool.free_all_blocks()
    assert pool.total_bytes() == 0


def test_beyond_the_limit_there_is_cupys_error(xp: Any) -> None:
    pool = xp.get_default_memory_pool()
    pool.set_limit(size=8192)
    x = xp.zeros(1024, np.float32)
    text = r"Out of memory allocating 8,192 bytes \(allocated so far: 4,096 bytes, limit set to"
    with pytest.raises(xp.cuda.memory.OutOfMemoryError, match=text) as error:
        x.astype(np.float64)
    assert isinstance(error.value, MemoryError)
    del x, error  # whose traceback holds it
    xp.zeros(1024)  # what was kept makes room


def test_a_device_is_as_large_as_it_is(xp: Any) -> None:
    with pytest.raises(MemoryError, match="allocating 1,125,899,906,842,624 bytes"):
        xp.zeros(2**47)
    free, total = xp.cuda.Device().mem_info
    x = xp.ones(2**20)
    assert xp.cuda.runtime.memGetInfo() == (free - x.nbytes, total)


def test_every_installation_starts_on_a_fresh_machine(xp: Any) -> None:
    x = xp.zeros(1000)
    xp.cuda.Device(1).use()
    with strict_cupy.installed() as inner:
        assert inner.get_default_memory_pool().used_bytes() == 0
        assert inner.cuda.runtime.getDevice() == 0
    assert xp.cuda.runtime.getDevice() == 1
    xp.cuda.Device(0).use()
    assert xp.get_default_memory_pool().used_bytes() == 8192
    del x


def test_streams_and_events(xp: Any) -> None:
    stream = xp.cuda.Stream(non_blocking=True)
    with watch() as traffic:
        with stream:
            assert xp.cuda.get_current_stream() is stream
            start = stream.record()
            end = stream.record()
            stream.wait_event(end)
        assert xp.cuda.get_elapsed_time(start, end) >= 0
        assert traffic.syncs == []
        end.synchronize()
        stream.synchronize()
        xp.cuda.Device().synchronize()
    assert traffic.syncs == ["Event.synchronize()", "Stream.synchronize()", "Device.synchronize()"]
    assert xp.cuda.get_current_stream() is xp.cuda.Stream.null
