"""A student's file: which exercise it is, and the checks, run in a process of its own.

What runs there may loop for ever, exit or print; here that becomes a sentence.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .checking import Verdict
from .table import EXERCISES, get_exercise, unsolved

SECONDS = 20.0  # for all checks together; they take one


@dataclass(frozen=True)
class Checked:
    """What was found in a file: verdicts, or the trouble that kept its checks from running."""

    exercise: str
    verdicts: list[Verdict] = field(default_factory=list)
    trouble: str = ""
    printed: str = ""  # by the file itself, the beginning of it

    @property
    def solved(self) -> bool:
        """Whether every check passed."""
        return not self.trouble and all(verdict.passed for verdict in self.verdicts)

    def __str__(self) -> str:
        title = [f"{name}: {EXERCISES[name].title}"] if (name := self.exercise) else []
        return "\n".join(
            [*title, *map(str, self.verdicts), self.trouble or self.solved * "Solved."]
        ).rstrip()


def check_file(path: str | os.PathLike[str], seconds: float = SECONDS) -> Checked:
    """Run the checks of the exercise that a file says to be, ``EXERCISE = "momentum"``.

    FileNotFoundError or ValueError where it is none. Its own errors are no exceptions here: they
    are the ``trouble`` or a hint.
    """
    path = Path(path)
    name = _declared(path)
    get_exercise(name)  # it has to be one
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        python = [sys.executable, "-P", "-B", "-m", __package__]  # nothing found or left beside it
        root = str(Path(__file__).parents[3])
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        try:
            subprocess.run(
                [*python, str(path.resolve()), name, str(answer)],
                env=os.environ | {"PYTHONPATH": search},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return Checked(name, trouble=_endless(seconds))
        if not answer.exists():
            return Checked(name, trouble="The file ended the program before it could be checked.")
        found = json.loads(answer.read_text(encoding="utf-8"))
    return Checked(name, [Verdict(*one) for one in found.pop("verdicts")], **found)


def copy_exercise(name: str, folder: str | os.PathLike[str] = ".") -> Path:
    """Write a fresh file with one hole into a folder; returns where it is.

    FileExistsError where the file is there already, and may hold a solution.
    """
    exercise = get_exercise(name)
    path = Path(folder) / exercise.file
    text = unsolved(exercise).read_bytes()
    try:
        with path.open("xb") as file:
            file.write(text)
    except FileExistsError:
        raise FileExistsError(
            f"check: {path} is there already, and may hold your solution. Name another folder, or "
            "move it away."
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"check: cannot write {path}: {reason}. Name a folder that exists.") from None
    return path


def _declared(path: Path) -> str:
    """The name behind EXERCISE."""
    if not path.is_file():
        raise FileNotFoundError(f"check: there is no file {path}.")
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"""^EXERCISE\s*=\s*["'](.*)["']""", text, re.MULTILINE)
    if found is None:
        raise ValueError(
            f"check: {path} is no exercise: no line says which, as EXERCISE = 'momentum' does. "
            "tinygrad-opt check --list shows them."
        )
    return found[1]


def _endless(seconds: float) -> str:
    return (
        f"It did not come to an end in {seconds:g} seconds. Is there a loop that never stops, or "
        "an input()?"
    )
