"""`backprop`: a backward pass that says what it does."""

from __future__ import annotations

import argparse

from ..random_numbers import manual_seed
from ..teach.examples import get_example, listed
from ..teach.export import table
from ..teach.narrate import narrate
from .console import Console
from .files import add_files, add_seed, write

NAME = "backprop"
HELP = "run a backward pass that tells every node it visits, and why"
EPILOG = f"""examples:
  tinygrad-opt backprop --example neuron
  tinygrad-opt backprop --example fan_out
  tinygrad-opt backprop --example mlp --json

what there is to look at:
{listed()}

in Python: tg.teach.narrate(loss), instead of loss.backward()"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to go backwards through."""
    parser.add_argument("--example", default="neuron", metavar="NAME", help="see below (neuron)")
    add_seed(parser)
    add_files(parser, "csv")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the narration."""
    example = get_example(arguments.example)
    manual_seed(arguments.seed)
    told = narrate(lambda: example.build()[0], show=False)
    visit_rows = [
        {"operation": visit.name, "place": visit.place, "why": visit.why, "gradient": visit.arrived}
        | vars(sent)
        for visit in told.visits
        for sent in visit.sent
    ]
    if console.as_json:
        visits = [
            {
                "operation": visit.name,
                "place": visit.place,
                "why": visit.why,
                "gradient": {"shape": list(visit.shape), "norm": visit.arrived},
                "sends": [vars(sent) for sent in visit.sent],
            }
            for visit in told.visits
        ]
        python = _in_python(arguments.example, arguments.seed)
        console.document({"example": arguments.example, "visits": visits, "python": python})
    else:
        console.line(f"{example.sentence}\n")
        console.line(str(told))
        console.python(_in_python(arguments.example, arguments.seed))
    write(console, arguments, csv=lambda: table(visit_rows))
    return 0


def _in_python(example: str, seed: int) -> str:
    """The lines that say the same."""
    return "\n".join(
        [
            "import tinygrad_opt as tg",
            "from tinygrad_opt.teach import narrate",
            "from tinygrad_opt.teach.examples import get_example",
            "",
            f"tg.manual_seed({seed})",
            f"narrate(lambda: get_example({example!r}).build()[0])",
        ]
    )
