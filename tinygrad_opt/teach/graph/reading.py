"""From a result back to everything that it was made of: the recorded nodes, as boxes.

Order: `read` · boxes of nodes and leaves · values and gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ...autograd import grad
from ...operation import PICK, there
from ...tensor import Tensor
from .boxes import INPUT, LEARNED, MOST_VALUES, OPERATION, Box, Graph, clean, numbers
from .collapse import collapse

Node = tuple[Any, ...]


def read(t: Tensor, max_nodes: int = 60) -> Graph:
    """The graph of a result with at most so many boxes; TypeError for what is no Tensor.

    Values that the graph does not keep are computed again where all that they are made of is at
    hand, and gradients by a backward pass of its own that leaves every ``.grad`` as it is. Above
    ``max_nodes`` boxes there is neither: operations become one box a layer, by the names of their
    parameters, then the oldest are left out. ValueError for less than two boxes.
    """
    if not isinstance(t, Tensor):
        raise TypeError(f"graph: {type(t).__name__} is no Tensor; give the result, such as a loss.")
    if max_nodes < 2:
        raise ValueError(f"graph: max_nodes is {max_nodes}; two boxes are the least.")
    if t._node is None:
        note = "No operation was recorded: it is a leaf, or nothing in it requires a gradient."
        return Graph({0: _leaf(t, 0)}, [note])
    nodes = _recorded(t._node)
    keys: dict[Any, int] = {}
    boxes = {box.key: box for node in nodes for box in _boxes(node, keys)}
    for place, node in enumerate(reversed(nodes), start=1):
        box = boxes[keys[node[0]]]
        box.first = box.last = place
    result = next(reversed(boxes.values()))
    result.shape = t.shape
    result.name = clean(t.name or "") or result.name
    graph = Graph(boxes)
    if len(boxes) > max_nodes:
        return collapse(graph, max_nodes)
    gradients = _gradients(t, nodes, graph.notes)
    values = _values(t, nodes)
    for number, key in keys.items():
        if number in gradients:
            boxes[key].gradient = gradients[number]
        if number in values:
            boxes[key].shape = tuple(values[number].shape)
            boxes[key].value = _shown(t.device, values[number])
    return graph


def _recorded(last: Node) -> list[Node]:
    """All nodes behind this one, oldest first."""
    found = {last[0]: last}
    waiting = [last]
    while waiting:
        for origin in waiting.pop()[2]:
            if type(origin) is tuple and origin[0] not in found:
                found[origin[0]] = origin
                waiting.append(origin)
    return [found[number] for number in sorted(found, reverse=True)]


# ---- boxes of nodes and leaves ----------------------------------------------------------------


def _boxes(node: Node, keys: dict[Any, int]) -> Iterator[Box]:
    """The box of a node, behind those of its inputs that have none yet.

    ``keys`` holds the key of every box by the number of its node, or by its leaf.
    """
    number, plan, origins, kept, *_ = node
    flows = {0} if plan is PICK else {i for i, _ in plan.terms}
    inputs, layer = [], ""
    for i, origin in enumerate(origins):
        name = origin[0] if type(origin) is tuple else origin
        if origin is None:
            shape = kept[i] if type(kept[i]) is tuple else getattr(kept[i], "shape", ())
            if not shape:
                continue  # a number, or nothing
            name = (number, i)
            keys[name] = len(keys)
            yield Box(keys[name], INPUT, "input", shape)
        elif name not in keys:
            keys[name] = len(keys)
            yield _leaf(origin, keys[name])
        if isinstance(origin, Tensor) and origin.requires_grad:
            layer = layer or _layer(origin)
        inputs.append((keys[name], i in flows))
    keys[number] = len(keys)
    yield Box(keys[number], OPERATION, _call(node), layer=layer, operations=1, inputs=inputs)


def _leaf(x: Tensor, key: int) -> Box:
    learned = bool(x.requires_grad)
    kind = LEARNED if learned else INPUT
    name = clean(x.name or "") or kind
    size, layer = (x.size, _layer(x)) if learned else (0, "")
    return Box(key, kind, name, x.shape, _shown(x.device, x._data), "", layer, size=size)


def _shown(device: Any, array: Any) -> str:
    """The values of a small array, which is fetched to the host."""
    return numbers(device.to_host(array)) if array.size <= MOST_VALUES else ""


def _layer(x: Tensor) -> str:
    """ "encoder.0" of the parameter "encoder.0.weight"."""
    return clean((x.name or "").rpartition(".")[0])


def _call(node: Node) -> str:
    """An operation with the numbers that it was given, as far as they are known: power(·, 2)."""
    _, plan, origins, kept, _, params, _ = node
    if plan is PICK:
        return f"output {params['place']}"
    known = [isinstance(a, (int, float)) and o is None for a, o in zip(kept, origins, strict=True)]
    words = [f"{a:g}" if number else "·" for a, number in zip(kept, known, strict=True)]
    words = words if any(known) else []
    for name, value in params.items():
        usual = plan.op.signature.parameters[name].default
        text = f"{name}={value!r}"
        if type(value) is not type(usual) or text != f"{name}={usual!r}":
            words += [text] if len(text) <= 24 else []
    return clean(f"{plan.op.name}({', '.join(words)})" if words else plan.op.name)


# ---- values and gradients ---------------------------------------------------------------------


def _gradients(t: Tensor, nodes: list[Node], notes: list[str]) -> dict[Any, str]:
    """What arrives at every node, by its number, and at every leaf, as it is to be shown."""
    if t.size != 1:
        notes.append("The result is not one number, so no gradient is shown.")
        return {}
    found: dict[Any, str] = {}

    def note(number: int, g: Tensor) -> None:
        found[number] = _shown(g.device, g._data)

    several = _with_several_outputs(nodes)
    watched = [node for node in nodes if node[0] not in several]
    leaves = {x: None for node in nodes for x in node[2] if isinstance(x, Tensor)}
    leaves = {x: None for x in leaves if x.requires_grad}
    for node in watched:
        node[6].append(partial(note, node[0]))
    try:
        for x, g in zip(leaves, grad(t, list(leaves), allow_unused=True), strict=True):
            if g is not None and not g.is_sparse:
                found[x] = _shown(g.device, g._data)
    except RuntimeError as error:
        notes.append(f"No gradients: {' '.join(str(error).split())}")
        return {}
    finally:
        for node in watched:
            node[6].pop()
    return found


def _values(t: Tensor, nodes: list[Node]) -> dict[Any, Any]:
    """The value of every node, by its number: one that was kept, or one computed again."""
    found: dict[Any, Any] = dict.fromkeys(_with_several_outputs(nodes))
    for _, _, origins, kept, *_ in nodes:
        for origin, array in zip(origins, kept, strict=False):
            if type(origin) is tuple and hasattr(array, "dtype"):
                found[origin[0]] = array
    for node in nodes:
        if node[0] not in found:
            found[node[0]] = _again(t.device, node, found)
    found[nodes[-1][0]] = t._data
    return {number: value for number, value in found.items() if value is not None}


def _with_several_outputs(nodes: list[Node]) -> set[int]:
    """The numbers of nodes whose outputs have nodes of their own."""
    return {node[2][0][0] for node in nodes if node[1] is PICK}


def _again(device: Any, node: Node, known: dict[Any, Any]) -> Any:
    """The value of a node from those of its inputs; None where one of them is not known."""
    number, plan, origins, kept, _, params, _ = node
    if plan is PICK:
        return origins[0][4][params["place"]]
    if not plan.op.ours:  # somebody's own may be another the second time
        return None
    inputs = []
    for origin, array in zip(origins, kept, strict=True):
        if type(origin) is tuple:
            array = known.get(origin[0])
        elif isinstance(origin, Tensor):
            whole = origin if origin._base is None else origin._base
            array = None if whole._change[0] > -number else origin._data  # changed since then
        if array is None or type(array) is tuple:
            return None
        inputs.append(array)
    y = there(device, partial(plan.op.kernel, device.xp, *inputs, **params))
    return y[0] if type(y) is tuple else y
