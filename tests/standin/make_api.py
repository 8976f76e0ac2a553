"""Write the names and parameters that the installed CuPy really has into `cupy_api.json`.

The stand-in answers only for names in that file, so the file has to come from CuPy itself. No GPU
and no driver are needed.

    python -m tests.standin.make_api        # after a new CuPy: a diff of one line per name
"""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from pathlib import Path
from typing import Any

API_FILE = Path(__file__).with_name("cupy_api.json")
MODULES = (
    *("cupy", "cupy.linalg", "cupy.random", "cupy.fft", "cupy.lib", "cupy.lib.stride_tricks"),
    *("cupy.cuda", "cupy.cuda.memory", "cupy.cuda.runtime", "cupyx"),
)


def parameters(function: object) -> str | None:
    """The names of the parameters; None where CuPy does not reveal a signature."""
    if not callable(function) or inspect.isclass(function):
        return None
    try:
        return ", ".join(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def public(holder: object) -> list[str]:
    """Public names, without what a module's own imports leave behind."""
    names = [name for name in dir(holder) if not name.startswith("_")]
    return [name for name in names if name not in ("annotations", "np")]


def table(name: str) -> dict[str, str | None]:
    """The names of a module, with their parameters; of CUDA's runtime the functions alone."""
    module = importlib.import_module(name)
    names = {n: getattr(module, n) for n in public(module)}
    if name == "cupy.cuda.runtime":
        names = {n: value for n, value in names.items() if callable(value)}
    return {n: parameters(value) for n, value in names.items()}


def text() -> str:
    """Everything that the stand-in asks about, read from the installed CuPy."""
    import cupy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading a deprecated name warns
        generator = public(cupy.random.Generator)  # comes to its module when first asked for
        ufuncs = [n for n in public(cupy) if isinstance(getattr(cupy, n), cupy.ufunc)]
        api: dict[str, Any] = {
            "version": cupy.__version__,
            "namespaces": {name: table(name) for name in MODULES},
            "ndarray": public(cupy.ndarray),
            "Generator": generator,
            "RandomState": public(cupy.random.RandomState),
            "ufuncs": ufuncs,
            "ufuncs_with_at": [n for n in ufuncs if getattr(cupy, n)._scatter_op],
        }
    return json.dumps(api, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    API_FILE.write_text(text())
