"""`step`: walk down a surface, or a formula of one's own, and see every number on the way."""

from __future__ import annotations

import argparse
import ast
import json
import re
from typing import Any

import numpy as np

from ..optim import Entry, Schedule, get_optimizer, parse
from ..teach import SURFACES, History, Surface, get_surface, trace
from ..teach.explain import Explanation
from ..teach.expression import Expression, expression
from ..teach.plot.walk import walk_figure
from .console import Console
from .files import add_files, add_seed, at_least, at_most, write

NAME = "step"
HELP = "walk down a surface step by step, with every number"
EPILOG = """examples:
  tinygrad-opt step bowl --optimizer sgd --lr 0.1 --from 3 --steps 10
  tinygrad-opt step bowl --optimizer adam --steps 1 --explain
  tinygrad-opt step rosenbrock --optimizer momentum --lr 0.001 --steps 50 --png walk.png
  tinygrad-opt step "x**2 + 10*y**2" --from 3,1 --lr 0.05 --schedule "cosine(20)"

in Python: tg.teach.trace("bowl", 3.0, "sgd", 10, lr=0.1)"""

MOST_STEPS, MOST_SHOWN = 1_000_000, 6  # updates; coordinates in a cell of the table

Function = Surface | Expression


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to walk, with what, and how far."""
    add = parser.add_argument
    add("function", metavar="FUNCTION", help="a surface (see: list surfaces) or a formula of x, y")
    add("--optimizer", default="sgd", metavar="NAME", help="any of: list optimizers (sgd)")
    add("--lr", type=float, metavar="RATE", help="(0.1, or the optimizer's own if larger)")
    add("--momentum", type=float, metavar="M", help="for optimizers that have it")
    add("--weight-decay", type=float, metavar="λ", help="the optimizer's own")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option, as in betas=0.8,0.99",
    )
    add("--schedule", metavar="TEXT", help='of the rate: "warmup(5) >> cosine(20)"')
    add("--from", dest="start", metavar="W", type=str.strip, help="where to begin: 3, or -3,2")
    add("--steps", type=int, default=10, metavar="N", help="updates (10)")
    add("--explain", action="store_true", help="every line of the rule: formula, numbers, result")
    add_seed(parser)
    add_files(parser, "csv", "png", "html")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Walk, and print the table."""
    f = _function(arguments.function)
    entry = get_optimizer(arguments.optimizer)
    start = _start(arguments.start, f)
    at_most(MOST_STEPS, "--steps", at_least(1, "--steps", arguments.steps))
    options = _options(arguments, entry)
    schedule = None if arguments.schedule is None else parse(arguments.schedule)
    explanations: list[Explanation] | None = [] if arguments.explain else None
    history = trace(
        f,
        start,
        entry,
        arguments.steps,
        schedule=schedule,
        seed=arguments.seed,
        explanations=explanations,
        **options,
    )
    python = _in_python(arguments, f, start, options, schedule)
    rows = table(history, f, plain=_is_plain(entry, options, schedule))
    if console.as_json:
        document: dict[str, Any] = {"function": _formula(f, len(start)), "start": start}
        document |= {"status": history.status, "remarks": [row[-1] for row in rows[1:]]}
        document |= {"history": json.loads(history.to_json()), "python": python}
        if explanations is not None:
            document["explanations"] = [_lines(one) for one in explanations]
        console.document(document)
    else:
        console.line(_headline(f, entry, options, schedule, start))
        _print(console, rows, explanations)
        if history.status != "ok":
            console.line(f"status: {history.status}")
    write(console, arguments, csv=history.to_csv, png=lambda: walk_figure(history, f))
    console.python(python)
    return 1 if history.status in ("nan", "diverged") else 0


# ---- what was asked for -----------------------------------------------------------------------


def _function(text: str) -> Function:
    """The surface with this name, or the formula."""
    plain = text.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in SURFACES:
        return SURFACES[plain]
    if re.fullmatch(r"[a-z]{2,}(_[a-z]+)*", plain):
        return get_surface(text)  # which says what there is
    return expression(text)


def _start(text: str | None, f: Function) -> list[float]:
    """Where to begin."""
    if text is None:
        return list(f.start) if isinstance(f, Surface) else [1.0] * f.size
    try:
        start = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--from is {text!r}; write numbers with commas, as in 3 or 3,-2."
        ) from None
    if not np.isfinite(start).all():
        raise ValueError(f"--from is {text!r}; a walk begins at numbers that are finite.")
    wanted = len(f.start) if isinstance(f, Surface) and f.name != "bowl" else None
    if (wanted and len(start) != wanted) or (isinstance(f, Expression) and len(start) < f.size):
        wanted = wanted or f.size  # type: ignore[union-attr]
        raise ValueError(f"--from is {text!r}; {f.name} takes {wanted} numbers, with commas.")
    return start


def _options(arguments: argparse.Namespace, entry: Entry) -> dict[str, Any]:
    """The options of the optimizer, those that were given, and a rate that one can see."""
    flags = ("lr", "momentum", "weight_decay")
    given = {name: getattr(arguments, name) for name in flags}
    options = {name: value for name, value in given.items() if value is not None}
    for one in arguments.set:
        name, equals, value = one.partition("=")
        try:
            options[name.strip()] = ast.literal_eval(value.strip()) if equals else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            equals = ""
        if not equals:
            raise ValueError(f"--set is {one!r}; write name=value, as in betas=(0.9,0.99).")
    for name in options:
        if name not in entry.defaults:
            raise ValueError(
                f"{arguments.optimizer} has no {name}; its options are {', '.join(entry.defaults)}."
            )
    if "lr" in entry.defaults and "lr" not in options:
        options = {"lr": max(0.1, entry.defaults["lr"])} | options
    return options


def _is_plain(entry: Entry, options: dict[str, Any], schedule: Schedule | None) -> bool:
    """Whether an update is lr · dL/dw and nothing else."""
    used = entry.defaults | options
    return (
        entry.kind.__name__ == "SGD"
        and schedule is None
        and not any(used.get(name) for name in ("momentum", "weight_decay", "maximize"))
    )


# ---- what is printed --------------------------------------------------------------------------


def table(history: History, f: Any, plain: bool = False) -> list[list[str]]:
    """The walk as rows of text, the names of the columns first and a remark last.

    A rate that moves has a column.
    """
    assert history.w is not None and history.grad is not None and history.update is not None
    assert history.final_w is not None
    moved = "lr·dL/dw" if plain else "update"
    scheduled = len(set(history.lr.tolist())) > 1 and bool(np.isfinite(history.lr).all())
    rows = [["step", "w", "loss", "dL/dw", *(["lr"] * scheduled), moved, "new w", ""]]
    points = [*history.w[1:], history.final_w]
    losses = [*history.loss[1:], history.final_loss]
    for t, new in enumerate(points):
        w, update = history.w[t], history.update[t]
        rate = [history.lr[t]] * scheduled
        cells = [w, history.loss[t], history.grad[t], *rate, -update if plain else update, new]
        remark = _remark(w, new, history.loss[t], losses[t], f)
        rows.append([str(history.step[t]), *map(_cell, cells), remark])
    return rows


def _remark(w: Any, new: Any, loss: float, after: Any, f: Any) -> str:
    """What catches the eye in an update."""
    if not np.isfinite(new).all() or not np.isfinite(after):
        return "no number any more"
    minima = [m for m in getattr(f, "minima", ()) if len(m) == 1] if len(w) == 1 else []
    said = []
    if any((w[0] - m[0]) * (new[0] - m[0]) < 0 for m in minima):
        said.append("crossed the minimum")
    elif any(new[0] == m[0] != w[0] for m in minima):
        said.append("reached the minimum")
    if after > loss:
        said.append("loss rose")
    return ", ".join(said)


def _cell(value: Any) -> str:
    """One number, or several with commas, of many the first ones and the last."""
    shown = [
        f"{v:.4f}" if v == 0 or 1e-3 <= abs(v) < 1e5 else f"{v:.3e}"
        for v in np.atleast_1d(value) + 0.0  # no −0
    ]
    return ", ".join(shown if len(shown) <= MOST_SHOWN else [*shown[:3], "…", shown[-1]])


def _print(console: Console, rows: list[list[str]], explanations: list[Explanation] | None) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for t, row in enumerate(rows):
        cells = [cell.rjust(n) for cell, n in zip(row[:-1], widths[:-1], strict=True)]
        console.line("  ".join([*cells, row[-1]]).rstrip())
        if explanations and t:
            console.line()
            for line in str(explanations[t - 1]).splitlines():
                console.line(f"    {line}")
            console.line()


def _formula(f: Function, size: int) -> str:
    return "w²" if f.name == "bowl" and size == 1 else f.formula


def _headline(
    f: Function,
    entry: Entry,
    options: dict[str, Any],
    schedule: Schedule | None,
    start: list[float],
) -> str:
    """What is walked down, with what; for plain descent on the bowl, what a step does to w."""
    used = entry.preset | options
    said = [entry.kind.__name__] + [
        f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in used.items()
    ]
    parts = [f"f(w) = {_formula(f, len(start))}", ", ".join(said)]
    if schedule is not None:
        parts.append(f"schedule {schedule}")
    if f.name == "bowl" and _is_plain(entry, options, schedule):
        lr = options["lr"]
        parts.append(
            f"each step multiplies w by 1 − 2·{lr:.4g} = {1 - 2 * lr:.4g}".replace("= -", "= −")
        )
    return "    ".join(parts)


def _lines(one: Explanation) -> list[dict[str, Any]]:
    names = ("function", "target", "formula", "numbers", "result")
    return [{name: getattr(line, name) for name in names} for line in one.lines]


def _in_python(
    arguments: argparse.Namespace,
    f: Function,
    start: list[float],
    options: dict[str, Any],
    schedule: Schedule | None,
) -> str:
    """The lines that do the same."""
    surface_drawn = arguments.png is not None and isinstance(f, Surface)
    lines = [f"from tinygrad_opt.teach import {'SURFACES, ' * surface_drawn}trace"]
    function = repr(f.name)
    if isinstance(f, Expression):
        lines.append("from tinygrad_opt.teach.expression import expression")
        function = f"expression({f.name!r})"
    words = [f"{name}={value!r}" for name, value in options.items()]
    if schedule is not None:
        lines.append("from tinygrad_opt.optim import parse")
        words.append(f"schedule=parse({arguments.schedule!r})")
    words += [f"seed={arguments.seed}"] if arguments.seed else []
    words += ["explanations=(told := [])"] if arguments.explain else []
    point = start[0] if len(start) == 1 else start
    call = ", ".join(
        [function, repr(point), repr(arguments.optimizer), str(arguments.steps), *words]
    )
    lines.append(f"history = trace({call})")
    if arguments.png is not None:
        lines.append("from tinygrad_opt.teach.plot.walk import walk_figure")
        drawn = function if isinstance(f, Expression) else f"SURFACES[{function}]"
        lines.append(f"walk_figure(history, {drawn}).savefig({arguments.png!r}, dpi=144)")
    lines += ["print(*told, sep='\\n\\n')"] if arguments.explain else []
    return "\n".join(lines)
