"""Where the boxes of a graph go: in rows, inputs above what is made of them.

A row for each step away from the result, so that a weight lies right above its operation; boxes in
a row ordered by the mean place of their neighbours (Sugiyama, Tagawa & Toda 1981), which makes few
lines cross; then every box as near to its neighbours as its row allows. A line over several rows
has a place in each of them, and bends between rows alone.

Order: `Place` · `arrange` · rows · order in a row · places in a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[int, int]
Key = int | tuple[int, int, int]  # a box, or where a line from a box to a box crosses a row

SWEEPS = 8
GAP, ROW_GAP, LANE = 22.0, 40.0, 10.0  # between boxes, between rows, for a line that passes


@dataclass(frozen=True)
class Place:
    """A box: its middle, its size, its row; in pixels, y downwards."""

    x: float
    y: float
    width: float
    height: float
    row: int

    @property
    def left(self) -> float:
        """The left border."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """The right border."""
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        """The upper border."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The lower border."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    """Where all boxes are, the points that lines pass from end to end, and the size of all."""

    places: dict[int, Place]
    paths: dict[Edge, list[tuple[float, float]]]
    width: float
    height: float


def arrange(
    sizes: Mapping[int, tuple[float, float]], edges: list[Edge], layers: Mapping[int, str]
) -> Layout:
    """Places for boxes of these sizes, given inputs first, with a line for every edge.

    Boxes of the same layer stay side by side where they share a row.
    """
    row_of = _rows(list(sizes), edges)
    rows: list[list[Key]] = [[] for _ in range(max(row_of.values()) + 1)]
    for box, row in row_of.items():
        rows[row].append(box)
    above: dict[Key, list[Key]] = {}
    below: dict[Key, list[Key]] = {}
    lanes: dict[Edge, list[Key]] = {}
    for source, target in dict.fromkeys(edges):
        passed: list[Key] = []
        for row in range(row_of[source] - 1, row_of[target], -1):
            passed.append((source, target, row))
            rows[row].append(passed[-1])
        lanes[source, target] = passed
        for upper, lower in pairwise([source, *passed, target]):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    rows.reverse()
    widths = {key: sizes[key][0] if isinstance(key, int) else LANE for row in rows for key in row}
    _order(rows, above, below, layers)
    x = _align(rows, above, below, widths)
    left = min(x[key] - widths[key] / 2 for key in x)
    x = {key: middle - left for key, middle in x.items()}
    bands: dict[Key, tuple[float, float]] = {}  # upper and lower border of the row
    places: dict[int, Place] = {}
    top = 0.0
    for number, keys in enumerate(rows):
        boxes = [key for key in keys if isinstance(key, int)]
        bottom = top + max(sizes[key][1] for key in boxes)
        bands |= dict.fromkeys(keys, (top, bottom))
        for key in boxes:
            places[key] = Place(x[key], (top + bottom) / 2, *sizes[key], number)
        top = bottom + ROW_GAP
    paths = {
        (source, target): [
            (x[source], places[source].bottom),
            (x[source], bands[source][1]),
            *((x[key], border) for key in passed for border in bands[key]),
            (x[target], bands[target][0]),
            (x[target], places[target].top),
        ]
        for (source, target), passed in lanes.items()
    }
    width = max(x[key] + widths[key] / 2 for key in x)
    return Layout(places, paths, width, top - ROW_GAP)


# ---- rows -------------------------------------------------------------------------------------


def _rows(keys: list[int], edges: list[Edge]) -> dict[int, int]:
    """The longest way to the result, in edges; every row has a box."""
    row = dict.fromkeys(keys, 0)
    readers: dict[int, list[int]] = {}
    for source, target in edges:
        readers.setdefault(source, []).append(target)
    for key in reversed(keys):  # readers first
        row[key] = max((row[reader] + 1 for reader in readers.get(key, [])), default=0)
    return row


# ---- order in a row ---------------------------------------------------------------------------


def _order(
    rows: list[list[Key]],
    above: dict[Key, list[Key]],
    below: dict[Key, list[Key]],
    layers: Mapping[int, str],
) -> None:
    """Sort rows by the mean place of their neighbours, downwards and upwards in turn."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else rows[::-1]:
            near = above if downwards else below
            place = {key: i for other in rows for i, key in enumerate(other)}
            mean = {key: _mean([place[k] for k in near.get(key, [])], place[key]) for key in row}
            _sort_with_layers(row, mean, layers)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _sort_with_layers(row: list[Key], mean: dict[Key, float], layers: Mapping[int, str]) -> None:
    """By the means, those of a layer side by side at the mean of their means."""
    groups: dict[object, list[Key]] = {}
    for key in row:
        layer = layers.get(key, "") if isinstance(key, int) else ""
        groups.setdefault(layer or key, []).append(key)
    means = {name: _mean([mean[key] for key in keys], 0) for name, keys in groups.items()}
    row[:] = [
        key
        for name in sorted(groups, key=lambda name: means[name])
        for key in sorted(groups[name], key=lambda key: mean[key])
    ]


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(rows: list[list[Key]], below: dict[Key, list[Key]]) -> int:
    """How many pairs of lines cross: the inversions of their lower ends."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {key: i for i, key in enumerate(lower)}
        ends = [end for key in upper for end in sorted(place[k] for k in below.get(key, []))]
        total += sum(a > b for i, b in enumerate(ends) for a in ends[:i])
    return total


# ---- places in a row --------------------------------------------------------------------------


def _align(
    rows: list[list[Key]],
    above: dict[Key, list[Key]],
    below: dict[Key, list[Key]],
    widths: dict[Key, float],
) -> dict[Key, float]:
    """The middle of every box: in order, apart, and near to the mean of its neighbours."""
    x: dict[Key, float] = {}
    for row in rows:
        x |= _apart(row, [0.0] * len(row), [1] * len(row), widths)
    near = {key: above.get(key, []) + below.get(key, []) for key in x}
    for sweep in range(3 * SWEEPS):
        for row in rows if sweep % 2 else rows[::-1]:
            wishes = [_mean([x[k] for k in near[key]], x[key]) for key in row]
            x |= _apart(row, wishes, [len(near[key]) or 1 for key in row], widths)
    return x


def _apart(
    row: list[Key], wishes: list[float], weights: list[int], widths: dict[Key, float]
) -> dict[Key, float]:
    """Σ weight (x − wish)² at its least, given the order and gaps: isotonic regression.

    Less the room that those before it take, places may not fall. Neighbours whose means fall are
    moved as one, to the mean of both (pool adjacent violators).
    """
    room = [0.0]
    for a, b in pairwise(row):
        room.append(room[-1] + (widths[a] + widths[b]) / 2 + GAP)
    pools: list[tuple[float, int, int]] = []  # mean, weight, how many
    for wish, weight, before in zip(wishes, weights, room, strict=True):
        mean, total, count = wish - before, weight, 1
        while pools and pools[-1][0] > mean:
            other, w, n = pools.pop()
            mean, total, count = (mean * total + other * w) / (total + w), total + w, count + n
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return {key: mean + before for key, mean, before in zip(row, means, room, strict=True)}
