"""A graph in the language of Graphviz."""

from __future__ import annotations

from ...tensor import Tensor
from .boxes import INPUT, LEARNED, OPERATION, SEVERAL, Box
from .reading import read

STYLES = {
    OPERATION: "shape=box, style=rounded",
    LEARNED: "shape=box, penwidth=2.5",
    INPUT: "shape=box, style=dashed",
    SEVERAL: "shape=box, peripheries=2",
}


def to_dot(t: Tensor, *, max_nodes: int = 60, order: bool = False) -> str:
    """The graph of a result in DOT, inputs above what is made of them.

    Round boxes are operations, thick ones are learned; a gradient flows back along solid lines.
    With ``order`` operations carry the place in which a backward pass visits them. Above
    ``max_nodes`` boxes layers are drawn as one, and the label says so. Errors as `to_svg`.
    """
    graph = read(t, max_nodes)
    lines = ["digraph {", '    graph [fontname="monospace", labelloc="b"];']
    lines += ['    node [fontname="monospace", fontsize=11];', "    edge [arrowsize=0.7];"]
    if graph.notes:
        lines.append(f"    label={quoted(*graph.notes)};")
    framed = graph.layers()
    for place, (layer, keys) in enumerate(framed.items()):
        lines += [f"    subgraph cluster_{place} {{", f"        label={quoted(f'layer {layer}')};"]
        lines += [f"        {_box(graph.boxes[key], order)}" for key in keys]
        lines.append("    }")
    inside = {key for keys in framed.values() for key in keys}
    lines += [f"    {_box(box, order)}" for key, box in graph.boxes.items() if key not in inside]
    for key, box in graph.boxes.items():
        lines += [f"    n{k} -> n{key}{'' if f else ' [style=dashed]'};" for k, f in box.inputs]
    return "\n".join([*lines, "}"]) + "\n"


def _box(box: Box, order: bool) -> str:
    return f"n{box.key} [label={quoted(*box.lines(order))}, {STYLES[box.kind]}];"


def quoted(*lines: str) -> str:
    """Lines of text as one of DOT's strings."""
    text = r"\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return f'"{text}"'
