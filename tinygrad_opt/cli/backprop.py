"""`backprop`: a backward pass that says what it does."""

from __future__ import annotations

import argparse

from ..random_numbers import manual_seed
from ..teach.examples import EXAMPLES, get_example
from ..teach.narrate import narrate
from .console import Console
from .files import add_seed

NAME = "backprop"
HELP = "run a backward pass that tells every node it visits, and why"
EPILOG = """examples:
  tinygrad-opt backprop --example neuron
  tinygrad-opt backprop --example fan_out
  tinygrad-opt backprop --example mlp --json

in Python: tg.teach.narrate(loss), instead of loss.backward()"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to go backwards through."""
    names = "; ".join(f"{name}: {example.sentence}" for name, example in EXAMPLES.items())
    parser.add_argument(
        "--example", default="neuron", metavar="NAME", help=f"what to look at (neuron). {names}"
    )
    add_seed(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the narration."""
    example = get_example(arguments.example)
    manual_seed(arguments.seed)
    told = narrate(lambda: example.build()[0], show=False)
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
        console.document({"example": arguments.example, "visits": visits})
        return 0
    console.line(f"{example.sentence}\n")
    console.line(str(told))
    console.python(
        "\n".join(
            [
                "import tinygrad_opt as tg",
                "from tinygrad_opt.teach import narrate",
                "from tinygrad_opt.teach.examples import get_example",
                "",
                f"tg.manual_seed({arguments.seed})",
                f"narrate(lambda: get_example({arguments.example!r}).build()[0])",
            ]
        )
    )
    return 0
