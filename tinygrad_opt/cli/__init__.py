"""The command line: one thin command for each public function.

Exit codes: 0 fine, 1 a training diverged or a check failed, 2 wrong use or a missing thing, 130
interrupted. Errors are one sentence on stderr; ``--debug`` shows where they come from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..device import Device, out_of_memory
from ..names import did_you_mean
from . import (
    backprop,
    check,
    data,
    doctor,
    gradcheck,
    graph,
    landscape,
    lists,
    lr,
    race,
    schedule,
    step,
    train,
)
from .console import Console
from .files import KINDS, look_ahead

COMMANDS = (
    step,
    train,
    race,
    lr,
    landscape,
    backprop,
    graph,
    gradcheck,
    schedule,
    lists,
    check,
    data,
    doctor,
)

WELCOME = """tinygrad_opt {version}: learn, teach and use optimization.

Try
  tinygrad-opt step bowl --optimizer adam --lr 0.1 --from 3 --explain   every number of a step
  tinygrad-opt race rosenbrock --optimizers sgd,momentum,adam           who is quicker, and why
  tinygrad-opt train digits                                             learn handwritten digits
  tinygrad-opt train digits --lr 5 --diagnose                           what is wrong here?
  tinygrad-opt doctor                                                   what is installed
"""


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    whole = argparse.ArgumentParser(
        prog="tinygrad-opt",
        description="Learn, teach and use optimization: train small networks on real data.",
    )
    whole.add_argument("--version", action="version", version=f"tinygrad_opt {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="one JSON document on stdout")
    shared.add_argument("--no-color", action="store_true", help="plain text (as with NO_COLOR=1)")
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME,
            help=module.HELP,
            description=f"{module.HELP[0].upper()}{module.HELP[1:]}.",
            epilog=module.EPILOG,
            parents=[shared],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    whole = parser()
    try:
        arguments = whole.parse_args(argv)
    except SystemExit as end:  # argparse has said why
        if end.code and (hint := _mistyped(sys.argv[1:] if argv is None else argv)):
            print(hint, file=sys.stderr)
        return int(end.code or 0)
    if arguments.command is None:
        print(WELCOME.format(version=__version__))
        whole.print_help()
        return 0
    console = Console(
        as_json=arguments.json,
        color=not arguments.no_color,
        to_stdout="-" in (getattr(arguments, kind, None) for kind in KINDS),
    )
    try:
        look_ahead(arguments)
        code: int = arguments.run(arguments, console)
        return code
    except KeyboardInterrupt:
        console.note("Interrupted.")
        return 130
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        sys.stderr.close()
        return 0
    except Exception as error:
        if arguments.debug:
            raise
        console.note(f"error: {_sentence(error)}")
        return 2


def _mistyped(words: Sequence[str]) -> str:
    """What a command that there is not may have been meant to be."""
    names = [module.NAME for module in COMMANDS]
    command = next((word for word in words if not word.startswith("-")), names[0])
    return "" if command in names else did_you_mean(command, names).strip()


def _sentence(error: Exception) -> str:
    """What went wrong, in a line."""
    if isinstance(error, MemoryError):
        error = out_of_memory(Device("cpu"), error)
    if isinstance(error, UnicodeEncodeError):
        return f"{error}. Set PYTHONIOENCODING=utf-8 for this terminal."
    known = (ValueError, TypeError, RuntimeError, OSError, ImportError)
    text = " ".join(str(error).split())
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}. See --debug."
