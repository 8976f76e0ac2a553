"""`list`: what there is to choose from, from the tables that the library itself uses."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from typing import Any

from .. import nn
from ..data import DATASETS
from ..optim import OPTIMIZERS
from ..optim.schedules import SCHEDULES
from ..teach import SURFACES
from ..teach.dialects import TABLE as DIALECTS
from ..teach.dialects import dialects
from .console import Console

NAME = "list"
HELP = "list the optimizers, schedules, surfaces, data sets or layers"
EPILOG = """examples:
  tinygrad-opt list optimizers
  tinygrad-opt list optimizers --dialects
  tinygrad-opt list schedules --json

in Python: tg.optim.OPTIMIZERS, tg.optim.schedules.SCHEDULES, tg.teach.SURFACES,
tg.data.DATASETS, tg.nn"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to list."""
    parser.add_argument("what", choices=sorted(TABLES))
    parser.add_argument(
        "--dialects", action="store_true", help="of optimizers: what other frameworks mean by them"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table."""
    if arguments.dialects:
        return _dialects(arguments, console)
    columns, rows = TABLES[arguments.what]()
    if console.as_json:
        console.document([dict(zip(columns, row, strict=True)) for row in rows])
    elif arguments.what == "optimizers":
        for name, update, defaults, fixes, source in rows:
            update = update.replace("\n", "\n    ")
            console.line(f"{name}: {fixes} ({source})\n    {update}\n    {defaults}\n")
    else:
        console.table(columns, rows, whole=("name", "layer or loss"))
    return 0


def _dialects(arguments: argparse.Namespace, console: Console) -> int:
    """Print every rule of which there are several."""
    if arguments.what != "optimizers":
        raise ValueError("--dialects goes with: list optimizers.")
    found = [dialects(rule) for rule in DIALECTS]
    if console.as_json:
        console.document(
            [
                {"rule": one.rule, "options": one.options, "rows": [vars(row) for row in one.rows]}
                for one in found
            ]
        )
        return 0
    for one in found:
        console.line(f"{one}\n")
    console.python('print(tg.teach.dialects("adam"))')
    return 0


Table = tuple[list[str], list[list[Any]]]


def _optimizers() -> Table:
    rows = [
        [name, one.equation, one.defaults_text, one.fixes, f"{one.year}, {one.paper}"]
        for name, one in OPTIMIZERS.items()
    ]
    return ["name", "update", "defaults", "what it fixes", "source"], rows


def _schedules() -> Table:
    rows = [[name, family.formula, family.helps] for name, family in SCHEDULES.items()]
    return ["name", "f(t)", "when it helps"], rows


def _surfaces() -> Table:
    rows = [
        [name, one.formula, ", ".join(f"{x:g}" for x in one.start), one.sentence]
        for name, one in SURFACES.items()
    ]
    return ["name", "f(w)", "start", "what one learns there"], rows


def _datasets() -> Table:
    rows = [[name, one.size, one.sentence] for name, one in DATASETS.items()]
    return ["name", "size", "what it is"], rows


def _layers() -> Table:
    found = [one for one in vars(nn).values() if isinstance(one, type) and one is not nn.Module]
    modules = [one for one in found if issubclass(one, nn.Module)]
    rows = [[one.__name__, (inspect.getdoc(one) or "").split("\n")[0]] for one in modules]
    return ["layer or loss", "what it does"], rows


TABLES: dict[str, Callable[[], Table]] = {
    "optimizers": _optimizers,
    "schedules": _schedules,
    "surfaces": _surfaces,
    "datasets": _datasets,
    "layers": _layers,
}
