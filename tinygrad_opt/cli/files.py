"""Flags that commands share, and the files that they name. Nothing is written without a flag."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..teach.plot.page import page
from ..teach.plot.style import missing
from .console import Console

PACKAGES = {"png": ["matplotlib"], "html": ["plotly", "matplotlib"], "gif": ["matplotlib", "PIL"]}
KINDS = {
    "csv": "the record as a table, one line an update (- for stdout)",
    "png": "a picture",
    "svg": "a picture that stays sharp",
    "html": "a page to hand out, which needs no network",
    "gif": "a small moving picture",
}


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random draws (0)")


def add_files(parser: argparse.ArgumentParser, *kinds: str) -> None:
    """--csv FILE, --png FILE and so on, as far as the command has them."""
    for kind in kinds:
        parser.add_argument(f"--{kind}", metavar="FILE", help=f"write {KINDS[kind]}")


def look_ahead(arguments: argparse.Namespace) -> None:
    """See, before any work, that the files can be written and that what draws them is installed.

    OSError and ImportError, as sentences, otherwise.
    """
    for kind in KINDS:
        name = getattr(arguments, kind, None)
        if name is None:
            continue
        for package in PACKAGES.get(kind, ()):
            if importlib.util.find_spec(package) is None:
                raise missing({"PIL": "Pillow"}.get(package, package))
        folder = Path(name).parent
        if name != "-" and not (os.access(folder, os.W_OK) and folder.is_dir()):
            raise OSError(f"cannot write {name}: name a file in a folder that you may write into.")


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
