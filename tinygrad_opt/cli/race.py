"""`race`: optimizers against each other, at one rate for all and each at its own."""

from __future__ import annotations

import argparse
from typing import Any

from ..data import read_csv
from ..device import default_device, use_device
from ..optim import get_optimizer
from ..teach import Race, race
from ..teach.plot.race import race_figure
from ..teach.plot.race_gif import race_gif
from ..teach.plot.race_page import race_html
from .console import Console
from .files import add_files, add_seed, write
from .recipe import is_table

NAME = "race"
HELP = "race optimizers fairly: at one learning rate for all, and each at its own"
EPILOG = """examples:
  tinygrad-opt race rosenbrock --optimizers sgd,momentum,adam
  tinygrad-opt race rosenbrock --optimizers sgd,momentum,adam --tune 28 --html race.html
  tinygrad-opt race digits --optimizers sgd,adam --hidden 64 --seeds 5 --png race.png
  tinygrad-opt race bowl --optimizers sgd,lbfgs --from 3,-2 --steps 20

in Python: tg.teach.race("rosenbrock", ["sgd", "momentum", "adam"])"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to race on, who races, how long, and how rates are found."""
    add = parser.add_argument
    add("task", metavar="TASK", help="a surface or a data set (see: list surfaces, list datasets)")
    usual = "sgd,momentum,adam"
    add("--optimizers", default=usual, metavar="NAMES", help=f"with commas ({usual})")
    add("--lr", type=float, default=0.1, metavar="RATE", help="the one for all (0.1)")
    add("--tune", type=int, default=12, metavar="N", help="rates that each tries for its own (12)")
    add("--grid", default="1e-5,10", metavar="LOW,HIGH", help="between which rates (1e-5,10)")
    add("--seeds", type=int, default=5, metavar="N", help="runs where luck plays a part (5)")
    add("--steps", type=int, metavar="N", help="gradients for each (surfaces 200, networks 400)")
    add(
        "--target",
        type=float,
        metavar="T",
        help="part of the first gap (1e-3), or accuracy (0.9)",
    )
    add("--from", dest="start", metavar="W", help="start on a surface: 3,-2 or -3,2")
    add("--hidden", metavar="SIZES", help="hidden units of a network (32)")
    add("--batch", type=int, metavar="SIZE", help="examples of a data set for one update (32)")
    add("--device", help="cpu, cuda or cuda:1 (what TINYGRAD_OPT_DEVICE says, or cpu)")
    add_seed(parser)
    add_files(parser, "csv", "png", "html", "gif")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Race; what there is when somebody interrupts is shown and written all the same."""
    names = _names(arguments, console)
    options = _options(arguments)
    task = read_csv(arguments.task) if is_table(arguments.task) else arguments.task
    found: Race | None = None
    code = 0
    with console.bar(len(names)) as bar, use_device(arguments.device or repr(default_device())):

        def keep(done: int, so_far: Race) -> None:
            nonlocal found
            found = so_far
            if bar is not None:
                bar(done, list(so_far.racers)[-1])

        try:
            race(task, names, **options, on_racer=keep)
        except KeyboardInterrupt:
            code = 130
    if found is not None:
        ran = names[: len(found.racers)]
        _report(found, _in_python(arguments, ran, options), arguments, console)
    if code:
        why = "" if found is not None else " No optimizer had finished: there is nothing to show."
        console.note(f"Interrupted.{why}")
    return code


def _names(arguments: argparse.Namespace, console: Console) -> list[str]:
    """The optimizers, each once."""
    given = [name.strip() for name in arguments.optimizers.split(",") if name.strip()]
    entries = [get_optimizer(name) for name in given]
    names: list[str] = []
    for name, entry in zip(given, entries, strict=True):
        if any(entry is get_optimizer(other) for other in names):
            console.note(f"{name} is there already; it races once.")
        else:
            names.append(name)
    return names


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `race` is told besides: what differs from its defaults."""
    start = None if arguments.start is None else _numbers("--from", arguments.start)
    hidden = arguments.hidden and tuple(_numbers("--hidden", arguments.hidden, kind=int))
    options = {
        "lr": (arguments.lr, 0.1),
        "tune": (arguments.tune, 12),
        "seeds": (arguments.seeds, 5),
        "evaluations": (arguments.steps, None),
        "target": (arguments.target, None),
        "grid": (tuple(_numbers("--grid", arguments.grid, 2)), (1e-5, 10.0)),
        "start": (start, None),
        "hidden": (hidden, None),
        "batch": (arguments.batch, None),
        "seed": (arguments.seed, 0),
    }
    return {name: value for name, (value, default) in options.items() if value != default}


def _numbers(flag: str, text: str, count: int | None = None, kind: Any = float) -> list[Any]:
    """The numbers between the commas."""
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or count not in (None, len(found)):
        many = f"{count} numbers" if count else "whole numbers" if kind is int else "numbers"
        raise ValueError(f"race: {flag} is {text!r}; write {many} with commas between them.")
    return found


def _in_python(arguments: argparse.Namespace, names: list[str], options: dict[str, Any]) -> str:
    """The lines that do the same, pictures included."""
    task = repr(arguments.task)
    lines = ["from tinygrad_opt.teach import race"]
    if is_table(arguments.task):
        lines.append("from tinygrad_opt.data import read_csv")
        task = f"read_csv({task})"
    told = "".join(f", {name}={value!r}" for name, value in options.items())
    files = {kind: getattr(arguments, kind) for kind in WRITTEN}
    wanted = {kind: name for kind, name in files.items() if name not in (None, "-")}
    lines += [imported for kind in wanted if (imported := WRITTEN[kind][0])]
    lines += ["from pathlib import Path"] if set(wanted) - {"png"} else []
    lines += ["", f"found = race({task}, {names!r}{told})", "print(found)"]
    lines += [WRITTEN[kind][1].format(repr(name)) for kind, name in wanted.items()]
    return "\n".join(lines)


WRITTEN = {  # what makes each kind of file: the import, and the call
    "csv": ("", "Path({}).write_text(found.to_csv(), encoding='utf-8')"),
    "png": (
        "from tinygrad_opt.teach.plot.race import race_figure",
        "race_figure(found).savefig({}, dpi=144)",
    ),
    "html": (
        "from tinygrad_opt.teach.plot.race_page import race_html",
        "Path({}).write_text(race_html(found), encoding='utf-8')",
    ),
    "gif": (
        "from tinygrad_opt.teach.plot.race_gif import race_gif",
        "Path({}).write_bytes(race_gif(found))",
    ),
}


def _report(found: Race, code: str, arguments: argparse.Namespace, console: Console) -> None:
    if console.as_json:
        console.document(found.document() | {"python": code})
    else:
        rows = found.table()
        console.line(f"{found.legend}\n")
        console.table(list(rows[0]), [list(row.values()) for row in rows], whole=["optimizer"])
        console.line(f"\n{found.verdict}")
        console.python(code)
    write(
        console,
        arguments,
        csv=found.to_csv,
        png=lambda: race_figure(found),
        html=lambda: race_html(found),
        gif=lambda: race_gif(found),
    )
