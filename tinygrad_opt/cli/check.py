"""`check`: is the exercise solved? What passes, and a hint at the mistake."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from ..teach import EXERCISES, check_file, copy_exercise
from .console import Console

NAME = "check"
HELP = "check an exercise that you have solved, with a hint where it is not right yet"
EPILOG = """examples:
  tinygrad-opt check --list
  tinygrad-opt check --copy momentum
  tinygrad-opt check ex03_momentum.py

in Python: print(tg.teach.check_file("ex03_momentum.py"))"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A file, or what else to do."""
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("file", metavar="FILE", nargs="?", help="the file with your solution")
    one.add_argument("--list", action="store_true", help="the exercises there are")
    one.add_argument(
        "--copy", metavar="NAME", help="write a fresh exercise, here or in --to FOLDER"
    )
    parser.add_argument("--to", metavar="FOLDER", default=".", help="where --copy writes (.)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Exit code 0 where it is solved, 1 where not, 2 where there is nothing to check."""
    if arguments.list:
        return _list(console)
    if arguments.copy is not None:
        return _copy(arguments.copy, arguments.to, console)
    return _check(arguments.file, console)


def _check(file: str, console: Console) -> int:
    checked = check_file(file)
    if checked.printed and not console.as_json:
        console.note(checked.printed.rstrip("\n"))
    console.line(str(checked))
    if console.as_json:
        console.document(asdict(checked) | {"solved": checked.solved})
    console.python(f"print(tg.teach.check_file({file!r}))")
    return 0 if checked.solved else 1


def _list(console: Console) -> int:
    columns = ("name", "what to write", "file")
    rows = [(one.name, one.title, one.file) for one in EXERCISES.values()]
    if console.as_json:
        console.document([dict(zip(columns, row, strict=True)) for row in rows])
        return 0
    console.table(columns, rows, whole=("name", "file"))
    console.line("\ntinygrad-opt check --copy NAME writes one, for you to fill in.")
    console.python("tg.teach.EXERCISES")
    return 0


def _copy(name: str, folder: str, console: Console) -> int:
    path = copy_exercise(name, folder)
    if console.as_json:
        console.document({"file": str(path)})
    console.written(path)
    console.line(f"Fill it in, then: tinygrad-opt check {path}")
    console.python(f"tg.teach.copy_exercise({name!r}, {folder!r})")
    return 0
