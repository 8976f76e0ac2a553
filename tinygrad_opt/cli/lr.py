"""`lr`: which learning rates are too low, good and too high, and a test that guesses one."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from ..device import default_device, use_device
from ..teach import RangeTest, Sweep, lr_sweep
from ..teach.plot.lr import lr_figure
from .console import Console
from .files import add_files, write
from .lr_tasks import Training, Walks
from .recipe import add_recipe_arguments
from .surfaces import surface_named

NAME = "lr"
HELP = "find the learning rate: short runs at many rates, then a range test"
EPILOG = """examples:
  tinygrad-opt lr digits --optimizer sgd
  tinygrad-opt lr spiral --optimizer adam --rates 1e-3:1:7 --epochs 20 --png rates.png
  tinygrad-opt lr ravine --optimizer momentum --steps 60       a surface: see list surfaces

in Python: tg.teach.lr_sweep(run, rates), tg.teach.lr_range_test(model, batches, optimizer)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, with which rule, at which rates."""
    words: Any = parser.add_argument_group("the runs", conflict_handler="resolve")
    add_recipe_arguments(words, surfaces=True)
    add = words.add_argument  # what comes twice is said differently here than in `train`
    add("--lr", help=argparse.SUPPRESS)
    add("--epochs", type=int, default=5, metavar="N", help="passes over the data in a run (5)")
    add("--schedule", default="constant", metavar="S", help="during each run (constant)")
    add("--rates", default="1e-4:10:11", metavar="R", help="LOW:HIGH:COUNT, or with commas")
    add("--seeds", type=int, default=3, metavar="N", help="runs at each rate (3; surfaces: 1)")
    add("--steps", type=int, default=100, metavar="N", help="updates of a run on a surface (100)")
    add_files(parser, "csv", "png", "html")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Sweep, then the range test; what there is when somebody interrupts is shown all the same."""
    arguments.device = arguments.device or repr(default_device())
    surface = surface_named(arguments.dataset)
    rates = _rates(arguments.rates)
    if arguments.lr is not None:
        raise ValueError(f"lr: there are many rates here. Write --rates {arguments.lr}.")
    with use_device(arguments.device):
        task = Walks(arguments, surface) if surface else Training(arguments, rates[0])
        code, sweep, found = _try(task, rates, arguments, console)
    if len(sweep):
        _report(task, sweep, found, arguments, console)
    if code:
        console.note("Interrupted.")
    return code


def _try(
    task: Walks | Training, rates: list[float], arguments: argparse.Namespace, console: Console
) -> tuple[int, Sweep, RangeTest | None]:
    """Exit code and results, as far as they were reached."""
    sweep, found, seeds = Sweep(), None, range(arguments.seed, arguments.seed + task.seeds)
    try:
        with console.bar(len(rates)) as bar:

            def keep(so_far: Sweep) -> None:
                nonlocal sweep
                sweep = so_far
                if bar is not None:
                    bar(len(sweep), f"lr {sweep.lr[-1]:.3g}: {sweep.words(len(sweep) - 1)}")

            lr_sweep(task.run, rates, seeds, on_rate=keep)
        found = task.range_test()
    except KeyboardInterrupt:
        return 130, sweep, found
    return 0, sweep, found


def _report(
    task: Walks | Training,
    sweep: Sweep,
    found: RangeTest | None,
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    code = task.in_python()
    if console.as_json:
        test = None if found is None else json.loads(found.to_json())
        console.document(json.loads(sweep.to_json()) | {"range_test": test, "python": code})
    console.line(task.title)
    if not console.as_json:
        rows = [list(row.values()) for row in sweep.to_rows()]
        columns = [*sweep.to_rows()[0]]
        console.table(columns, rows, whole=("verdict", "course"))
    console.line(f"\nsweep: {sweep.sentence}")
    if found is not None:
        console.line(f"range test: {found.sentence}")
    console.python(code)
    picture = lambda: lr_figure(sweep, found, task.title)
    write(console, arguments, csv=sweep.to_csv, png=picture)


def _rates(text: str) -> list[float]:
    """The rates of LOW:HIGH:COUNT or of a list; ValueError for what is neither."""
    try:
        if ":" in text:
            low, high, count = text.split(":")
            if not (0 < float(low) < float(high) and 2 <= int(count) <= 1000):
                raise ValueError
            return [float(lr) for lr in np.geomspace(float(low), float(high), int(count))]
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"lr: --rates is {text!r}. Write LOW:HIGH:COUNT, as in 1e-4:10:11, or rates with "
            "commas, as in 0.01,0.1,1."
        ) from None
