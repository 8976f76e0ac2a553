"""`cupy`'s functions: CuPy's names and parameters, NumPy's arithmetic.

Order: ufuncs · functions · random numbers.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from . import launches
from .api import API, VERSION, Module, words
from .array import (
    CUDA,
    HOST,
    PRODUCTS,
    argument,
    arrays_in,
    call,
    compute,
    ndarray,
    operand,
    poison,
    product,
    unsupported,
    wrap,
)
from .methods import syncs_for
from .traffic import launch, library, state, sync, upload

# These copy a size, a flag or a value to the host before they return.
SYNCING = words("""
    argwhere asarray_chkfinite asnumpy bincount compress delete extract flatnonzero histogram
    histogram2d histogramdd ix_ mask_indices nanmax nanmin nonzero place ravel_multi_index
    real_if_close trim_zeros unique unravel_index
    """)
FROM_HOST = words("array asanyarray asarray ascontiguousarray asfortranarray")
TAKES_ANYTHING = FROM_HOST | words("asnumpy isscalar ndim shape size")
DEVICE_BOOLEANS = words("allclose array_equal array_equiv")
REFUSED_KEYWORDS = {"einsum": {"out", "order", "casting"}}  # accepted by **kwargs, then refused
ONLY_FOR = {
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
}

# ---- ufuncs -----------------------------------------------------------------------------------


class ufunc:
    """A CuPy ufunc: `out`, `dtype` and `casting` are its only keywords."""

    def __init__(self, name: str) -> None:
        self.name = self.__name__ = name
        self._host = getattr(np, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= {"out", "dtype", "casting"}:
            raise TypeError(f"Wrong arguments {sorted(kwargs)} for cupy.{self.name}")
        times = 1
        if self.name == "matmul":
            product(*args[:2])
            times = launches.matrix_product(*args, out=kwargs.get("out"))
        out = kwargs.pop("out", None)
        given = (*args[self._host.nin :], *(out if isinstance(out, tuple) else (out,)))
        outputs = [array for array in given if array is not None]
        host_kwargs = {key: argument(value) for key, value in kwargs.items()}
        if outputs:
            host_kwargs["out"] = tuple(operand(array) for array in outputs)
        else:
            host_kwargs["order"] = "C"
        host_args = [operand(value) for value in args[: self._host.nin]]
        result = wrap(compute(self._host, *host_args, **host_kwargs), outputs)
        launch(self.name, times)
        return result

    def at(self, array: ndarray, key: Any, value: Any = None) -> None:
        array.scatter(self.name, key, value)

    def _method(self, method: str, times: int, *args: Any) -> Any:
        if self.name not in ONLY_FOR[method]:
            raise NotImplementedError(f"cupy.{self.name}.{method} does not exist")
        given = [array for array in args if isinstance(array, ndarray)]
        host_method = getattr(self._host, method)
        result = wrap(compute(host_method, *(argument(value) for value in args)), given)
        launch(f"{self.name}.{method}", times)
        return result

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        times = launches.reduction(array, axis, dtype, out)
        return self._method("reduce", times, array, axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        return self._method("accumulate", 2, array, axis, dtype, out)

    def reduceat(
        self, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None
    ) -> Any:
        return self._method("reduceat", 1, array, indices, axis, dtype, out)

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        result = wrap(compute(self._host.outer, operand(a), operand(b), **kwargs))
        launch(f"{self.name}.outer")
        return result


# ---- functions --------------------------------------------------------------------------------


class Functions(Module):
    """`cupy` or one of its submodules, as far as NumPy has a function of that name."""

    def _find(self, name: str) -> Any:
        _cupy, _dot, submodule = self.__name__.partition(".")
        host_module = attrgetter(submodule)(np) if submodule else np
        value = getattr(host_module, name, None)
        if name == "newaxis" or name in ("s_", "index_exp"):
            return value
        if value is None or isinstance(value, types.ModuleType):
            raise NotImplementedError(f"stand-in: {self.__name__}.{name}")
        if not submodule and name in API["ufuncs"]:
            return ufunc(name)
        if isinstance(value, (int, float, type)):
            return value
        if not callable(value):
            raise NotImplementedError(f"stand-in: {self.__name__}.{name}")
        return self._function(name, value)

    def _function(self, name: str, host: Callable[..., Any]) -> Callable[..., Any]:
        signature = self._table[name]
        known = None if signature is None else signature.split(", ")
        refused = REFUSED_KEYWORDS.get(name, set())
        wants_an_array = bool(known) and known[0] in ("a", "x", "ar")
        wants_an_array = wants_an_array and name not in TAKES_ANYTHING
        solver = {"cupy.linalg": "cuSOLVER", "cupy.random": "cuRAND"}.get(self.__name__)

        def function(*args: Any, **kwargs: Any) -> Any:
            unknown = refused & kwargs.keys()
            if known and not {"args", "kwargs"} & set(known):
                unknown |= kwargs.keys() - set(known)
            if unknown:
                text = f"{name}() got an unexpected keyword argument {sorted(unknown)[0]!r}"
                raise TypeError(text)
            if wants_an_array and args and isinstance(args[0], (list, tuple)):
                raise unsupported(args[0])
            if name in SYNCING or syncs_for(name, args, kwargs):
                sync(f"cupy.{name}()")
            if name in PRODUCTS:
                product(*args[:2])
            if solver:
                library(solver)
            return run(*args, **kwargs)

        def run(*args: Any, **kwargs: Any) -> Any:
            if name in FROM_HOST:
                return from_host(name, host, *args, **kwargs)
            if name in launches.JOINING:
                for _ in range(launches.uploads_of_joining(args[0])):
                    upload(f"cupy.{name}()")
            if name in DEVICE_BOOLEANS:
                return call(name, lambda *a, **k: np.asarray(host(*a, **k)), args, kwargs)
            result = call(name, host, args, kwargs)
            if name in ("empty", "empty_like"):
                poison(result._host)
            return result

        function.__name__ = function.__qualname__ = name
        return function


def from_host(
    name: str,
    host: Callable[..., Any],
    data: Any,
    *args: Any,
    blocking: bool = False,
    **kwargs: Any,
) -> Any:
    """`array` and its kin: what lies on the host, or on another device, is copied to this one."""
    if isinstance(data, ndarray):
        if data._device_id == state.device:
            return call(name, host, (data, *args), kwargs)
        values = data._host
        launch("copy from another device")
    elif isinstance(data, (tuple, list)) and (parts := list(arrays_in(data))):
        values = np.array(argument(data))
        launch("concatenate", len(parts))
    else:
        values = np.asarray(data)
        if values.ndim:
            upload(f"cupy.{name}() of host data")
        else:
            launch("fill")  # the number is an argument of the kernel
    kwargs.pop("copy", None)
    return ndarray.of(np.array(compute(host, values, *args, **kwargs)))


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    """`cupy.from_dlpack`: the same memory, which another library goes on to own."""
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support device yet.")
    kind, index = array.__dlpack_device__()
    if kind == HOST:
        raise TypeError(
            "CPU arrays cannot be directly imported to CuPy. "
            "Use `cupy.array(numpy.from_dlpack(input))` instead."
        )
    if kind != CUDA:
        raise TypeError(f"Unsupported array type: {kind}")
    capsule = array.__dlpack__(stream=1, max_version=(1, 0), copy=copy)
    return ndarray.foreign(np.from_dlpack(_OnHost(capsule)), index)


class _OnHost:
    """What NumPy needs to know of a capsule, in which the stand-in's memory is the host's."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return HOST, 0

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule


def asnumpy(array: Any, *args: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
    """`cupy.asnumpy`: waits for a device array."""
    return array.get(*args, **kwargs) if isinstance(array, ndarray) else np.asarray(array)


# ---- random numbers ---------------------------------------------------------------------------


class Generator:
    """`cupy.random.Generator`: few of NumPy's methods, and other numbers than NumPy's."""

    def __init__(self, seed: Any = None) -> None:
        self._host: Any = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = type(self).__name__
        if name.startswith("_") or name not in API[known]:
            raise AttributeError(f"cupy.random.{known} has no {name!r} (CuPy {VERSION})")

        def draw(*args: Any, **kwargs: Any) -> Any:
            launch(name)
            return wrap(getattr(self._host, name)(*args, **kwargs))

        return draw


class RandomState(Generator):
    """`cupy.random.RandomState`: cuRAND's host interface, refused during capture."""

    def __init__(self, seed: Any = None) -> None:
        library("cuRAND")
        self._host = np.random.RandomState(seed)
