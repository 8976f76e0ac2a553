"""One's own data: a table in a CSV file, one example a line."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from ..names import shortened
from ..whole_file import check_readable
from .dataset import Array, Dataset

MOST_CLASSES = 20  # different integers in a target that still count as classes
MOST_LISTED = 20  # columns in a sentence
LARGEST = float(np.finfo(np.float32).max)


def read_csv(path: str | Path, target: str | int | None = None, task: str | None = None) -> Dataset:
    """A data set from a CSV file: one column is the target, by default the last, the others are x.

    Separated by commas, semicolons or tabs. A first line without any number is the header; without
    a header columns are called "0", "1", ... The task is "classification" where the target is text
    or has few different integers, else "regression", unless ``task`` says so. Classes are told
    apart as they are written, however long their numbers are; 1 and 1.0 are one. FileNotFoundError
    for a missing file; ValueError, with line and column, for what is not a full table of numbers.
    """
    if task not in (None, "classification", "regression"):
        raise ValueError(f"read_csv: task is {task!r}. Write 'classification' or 'regression'.")
    path = Path(path)
    table = _named(path, _lines(path))
    column = table.find(target)
    features = [i for i in range(len(table.names)) if i != column]
    x = table.numbers(features)
    y, class_names = table.targets(column, task)
    return Dataset(
        path.stem,
        x,
        y,
        class_names,
        feature_names=tuple(table.names[i] for i in features),
        description=f"{table.names[column]} from {path.name}",
        target_name=table.names[column],
    )


@dataclasses.dataclass
class _Table:
    path: Path
    names: list[str]
    lines: list[tuple[int, list[str]]]  # number in the file, cells

    def __post_init__(self) -> None:
        for line, cells in self.lines:
            if "" in cells:
                place = self._place(line, cells.index(""))
                raise ValueError(f"{place}: the cell is empty. Fill it in or remove the line.")

    def _place(self, line: int, column: int) -> str:
        return f"read_csv: {self.path}, line {line}, column {shortened(self.names[column])}"

    def find(self, target: str | int | None) -> int:
        """The place of the target's column."""
        n = len(self.names)
        if target is None:
            return n - 1
        if isinstance(target, int) and -n <= target < n:
            return target % n
        if target not in self.names:
            raise ValueError(
                f"read_csv: {self.path} has no column {shortened(target)}. Its columns are "
                f"{_listed(self.names)}."
            )
        return self.names.index(str(target))

    def numbers(self, columns: Sequence[int]) -> Array:
        """These columns as float32 (N, D)."""
        rows = [[self._number(line, i, cells[i]) for i in columns] for line, cells in self.lines]
        return np.array(rows, np.float32)

    def _number(self, line: int, column: int, cell: str) -> float:
        if not _is_number(cell):
            raise ValueError(
                f"{self._place(line, column)}: {shortened(cell)} is not a number. Code it as one, "
                "or remove the column or the line."
            )
        number = float(cell)
        if not abs(number) <= LARGEST:
            raise ValueError(
                f"{self._place(line, column)}: {cell[:40]} is no finite float32. Put a number "
                "there or remove the line."
            )
        return number

    def targets(self, column: int, task: str | None) -> tuple[Array, tuple[str, ...]]:
        """Class numbers and the names of the classes; or float32 numbers and no names."""
        cells = [cells[column] for _, cells in self.lines]
        texts = [cell for cell in cells if not _is_number(cell)]
        labels: list[Any] = cells if texts else [Decimal(cell) for cell in cells]
        kinds = len(set(labels))
        where = f"read_csv: {self.path}, target {shortened(self.names[column])}"
        if kinds == 1:
            raise ValueError(
                f"{where}: it is {shortened(cells[0])} in every line; there is nothing to learn."
            )
        if task == "regression":
            return self.numbers([column])[:, 0], ()
        few, repeated = kinds <= MOST_CLASSES, 2 * kinds <= len(cells)
        if texts:
            if task is None and not (few or repeated):
                raise ValueError(
                    f"{where}: it holds text, {shortened(texts[0])}, but {kinds} different values "
                    f"in {len(cells)} lines are no classes. Correct the text, choose another "
                    "target, or say task='classification'."
                )
        else:
            values = self.numbers([column])[:, 0]
            if task is None and not (few and repeated and all(map(_is_whole, labels))):
                return values, ()
        classes = sorted(set(labels))
        place = {label: i for i, label in enumerate(classes)}
        return np.array([place[label] for label in labels], np.int64), tuple(map(_name, classes))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not blank, all of the same length."""
    try:
        check_readable(path)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"read_csv: there is no file {path}.") from None
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"read_csv: {path} cannot be read: {reason}. Name a file.") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"read_csv: {path} is no text in UTF-8. Save it as CSV, UTF-8.")
    first = text.lstrip().partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    lines = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(
            f"read_csv: {path}, line {reader.line_num}: {error}. Look for a quote that is "
            "left open."
        ) from None
    if not lines:
        raise ValueError(f"read_csv: {path} is empty.")
    width = len(lines[0][1])
    if width < 2:
        raise ValueError(
            f"read_csv: {path} has one column; a feature and a target are needed at least, "
            "separated by commas, semicolons or tabs."
        )
    for line, cells in lines:
        if len(cells) != width:
            raise ValueError(
                f"read_csv: {path}, line {line} has {len(cells)} cells, the first line has {width}."
            )
    return lines


def _named(path: Path, lines: list[tuple[int, list[str]]]) -> _Table:
    """The table, with the names of its header or the places of its columns as names."""
    names = lines[0][1]
    if any(map(_is_number, names)):
        return _Table(path, [str(i) for i in range(len(names))], lines)
    if len(lines) == 1:
        raise ValueError(f"read_csv: {path} has a header and no examples.")
    seen: set[str] = set()
    for i, name in enumerate(names):
        if not name:
            raise ValueError(
                f"read_csv: {path}: column {i + 1} has no name. Name it; if it only counts the "
                "lines, remove it."
            )
        if name in seen:
            raise ValueError(f"read_csv: {path} has two columns {shortened(name)}. Rename one.")
        seen.add(name)
    return _Table(path, names, lines[1:])


def _listed(names: list[str]) -> str:
    more = [] if len(names) <= MOST_LISTED else ["…"]
    return ", ".join([name[:40] for name in names[:MOST_LISTED]] + more)


def _is_number(cell: str) -> bool:
    """Whether it is one outside of Python, too, where nobody writes 1_0."""
    try:
        Decimal(cell), float(cell)
    except (ValueError, InvalidOperation):
        return False
    return "_" not in cell


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _name(label: str | Decimal) -> str:
    """Of a class: as it is written, but 1 for 1.0."""
    return f"{label:.0f}" if isinstance(label, Decimal) and _is_whole(label) else str(label)
