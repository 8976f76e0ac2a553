"""`cupy.cuda`: devices, memory that is counted and may run out, streams and events.

Everything is done at once here, so streams and events only have to be there. Memory comes in
blocks of 512 bytes from a pool that keeps what is given back, as CuPy's does; the pool's
`set_limit` makes it run out.

Order: memory · devices · streams · the runtime.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .api import Module
from .traffic import state, sync

DEVICE_COUNT = 2
DEVICE_BYTES = 2**34
BLOCK = 512
PROPERTIES = {
    "name": b"Stand-in",
    "totalGlobalMem": DEVICE_BYTES,
    "multiProcessorCount": 132,
    "maxThreadsPerBlock": 1024,
    "warpSize": 32,
    "major": 9,
    "minor": 0,
}

# ---- memory -----------------------------------------------------------------------------------


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`, with CuPy's sentence."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        text = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(text + (f", limit set to: {limit:,} bytes)." if limit else ")."))


class Memory:
    """A block, given back to its pool when the last array that shows it is gone."""

    __slots__ = ("device_id", "host", "pool", "size")

    def __init__(self, host: np.ndarray[Any, Any], device_id: int, pool: Any = None) -> None:
        self.host, self.device_id = host, device_id
        self.size = -(-host.nbytes // BLOCK) * BLOCK
        self.pool: MemoryPool | None = None  # until there is room
        if pool is not None:
            pool.take(self.size, device_id)
            self.pool = pool

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.give_back(self.size, self.device_id)

    @property
    def ptr(self) -> int:
        return self.host.ctypes.data


class MemoryPointer:
    """What `array.data` is: an address inside a block, to which bytes can be added."""

    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem, self.device_id, self.ptr = mem, mem.device_id, mem.ptr + offset

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def show(self, shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
        """The memory from here on as a NumPy array."""
        everything = self.mem.host.ravel(order="K").view(np.uint8)
        return np.ndarray(shape, dtype, everything, self.ptr - self.mem.ptr)


class MemoryPool:
    """`cupy.cuda.MemoryPool`: what live arrays hold, what is kept for new ones, and the limit."""

    def __init__(self) -> None:
        self._used = [0] * DEVICE_COUNT
        self._kept: list[Counter[int]] = [Counter() for _ in range(DEVICE_COUNT)]
        self._limits = [0] * DEVICE_COUNT

    def take(self, size: int, device: int) -> None:
        """Count a block as used, or raise OutOfMemoryError."""
        kept = self._kept[device]
        if kept[size]:
            kept[size] -= 1
        else:
            limit = self._limits[device]
            room = limit or current.capacity
            if self._total(device) + size > room:
                kept.clear()  # CuPy frees what it keeps, and tries again
            if self._total(device) + size > room:
                raise OutOfMemoryError(size, self._total(device), limit)
        self._used[device] += size

    def give_back(self, size: int, device: int) -> None:
        """Count a block as kept."""
        self._used[device] -= size
        self._kept[device][size] += 1

    def _total(self, device: int) -> int:
        return self._used[device] + sum(size * n for size, n in self._kept[device].items())

    def used_bytes(self) -> int:
        return self._used[state.device]

    def free_bytes(self) -> int:
        return self.total_bytes() - self.used_bytes()

    def total_bytes(self) -> int:
        return self._total(state.device)

    def n_free_blocks(self) -> int:
        return self._kept[state.device].total()

    def free_all_blocks(self, stream: Any = None) -> None:
        self._kept[state.device].clear()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        limit = int(fraction * current.capacity) if size is None else size
        self._limits[state.device] = limit

    def get_limit(self) -> int:
        return self._limits[state.device]


class PinnedMemoryPool:
    """`cupy.cuda.PinnedMemoryPool` with nothing in it."""

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        pass


# ---- devices ----------------------------------------------------------------------------------


class Device:
    """`cupy.cuda.Device`: a number, and a context in which it is current."""

    def __init__(self, device: Any = None) -> None:
        self.id = state.device if device is None else int(device)
        if not 0 <= self.id < DEVICE_COUNT:
            raise ValueError(f"invalid device ordinal {self.id}")
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(state.device)
        state.device = self.id
        return self

    def __exit__(self, *error: Any) -> None:
        state.device = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        state.device = self.id

    def synchronize(self) -> None:
        sync("Device.synchronize()")

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        return current.capacity - current.pool._total(self.id), current.capacity

    @property
    def compute_capability(self) -> str:
        return f"{PROPERTIES['major']}{PROPERTIES['minor']}"

    @property
    def attributes(self) -> dict[str, int]:
        return {
            "MultiProcessorCount": PROPERTIES["multiProcessorCount"],
            "MaxThreadsPerBlock": PROPERTIES["maxThreadsPerBlock"],
            "WarpSize": PROPERTIES["warpSize"],
        }


# ---- streams ----------------------------------------------------------------------------------


class Event:
    """`cupy.cuda.Event`: a moment."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.done = True
        self._time = 0.0

    def record(self, stream: Any = None) -> None:
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        sync("Event.synchronize()")


class Stream:
    """`cupy.cuda.Stream`: a context in which it is current."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = 0
    ) -> None:
        self.ptr = 0 if null else id(self)
        self.is_non_blocking, self.priority, self.done = non_blocking, priority, True
        self._before: list[Stream] = []

    def __enter__(self) -> Stream:
        self._before.append(current.stream)
        return self.use()

    def __exit__(self, *error: Any) -> None:
        current.stream = self._before.pop()

    def use(self) -> Stream:
        current.stream = self
        return self

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """The stream waits, not the host."""

    def synchronize(self) -> None:
        sync("Stream.synchronize()")


Stream.null = Stream(null=True)


def get_elapsed_time(start: Event, end: Event) -> float:
    return 1000 * (end._time - start._time)


class Current:
    """The stream and the pool in use, and how much memory a device has."""

    def __init__(self) -> None:
        self.stream, self.pool, self.capacity = Stream.null, MemoryPool(), DEVICE_BYTES


current = Current()


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """A machine on which nothing has run: the first device, an empty pool, the null stream."""
    before = state.device, current.stream, current.pool
    state.device, current.stream, current.pool = 0, Stream.null, MemoryPool()
    try:
        yield
    finally:
        state.device, current.stream, current.pool = before


@contextlib.contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Devices with this much memory, in bytes."""
    before, current.capacity = current.capacity, size
    try:
        yield
    finally:
        current.capacity = before


# ---- the runtime ------------------------------------------------------------------------------


class CUDARuntimeError(RuntimeError):
    """`cupy.cuda.runtime.CUDARuntimeError`."""


runtime = Module(
    "cupy.cuda.runtime",
    CUDARuntimeError=CUDARuntimeError,
    deviceSynchronize=lambda: sync("deviceSynchronize()"),
    driverGetVersion=lambda: 13000,
    getDevice=lambda: state.device,
    getDeviceCount=lambda: DEVICE_COUNT,
    getDeviceProperties=lambda device: dict(PROPERTIES),
    memGetInfo=lambda: Device().mem_info,
    runtimeGetVersion=lambda: 13000,
    setDevice=lambda device: Device(device).use(),
)
runtime.is_hip = False
memory = Module(
    "cupy.cuda.memory",
    MemoryPointer=MemoryPointer,
    MemoryPool=MemoryPool,
    OutOfMemoryError=OutOfMemoryError,
)
cuda = Module(
    "cupy.cuda",
    Device=Device,
    Event=Event,
    MemoryPointer=MemoryPointer,
    MemoryPool=MemoryPool,
    PinnedMemoryPool=PinnedMemoryPool,
    Stream=Stream,
    get_current_stream=lambda: current.stream,
    get_device_id=lambda: state.device,
    get_elapsed_time=get_elapsed_time,
    is_available=lambda: True,
    memory=memory,
    runtime=runtime,
)
