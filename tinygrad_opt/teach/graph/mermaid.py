"""A graph in Mermaid's words, which GitHub, marimo and JupyterLab draw."""

from __future__ import annotations

from ...tensor import Tensor
from .boxes import INPUT, LEARNED, OPERATION, SEVERAL, Box
from .reading import read

BRACKETS = {OPERATION: ("([", "])"), LEARNED: ("[", "]"), INPUT: ("[", "]"), SEVERAL: ("[[", "]]")}


def to_mermaid(t: Tensor, *, max_nodes: int = 60, order: bool = False) -> str:
    """The graph of a result as a Mermaid flowchart, inputs above what is made of them.

    Round boxes are operations, thick ones are learned; a gradient flows back along solid lines.
    With ``order`` operations carry the place in which a backward pass visits them. Above
    ``max_nodes`` boxes layers are drawn as one, and a note says so. Errors as `to_svg`.
    """
    graph = read(t, max_nodes)
    lines = ["flowchart TB"]
    lines += [f'    note{i}>"{escape(note)}"]' for i, note in enumerate(graph.notes)]
    framed = graph.layers()
    for place, (layer, keys) in enumerate(framed.items()):
        lines.append(f'    subgraph layer{place}["{escape(f"layer {layer}")}"]')
        lines += [f"        {_box(graph.boxes[key], order)}" for key in keys]
        lines.append("    end")
    inside = {key for keys in framed.values() for key in keys}
    lines += [f"    {_box(box, order)}" for key, box in graph.boxes.items() if key not in inside]
    for key, box in graph.boxes.items():
        lines += [f"    n{k} {'-->' if flows else '-.->'} n{key}" for k, flows in box.inputs]
    learned = [f"n{key}" for key, box in graph.boxes.items() if box.kind == LEARNED]
    if learned:
        lines += ["    classDef learned stroke-width:3px", f"    class {','.join(learned)} learned"]
    return "\n".join(lines) + "\n"


def _box(box: Box, order: bool) -> str:
    left, right = BRACKETS[box.kind]
    return f'n{box.key}{left}"{"<br/>".join(map(escape, box.lines(order)))}"{right}'


def escape(text: str) -> str:
    """Letters, digits and harmless signs; everything else by its number."""
    return "".join(c if c.isalnum() or c in " .,:=()[]-+_·…" else f"#{ord(c)};" for c in text)
