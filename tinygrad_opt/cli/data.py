"""`data`: fetch MNIST, check what is there, say where it is kept."""

from __future__ import annotations

import argparse

from ..data import cache_folder, fetch, verify
from .console import Console

NAME = "data"
HELP = "fetch MNIST, check the data files, or say where they are kept"
EPILOG = """examples:
  tinygrad-opt data fetch mnist
  tinygrad-opt data verify
  tinygrad-opt data path

in Python: tg.data.fetch("mnist"), tg.data.verify(), tg.data.cache_folder()"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which data set."""
    parser.add_argument("action", choices=("fetch", "verify", "path"))
    parser.add_argument("name", nargs="?", help="the data set to fetch: mnist")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print each file that is there."""
    if (arguments.action == "fetch") != (arguments.name is not None):
        raise ValueError("data: write data fetch mnist, data verify or data path.")
    if arguments.action == "fetch":
        found = [str(path) for path in fetch(arguments.name)]
    elif arguments.action == "verify":
        found = [f"{name} ok" for name in verify()] if not console.as_json else verify()
    else:
        found = [str(cache_folder())]
    if console.as_json:
        console.document(found)
    for line in found:
        console.line(line)
    return 0
