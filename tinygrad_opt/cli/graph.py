"""`graph`: the graph that a computation records, as text, Mermaid, DOT or a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..random_numbers import manual_seed
from ..teach.examples import get_example, listed
from ..teach.export import table
from ..teach.graph import to_dot, to_mermaid, to_svg, to_text
from ..teach.graph.reading import read
from .console import Console
from .files import add_files, add_seed, write

NAME = "graph"
HELP = "draw the graph that a computation records for its backward pass"
EPILOG = f"""examples:
  tinygrad-opt graph --example neuron
  tinygrad-opt graph --example mlp --format mermaid
  tinygrad-opt graph --example softmax --order --svg softmax.svg

what there is to draw:
{listed()}

in Python: print(tg.teach.to_text(loss)); and to_mermaid, to_dot, to_svg, draw"""

FORMATS: dict[str, Callable[..., str]] = {
    "text": to_text,
    "mermaid": to_mermaid,
    "dot": to_dot,
    "svg": to_svg,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to draw, how, and how much of it."""
    add = parser.add_argument
    add("--example", default="neuron", metavar="NAME", help="see below (neuron)")
    add("--format", default="text", choices=list(FORMATS), help="of what is printed (text)")
    add("--order", action="store_true", help="number operations as a backward pass visits them")
    add("--max-nodes", type=int, default=60, metavar="N", help="boxes, at most (60)")
    add_seed(parser)
    add_files(parser, "csv", "svg")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print or write the drawing."""
    example = get_example(arguments.example)
    manual_seed(arguments.seed)
    loss, _ = example.build()
    flags: dict[str, Any] = {"max_nodes": arguments.max_nodes, "order": arguments.order}
    drawing = FORMATS[arguments.format](loss, **flags)
    graph = read(loss, arguments.max_nodes)
    boxes = [asdict(box) for box in graph.boxes.values()]
    if console.as_json:
        drawn: dict[str, Any] = {"format": arguments.format, "text": drawing, "notes": graph.notes}
        drawn["python"] = _in_python(arguments)
        console.document({"example": arguments.example, "boxes": boxes, **drawn})
    elif arguments.svg is None or arguments.format != "svg":
        if arguments.format == "text":
            console.line(f"{example.sentence}\n")
        console.line(drawing.rstrip("\n"))
    write(console, arguments, csv=lambda: table(boxes), svg=lambda: str(to_svg(loss, **flags)))
    # what stands beside a drawing in a format for programs must not get into its file
    alone = arguments.format != "text" and arguments.svg is None
    console.python(_in_python(arguments), aside=alone and not console.as_json)
    return 0


def _in_python(arguments: argparse.Namespace) -> str:
    """The lines that draw the same."""
    called = f"to_{arguments.format}" if arguments.svg is None else "to_svg"
    flags = ", order=True" if arguments.order else ""
    flags += f", max_nodes={arguments.max_nodes}" if arguments.max_nodes != 60 else ""
    call = f"{called}(loss{flags})"
    save = "" if arguments.svg in (None, "-") else f".save({arguments.svg!r})"
    return "\n".join(
        [
            "import tinygrad_opt as tg",
            "from tinygrad_opt.teach.examples import get_example",
            f"from tinygrad_opt.teach.graph import {called}",
            "",
            f"tg.manual_seed({arguments.seed})",
            f"loss, leaves = get_example({arguments.example!r}).build()",
            f"{call}{save}" if save else f"print({call})",
        ]
    )
