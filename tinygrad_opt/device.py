"""Where arrays live: one object for each device, with its array module as ``device.xp``.

Order: Device · loading CuPy (here and nowhere else) · the default device · random numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

ENVIRONMENT_VARIABLE = "TINYGRAD_OPT_DEVICE"


class DeviceError(RuntimeError):
    """A device is missing, or two devices met in one operation."""


class Device:
    """`Device("cpu")`, `Device("cuda")`, `Device("cuda:1")`: one object for each, compared by `is`.

    ``xp`` is numpy or cupy. Raises ValueError for an unknown name and DeviceError where the GPU,
    its driver or CuPy is missing.
    """

    __slots__ = ("index", "kind", "xp")
    _known: ClassVar[dict[tuple[str, int], Device]] = {}

    kind: str
    index: int
    xp: Any

    def __new__(cls, spec: str | Device) -> Device:  # noqa: D102
        if isinstance(spec, Device):
            return spec
        match = re.fullmatch(r"(cpu)|(cuda)(?::(\d+))?", str(spec))
        if not match:
            raise ValueError(f"device: {spec!r} is unknown. Write 'cpu', 'cuda' or 'cuda:1'.")
        key = ("cpu" if match[1] else "cuda", int(match[3] or 0))
        if key not in cls._known:
            device = object.__new__(cls)
            device.kind, device.index = key
            device.xp = np if match[1] else _load_cupy(device.index)
            cls._known[key] = device
        return cls._known[key]

    @classmethod
    def forget(cls) -> None:
        """Forget every device made so far, for tests that put another module in CuPy's place."""
        cls._known.clear()

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
        """A raw array on this device with the values of NumPy-like data."""
        host = np.asarray(data, dtype)
        if self.kind == "cpu":
            return host
        with self.activate():
            return self.xp.asarray(host)

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """A NumPy array with the values of a raw array of this device. Waits for the GPU."""
        host: np.ndarray[Any, Any] = array if self.kind == "cpu" else self.xp.asnumpy(array)
        return host

    def synchronize(self) -> None:
        """Wait until this device has finished, for timing and before other libraries read."""
        if self.kind != "cpu":
            self.xp.cuda.Device(self.index).synchronize()

    def memory(self) -> int:
        """Bytes that live arrays hold in CuPy's pool; 0 on the CPU, where NumPy keeps no count."""
        if self.kind == "cpu":
            return 0
        with self.activate():
            return int(self.xp.get_default_memory_pool().used_bytes())

    def errstate(self, **kinds: Any) -> contextlib.AbstractContextManager[Any]:
        """`numpy.errstate` on the CPU; nothing on a GPU, which never warns."""
        if self.kind == "cpu":
            return np.errstate(**kinds)
        return contextlib.nullcontext()


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
    if not cupy.is_available():
        raise DeviceError(
            "CuPy is installed but finds no usable CUDA device. Is there a GPU, and is its driver "
            "new enough? nvidia-smi shows both."
        )
    count = cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        raise DeviceError(
            f'there is no "cuda:{index}": this machine has {count} CUDA device(s), counted from 0.'
        )
    return cupy


def why_no_cuda() -> str | None:
    """None where `Device("cuda")` works, else the sentence that it would raise."""
    try:
        Device("cuda")
    except (DeviceError, ImportError) as error:
        return str(error)
    return None


# ---- the default device -----------------------------------------------------------------------

_default: ContextVar[Device | None] = ContextVar("default_device", default=None)


def default_device() -> Device:
    """Where new tensors go when nobody says: the `use_device` block, the environment, the CPU."""
    return _default.get() or Device(os.environ.get(ENVIRONMENT_VARIABLE, "cpu"))


@contextlib.contextmanager
def use_device(spec: str | Device) -> Iterator[Device]:
    """Create tensors on this device inside the block. Operations always follow their operands."""
    device = Device(spec)
    token = _default.set(device)
    try:
        yield device
    finally:
        _default.reset(token)


# ---- random numbers ---------------------------------------------------------------------------

_generator: np.random.Generator | None = None  # made when first asked for: NumPy loads it late


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the generator behind initialization, `rand`, `randn` and dropout.

    It draws on the host, so the same seed gives the same weights on every device.
    """
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def generator() -> np.random.Generator:
    """The generator that `manual_seed` restarts; seeded by the system until then."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator
