"""`landscape`: the loss around what a training has found, and the path that led there."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from ..device import default_device, use_device
from ..optim import get_optimizer
from ..teach import History, Landscape, landscape, trace
from ..teach.landscape import DIRECTIONS, check_grid
from ..teach.plot.landscape import landscape_figure
from ..teach.plot.landscape_page import landscape_html
from .console import Console
from .files import add_files, write
from .recipe import Recipe, add_recipe_arguments
from .surfaces import surface_named

NAME = "landscape"
HELP = "the loss around what a training has found, with its path"
EPILOG = """examples:
  tinygrad-opt landscape spiral
  tinygrad-opt landscape digits --directions random --png loss.png
  tinygrad-opt landscape digits --optimizer sgd --directions line
  tinygrad-opt landscape rosenbrock --optimizer adam --lr 0.1 --html path.html --3d

in Python: tg.teach.landscape(model, train, history=tg.teach.fit(..., snapshots=True))"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, and in which directions to look."""
    add = parser.add_argument
    add_recipe_arguments(parser, surfaces=True)
    add("--directions", metavar="D", help=f"{', '.join(DIRECTIONS)} (pca; surfaces: axes)")
    add("--grid", type=int, metavar="N", help="points along each direction (25; surfaces: 73)")
    add("--radius", type=float, default=1.0, metavar="R", help="how far random directions go (1)")
    add("--steps", type=int, default=200, metavar="N", help="updates on a surface (200)")
    add("--3d", action="store_true", dest="three_d", help="relief instead of contours")
    add_files(parser, "csv", "png", "html")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train, look around, report; exit code 1 where the training diverged or met NaN."""
    arguments.device = arguments.device or repr(default_device())
    surface = surface_named(arguments.dataset)
    kind = arguments.directions or ("axes" if surface else "pca")
    arguments.grid = (73 if surface else 25) if arguments.grid is None else arguments.grid
    check_grid(kind, arguments.grid, arguments.radius)  # before any work
    with use_device(arguments.device):
        walked = _walk(arguments, surface, kind) if surface else _train(arguments, kind)
    history, found, title, code = walked
    status = {"status": history.status, "python": code}
    if found is None:
        if console.as_json:
            console.document(status)
        console.note(f"{title}: the weights are not finite. Try a tenth of the learning rate.")
        return 1
    if console.as_json:
        console.document(json.loads(found.to_json()) | status)
    else:
        _report(console, history, found, title, code)
    write(
        console,
        arguments,
        csv=found.to_csv,
        png=lambda: landscape_figure(found, title, arguments.three_d),
        html=lambda: landscape_html(found, title, arguments.three_d),
    )
    return int(history.status in ("nan", "diverged"))


Walked = tuple[History, Landscape | None, str, str]  # what is around it, a title, the same lines


def _options(arguments: argparse.Namespace, kind: str) -> dict[str, Any]:
    """What `landscape` is told."""
    options = {"directions": kind, "grid": arguments.grid}
    if kind == "random":
        options |= {"seed": arguments.seed, "radius": arguments.radius}
    return options


def _in_python(options: dict[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _train(arguments: argparse.Namespace, kind: str) -> Walked:
    """A network, and the loss on its training data."""
    recipe, options = Recipe(arguments), _options(arguments, kind)
    history = recipe.fit(snapshots=True)
    found = None
    if np.isfinite(history.snapshots[-1][1]).all():
        found = landscape(recipe.model, recipe.train, history=history, **options)
    then = [
        f"found = landscape(model, train, history=history{_in_python(options)})",
        "print(found.sentence)",
    ]
    whole = recipe.in_python(", snapshots=True", "", then, ("fit", "landscape"))
    lines = [line for line in whole.splitlines() if not line.strip().startswith("print(evaluate(")]
    code, epochs = "\n".join(lines), f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}"
    sizes, rates = "-".join(map(str, recipe.sizes)), _rate(recipe.options)
    title = f"{recipe.train.name} {sizes}, {arguments.optimizer}{rates}, {epochs}"
    return history, found, title, code


def _walk(arguments: argparse.Namespace, name: str, kind: str) -> Walked:
    """A walk on a surface, and the surface."""
    words = {flag: getattr(arguments, flag) for flag in ("lr", "momentum", "weight_decay")}
    own = {flag: value for flag, value in words.items() if value is not None}
    entry, options = get_optimizer(arguments.optimizer), _options(arguments, kind)
    history = trace(name, None, entry, arguments.steps, seed=arguments.seed, **own)
    found = landscape(name, history=history, **options)
    steps = f"{len(history)} step{'s' * (len(history) != 1)}"
    title = f"{name}, {arguments.optimizer}{_rate({**entry.defaults, **own})}, {steps}"
    walk = f"{name!r}, None, {arguments.optimizer!r}, {arguments.steps}, seed={arguments.seed}"
    code = [
        "from tinygrad_opt.teach import landscape, trace",
        "",
        f"history = trace({walk}{_in_python(own)})",
        f"found = landscape({name!r}, history=history{_in_python(options)})",
        "print(found.sentence)",
    ]
    return history, found, title, "\n".join(code)


def _rate(options: dict[str, Any]) -> str:
    return f" lr {options['lr']:g}" if options.get("lr") is not None else ""


def _report(console: Console, history: History, found: Landscape, title: str, code: str) -> None:
    """A map or, of a line, a table."""
    console.line(title)
    if found.is_line:
        places = range(0, len(found.loss), max(1, (len(found.loss) - 1) // 12))
        rows = [[float(found.axes[0][i]), float(found.loss[i])] for i in places]
        console.table([found.plane.names[0], "loss"], rows)
    else:
        console.line(f"\nacross: {found.plane.names[0]}, up: {found.plane.names[1]}")
        console.line("the darker the higher; s start, · path, e end\n")
        console.line(found.to_text())
    if history.status != "ok":
        console.line(f"\nstatus of the training: {history.status}")
    console.line(f"\n{found.sentence}")
    console.python(code)
