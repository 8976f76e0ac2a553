"""A large graph made small: one box a layer, then the newest boxes alone."""

from __future__ import annotations

from .boxes import OPERATION, SEVERAL, Box, Graph


def collapse(graph: Graph, max_nodes: int) -> Graph:
    """The graph with at most so many boxes, and sentences about what became of the others."""
    small = by_layer(graph)
    if len(small.boxes) < len(graph.boxes):
        small.notes.append(
            f"{len(graph.boxes):,} operations and tensors are drawn as {len(small.boxes):,} boxes, "
            f"those of a layer as one, because there are more than max_nodes={max_nodes}."
        )
    return newest(small, max_nodes) if len(small.boxes) > max_nodes else small


def by_layer(graph: Graph) -> Graph:
    """What belongs to a layer as one box: its parameters, and what is made of it until the next.

    An operation joins the box that it follows where it is of the same layer and the other inputs
    lie at lower levels. So no circle arises, and a layer that is used twice is two boxes.
    """
    boxes: dict[int, Box] = {}
    home: dict[int, int] = {}  # key -> key of the box in which it is drawn
    level: dict[int, int] = {}
    for box in graph.boxes.values():
        if box.kind != OPERATION:
            continue
        inputs = [(home[key], flows) for key, flows in box.inputs if key in home]
        top = max((level[key] for key, _ in inputs), default=0)
        highest = {key for key, _ in inputs if level[key] == top}
        before = boxes[highest.pop()] if len(highest) == 1 else None
        layer = box.layer or (before.layer if before else "")
        if box is graph.result:
            layer = ""  # the result stands alone
        if not before or not layer or before.layer != layer:
            before = boxes[box.key] = Box(box.key, OPERATION, box.name, layer=layer)
            level[box.key] = top + 1
        home[box.key] = before.key
        _draw_in(before, box, inputs)
    leaves: dict[int, list[Box]] = {}  # in front of the box that first reads them
    for box in graph.boxes.values():
        for key, flows in box.inputs:
            leaf, reader = graph.boxes[key], boxes[home[box.key]]
            if leaf.kind == OPERATION or home.get(key) == reader.key:
                continue
            if leaf.layer and leaf.layer == reader.layer:
                reader.size += leaf.size if key not in home else 0
            else:
                leaves.setdefault(reader.key, []).append(leaf)
                reader.inputs.append((key, flows))
            home[key] = reader.key
    ordered: dict[int, Box] = {}
    for box in sorted(boxes.values(), key=lambda box: level[box.key]):
        for leaf in leaves.get(box.key, []):
            ordered.setdefault(leaf.key, leaf)
        ordered[box.key] = box
        if box.layer:
            box.kind, box.name = SEVERAL, _summary(box)
    return Graph(ordered, list(graph.notes))


def _draw_in(into: Box, box: Box, inputs: list[tuple[int, bool]]) -> None:
    """Make an operation part of a box."""
    into.operations += 1
    into.shape = box.shape
    into.first = min(into.first or box.first, box.first)
    into.last = max(into.last, box.last)
    known = {into.key, *(key for key, _ in into.inputs)}
    into.inputs += [(key, flows) for key, flows in dict(inputs).items() if key not in known]


def _summary(box: Box) -> str:
    count = f"{box.operations:,} operation{'s' * (box.operations > 1)}"
    return f"layer {box.layer}: {count}, {box.size:,} numbers learned"


def newest(graph: Graph, max_nodes: int) -> Graph:
    """The newest boxes, and one that stands for all the others."""
    keys = list(graph.boxes)
    cut, kept = set(keys[: 1 - max_nodes]), keys[1 - max_nodes :]
    gone = [graph.boxes[key] for key in cut]
    count = sum(box.operations for box in gone)
    rest = Box(min(cut), SEVERAL, f"{count:,} earlier operations")
    boxes = {rest.key: rest}
    for key in kept:
        box = graph.boxes[key]
        inputs = [(rest.key if k in cut else k, flows) for k, flows in box.inputs]
        box.inputs = list(dict.fromkeys(inputs))
        boxes[key] = box
    note = (
        f"{len(cut):,} older operations and tensors are not drawn. A max_nodes above {max_nodes} "
        "shows more."
    )
    return Graph(boxes, [*graph.notes, note])
