"""A graph as lines of text: every line is made of the branches below it."""

from __future__ import annotations

from ...tensor import Tensor
from .boxes import INPUT, LEARNED, Box, Graph
from .reading import read


def to_text(t: Tensor, *, max_nodes: int = 60, order: bool = False) -> str:
    """The graph of a result as a tree, the result on top; what has one input stands right on it.

    What is used twice is drawn once, and "above" where it comes again. With ``order`` operations
    carry the place in which a backward pass visits them. Above ``max_nodes`` boxes layers are drawn
    as one, and a sentence says so. Errors as `to_svg`.
    """
    graph = read(t, max_nodes)
    lines = list(_tree(graph, order))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    rows = ["  ".join(word.ljust(n) for word, n in zip(line, widths)).rstrip() for line in lines]
    return "\n".join([*rows, *graph.notes]) + "\n"


def _tree(graph: Graph, order: bool) -> list[tuple[str, str, str, str]]:
    """Branch and name, shape, value, gradient of every line."""
    lines = [("", "shape", "value", "gradient")]
    drawn: set[int] = set()
    waiting = [(graph.result.key, "", "")]  # what to draw, and what stands before it and its inputs
    while waiting:
        key, here, below = waiting.pop()
        box = graph.boxes[key]
        name = f"({box.order}) {box.name}" if order and box.order else box.name
        if key in drawn:
            lines.append((f"{here}{name}{_marked(box)}", "above", "", ""))
            continue
        drawn.add(key)
        shape = str(box.shape) if box.shape else ""
        lines.append((f"{here}{name}{_marked(box)}", shape, box.value, box.gradient))
        inputs = [source for source, _ in box.inputs]
        if len(inputs) == 1:
            waiting.append((inputs[0], below, below))
            continue
        for place, source in reversed(list(enumerate(inputs, start=1))):
            last = place == len(inputs)
            waiting.append(
                (source, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))
            )
    return lines


def _marked(box: Box) -> str:
    return f" [{box.kind}]" if box.kind in (INPUT, LEARNED) and box.name != box.kind else ""
