"""Results as text for other programs: strict JSON, and tables of comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same data in JSON's types; what it has no number for becomes "nan", "inf" or "-inf"."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def strict_json(content: Any, **options: Any) -> str:
    """JSON that every reader takes."""
    return json.dumps(plain(content), ensure_ascii=False, allow_nan=False, **options)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """A line for each row, under a header: ``columns``, or the names in the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
