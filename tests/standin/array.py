"""CuPy's array, with a NumPy array inside, and the crossing between the two.

Order: crossing · operators · ndarray. The methods that only call NumPy's are in `methods.py`.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any

import numpy as np

from . import launches
from .api import API, VERSION, words
from .cuda import Device, Memory, MemoryPointer, OutOfMemoryError, current
from .indexing import Key
from .traffic import launch, library, state, sync, upload

NUMBERS = (bool, int, float, complex, np.generic)
HOST, CUDA = 1, 2  # kinds of devices in DLPack
PRODUCTS = words("dot einsum inner matmul tensordot vdot")

INTEGERS = "int32 int64 uint32 uint64"
AT_DTYPES = {
    "add": f"{INTEGERS} float16 float32 float64",
    "subtract": "int32 uint32",
    "maximum": f"{INTEGERS} float32 float64",
    "minimum": f"{INTEGERS} float32 float64",
    "bitwise_and": INTEGERS,
    "bitwise_or": INTEGERS,
    "bitwise_xor": INTEGERS,
}

# ---- crossing ---------------------------------------------------------------------------------


class _Quiet(threading.local):
    """For each thread a context in which NumPy gives no floating-point warning."""

    def __init__(self) -> None:
        self.context = contextvars.Context()
        self.context.run(np.seterr, all="ignore")


_quiet = _Quiet()


def compute(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run NumPy as a GPU would: no floating-point warning, ever, and CuPy's error for no room."""
    try:
        return _quiet.context.run(function, *args, **kwargs)  # np.errstate would take longer
    except MemoryError as error:
        size = prod(error.shape) * error.dtype.itemsize
        raise OutOfMemoryError(size, current.pool.total_bytes()) from None


def unsupported(value: object) -> TypeError:
    """CuPy's error for what it does not take."""
    return TypeError(f"Unsupported type {type(value)}")


def operand(value: Any) -> Any:
    """An argument of a ufunc: an array of the current device, or a number."""
    if isinstance(value, ndarray):
        value.check_device()
        return value._host
    if isinstance(value, NUMBERS):
        return value
    raise unsupported(value)


def argument(value: Any) -> Any:
    """An argument of any other function: also a sequence of arrays, a dtype, a callable."""
    if isinstance(value, (ndarray, np.ndarray)):
        return operand(value)
    if isinstance(value, (tuple, list)):
        return type(value)(argument(item) for item in value)
    return value


def arrays_in(values: Any) -> Iterator[ndarray]:
    """The arrays among arguments or results."""
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from arrays_in(value)


def wrap(result: Any, given: Iterable[ndarray] = ()) -> Any:
    """NumPy's answer as the stand-in's.

    What was passed as `out` comes back as the same object, and a view knows its base. CuPy's linalg
    gives plain tuples where NumPy names them.
    """
    if isinstance(result, np.ndarray):
        base = None
        for array in given:
            if array._host is result:
                return array
            if result.base is not None and np.may_share_memory(array._host, result):
                base = array
        return ndarray.of(result) if base is None else base.view_of(result)
    if isinstance(result, np.generic):
        return ndarray.of(np.asarray(result))
    if isinstance(result, (tuple, list)):
        return (list if isinstance(result, list) else tuple)(wrap(item, given) for item in result)
    return result


def call(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The call of a function or method, its arguments already NumPy's, given the stand-in's."""
    host_args = [argument(value) for value in args]
    host_kwargs = {key: argument(value) for key, value in kwargs.items()}
    result = compute(function, *host_args, **host_kwargs)
    given = list(arrays_in((args, list(kwargs.values()))))
    result = wrap(result, given)
    if state.watchers:
        new = list(arrays_in((result,)))
        fresh = any(x.base is None and all(x is not y for y in given) for x in new)
        if new or result is None:
            launch(name, launches.count(name, args, kwargs, fresh))
    return result


def product(*operands: Any) -> None:
    """Matrix products call cuBLAS; the product of two vectors is a kernel and a sum."""
    vectors = all(getattr(operand, "ndim", None) == 1 for operand in operands)
    if not (vectors or state.own_blas):
        library("cuBLAS")


def poison(array: Any) -> Any:
    """Fill memory that nobody has written yet with a value that shows."""
    if array.dtype.kind in "fc":
        array.fill(np.nan)
    elif array.dtype.kind in "iu":
        array.fill(np.iinfo(array.dtype).max)
    return array


# ---- operators --------------------------------------------------------------------------------


def _operators(ufunc: np.ufunc) -> tuple[Callable[..., Any], ...]:
    """The forward, reflected and in-place operator for one ufunc."""

    def operate(self: ndarray, other: Any, left: Any, right: Any, **out: Any) -> Any:
        if getattr(type(other), "__array_ufunc__", ...) is None:
            return NotImplemented  # a Tensor: its own reflected operator has the last word
        times = 1
        if ufunc is np.matmul:
            product(left, right)
            if isinstance(other, ndarray) and state.watchers:
                times = launches.matrix_product(left, right)
        result = wrap(compute(ufunc, operand(left), operand(right), **out), (self,))
        launch(ufunc.__name__, times)
        return result

    def forward(self: ndarray, other: Any) -> Any:
        return operate(self, other, self, other, order="C")

    def reflected(self: ndarray, other: Any) -> Any:
        return operate(self, other, other, self, order="C")

    def in_place(self: ndarray, other: Any) -> Any:
        return operate(self, other, self, other, out=self._host, casting="same_kind")

    return forward, reflected, in_place


def _unary(ufunc: np.ufunc) -> Callable[[ndarray], ndarray]:
    def operate(self: ndarray) -> ndarray:
        result = wrap(compute(ufunc, operand(self), order="C"))
        launch(ufunc.__name__)
        return result

    return operate


# ---- the array --------------------------------------------------------------------------------


class ndarray:
    """CuPy's array. Its class says that it comes from `cupy`."""

    __module__ = "cupy"
    __slots__ = ("__weakref__", "_device_id", "_host", "_memory", "base")
    __array_priority__ = 100
    __hash__ = None

    _host: np.ndarray[Any, Any]
    _device_id: int
    _memory: Any
    base: ndarray | None

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: MemoryPointer | None = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        if strides is not None:
            raise NotImplementedError("stand-in: ndarray(strides=)")
        self.base = None
        if memptr is None:
            self._device_id = state.device
            self._host = poison(compute(np.empty, shape, dtype, order))
            self._memory = Memory(self._host, state.device, current.pool)
        else:  # an array of its own in memory that is there
            self._device_id = memptr.device_id
            self._host = memptr.show(shape, dtype)
            self._memory = memptr.mem

    @classmethod
    def of(cls, host: np.ndarray[Any, Any]) -> ndarray:
        """New memory of the current device, holding what NumPy has computed."""
        self = cls.__new__(cls)
        self._host, self._device_id, self.base = host, state.device, None
        self._memory = Memory(host, state.device, current.pool)
        return self

    @classmethod
    def foreign(cls, host: np.ndarray[Any, Any], device_id: int) -> ndarray:
        """Memory that another library owns, and CuPy's pool does not count."""
        self = cls.__new__(cls)
        self._host, self._device_id, self.base = host, device_id, None
        self._memory = Memory(host, device_id)
        return self

    def view_of(self, host: Any) -> Any:
        """A view lives where its base lives; taking one launches nothing."""
        if not isinstance(host, np.ndarray):
            return host
        view = ndarray.__new__(ndarray)
        view._host, view._device_id, view._memory = host, self._device_id, self._memory
        view.base = self if self.base is None else self.base
        return view

    def check_device(self) -> None:
        """ValueError unless the array's device is current."""
        if self._device_id != state.device:
            raise ValueError(
                f"array on device {self._device_id} used while device {state.device} is current"
            )

    # Nothing leaves by itself.

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed: use .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        raise TypeError(f"numpy.{name} called on a device array: use xp.{name}")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        raise TypeError(f"numpy.{name} called on a device array: use xp.{name}")

    # Copies to the host: each one waits.

    def _fetch(self, what: str) -> np.ndarray[Any, Any]:
        sync(what)
        if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
            launch("copy")  # to where it can be fetched in one piece
        return self._host

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray[Any, Any]:
        host = self._fetch("get()")
        if out is None:
            return host.copy(order)
        np.copyto(out, host, casting="no")
        return out

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._fetch(".item()").item()

    def __float__(self) -> float:
        return float(self._fetch("float()"))

    def __int__(self) -> int:
        return int(self._fetch("int()"))

    def __complex__(self) -> complex:
        return complex(self._fetch("complex()"))

    def __bool__(self) -> bool:
        return bool(self._fetch("bool()"))

    def __repr__(self) -> str:
        return repr(self._fetch("repr()"))

    def __str__(self) -> str:
        return str(self._fetch("str()"))

    def __format__(self, spec: str) -> str:
        return format(self._fetch("format()"), spec)

    def __reduce__(self) -> Any:
        return _unpickled, (self.get(),)

    # Copies from the host.

    def set(self, array: np.ndarray[Any, Any], stream: Any = None) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if array.dtype != self.dtype:
            raise TypeError(f"{array.dtype} array cannot be set to {self.dtype} array")
        if array.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {array.shape}")
        if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        upload("set()")
        self._host[...] = array

    # Exchange with other libraries.

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        host = self._host
        return {
            "shape": host.shape,
            "typestr": host.dtype.str,
            "descr": host.dtype.descr,
            "version": 3,
            "strides": None if host.flags.c_contiguous else host.strides,
            "data": (host.ctypes.data, False),
            "stream": 1,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self._device_id

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        if dl_device == (HOST, 0):
            if copy is False:
                raise ValueError("GPU memory cannot be exported to CPU without copy.")
            return self.get().__dlpack__(max_version=max_version)
        if dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("unsupported device requested.")
        if stream is None:  # who names no stream is on the host, and cannot read this
            raise BufferError("Unsupported device in DLTensor.")
        if copy:
            raise BufferError("copy=True only supported for copy to CPU.")
        return self._host.__dlpack__(max_version=max_version)

    # Structure.

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._memory, self._host.ctypes.data - self._memory.ptr)

    @property
    def device(self) -> Device:
        return Device(self._device_id)

    @property
    def flags(self) -> Flags:
        return Flags(self)

    @property
    def real(self) -> ndarray:
        return self.view_of(self._host.real) if self.dtype.kind == "c" else self

    def reduced_view(self) -> ndarray:
        return self.reshape(-1) if self._host.flags.c_contiguous else self

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[ndarray]:
        if not self._host.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[index] for index in range(len(self)))

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def __getattr__(self, name: str) -> Any:
        if name in API["ndarray"]:
            raise NotImplementedError(f"stand-in: cupy.ndarray.{name}")
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r} (CuPy {VERSION})")

    # Indexing.

    def __getitem__(self, key: Any) -> ndarray:
        key = Key(key, self.shape, operand)
        if key.basic:
            return self.view_of(self._host[key.items])
        self.check_device()
        result = ndarray.of(np.array(self._host[key.items]))
        launch("x[array]", key.reads())
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        self.check_device()
        key = Key(key, self.shape, operand)
        if isinstance(value, (list, tuple, np.ndarray)):
            if np.ndim(value):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = np.asarray(value)[()]
        host = operand(value)
        if key.integers and getattr(value, "size", 1) > 1:
            key.check_distinct()
        if key.basic and isinstance(value, ndarray) and _same(self._host[key.items], host):
            return  # x[key] += y has done it already
        compute(self._host.__setitem__, key.items, host)
        launch("x[key] = y", key.writes(value))

    def scatter(self, name: str, key: Any, value: Any = None) -> None:
        """`cupy.add.at` and its relatives."""
        if name not in API["ufuncs_with_at"]:
            raise NotImplementedError(f"cupy.{name}.at does not exist")
        if self.dtype.name not in AT_DTYPES[name].split():
            raise TypeError(f"cupy.{name}.at supports only {AT_DTYPES[name]}, not {self.dtype}")
        self.check_device()
        key = Key(key, self.shape, operand)
        values = () if value is None else (operand(value),)
        compute(getattr(np, name).at, self._host, key.items, *values)
        launch(f"{name}.at", key.writes(value))

    def scatter_add(self, key: Any, value: Any) -> None:
        self.scatter("add", key, value)

    # Operators.

    __add__, __radd__, __iadd__ = _operators(np.add)
    __sub__, __rsub__, __isub__ = _operators(np.subtract)
    __mul__, __rmul__, __imul__ = _operators(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _operators(np.true_divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(np.floor_divide)
    __mod__, __rmod__, __imod__ = _operators(np.remainder)
    __pow__, __rpow__, __ipow__ = _operators(np.power)
    __and__, __rand__, __iand__ = _operators(np.bitwise_and)
    __or__, __ror__, __ior__ = _operators(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(np.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _operators(np.left_shift)
    __rshift__, __rrshift__, __irshift__ = _operators(np.right_shift)
    __matmul__, __rmatmul__, _ = _operators(np.matmul)  # CuPy has no in-place @
    __lt__, __gt__, _ = _operators(np.less)
    __le__, __ge__, _ = _operators(np.less_equal)
    __eq__ = _operators(np.equal)[0]
    __ne__ = _operators(np.not_equal)[0]
    del _
    __neg__ = _unary(np.negative)
    __pos__ = _unary(np.positive)
    __abs__ = _unary(np.absolute)
    __invert__ = _unary(np.invert)


class Flags:
    """`array.flags`: three facts and their names in NumPy's short form."""

    def __init__(self, array: ndarray) -> None:
        self.c_contiguous = array._host.flags.c_contiguous
        self.f_contiguous = array._host.flags.f_contiguous
        self.owndata = array.base is None
        self.fnc = self.f_contiguous and not self.c_contiguous
        self.forc = self.f_contiguous or self.c_contiguous


def _same(x: np.ndarray[Any, Any], y: Any) -> bool:
    """Whether two arrays are the same piece of memory."""
    one, other = ((a.ctypes.data, a.shape, a.strides, a.dtype) for a in (x, y))
    return one == other


def _unpickled(host: np.ndarray[Any, Any]) -> ndarray:
    upload("unpickling")
    return ndarray.of(host)
