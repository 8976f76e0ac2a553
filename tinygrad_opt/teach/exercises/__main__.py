"""The other process of `check_file`: FILE EXERCISE ANSWER.

Runs the file, checks its function, and writes what it found to ANSWER, with the beginning of what
the file prints.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .answers import stopped
from .checking import verdicts
from .table import get_exercise

PRINTED = 2000  # characters that are kept


class _Beginning(io.StringIO):
    """Keeps what comes first."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


def main(path: Path, name: str, answer: Path) -> None:
    """Check the function of this name in the file."""
    printed = _Beginning()
    found: dict[str, Any] = {"verdicts": [], "trouble": ""}
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            names = _run(path)
        except (Exception, SystemExit) as error:
            found["trouble"] = stopped(error, str(path))
        else:
            function = names.get(name)
            if callable(function):
                found["verdicts"] = [astuple(one) for one in verdicts(get_exercise(name), function)]
            else:
                found["trouble"] = f"There is no function {name} any more. Give it its name back."
    text = json.dumps(found | {"printed": printed.getvalue()})
    answer.write_text(text, encoding="utf-8")


def _run(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("exercise", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.parent))  # last: a file called random.py hides nothing
    spec.loader.exec_module(module)
    return vars(module)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
