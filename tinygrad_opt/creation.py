"""Making tensors: from data, from constants, from ranges, from the generator of random numbers.

Floats are float32 unless ``dtype`` says otherwise; ``device`` is the default device unless given.
Random values are drawn on the host, so the same seed gives the same values on every device.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .device import Device, default_device
from .operation import Variable, there, wrap
from .random_numbers import generator, manual_seed
from .tensor import Tensor

__all__ = [
    "arange",
    "asnumpy",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "manual_seed",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "tensor",
    "zeros",
    "zeros_like",
]

Where = str | Device | None


def tensor(
    data: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of the data; see `Tensor` for what becomes of numbers and lists.

    Without a device, Tensors and CuPy arrays stay on theirs; all else goes to the default device.
    """
    if isinstance(data, Variable):
        device = data.device if device is None else device
        data = data._data
    elif device is None and isinstance(data, np.ndarray):
        device = default_device()
    if isinstance(data, np.ndarray) or hasattr(data, "__cuda_array_interface__"):
        data = there(Device.of(data), data.copy)
    return Tensor(data, dtype, device, requires_grad)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the CPU that shares its memory with a NumPy array.

    An optimizer that takes it over moves its values to where they lie beside the others; from then
    on the array stays as it was.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: a {type(array).__name__} is no NumPy array. Use tensor(...).")
    return Tensor(array)


from_dlpack = Tensor.from_dlpack


def asnumpy(data: Any) -> np.ndarray[Any, Any]:
    """The values of a Tensor or a raw array of any device as a NumPy array; waits for a GPU.

    Its graph stays behind. What is on the CPU is shared, not copied.
    """
    if isinstance(data, Variable):
        data = data._data
    array: np.ndarray[Any, Any] = Device.of(data).to_host(data)
    return array


# ---- constants --------------------------------------------------------------------------------


def full(
    shape: Any,
    value: Any,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Every element the same: float32 for a float, int64 for an integer."""
    if dtype is None and isinstance(value, float):
        dtype = np.float32
    return _made("full", device, requires_grad, _shape((shape,)), value, dtype)


def zeros(
    *shape: Any, dtype: Any = np.float32, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Zeros: `zeros(2, 3)` or `zeros((2, 3))`."""
    return _made("zeros", device, requires_grad, _shape(shape), dtype)


def ones(
    *shape: Any, dtype: Any = np.float32, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Ones: `ones(2, 3)` or `ones((2, 3))`."""
    return _made("ones", device, requires_grad, _shape(shape), dtype)


def empty(
    *shape: Any, dtype: Any = np.float32, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Room for values that are still to be written; what stands there is arbitrary."""
    return _made("empty", device, requires_grad, _shape(shape), dtype)


def eye(
    n: int,
    m: int | None = None,
    dtype: Any = np.float32,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n × m matrix (m = n when not given), zeros elsewhere."""
    return _made("eye", device, requires_grad, n, m, 0, dtype)


def zeros_like(t: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of t."""
    return zeros(t.shape, dtype=dtype or t.dtype, device=t.device, requires_grad=requires_grad)


def ones_like(t: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of t."""
    return ones(t.shape, dtype=dtype or t.dtype, device=t.device, requires_grad=requires_grad)


def full_like(t: Tensor, value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value everywhere, in the shape, dtype and device of t."""
    return full(t.shape, value, dtype or t.dtype, t.device, requires_grad)


def empty_like(t: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Room of the shape, dtype and device of t."""
    return empty(t.shape, dtype=dtype or t.dtype, device=t.device, requires_grad=requires_grad)


# ---- ranges -----------------------------------------------------------------------------------


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below stop; integers give int64, floats float32."""
    first, end = (0, start) if stop is None else (start, stop)
    values = _made("arange", device, False, first, end, step)
    dtype = dtype or (np.float32 if values.dtype == np.float64 else values.dtype)
    return values.to(dtype).requires_grad_(requires_grad)


def linspace(
    start: float,
    stop: float,
    steps: int = 50,
    dtype: Any = np.float32,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Evenly spaced values from start to stop, both included."""
    return _moved(np.linspace(start, stop, steps).astype(dtype), device, requires_grad)


# ---- random numbers ---------------------------------------------------------------------------


def rand(
    *shape: Any, dtype: Any = np.float32, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Uniform in [0, 1)."""
    values = generator().random(_shape(shape), _drawn(dtype))
    return _moved(values.astype(dtype, copy=False), device, requires_grad)


def randn(
    *shape: Any, dtype: Any = np.float32, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    values = generator().standard_normal(_shape(shape), _drawn(dtype))
    return _moved(values.astype(dtype, copy=False), device, requires_grad)


def randint(
    low: int, high: int | None = None, shape: Any = (), dtype: Any = np.int64, device: Where = None
) -> Tensor:
    """Integers, low ≤ n < high; with one bound 0 ≤ n < low."""
    low, high = (0, low) if high is None else (low, high)
    return _moved(generator().integers(low, high, _shape((shape,)), dtype), device, False)


def rand_like(t: Tensor, requires_grad: bool = False) -> Tensor:
    """`rand` in the shape, dtype and device of t."""
    return rand(t.shape, dtype=t.dtype, device=t.device, requires_grad=requires_grad)


def randn_like(t: Tensor, requires_grad: bool = False) -> Tensor:
    """`randn` in the shape, dtype and device of t."""
    return randn(t.shape, dtype=t.dtype, device=t.device, requires_grad=requires_grad)


# ---- helpers ----------------------------------------------------------------------------------


def _shape(given: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) from f(2, 3), f((2, 3)) or f([2, 3])."""
    if len(given) == 1 and not isinstance(given[0], numbers.Integral):
        given = tuple(given[0])
    return given


def _drawn(dtype: Any) -> Any:
    """The generator draws these two; other dtypes are converted."""
    return np.float64 if np.dtype(dtype) == np.float64 else np.float32


def _made(name: str, device: Where, requires_grad: bool, *args: Any) -> Tensor:
    """What the array module's function of this name makes, on the device itself."""
    place = default_device() if device is None else Device(device)
    made: Tensor = wrap(there(place, getattr(place.xp, name), *args), place)
    return made.requires_grad_(requires_grad)


def _moved(host: Any, device: Where, requires_grad: bool) -> Tensor:
    """Values from the host."""
    place = default_device() if device is None else Device(device)
    moved: Tensor = wrap(place.from_host(host), place)
    return moved.requires_grad_(requires_grad)
