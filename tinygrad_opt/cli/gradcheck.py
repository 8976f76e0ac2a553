"""`gradcheck`: derivatives held against differences of the values, slope by slope."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ..gradcheck import gradcheck
from ..gradcheck_report import Report, Slope
from ..teach.checks import BROKEN, CHECKS, Check, get_check
from ..teach.export import table
from .console import Console, number
from .files import add_files, add_seed, at_least, write

NAME = "gradcheck"
HELP = "hold derivatives against differences of the values; see what a wrong one looks like"
EPILOG = f"""examples:
  tinygrad-opt gradcheck --example linear
  tinygrad-opt gradcheck --broken transpose      exit code 1, and where the two part
  tinygrad-opt gradcheck --broken softmax_x7

right:
{chr(10).join(f"  {name:15}{check.sentence}" for name, check in CHECKS.items())}
broken:
{chr(10).join(f"  {name:15}{check.sentence}" for name, check in BROKEN.items())}

in Python: tg.gradcheck(f, x, w)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which operation, and how closely to look."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--example", metavar="NAME", help="a right operation (linear)")
    which.add_argument("--broken", metavar="NAME", help="one with a mistake")
    add = parser.add_argument
    add("--order", type=int, default=1, metavar="N", help="2: the gradient's derivatives, too (1)")
    add("--rows", type=int, default=12, metavar="N", help="slopes to show, wrong ones first (12)")
    add_seed(parser)
    add_files(parser, "csv")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare and report; exit code 1 where the two ways disagree."""
    name = arguments.broken or arguments.example or "linear"
    check = get_check(name)
    at_least(1, "--order", arguments.order)
    at_least(0, "--rows", arguments.rows)
    flags = {"order": arguments.order, "seed": arguments.seed}
    report = gradcheck(check.f, *check.inputs(), **flags, raise_exception=False)
    document = _document(name, report) | {"python": _in_python(name, arguments)}
    if console.as_json:
        console.document(document)
    else:
        console.line(f"{name}: {check.sentence}")
        console.line(
            "Each slope is found twice: by backward(), and from values alone, as "
            "(F(x + h) − F(x − h)) / 2h\n"
            "with h = 1e-5. F is the sum of the outputs, each times a random number from seed "
            f"{arguments.seed}.\n"
        )
        _table(check, report, arguments, console)
        console.line(report.text)
        console.python(document["python"])
    write(console, arguments, csv=lambda: table(document["slopes"]))
    return int(not report.ok)


def _table(check: Check, report: Report, arguments: argparse.Namespace, console: Console) -> None:
    slopes = sorted(report.slopes, key=lambda slope: slope.excess <= 1)
    names = [*check.values, *(f"cotangent {i}" for i in range(len(report.slopes)))]
    columns = ["element", "by backward", "by difference", "ratio", "verdict"]
    rows = [
        [_element(names, s), s.analytic + 0.0, s.numeric + 0.0, _ratio(s), _verdict(s)]
        for s in slopes[: arguments.rows]
    ]
    console.table(columns, rows, whole=columns)
    more = len(slopes) - len(rows)
    console.line(f"… and {more} more: --rows {len(slopes)}\n" if more else "")


def _element(names: list[str], slope: Slope) -> str:
    return f"{names[slope.input]}{list(slope.index or ())}"


def _ratio(slope: Slope) -> str:
    """Of the two; "" where both are 0 but for rounding."""
    small = max(abs(slope.analytic), abs(slope.numeric)) < 1e-8
    return "" if small or not math.isfinite(slope.ratio) else number(slope.ratio)


def _verdict(slope: Slope) -> str:
    if slope.excess > 1:
        return "wrong"
    return "a kink" if slope.kink else "right"


def _document(name: str, report: Report) -> dict[str, Any]:
    slopes = [
        {
            "input": slope.input,
            "index": list(slope.index or ()),
            "by_backward": slope.analytic,
            "by_difference": slope.numeric,
            "verdict": _verdict(slope),
        }
        for slope in report.slopes
    ]
    return {"example": name, "ok": report.ok, "text": report.text, "slopes": slopes}


def _in_python(name: str, arguments: argparse.Namespace) -> str:
    """The lines that say the same."""
    flags = f", order={arguments.order}" if arguments.order != 1 else ""
    flags += f", seed={arguments.seed}" if arguments.seed else ""
    return "\n".join(
        [
            "import tinygrad_opt as tg",
            "from tinygrad_opt.teach.checks import get_check",
            "",
            f"check = get_check({name!r})",
            f"report = tg.gradcheck(check.f, *check.inputs(){flags}, raise_exception=False)",
            "print(report.text)",
        ]
    )
