"""`schedule`: what an expression such as warmup(100) >> cosine(900) does, step by step."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ..optim.schedules import Schedule, parse
from ..optim.schedules.plot import ENDLESS, shown
from .console import Console
from .files import add_files, at_most, write

NAME = "schedule"
HELP = "show a schedule: its shape, and its values at the start, joins, the end and past it"
EPILOG = """examples:
  tinygrad-opt schedule "warmup(100) >> cosine(900)"
  tinygrad-opt schedule "cosine(50).repeat(3, stretch=2)" --lr 0.1 --png restarts.png
  tinygrad-opt schedule "exponential(0.99)" --steps 300 --csv values.csv

What there is, with formulas: tinygrad-opt list schedules
in Python: print(repr(tg.optim.parse("warmup(100) >> cosine(900)")))"""

MOST_JOINS, MOST_STEPS = 8, 10_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The schedule, and how far to look."""
    add = parser.add_argument
    add("expression", metavar="EXPRESSION", help="families joined by >>, scaled by *, .repeat(n)")
    add("--steps", type=int, metavar="N", help=f"to show (its length; endless ones {ENDLESS})")
    add("--lr", type=float, default=1.0, metavar="RATE", help="to multiply with (1)")
    add_files(parser, "csv", "png", "html")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the shape and the values that matter."""
    base = parse(arguments.expression)
    steps = at_most(MOST_STEPS, "--steps", shown(base, arguments.steps))
    schedule = base if arguments.lr == 1 else arguments.lr * base
    rows = _rows(schedule, steps)
    python = (
        f"import tinygrad_opt as tg\n\nschedule = tg.optim.parse({str(schedule)!r})\n"
        f"print(repr(schedule))\nprint([schedule(t) for t in {[t for t, *_ in rows]}])"
    )
    if console.as_json:
        console.document(
            {
                "schedule": str(schedule),
                "length": schedule.length,
                "sparkline": schedule.sparkline(steps=steps),
                "points": [{"step": t, "value": v, "where": words} for t, v, words in rows],
                "values": schedule.values(steps),
                "python": python,
            }
        )
    else:
        values = schedule.values(steps)
        console.line(f"{schedule}")
        console.line(schedule.sparkline(steps=steps))
        console.line(f"{steps:,} steps, between {min(values):.4g} and {max(values):.4g}\n")
        console.table(["step", "value", ""], rows)
        console.python(python)
    write(
        console,
        arguments,
        csv=lambda: "step,value\n" + "".join(f"{t},{schedule(t)!r}\n" for t in range(steps)),
        png=lambda: _picture(schedule, steps, arguments.lr),
    )
    return 0


def _picture(schedule: Schedule, steps: int, lr: float) -> Any:
    """Its picture; with a rate, the values are rates."""
    figure = schedule.plot(steps)
    if lr != 1:
        figure.axes[0].set_ylabel("learning rate")
    return figure


def _rows(schedule: Schedule, steps: int) -> list[tuple[int, float, str]]:
    """The steps that tell: first, joins, middle, last, and what is held after the end."""
    end = math.inf if schedule.length is None else schedule.length
    joins = [math.ceil(t) for t in schedule.joints(min(steps, end))]
    words = {0: "the first step"}
    for t in joins[:MOST_JOINS]:
        words[t] = "the next part begins"
    if len(joins) > MOST_JOINS:
        words[joins[MOST_JOINS - 1]] += f"; {len(joins) - MOST_JOINS} more joins follow"
    words.setdefault(steps // 2, "half way")
    words.setdefault(steps - 1, "the last step shown" if steps < end else "the last step")
    if math.isfinite(end):
        words.setdefault(math.ceil(end), "the end: held from here on")
        words.setdefault(math.ceil(2 * end), "long past it")
    return [(t, schedule(t), words[t]) for t in sorted(words)]
