"""What the commands print: tables and bars on a terminal, plain lines elsewhere, or one JSON."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..teach.export import strict_json


class Console:
    """Results go to stdout, everything else to stderr; with ``to_stdout`` only a file's content is.

    Where ``files`` are to be written, a reader of stdout who leaves early does not stop the work.
    rich is imported when the first table or bar is drawn. Colour and moving bars are for terminals;
    NO_COLOR and TERM=dumb are respected. A bar takes 78 columns or fewer.
    """

    def __init__(
        self,
        as_json: bool = False,
        color: bool = True,
        to_stdout: bool = False,
        files: bool = False,
        quiet: bool = False,
    ) -> None:
        self.as_json, self.for_people = as_json, not as_json and not to_stdout
        self.files, self.quiet = files, quiet
        self.color = color and not os.environ.get("NO_COLOR")

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches."""
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def note(self, text: str) -> None:
        """A message that is no result."""
        print(text, file=sys.stderr)

    def line(self, text: str = "") -> None:
        """A line of the result; nothing where the result is for programs."""
        if self.for_people:
            with self._reader():
                print(text)

    def python(self, code: str, aside: bool = False) -> None:
        """The Python call, or lines, that do what the command did; ``aside``: on stderr."""
        text = f"\nin Python:\n\n{code}" if "\n" in code else f"in Python: {code}"
        if not self.quiet:
            self.note(text.lstrip()) if aside else self.line(text)

    def written(self, path: Any) -> None:
        """Where a file is; no result, where the result is for programs."""
        (self.line if self.for_people else self.note)(f"wrote {path}")

    def document(self, content: Any) -> None:
        """The result as strict JSON, the only thing on stdout."""
        with self._reader():
            print(strict_json(content, indent=2))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], whole: Sequence[str] = ()
    ) -> None:
        """A table; numbers stand to the right, and columns named in ``whole`` are never wrapped."""
        if not self.for_people:
            return
        from rich.table import Table

        rows = [list(row) for row in rows]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, column in enumerate(columns):
            numeric = all(isinstance(row[place], (int, float)) for row in rows)
            justify: Any = "right" if numeric else "left"
            table.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
        for row in rows:
            table.add_row(*(number(cell) for cell in row))
        with self._reader():
            self._rich().print(table)

    @contextlib.contextmanager
    def bar(self, total: int) -> Iterator[Any]:
        """A progress bar, as a function of (done, words); None where it would not move."""
        if self.quiet or not (self.for_people and self.is_terminal and total):
            yield None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(10), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self._rich()) as progress:
            task = progress.add_task("", total=total)
            yield lambda done, words: progress.update(task, completed=done, description=words)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[None]:
        """Somebody who reads what is printed, `head` perhaps, and may leave."""
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            close_stdout()
            if not self.files:
                raise

    def _rich(self) -> Any:
        from rich.console import Console as Rich

        options: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        if not self.is_terminal:
            columns = os.environ.get("COLUMNS", "")
            options |= {"width": int(columns) if columns.isdecimal() else 100, "no_color": True}
        elif not self.color:
            options |= {"color_system": None}
        return Rich(**options)


def close_stdout() -> None:
    """Let what is printed from now on go nowhere."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def number(value: Any) -> str:
    """Four significant digits; text as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
