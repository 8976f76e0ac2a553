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
from .console import Console

NAME = "list"
HELP = "list the optimizers, schedules, data sets or layers"
EPILOG = """examples:
  tinygrad-opt list optimizers
  tinygrad-opt list schedules --json

in Python: tg.optim.OPTIMIZERS, tg.optim.schedules.SCHEDULES, tg.data.DATASETS, tg.nn"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to list."""
    parser.add_argument("what", choices=sorted(TABLES))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table."""
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
    "datasets": _datasets,
    "layers": _layers,
}
