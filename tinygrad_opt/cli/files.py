"""Flags that commands share, and the files that they name. Nothing is written without a flag."""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..teach.plot.page import page
from ..teach.plot.style import missing
from ..whole_file import may_write
from ..whole_file import write as write_file
from .console import Console

PACKAGES = {"png": ["matplotlib"], "html": ["plotly", "matplotlib"], "gif": ["matplotlib", "PIL"]}
KINDS = {
    "csv": "the record as a table, one line an update (- for stdout)",
    "png": "a picture",
    "svg": "a picture that stays sharp",
    "html": "a page to hand out, which needs no network",
    "gif": "a small moving picture",
}


ENDINGS = {"csv": (".csv", ".txt"), "html": (".html", ".htm")}  # of the others: their own name


def at_least(least: float, flag: str, value: Any) -> Any:
    """The value of a flag; ValueError where it is less, or nan."""
    if not value >= least:
        raise ValueError(f"{flag} is {value}; it has to be at least {least}.")
    return value


def at_most(most: int, flag: str, value: int) -> int:
    """The value of a flag; ValueError where it is more than anybody can wait for."""
    if value > most:
        raise ValueError(f"{flag} is {value}; it goes up to {most:,}.")
    return value


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random draws (0)")


def add_files(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """--csv FILE, --png FILE and so on, as far as the command has them."""
    for kind in kinds:
        parser.add_argument(f"--{kind}", metavar="FILE", help=f"write {KINDS[kind]}")


def look_ahead(arguments: argparse.Namespace) -> None:
    """See, before any work, that the files can be written and that what draws them is installed.

    OSError, ImportError and, for flags that contradict each other, ValueError, as sentences.
    """
    at_least(0, "--seed", getattr(arguments, "seed", 0))
    files = named_files(arguments)
    on_stdout = ["--json"] if arguments.json else []
    on_stdout += [f"--{kind} -" for kind, name in files.items() if name == "-"]
    if len(on_stdout) > 1:
        raise ValueError(
            f"{' and '.join(on_stdout)} both want stdout, which holds one result; name a file."
        )
    for kind, name in files.items():
        _check_ending(kind, name)
        for package in PACKAGES.get(kind, ()):
            if importlib.util.find_spec(package) is None:
                raise missing({"PIL": "Pillow"}.get(package, package))
        if name != "-" and not may_write(Path(name)):
            raise OSError(f"cannot write {name}: name a file in a folder that you may write into.")


def named_files(arguments: argparse.Namespace) -> dict[str, str]:
    """The files that were asked for, by their kinds; "-" is stdout."""
    named = {kind: getattr(arguments, kind, None) for kind in KINDS}
    return {kind: name for kind, name in named.items() if name is not None}


def _check_ending(kind: str, name: str) -> None:
    """ValueError where the name promises another kind of file."""
    endings = ENDINGS.get(kind, (f".{kind}",))
    if name == "-" and kind in ("png", "gif"):
        raise ValueError(f"--{kind} is '-', and a picture is no text; name a file.")
    if Path(name).suffix.lower() not in ("", *endings):
        raise ValueError(
            f"--{kind} is {name!r}; what it writes is {kind.upper()}, so end it in {endings[0]}."
        )


def write(console: Console, arguments: argparse.Namespace, **makers: Callable[[], Any]) -> None:
    """Write the files that were asked for, each made by its function, and say where they are.

    It makes a text, bytes, or a figure of matplotlib's, which is also put into a page where the
    command has none of its own. OSError, as a sentence, where that fails.
    """
    if "png" in makers and "html" not in makers:
        makers["html"] = lambda: page(f"tinygrad-opt {arguments.command}", makers["png"]())
    for kind, make in makers.items():
        name = getattr(arguments, kind)
        if name is None:
            continue
        content = make()
        if name == "-" and isinstance(content, str):
            sys.stdout.write(content)
            sys.stdout.flush()
            continue
        path = Path(name)
        try:
            write_file(path, _bytes(content, kind))
        except OSError as error:
            reason = error.strerror or error
            raise OSError(
                f"cannot write {path}: {reason}. Make room, or name a file in a folder that exists."
            ) from None
        console.written(path)


def _bytes(content: Any, kind: str) -> bytes:
    """What a maker made, as it stands in a file."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    file = io.BytesIO()
    content.savefig(file, format=kind, dpi=144)
    return file.getvalue()
