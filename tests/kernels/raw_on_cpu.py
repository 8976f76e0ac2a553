"""`cupy.RawKernel` on the stand-in's arrays: hand-written CUDA text, barriers included.

Each CUDA thread is a fiber (see `cuda_on_cpu.h`), so `__shared__` memory, `__syncthreads()`, warp
shuffles and atomics mean what they say. Every launch runs twice, the last thread of a block first
and the first one first: where the results differ, a barrier is missing.

Unlike CuPy, which checks nothing, a launch compares its arguments with the signature.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import cupy
import numpy as np

from tests.standin.array import ndarray
from tests.standin.traffic import launch

from .host_compiler import NUMPY_TO_C, load
from .recording import Source, record

C_TO_NUMPY = {name: dtype for dtype, name in NUMPY_TO_C.items()} | {
    "char": "int8",
    "unsigned": "uint32",
    "long": "int64",
    "unsigned long": "uint64",
    "size_t": "uint64",
    "ptrdiff_t": "int64",
}
PYTHON = {bool: "bool", int: "int64", float: "float64"}  # as which CuPy passes a number
LIMITS = (1024, 1024, 64)  # threads of a block along x, y, z


class Parameter(NamedTuple):
    """One of a kernel's signature."""

    name: str
    dtype: str
    pointer: bool
    constant: bool


def parameters(text: str, name: str) -> list[Parameter]:
    """The signature of a kernel, `typedef` resolved."""
    found = re.search(
        rf'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?{name}\s*'
        r"\(([^)]*)\)",
        text,
    )
    if not found:
        raise ValueError(f'no extern "C" __global__ function {name!r} in the text')
    aliases = {new: old for old, new in re.findall(r"typedef\s+([\w ]+?)\s+(\w+);", text)}
    signature = []
    for declaration in found[1].split(","):
        constant = bool(re.search(r"\bconst\b", declaration))
        bare = re.sub(r"\b(const|__restrict__)\b", " ", declaration)
        *words, own_name = bare.replace("*", " ").split()
        c_name = " ".join(words)
        c_name = aliases.get(c_name, c_name)
        if c_name not in C_TO_NUMPY:
            raise TypeError(f"{name}: the runner knows no {c_name}")
        signature.append(Parameter(own_name, C_TO_NUMPY[c_name], "*" in bare, constant))
    return signature


class RawKernel:
    """A kernel with CuPy's signature, called with (grid, block, args)."""

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc"
    ) -> None:
        cupy.RawKernel(code, name, options, backend)  # CuPy looks at them too
        self.code, self.name, self.options = code, name, options
        self.parameters = parameters(code, name)
        names = [f"x{index}" for index in range(len(self.parameters))]
        types = [
            NUMPY_TO_C[parameter.dtype] + "*" * parameter.pointer for parameter in self.parameters
        ]
        self.host_text = (
            f"{code}\n"
            'extern "C" void entry(const unsigned* grid, const unsigned* block, bool backwards, '
            f"{', '.join(map(' '.join, zip(types, names)))}) {{\n"
            "    emulator::launch(grid, block, backwards, [=] {\n"
            f"        {name}({', '.join(names)});\n"
            "    });\n"
            "}\n"
        )

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        if math.prod(block) > 1024 or any(n > most for n, most in zip(block, LIMITS)):
            raise ValueError(f"{self.name}: a GPU has no block of {tuple(block)} threads")
        if min(*grid, *block) < 1:
            raise ValueError(f"{self.name}: an empty launch, grid {tuple(grid)}")
        values = self.checked(args)
        record(Source(self.name, self.code, options=self.options))
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        before = [array.copy() for array in arrays]
        self.run(grid, block, values, backwards=True)
        other = [array.copy() for array in arrays]
        for array, old in zip(arrays, before):
            array[...] = old
        self.run(grid, block, values)
        for array, result in zip(arrays, other):
            self.compare(array, result)
        launch(self.name)

    def run(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        values: Sequence[Any],
        backwards: bool = False,
    ) -> None:
        """Run it once, in one order of the threads."""
        arguments = [
            ctypes.c_void_p(value.ctypes.data)
            if isinstance(value, np.ndarray)
            else np.ctypeslib.as_ctypes_type(value.dtype)(value.item())
            for value in values
        ]
        library = load(self.host_text)
        library.entry(_three(grid), _three(block), ctypes.c_bool(backwards), *arguments)

    def checked(self, args: Sequence[Any]) -> list[Any]:
        """The arguments as NumPy's; TypeError where CuPy would launch, and read garbage."""
        if len(args) != len(self.parameters):
            raise TypeError(
                f"{self.name} takes {len(self.parameters)} arguments, and was given {len(args)}"
            )
        return [self.check(parameter, arg) for parameter, arg in zip(self.parameters, args)]

    def check(self, parameter: Parameter, arg: Any) -> Any:
        """One argument as NumPy's."""
        where = f"{self.name}({parameter.name})"
        if parameter.pointer != isinstance(arg, ndarray):
            kind = "an array" if parameter.pointer else f"a number, {parameter.dtype}"
            raise TypeError(f"{where} is {kind}, and was given a {type(arg).__name__}")
        if parameter.pointer:
            arg.check_device()
            if not arg.flags.c_contiguous:
                raise TypeError(f"{where}: the array is not C-contiguous")
            arg = arg._host
        dtype = arg.dtype.name if hasattr(arg, "dtype") else PYTHON[type(arg)]
        if dtype != parameter.dtype:
            raise TypeError(f"{where} is {parameter.dtype}, and was given {dtype}")
        return arg if parameter.pointer else np.dtype(dtype).type(arg)

    def compare(self, one: np.ndarray, other: np.ndarray) -> None:
        """RuntimeError unless both orders of the threads gave the same; atomics may round."""
        same = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        if "atomicAdd" in self.code and one.dtype.kind == "f":
            same = np.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True)
        if not same:
            raise RuntimeError(
                f"{self.name}: the result depends on the order of the threads. "
                "Is a barrier missing?"
            )


def _three(sizes: Sequence[int]) -> ctypes.Array[ctypes.c_uint]:
    return (ctypes.c_uint * 3)(*[*sizes, 1, 1][:3])
