"""What `doctor` says of GPUs: the driver, CuPy, each device and what works on it.

Order: the rows · the driver and CuPy's wheels · devices.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..device import ENVIRONMENT_VARIABLE, Device, default_device, readable, why_no_cuda
from ..kernels import ENVIRONMENT_VARIABLE as KERNELS
from ..kernels import has_kernels

Row = list[str]  # what was looked at, what was found, what there is to say

FAILS = "fails"  # it is there and does not work


def rows() -> Iterator[Row]:
    """A row for each thing looked at."""
    reason = why_no_cuda()
    yield ["cuda", "no" if reason else "yes", reason or "ok"]
    driver, row = _driver()
    yield row
    yield from _wheels(driver)
    cupy: Any = sys.modules.get("cupy")
    if cupy is not None:
        yield _versions(cupy)
    if reason is None:
        for index in range(cupy.cuda.runtime.getDeviceCount()):
            yield from _device(Device(f"cuda:{index}"))
        on = "on" if has_kernels(cupy) else "off"
        yield ["kernels", on, f"{KERNELS}=0 runs the calls that define them instead"]
        yield _cache()
    yield _default()


# ---- the driver and CuPy's wheels -------------------------------------------------------------

DRIVERS = {"cuda13": 580, "cuda12": 525}  # the oldest one for each


def _driver() -> tuple[int, Row]:
    """The number of the driver's series, 0 where there is none, and the row."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0, ["driver", "no", "no nvidia-smi, which comes with the driver of an NVIDIA GPU"]
    question = [program, "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=30)
        version, _, gpus = answer.stdout.strip().replace("\n", "; ").partition(", ")
        return int(version.split(".")[0]), ["driver", version, gpus]
    except ValueError:
        said = answer.stdout + answer.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    return 0, ["driver", FAILS, f"nvidia-smi says: {' '.join(said.split()) or 'nothing'}"]


def _wheels(driver: int) -> Iterator[Row]:
    """The installed builds of CuPy: there should be one, and the driver should run it."""
    found = sorted(set(importlib.metadata.packages_distributions().get("cupy", [])))
    if not found:
        yield ["cupy", "no", f"optional: {_install(driver)}"]
    for name in found:
        needed = next((DRIVERS[extra] for extra in DRIVERS if extra in name), 0)
        says = "ok"
        if len(found) > 1:
            says = f"they overwrite each other: pip uninstall {' '.join(found)}; {_install(driver)}"
        elif driver and driver < needed:
            says = f"needs driver {needed} or newer: pip uninstall {name}; {_install(driver)}"
        yield [name, importlib.metadata.version(name), says]


def _install(driver: int) -> str:
    """The line that installs the CuPy that a driver runs."""
    lines = {extra: f'pip install "tinygrad-opt[{extra}]"' for extra in DRIVERS}
    if not driver:
        return " or ".join(f"{lines[extra]} for driver {DRIVERS[extra]} on" for extra in DRIVERS)
    runs = [extra for extra, oldest in DRIVERS.items() if driver >= oldest]
    return lines[runs[0]] if runs else f"update the driver to {min(DRIVERS.values())} or newer"


def _versions(cupy: Any) -> Row:
    """The CUDA that CuPy brings, and the newest one that the driver runs."""
    try:
        own, newest = (
            f"{number // 1000}.{number % 1000 // 10}"
            for number in (
                cupy.cuda.runtime.runtimeGetVersion(),
                cupy.cuda.runtime.driverGetVersion(),
            )
        )
    except Exception as error:
        return ["cuda runtime", FAILS, _text(error)]
    says = "there is no driver" if newest == "0.0" else f"the driver runs up to {newest}"
    return ["cuda runtime", own, says]


# ---- devices ----------------------------------------------------------------------------------


def _device(device: Device) -> Iterator[Row]:
    """What a GPU is, what works on it, and what does not: why, and what to do."""
    try:
        cuda, memory = device.xp.cuda, device.memory_info()
        name = cuda.runtime.getDeviceProperties(device.index)["name"].decode()
        major, minor = divmod(int(cuda.Device(device.index).compute_capability), 10)
        room = f"{readable(memory.total)}, {readable(memory.free)} free"
        yield [repr(device), name, f"{room}, compute capability {major}.{minor}"]
    except Exception as error:
        yield [repr(device), FAILS, _text(error)]
    works = []
    for what, attempt, advice in TRIES:
        try:
            with device.activate():
                result = device.to_host(attempt(device.xp))
            if not (result == 8).all():
                raise ArithmeticError(f"it gives {result.ravel().tolist()}, not eights")
            works.append(what)
        except Exception as error:
            yield [f"{device}: {what}", FAILS, f"{_text(error)} {advice.format(_wheel())}"]
    yield [f"{device}: works", f"{len(works)} of {len(TRIES)}", ", ".join(works) or "nothing"]


def _add(xp: Any) -> Any:
    return xp.full(4, 5, "float32") + xp.full(4, 3, "float32")


def _multiply(xp: Any) -> Any:
    return xp.ones((4, 8), "float32") @ xp.ones((8, 4), "float32")


def _compile(xp: Any) -> Any:
    double = xp.ElementwiseKernel("float32 x", "float32 y", "y = 2 * x", "tinygrad_opt_doctor")
    return double(xp.full(4, 4, "float32"))


def _wheel() -> str:
    """The wheel of CuPy that is installed; where none or both are, that of the latest CUDA."""
    found = set(importlib.metadata.packages_distributions().get("cupy", []))
    return "cupy-cuda12x" if found == {"cupy-cuda12x"} else "cupy-cuda13x"


LIBRARIES = 'CuPy\'s extra [ctk] brings the libraries of CUDA: pip install "{}[ctk]"'

TRIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("upload", lambda xp: xp.asarray([8.0], "float32"), "nvidia-smi shows who uses the GPU."),
    ("add", _add, LIBRARIES),
    ("multiply matrices", _multiply, LIBRARIES),
    ("compile a kernel", _compile, LIBRARIES),
]


def _cache() -> Row:
    if os.environ.get("CUPY_CACHE_IN_MEMORY") == "1":
        return ["kernel cache", "no", "CUPY_CACHE_IN_MEMORY=1: every process compiles anew"]
    folder = os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache"
    return ["kernel cache", str(folder), "CUPY_CACHE_DIR sets another folder"]


def _default() -> Row:
    try:
        return ["default device", repr(default_device()), f"{ENVIRONMENT_VARIABLE} sets another"]
    except Exception as error:
        return ["default device", FAILS, _text(error)]


def _text(error: Exception) -> str:
    """What went wrong, as a sentence."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}."
