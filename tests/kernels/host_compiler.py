"""Compile CUDA text as host C++ and load it.

Products and sums are not contracted (`-ffp-contract=off`), so that a kernel has the bits of the
NumPy text that defines it; a GPU does contract them. Libraries are kept in a temporary folder, by
their text, from one run to the next.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import cupy
import numpy as np
from cupy._core import core

HERE = Path(__file__).parent
HEADER = "cuda_on_cpu.h"
INCLUDE = (HERE, Path(core.__file__).parent / "include")
FLAGS = ("-O1", "-std=c++17", "-fPIC", "-ffp-contract=off", "-w", "-U_FORTIFY_SOURCE")

NUMPY_TO_C = {
    "bool": "bool",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}


def c_type(dtype: np.dtype) -> str:
    """The C++ type of a dtype; half types are not modelled on the CPU."""
    try:
        return NUMPY_TO_C[dtype.name]
    except KeyError:
        raise TypeError(f"no C++ type on the CPU for {dtype}") from None


def draft(path: Path) -> Path:
    """Where this process writes what then takes its place at once: another may be reading."""
    return path.with_name(f"{path.stem}-{os.getpid()}{path.suffix}")


def write(path: Path, text: str) -> Path:
    """A file with this text."""
    draft(path).write_text(text)
    return draft(path).replace(path)


def build(target: Path, *arguments: str | Path) -> None:
    """Run g++; RuntimeError with its words where it refuses."""
    command = ["g++", *FLAGS, *(f"-I{path}" for path in INCLUDE), *map(str, arguments)]
    done = subprocess.run([*command, "-o", str(draft(target))], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ refused the kernel:\n{done.stderr}")
    draft(target).replace(target)


@functools.cache
def folder() -> Path:
    """Where the libraries of this header, CuPy and compiler are, with the header precompiled."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    parts = [(HERE / HEADER).read_text(), cupy.__version__, compiler.stdout, *FLAGS]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"cuda-on-cpu-{os.getuid()}-{key}"
    path.mkdir(mode=0o700, exist_ok=True)
    precompiled = path / "all.h.gch"
    if not precompiled.exists():
        text = f'#include "{HEADER}"\n#include <cupy/carray.cuh>\n'
        build(precompiled, "-x", "c++-header", write(path / "all.h", text))
    return path


@functools.cache
def load(source: str) -> ctypes.CDLL:
    """The shared library of a C++ text, which sees CUDA's words and CuPy's arrays."""
    key = hashlib.sha256(source.encode()).hexdigest()[:24]
    library = folder() / f"{key}.so"
    if not library.exists():
        text = write(library.with_suffix(".cpp"), f'#include "all.h"\n{source}')
        build(library, "-shared", f"-I{folder()}", text)
    return ctypes.CDLL(str(library))
