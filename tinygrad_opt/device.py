"""Where arrays live: one object for each device, with its array module as ``device.xp``.

Order: Device · memory · CuPy, on demand (here and nowhere else) · the default device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .locks import Lock

ENVIRONMENT_VARIABLE = "TINYGRAD_OPT_DEVICE"

_turn = Lock()  # so that threads that ask for a device at once get the same one


class DeviceError(RuntimeError):
    """A device is missing, or two devices met in one operation."""


class Device:
    """`Device("cpu")`, `Device("cuda")`, `Device("cuda:1")`: one object for each, compared by `is`.

    ``xp`` is numpy or cupy. Raises ValueError for an unknown name and DeviceError where the GPU,
    its driver or CuPy is missing.
    """

    __slots__ = ("guarded", "index", "kind", "xp")
    _known: ClassVar[dict[str, Device]] = {}  # by every name that was asked for

    kind: str
    index: int
    xp: Any
    guarded: bool  # whether work has to be done inside `activate`: where a second GPU is in use

    def __new__(cls, spec: str | Device) -> Device:  # noqa: D102
        if isinstance(spec, Device):
            return spec
        name = str(spec)
        if name in cls._known:
            return cls._known[name]
        match = re.fullmatch(r"(cpu)|(cuda)(?::(\d+))?", name)
        if not match:
            raise ValueError(f"device: {spec!r} is unknown. Write 'cpu', 'cuda' or 'cuda:1'.")
        kind, index = "cpu" if match[1] else "cuda", int(match[3] or 0)
        with _turn:
            device = cls._known.get(f"cuda:{index}" if match[2] else "cpu")
            if device is None:
                device = object.__new__(cls)
                device.kind, device.index, device.guarded = kind, index, False
                device.xp = np if match[1] else _load_cupy(index)
            cls._known[name] = cls._known[repr(device)] = device
            gpus = [known for known in cls.known() if known.kind == "cuda"]
            for gpu in gpus:
                gpu.guarded = any(other.index > 0 for other in gpus)
        return device

    @classmethod
    def known(cls) -> list[Device]:
        """The devices that were asked for so far."""
        return list(dict.fromkeys(cls._known.values()))

    @classmethod
    def forget(cls) -> None:
        """Forget the GPUs, for tests that put another module in CuPy's place."""
        cls._known = {name: known for name, known in cls._known.items() if known.kind == "cpu"}

    @classmethod
    def of(cls, array: Any) -> Device:
        """The device that holds a raw array; TypeError for anything but NumPy's and CuPy's."""
        if isinstance(array, np.ndarray):
            return cls("cpu")
        if type(array).__module__.split(".")[0] == "cupy":
            return cls(f"cuda:{array.device.id}")
        raise TypeError(f"device: a {type(array).__name__} is neither a NumPy nor a CuPy array.")

    def __repr__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    def __reduce__(self) -> tuple[type[Device], tuple[str]]:
        return Device, (repr(self),)

    def activate(self) -> contextlib.AbstractContextManager[Any]:
        """The block in which new arrays land on this device: CuPy allocates on the current one."""
        if self.kind == "cpu":
            return contextlib.nullcontext()
        block: contextlib.AbstractContextManager[Any] = self.xp.cuda.Device(self.index)
        return block

    def from_host(self, data: Any, dtype: Any = None) -> Any:
        """A raw array on this device with the values of NumPy-like data. OutOfMemory if too large.

        The array itself where data is one and this is the CPU; a GPU gets a copy, without a wait.
        """
        try:
            host = np.asarray(data, dtype)
            if self.kind == "cpu":
                return host
            with self.activate():
                return self.xp.asarray(host)
        except MemoryError as error:
            raise out_of_memory(self, error) from None

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """A NumPy array with the values of a raw array of this device. Waits for the GPU."""
        host: np.ndarray[Any, Any] = array if self.kind == "cpu" else self.xp.asnumpy(array)
        return host

    def put(self, array: Any) -> Any:
        """The values of a raw array of any device on this one: itself if it is here, else a copy.

        Between two GPUs they do not pass the host, and nothing waits; to the CPU it waits.
        """
        home = Device.of(array)
        if home is self:
            return array
        if "cpu" in (home.kind, self.kind):
            return self.from_host(home.to_host(array))
        try:
            with self.activate():
                return self.xp.asarray(array)
        except MemoryError as error:
            raise out_of_memory(self, error) from None

    def staging(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """Room on the host to upload from: page-locked, so that the GPU fetches it by itself."""
        if self.kind == "cpu":
            return np.empty(shape, dtype)
        room: np.ndarray[Any, Any] = importlib.import_module("cupyx").empty_pinned(shape, dtype)
        return room

    def synchronize(self) -> None:
        """Wait until this device has finished, for timing and before other libraries read."""
        if self.kind != "cpu":
            self.xp.cuda.Device(self.index).synchronize()

    def memory(self) -> int:
        """Bytes that live arrays hold; 0 on the CPU, where NumPy keeps no count."""
        if self.kind == "cpu":
            return 0
        with self.activate():
            return int(self.xp.get_default_memory_pool().used_bytes())

    def memory_info(self) -> Memory:
        """What the memory of a GPU is used for, in bytes; zeros on the CPU, where nobody counts."""
        if self.kind == "cpu":
            return Memory(0, 0, 0, 0)
        with self.activate() as gpu:
            pool = self.xp.get_default_memory_pool()
            return Memory(pool.used_bytes(), pool.free_bytes(), *gpu.mem_info)

    def empty_cache(self) -> None:
        """Give the memory that CuPy keeps for new arrays back, to other programs and libraries."""
        if self.kind != "cpu":
            with self.activate():
                self.xp.get_default_memory_pool().free_all_blocks()

    def errstate(self, **kinds: Any) -> contextlib.AbstractContextManager[Any]:
        """`numpy.errstate` on the CPU; nothing on a GPU, which never warns."""
        if self.kind == "cpu":
            return np.errstate(**kinds)
        return contextlib.nullcontext()


# ---- memory -----------------------------------------------------------------------------------


class Memory(NamedTuple):
    """Bytes of a GPU: in live arrays, kept by CuPy for new ones, free for all programs, in all."""

    live: int
    kept: int
    free: int
    total: int

    def __str__(self) -> str:
        live, kept, free, total = map(readable, self)
        return f"live arrays hold {live}, CuPy keeps {kept} more, {free} of {total} are free"


class OutOfMemory(DeviceError, MemoryError):
    """An array did not fit into the memory of its device."""


def out_of_memory(device: Device, error: MemoryError) -> OutOfMemory:
    """The sentence for a MemoryError of NumPy or CuPy: how much, what is there, what to do."""
    if isinstance(error, OutOfMemory):
        return error
    asked = re.search(r"allocat\w+ ([\d.,]*\d)\.? (\w+)", str(error))
    limit = re.search(r"limit set to: ([\d,]+) (bytes)", str(error))
    text = f"not enough memory on {device}"
    if asked:
        text += f" for {_readable(*asked.groups())} more"
    if device.kind != "cpu":
        text += f": {device.memory_info()}"
    if limit:
        text += f", CuPy's limit is {_readable(*limit.groups())}"
    text += (
        ". Take smaller batches or a smaller network, evaluate under no_grad(), and keep "
        "loss.item() where you keep losses: a loss holds its whole graph."
    )
    if device.kind != "cpu":
        text += (
            " Where libraries share the GPU, torch.cuda.empty_cache() gives back what PyTorch "
            "keeps unused, and Device.empty_cache() what CuPy keeps."
        )
    return OutOfMemory(text)


def readable(count: float) -> str:
    """A number of bytes in the unit that suits it: 1536 is 1.5 KiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def _readable(number: str, unit: str) -> str:
    """The same for what stands in an error, where NumPy has chosen a unit already."""
    return readable(int(number.replace(",", ""))) if unit == "bytes" else f"{number} {unit}"


# ---- CuPy, on demand --------------------------------------------------------------------------


def _load_cupy(index: int) -> Any:
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise  # CuPy is there and broken: show what is wrong with it
        raise DeviceError(
            'device "cuda" needs CuPy, which is not installed: pip install "tinygrad-opt[cuda13]" '
            "(or cuda12, whichever the driver supports)."
        ) from None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f" CUDA_VISIBLE_DEVICES={visible} hides all others."
    if not cupy.is_available():
        raise DeviceError(
            "CuPy is installed but finds no usable CUDA device. Is there a GPU, and is its driver "
            f"new enough? nvidia-smi shows both.{hidden}"
        )
    count = cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        there = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise DeviceError(f"there is no cuda:{index}: this machine has {there}.{hidden}")
    return cupy


def why_no_cuda() -> str | None:
    """None where `Device("cuda")` works, else the sentence that it would raise."""
    try:
        Device("cuda")
    except DeviceError as error:
        return str(error)
    except Exception as error:  # whatever a broken installation does
        text = " ".join(str(error).split())
        return f"CuPy is installed, and importing it fails: {type(error).__name__}: {text}"
    return None


# ---- the default device -----------------------------------------------------------------------

_default: ContextVar[Device | None] = ContextVar("default_device", default=None)


def default_device() -> Device:
    """Where new tensors go when nobody says: the `use_device` block, the environment, the CPU."""
    return _default.get() or _named_by_environment()


def _named_by_environment() -> Device:
    name = os.environ.get(ENVIRONMENT_VARIABLE) or "cpu"
    try:
        return Device(name)
    except (ValueError, DeviceError) as error:
        raise type(error)(f"{ENVIRONMENT_VARIABLE} is {name!r}: {error}") from None


@contextlib.contextmanager
def use_device(spec: str | Device) -> Iterator[Device]:
    """Create tensors on this device inside the block. Operations always follow their operands."""
    device = Device(spec)
    token = _default.set(device)
    try:
        yield device
    finally:
        _default.reset(token)
