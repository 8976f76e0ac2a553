"""How fast we are on a GPU, PyTorch beside us on the same one: python -m benchmarks.gpu

A part that is finished is written at once into results/gpu-<name of the GPU>.json, with the date
and the versions that it was measured with; parts of earlier runs stay as they are. Times are
medians with the quantiles that hold four fifths of the runs; a ratio is our time over theirs, turn
by turn, with its quartiles. Without a GPU nothing is measured or written, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt.device import Device, why_no_cuda

from . import gpu_checks, gpu_speed, results
from .timing import Bench, Line

RESULTS = Path(__file__).with_name("results")
PARTS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "launch": gpu_speed.launch,
    "optimizer": gpu_speed.optimizer,
    "mlp": gpu_speed.mlp,
    "large": gpu_speed.large,
    "determinism": gpu_checks.determinism,
    "memory": gpu_checks.memory,
    "import": gpu_checks.first_steps,
    "kernels": gpu_speed.kernels,  # the last: see launches()
}
SIZED = ("launch", "optimizer", "mlp", "large", "memory")
SETTINGS = ("CUPY_TF32", "CUPY_ACCELERATORS", "TINYGRAD_OPT_KERNELS", "OPENBLAS_NUM_THREADS")


def main(argv: list[str] | None = None) -> int:
    """Measure, write and print; 2 where there is no GPU, 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument(
        "--sizes", type=count, nargs="+", help="elements, parameters (1e6) or widths of the part"
    )
    parser.add_argument("--runs", type=count, default=100, help="runs of every peer (100)")
    parser.add_argument("--output", type=Path, help="another file for the results")
    words = parser.parse_args(argv)
    if words.sizes and words.part not in SIZED:
        parser.error(f"--sizes belongs to one part: {', '.join(SIZED)}")
    reason = why_no_cuda()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    device = Device("cuda")
    torch, remark = pytorch()
    if remark:
        print(remark, file=sys.stderr)
    gpu = device_name(device)
    path = words.output or RESULTS / f"gpu-{re.sub(r'[^a-z0-9]+', '-', gpu.lower())}.json"
    try:
        document = results.known(path, gpu)
    except ValueError as error:
        parser.error(str(error))
    bench = Bench(device, torch, runs=words.runs, sizes=words.sizes)
    try:
        for part in PARTS if words.part == "all" else [words.part]:
            lines = []
            for line in PARTS[part](bench):
                print(part, line["name"], line.get("error", ""), sep=": ", file=sys.stderr)
                lines.append(line)
            document["parts"][part] = {**environment(device, torch), "lines": lines}
            results.write(path, document)
            show(part, lines)
    except KeyboardInterrupt:
        print(f"Interrupted: of {part} nothing is kept.", file=sys.stderr)
        return 130
    print(path)
    return 0


def count(text: str) -> int:
    """A number of things, 1e6 for instance."""
    number = float(text)
    if number < 1 or not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text} is no number of things")
    return int(number)


# ---- what is measured on ----------------------------------------------------------------------


def pytorch() -> tuple[Any, str | None]:
    """PyTorch if it can use the GPU, else None and a sentence about it."""
    without = "its columns stay empty, and launches are not counted."
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        return None, f"PyTorch is not installed: {without}"
    if not torch.cuda.is_available():
        return None, f"PyTorch {torch.__version__} has no GPU here: {without}"
    return torch, None


def device_name(device: Device) -> str:
    """The name of the GPU, as its driver has it."""
    name: bytes = device.xp.cuda.runtime.getDeviceProperties(device.index)["name"]
    return name.decode()


def environment(device: Device, torch: Any) -> dict[str, Any]:
    """Date, versions and settings; CUDA counts 13.2 as 13020."""
    runtime = device.xp.cuda.runtime
    return {
        "date": results.now(),
        "system": platform.platform(),
        "versions": {
            "driver": driver(),
            "cuda_of_driver": runtime.driverGetVersion(),
            "cuda_runtime": runtime.runtimeGetVersion(),
            "cupy": device.xp.__version__,
            "numpy": np.__version__,
            "torch": torch and str(torch.__version__),
            "python": platform.python_version(),
            "tinygrad_opt": tg.__version__,
        },
        "settings": {
            **{name: os.environ.get(name) for name in SETTINGS},
            "torch.get_float32_matmul_precision()": torch and torch.get_float32_matmul_precision(),
        },
    }


def driver() -> str | None:
    """The version of NVIDIA's driver, if its own tool is there to ask."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return None
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True).stdout.split()
    return found[0] if found else None


# ---- what comes out ---------------------------------------------------------------------------


def show(part: str, lines: list[Line]) -> None:
    """Print a table: a row for every peer of every line."""
    from rich.console import Console
    from rich.table import Table

    rows = [(line, peer, found or {}) for line in lines for peer, found in line["peers"].items()]
    names = dict.fromkeys(name for *_, found in rows for name in found if name != "calls")
    columns = [name for name in names if any(found.get(name) is not None for *_, found in rows)]
    table = Table("", "", *columns, title=part, box=None, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    named: Line = {}
    for line, peer, found in rows:
        cells = [cell(found.get(column)) for column in columns]
        table.add_row("" if line is named else line["name"], peer, *cells)
        named = line
    width = None if sys.stdout.isatty() else 160
    Console(width=width, markup=False, highlight=False).print(table)


def cell(value: Any) -> str:
    """A median with its quantiles, a number, yes or no, or nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        median, low, high = map(cell, value.values())
        return f"{median} ({low} … {high})"
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
