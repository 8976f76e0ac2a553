"""A graph as a picture that needs nothing installed: SVG, laid out here.

Order: `to_svg` · boxes · lines and frames.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from ...tensor import Tensor
from ...whole_file import write
from .boxes import INPUT, LEARNED, OPERATION, SEVERAL, Box, Graph
from .layout import Layout, Place, arrange
from .reading import read

FONT, LETTER, LINE = 12, 7.3, 16  # pixels: the size, the advance of a letter, of a line
PADDING, MARGIN, TIP = 8, 20, 6

# Told apart by their borders, so that no colour is needed; the tints help who sees them.
BORDERS = {
    OPERATION: 'rx="9" fill="#ffffff" stroke="#000000"',
    LEARNED: 'fill="#dcebf7" stroke="#000000" stroke-width="2.4"',
    INPUT: 'fill="#f4f4f4" stroke="#000000" stroke-dasharray="4 3"',
    SEVERAL: 'rx="9" fill="#fdf1dc" stroke="#000000" stroke-width="1.6"',
}
LEGEND = (
    "round: an operation; thick: learned; dashed: an input",
    "the gradient flows back along solid lines",
)


class Svg(str):
    """An SVG document as text, which notebooks show as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> None:
        """Write it into a file."""
        write(Path(path), self.encode())


def to_svg(t: Tensor, *, max_nodes: int = 60, order: bool = False) -> Svg:
    """The graph of a result as an SVG picture, inputs above what is made of them.

    Round boxes are operations, thick ones are learned, dashed ones inputs; a gradient flows back
    along solid lines. Boxes hold name, shape and, where they are small, value and gradient; a frame
    surrounds a layer, known by the names of its parameters. With ``order`` operations carry the
    place in which a backward pass visits them. Above ``max_nodes`` boxes layers are drawn as one,
    and a sentence says so. TypeError for what is no Tensor, ValueError for less than two boxes.
    """
    graph = read(t, max_nodes)
    words = {key: box.lines(order) for key, box in graph.boxes.items()}
    sizes = {key: _size(lines) for key, lines in words.items()}
    edges = [(source, key) for key, box in graph.boxes.items() for source, _ in box.inputs]
    layers = {key: layer for layer, keys in graph.layers().items() for key in keys}
    layout = arrange(sizes, edges, layers)
    below = [*graph.notes, *LEGEND]
    width = max(layout.width, *(width_of(line) for line in below)) + 2 * MARGIN
    height = layout.height + LINE * (len(below) + 1) + 2 * MARGIN
    shift = (width - layout.width) / 2
    title = f"The graph of {graph.result.name}"
    counts = f"{len(graph.boxes)} boxes, {len(edges)} lines. "
    return Svg(
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" '
                f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
                f'font-family="monospace" font-size="{FONT}">',
                f"<title>{escape(title)}</title>",
                f"<desc>{escape(counts + ' '.join(graph.notes) or title)}</desc>",
                f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
                f'<g transform="translate({shift:.1f} {MARGIN})">',
                *_frames(graph, layout),
                *_lines(graph, layout),
                *(_box(box, words[key], layout.places[key]) for key, box in graph.boxes.items()),
                "</g>",
                *(
                    _text(width / 2, layout.height + MARGIN + LINE * (place + 2), line, "#333333")
                    for place, line in enumerate(below)
                ),
                "</svg>\n",
            ]
        )
    )


# ---- boxes ------------------------------------------------------------------------------------


def width_of(text: str) -> float:
    """How wide a line of text is, in pixels; East Asian letters count twice."""
    return LETTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _size(lines: list[str]) -> tuple[float, float]:
    return max(map(width_of, lines)) + 2 * PADDING, LINE * len(lines) + 2 * PADDING - 4


def _box(box: Box, lines: list[str], place: Place) -> str:
    rect = (
        f'<rect x="{place.left:.1f}" y="{place.top:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" {BORDERS[box.kind]}/>'
    )
    first = place.top + PADDING + FONT - 3
    texts = [_text(place.x, first + LINE * i, line, bold=i == 0) for i, line in enumerate(lines)]
    return "".join(["<g>", rect, *texts, "</g>"])


def _text(x: float, y: float, text: str, colour: str = "#000000", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}"'
    return f"<text {at}{weight}>{escape(text)}</text>"


# ---- lines and frames -------------------------------------------------------------------------


def _lines(graph: Graph, layout: Layout) -> Iterator[str]:
    for key, box in graph.boxes.items():
        for source, flows in box.inputs:
            *points, (x, y) = layout.paths[source, key]
            dashes = "" if flows else ' stroke-dasharray="4 3"'
            line = _curve([*points, (x, y - TIP)])
            yield f'<path d="{line}" fill="none" stroke="#000000"{dashes}/>'
            yield f'<path d="M{x - 4:.1f} {y - TIP - 1:.1f}h8l-4 {TIP + 1}z"/>'


def _curve(points: list[tuple[float, float]]) -> str:
    """A smooth line through points, upright at each."""
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (a, b), (c, d) in pairwise(points):
        middle = (b + d) / 2
        text += f"C{a:.1f} {middle:.1f} {c:.1f} {middle:.1f} {c:.1f} {d:.1f}"
    return text


def _frames(graph: Graph, layout: Layout) -> Iterator[str]:
    """An outline around the boxes of each layer, row by row, where its rows touch one another."""
    for layer, keys in graph.layers().items():
        rows: dict[int, list[Place]] = {}
        for place in sorted((layout.places[key] for key in keys), key=lambda place: place.y):
            rows.setdefault(place.row, []).append(place)
        spans = [
            (min(p.left for p in row) - 9, max(p.right for p in row) + 9) for row in rows.values()
        ]
        touch = all(a < d and c < b for (a, b), (c, d) in pairwise(spans))
        if not touch or list(rows) != list(range(min(rows), max(rows) + 1)):
            continue
        middles = [
            (max(p.bottom for p in upper) + min(p.top for p in lower)) / 2
            for upper, lower in pairwise(rows.values())
        ]
        tops = [min(p.top for p in next(iter(rows.values()))) - LINE - 3, *middles]
        bottoms = [*middles, max(p.bottom for p in rows[max(rows)]) + 9]
        bands = list(zip(spans, tops, bottoms, strict=True))
        right = [(b, y) for (_, b), top, bottom in bands for y in (top, bottom)]
        left = [(a, y) for (a, _), top, bottom in bands[::-1] for y in (bottom, top)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*right, *left])
        yield f'<polygon points="{points}" fill="none" stroke="#777777"/>'
        at = f'x="{spans[0][0] + 5:.1f}" y="{tops[0] + 13:.1f}" fill="#333333"'
        yield f"<text {at}>{escape(f'layer {layer}')}</text>"
