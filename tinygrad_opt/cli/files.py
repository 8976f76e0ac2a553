"""Flags that commands share, and the files that they name. Nothing is written without a flag."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .console import Console

KINDS = {
    "csv": "the record as a table, one line an update (- for stdout)",
    "png": "a picture",
    "svg": "a picture that stays sharp",
    "html": "a page that moves and needs no network",
    "gif": "a small moving picture",
}


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random draws (0)")


def add_files(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """--csv FILE, --png FILE and so on, as far as the command has them."""
    for kind in kinds:
        parser.add_argument(f"--{kind}", metavar="FILE", help=f"write {KINDS[kind]}")


def write(console: Console, arguments: argparse.Namespace, **makers: Callable[[], Any]) -> None:
    """Write the files that were asked for, each made by its function, and say where they are.

    It makes a text, bytes, or a figure of matplotlib's. OSError, as a sentence, where that fails.
    """
    for kind, make in makers.items():
        name = getattr(arguments, kind)
        if name is None:
            continue
        content = make()
        if name == "-" and isinstance(content, str):
            sys.stdout.write(content)
            continue
        path = Path(name)
        try:
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content.savefig(path, format=kind, dpi=144)
        except OSError as error:
            reason = error.strerror or error
            raise OSError(
                f"cannot write {path}: {reason}. Name a file in a folder that exists."
            ) from None
        console.written(path)
