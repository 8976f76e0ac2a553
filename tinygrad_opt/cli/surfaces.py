"""Commands that work on a surface as well as on data."""

from __future__ import annotations

from ..data import DATASETS
from ..names import did_you_mean
from ..teach import SURFACES
from .recipe import is_table


def surface_named(task: str) -> str | None:
    """The surface that is meant, or None for a data set; ValueError for what is neither."""
    plain = task.strip().lower().replace("-", "_")
    if plain in SURFACES:
        return plain
    if plain in DATASETS or task in DATASETS or is_table(task):
        return None
    raise ValueError(
        f"there is no task {task!r}.{did_you_mean(plain, [*DATASETS, *SURFACES])} There are the "
        f"data sets {', '.join(DATASETS)}, and the surfaces {', '.join(SURFACES)}."
    )
