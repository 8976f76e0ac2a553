"""A map made of characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..history import Array

SHADES = " .:-=+*#%@"
DEPTH = 1e-6  # of the greatest height: what lies lower is drawn as this


def text_map(
    height: Array, logarithmic: bool, marks: Mapping[tuple[int, ...], str]
) -> Iterator[str]:
    """The lines of a map, two characters a cell, the higher the darker; y grows upwards.

    ``height[j, i]`` is drawn at column i; a height (G,) makes one line. ``marks``: a cell (i, j)
    and the character that stands there.
    """
    rows = np.atleast_2d(np.nan_to_num(height, nan=np.inf, posinf=np.inf))
    finite = rows[np.isfinite(rows)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    rows = np.clip(rows, max(low, DEPTH * high) if logarithmic else low, high)
    if logarithmic:
        rows = np.log(rows)
    depth = (rows - rows.min()) / (np.ptp(rows) or 1.0)
    cells = np.array(list(SHADES))[np.round(depth * (len(SHADES) - 1)).astype(int)]
    lines = [[2 * cell for cell in row] for row in cells]
    for (i, *j), mark in marks.items():
        lines[j[0] if j else 0][i] = f"{mark} "
    return ("".join(line).rstrip() for line in reversed(lines))
