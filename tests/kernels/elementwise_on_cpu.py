"""Real `cupy.ElementwiseKernel` objects on the stand-in's arrays.

A kernel object asks its arguments for `__cupy_override_elementwise_kernel__` before it touches a
device. The answer asks CuPy's own generator for the CUDA text of this very call, compiles it with
g++, and runs it in place: so the text is valid C++, computes the right numbers, and CuPy's rules
for types accept the call.

Limits: at least one argument must not be `raw` (CuPy removes `size=` before it asks); one flat
dimension; no half types. CuPy's private names are held to the installed version by a test.
"""

from __future__ import annotations

import ctypes
import functools
from math import prod
from typing import Any

import cupy
import numpy as np
from cupy._core import _carray, _kernel, _scalar

from tests.standin.array import operand, wrap
from tests.standin.traffic import launch

from .host_compiler import c_type, load
from .recording import HEADERS, Source, record

NDARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's enum _ArgKind
Values = list[Any]  # NumPy arrays and numbers
Dtypes = tuple[np.dtype | None, ...]


class Variant:
    """A kernel for arguments of these dtypes: an array's, or None for a number."""

    def __init__(self, kernel: Any, dtypes: Dtypes) -> None:
        params = [*kernel.in_params, *kernel.out_params]
        placeholders: dict[str, np.dtype] = {}
        for index in [*range(kernel.nin, len(params)), *range(kernel.nin)]:  # CuPy's order
            dtype = dtypes[index]
            if params[index].dtype is None and dtype is not None:
                placeholders.setdefault(params[index].ctype, dtype)
        self.dtypes = [np.dtype(p.dtype or placeholders[p.ctype]) for p in params]
        for param, given, wanted in zip(params, dtypes, self.dtypes):
            if given is not None and given != wanted:
                raise TypeError(f"Type is mismatched. {param.name} {given} {wanted}")
        self.kernel, self.arrays = kernel, [dtype is not None for dtype in dtypes]
        self.text = self.cuda_text(params, placeholders)

    def cuda_text(self, params: list[Any], placeholders: dict[str, np.dtype]) -> str:
        """The text that CuPy generates where the arrays lie in one piece."""
        kernel = self.kernel
        infos = [
            _kernel._ArgInfo(NDARRAY, cupy.ndarray, dtype, 1, True, False)
            if is_array
            else _kernel._ArgInfo(SCALAR, _scalar.CScalar, dtype, 0, True, True)
            for dtype, is_array in zip(self.dtypes, self.arrays)
        ]
        infos.append(_kernel._ArgInfo(INDEXER, _carray.Indexer, None, 1, True, False))
        indexer = _kernel._get_param_info("CIndexer _ind", False)
        text: str = _kernel._get_elementwise_kernel_code(
            tuple(infos),
            _kernel._TypeMap(tuple(sorted(placeholders.items()))),
            (*params, *indexer),
            kernel.operation,
            kernel.name,
            kernel.preamble,
            **kernel.kwargs,
        )
        return text

    @functools.cached_property
    def entry(self) -> Any:
        """The function that runs the text, as the only thread, which strides over everything."""
        declared, passed = [], []
        for index, (dtype, is_array) in enumerate(zip(self.dtypes, self.arrays)):
            name = c_type(dtype)
            declared.append(
                f"void* x{index}, ptrdiff_t n{index}" if is_array else f"{name} x{index}"
            )
            array = f"CArray<{name}, 1, 1, 0>(({name}*)x{index}, &n{index})"
            passed.append(array if is_array else f"x{index}")
        library = load(
            f"{self.text}\n"
            f'extern "C" void entry({", ".join(declared)}, ptrdiff_t size) {{\n'
            "    CIndexer<1, 0> indexer(&size);\n"
            f"    {self.kernel.name}({', '.join(passed)}, indexer);\n"
            "}\n"
        )
        return library.entry

    def run(self, values: Values, size: int) -> None:
        """Run it on arrays in one piece and on numbers, outputs in place."""
        record(Source(self.kernel.name, self.text, HEADERS))
        arguments: list[Any] = []
        for value, dtype, is_array in zip(values, self.dtypes, self.arrays):
            if is_array:
                arguments += [ctypes.c_void_p(value.ctypes.data), ctypes.c_ssize_t(value.size)]
            else:
                arguments.append(np.ctypeslib.as_ctypes_type(dtype)(dtype.type(value).item()))
        self.entry(*arguments, ctypes.c_ssize_t(size))


variant = functools.lru_cache(maxsize=None)(Variant)


def call(array: Any, kernel: Any, *args: Any, **kwargs: Any) -> Any:
    """What `kernel(*args)` does where one of the arguments is the stand-in's."""
    if not isinstance(kernel, cupy.ElementwiseKernel):
        raise TypeError(f"CuPy's own ufunc {kernel.name} called on a stand-in array")
    if kwargs:
        raise TypeError(f"Wrong arguments {sorted(kwargs)}")
    if not kernel.reduce_dims or "_ind.get()" in kernel.operation:
        raise NotImplementedError("one flat dimension only")
    params = [*kernel.in_params, *kernel.out_params]
    given = [operand(arg) for arg in args]  # refuses host arrays
    shapes = [
        value.shape
        for param, value in zip(params, given)
        if isinstance(value, np.ndarray) and not param.raw
    ]
    if not shapes:
        raise NotImplementedError("every argument is raw, and the size is unknown")
    shape = np.broadcast_shapes(*shapes)
    if len(given) == kernel.nin:
        given += new_outputs(kernel, given, shape)
    for param, value in zip(params[kernel.nin :], given[kernel.nin :]):
        if not param.raw and value.shape != shape:
            raise ValueError("Out shape is mismatched")
    values = [in_one_piece(param, value, shape) for param, value in zip(params, given)]
    size = prod(shape)
    if size:
        dtypes = tuple(v.dtype if isinstance(v, np.ndarray) else None for v in values)
        variant(kernel, dtypes).run(values, size)
        launch(kernel.name)
    arrays = [arg for arg in args if hasattr(arg, "_host")]
    for value, out in zip(values[kernel.nin :], given[kernel.nin :]):
        if not np.may_share_memory(value, out):
            out[...] = value.reshape(out.shape)
    outputs = [wrap(out, arrays) for out in given[kernel.nin :]]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def in_one_piece(param: Any, value: Any, shape: tuple[int, ...]) -> Any:
    """An array as the text sees it, broadcast and in C order; a number as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if not param.raw and value.shape != shape:
        value = np.broadcast_to(value, shape)
    return np.ascontiguousarray(value)


def new_outputs(kernel: Any, inputs: Values, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Memory for the outputs, which holds what no result should."""
    placeholders = {
        param.ctype: value.dtype
        for param, value in zip(kernel.in_params, inputs)
        if param.dtype is None and isinstance(value, np.ndarray)
    }
    dtypes = [np.dtype(p.dtype or placeholders[p.ctype]) for p in kernel.out_params]
    return [np.full(shape, -77, np.int64).astype(dtype) for dtype in dtypes]
