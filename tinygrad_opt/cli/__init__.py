"""The command line: one thin command for each public function.

Exit codes: 0 fine, 1 a training diverged or a check failed, 2 wrong use or a missing thing, 130
interrupted. Errors are one sentence on stderr; ``--debug`` shows where they come from.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
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
from .console import Console, close_stdout
from .files import look_ahead, named_files

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

LONGEST, SHORTENED = 1000, 300  # characters of an error

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
    shared.add_argument("--quiet", action="store_true", help="the result only: no progress")
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
    words = sys.argv[1:] if argv is None else argv
    try:
        arguments = whole.parse_args(_marked(words))
    except SystemExit as end:  # argparse has said why
        if end.code and (hint := _mistyped(words)):
            print(hint, file=sys.stderr)
        return int(end.code or 0)
    if arguments.command is None:
        print(WELCOME.format(version=__version__))
        whole.print_help()
        return 0
    files = named_files(arguments).values()
    console = Console(
        as_json=arguments.json,
        color=not arguments.no_color,
        to_stdout="-" in files,
        files=any(name != "-" for name in files),
        quiet=arguments.quiet,
    )
    try:
        look_ahead(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: console.note(f"warning: {message}")
            code: int = arguments.run(arguments, console)
        return code
    except KeyboardInterrupt:
        console.note("Interrupted.")
        return 130
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        close_stdout()
        return 0
    except Exception as error:
        if arguments.debug:
            raise
        console.note(f"error: {_sentence(error)}")
        return 2


def _marked(words: Sequence[str]) -> list[str]:
    """The words with a space before values such as -3,2 and -x**2: argparse takes them for flags.

    Flags are --long, or -h; what is typed as -lr is left to argparse, which says what it thinks.
    """
    return [f" {word}" if re.match(r"-(?!-|h$|[a-z]{2,}$).", word) else word for word in words]


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
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "rich":
        return "rich is missing, which tinygrad_opt needs: pip install rich"
    text = _short(" ".join(str(error).split()))
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}. See --debug."


def _short(text: str) -> str:
    """A sentence without the middle of what somebody has pasted into it."""
    half = SHORTENED // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"
