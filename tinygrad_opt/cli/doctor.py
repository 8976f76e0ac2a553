"""`doctor`: what is installed, what works, and what to install for the rest."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from typing import Any

from .. import __version__
from ..data import cache_folder, verify
from ..threads import THREADS, cores, threads
from . import gpu
from .console import Console

NAME = "doctor"
HELP = "say what is installed, what works and what to install"
EPILOG = "example:\n  tinygrad-opt doctor"

EXTRAS = {
    "matplotlib": "optional: pip install 'tinygrad-opt[viz]'",
    "plotly": "optional: pip install 'tinygrad-opt[viz]'",
    "numba": "optional: pip install 'tinygrad-opt[fast]'",
}

DAMAGED, WRONG = "damaged", "wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """A line for each thing looked at; exit code 1 for damaged data, wrong settings, a bad GPU."""
    rows = [
        ["tinygrad_opt", __version__, "ok"],
        ["python", platform.python_version(), f"{platform.system()} {platform.machine()}"],
        *(_package(name, "required: pip install tinygrad-opt") for name in ("numpy", "rich")),
        *(_package(name, hint) for name, hint in EXTRAS.items()),
        *gpu.rows(),
        ["cores", str(cores()), "OPENBLAS_NUM_THREADS=1 is best for small networks"],
        ["threads", *_threads()],
        ["data", *_data()],
        ["downloads", str(cache_folder()), "TINYGRAD_OPT_DATA sets another folder"],
    ]
    if console.as_json:
        console.document({name: {"found": found, "says": says} for name, found, says in rows})
    else:
        console.table(["", "found", "says"], rows)
    return int(any(found in (gpu.FAILS, DAMAGED, WRONG) for _, found, _ in rows))


def _package(name: str, hint: str) -> list[Any]:
    try:
        return [name, importlib.metadata.version(name), "ok"]
    except importlib.metadata.PackageNotFoundError:
        return [name, "no", hint]


def _threads() -> list[str]:
    try:
        return [str(threads()), f"share a long step of an optimizer; {THREADS} sets another number"]
    except ValueError as error:
        return [WRONG, str(error)]


def _data() -> list[str]:
    try:
        return [f"{len(verify())} files", "ok"]
    except (ValueError, OSError) as error:
        return [DAMAGED, str(error)]
