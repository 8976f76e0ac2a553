"""CUDA's compiler as a library, on a machine without a GPU or driver.

Release 13 knows GPUs from compute capability 7.5 on; release 12 also 7.0. Both come as wheels.
"""

from __future__ import annotations

import ctypes
import functools
import re
from pathlib import Path
from typing import NamedTuple

import nvidia
from cupy._core import core

LIBRARIES = {12: "cuda_nvrtc/lib/libnvrtc.so.12", 13: "cu13/lib/libnvrtc.so.13"}
COMPILER = {"70": 12, "80": 13, "90": 13}  # for each architecture
INCLUDE = Path(core.__file__).parent / "include"
OPTIONS = (
    "--std=c++17",
    *(f"-I{INCLUDE}/cupy/_cccl/{part}" for part in ("cub", "thrust", "libcudacxx")),
    f"-I{INCLUDE}",
)


class Usage(NamedTuple):
    """What the assembler reports for one kernel."""

    registers: int
    spilled: int  # bytes stored to and loaded from memory for want of registers


@functools.cache
def library(release: int) -> ctypes.CDLL:
    """NVRTC of this release; ImportError where its wheel is not installed."""
    for folder in nvidia.__path__:
        path = Path(folder) / LIBRARIES[release]
        if path.exists():
            return ctypes.CDLL(str(path))
    raise ImportError(f"NVRTC {release} is not installed")


def compile_for(architecture: str, text: str, options: tuple[str, ...] = ()) -> dict[str, Usage]:
    """What each kernel of a text uses; RuntimeError with the compiler's words if it refuses."""
    nvrtc = library(COMPILER[architecture])
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    given = (f"-arch=sm_{architecture}", "--ptxas-options=-v", *OPTIONS, *options)
    array = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
    refused = nvrtc.nvrtcCompileProgram(program, len(given), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    said = log.value.decode()
    if refused:
        raise RuntimeError(f"sm_{architecture}: the compiler refused the kernel:\n{said}")
    usage = {}
    for name, part in re.findall(
        r"entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", said, re.DOTALL
    ):
        registers = re.search(r"Used (\d+) registers", part)
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        assert registers and spills, said
        usage[name] = Usage(int(registers[1]), int(spills[1]) + int(spills[2]))
    return usage
