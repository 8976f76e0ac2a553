"""A backward pass that says what it does: which node, why now, and what it sends on.

    narrate(loss)                           # loss.backward(), told
    narrate(lambda: f(model(x), y))         # with the lines of the program that made the nodes

Order: `narrate` · what is told · the order of the pass · the text of a derivative.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from ..observer import Observer
from ..operation import PICK
from ..places import Places
from ..tensor import Tensor
from .explain.formula import Writer
from .explain.letters import number

LONGEST = 200  # nodes that are printed
SMALL = 4  # numbers that are shown themselves, and not by their norm


def narrate(loss: Tensor | Callable[[], Tensor], show: bool = True) -> Narration:
    """Run ``loss.backward()``, print a line for every node as it is visited, and return them.

    Gradients end up in ``.grad`` as they would without it, to the bit. Of a function, which
    computes the loss, the lines of the program are known too. Errors are those of ``backward``.
    """
    if isinstance(loss, Tensor):
        places, told = Places(), loss
    elif not callable(loss):
        raise TypeError(
            f"narrate: the loss is a {type(loss).__name__}. Pass a Tensor that was computed from "
            "what requires a gradient, or a function that returns one."
        )
    else:
        with Places() as places:
            told = loss()
        if not isinstance(told, Tensor):
            raise TypeError(
                f"narrate: the function returned a {type(told).__name__}. Return the loss, which "
                "is a Tensor."
            )
    visits = list(_order(told._node)) if told._node is not None else []
    leaves = _leaves(visits)
    names = _leaf_names(leaves)
    for visit in visits:
        visit.place = places.of(visit.node)
        for sent, (i, _) in zip(visit.sent, getattr(visit.node[1], "terms", ()), strict=True):
            sent.to = sent.to or names.get(id(visit.node[2][i]), "")
    listener = _Listener(told.device, visits)
    with listener.watching():
        told.backward()
    narration = Narration(told, visits, leaves)
    if show:
        print(narration)
    return narration


# ---- what is told -----------------------------------------------------------------------------


@dataclass
class Sent:
    """A derivative: for which input, its text, and what it gave to whom."""

    name: str
    formula: str
    to: str
    shape: tuple[int, ...] | None = None
    norm: float | None = None
    value: Any = None  # of few numbers, themselves

    def __str__(self) -> str:
        size = _size(self.shape, self.norm, self.value)
        return f"d/d{self.name} = {self.formula}  → {self.to}{': ' if size else ''}{size}"


@dataclass
class Visit:
    """A node as the pass meets it.

    ``arrived`` is the norm of the gradient that came in, ``value`` its numbers, if few.
    """

    node: Any = field(repr=False)
    name: str
    waiting: int
    users: int
    sent: list[Sent]
    shape: tuple[int, ...] = ()
    place: str | None = None
    arrived: float | None = None
    value: Any = None

    @property
    def why(self) -> str:
        """Why it is this node's turn."""
        newest = "alone" if self.waiting == 1 else f"newest of {self.waiting} waiting"
        if not self.users:
            return "here it begins: the gradient is 1"
        sent = {1: "its user has sent", 2: "both its users have sent"}
        return f"{newest}; {sent.get(self.users, f'all its {self.users} users have sent')}"


class Narration:
    """The ``visits`` of a backward pass in order, and the ``leaves`` it ended at; print it."""

    def __init__(self, loss: Tensor, visits: list[Visit], leaves: list[Tensor]) -> None:
        self.loss, self.visits, self.leaves = loss, visits, leaves

    def __str__(self) -> str:
        wide = max([len(visit.name) for visit in self.visits], default=0)
        far = max([len(visit.place or "") for visit in self.visits], default=0)
        lines = [f"loss = {number(self.loss.detach().item())}, backwards:"]
        for i, visit in enumerate(self.visits[:LONGEST], start=1):
            size = _size(visit.shape, visit.arrived, visit.value)
            came = f"g {size}" if size else ""
            place = f"{(visit.place or '').ljust(far)}  " if far else ""
            lines.append(f"{i:3}  {visit.name.ljust(wide)}  {place}{came}   ({visit.why})")
            lines += [f"{' ' * 7}{sent}" for sent in visit.sent]
        if len(self.visits) > LONGEST:
            lines.append(f"… and {len(self.visits) - LONGEST} nodes more, in .visits")
        for leaf, name in zip(self.leaves, _leaf_names(self.leaves).values(), strict=True):
            if leaf.grad is not None:
                lines.append(f"{name}.grad: {_size(*_measured(leaf.grad))}")
        return "\n".join(lines)

    __repr__ = __str__


def _size(shape: tuple[int, ...] | None, norm: float | None, value: Any) -> str:
    """A gradient in a few words: its numbers, or its shape and norm."""
    if norm is None:
        return ""
    if value is None:
        return f"{shape} of norm {number(norm, 4)}"
    return _numbers(value) if shape == () else f"{shape} = {_numbers(value)}"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return number(value, 4)


def _measured(x: Any) -> tuple[tuple[int, ...], float, Any]:
    """Shape, norm, and the numbers themselves where they are few; rows named twice add up."""
    shape = tuple(x.shape)
    if getattr(x, "is_sparse", False) and x.size > SMALL:
        array = x.coalesce().values
    else:
        array = getattr(x, "_data", x)
    host = np.asarray(array.get() if hasattr(array, "get") else array, np.float64)
    few = math.prod(shape) <= SMALL
    return shape, float(np.linalg.norm(host)), host.tolist() if few else None


class _Listener(Observer):
    """Hears what arrives at nodes and what their derivatives give.

    Derivatives get the gradient of their node, so nothing is put into the pass to hear it.
    """

    def __init__(self, device: Any, visits: list[Visit]) -> None:
        super().__init__(device)
        self.inner = isinstance(self.xp, Observer)
        self.coming = iter(visits)
        self.picked: dict[int, list[Visit]] = {}  # by the node of which they are outputs
        self.due: list[Sent | None] = []

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run a derivative and note what it was given and what it gave."""
        told = kernel.name.endswith(" backward")
        if told and not self.due:
            self.arrived(inputs[0])
        run = self.xp.operation if self.inner else None
        result = run(kernel, *inputs, **params) if run else kernel(self.xp, *inputs, **params)
        if told and self.due:
            sent = self.due.pop(0)
            if sent is not None and hasattr(result, "shape"):
                sent.shape, sent.norm, sent.value = _measured(result)
        return result

    def arrived(self, g: Any) -> None:
        """Note the gradient at the next node; what derivatives give from now on is this node's."""
        for visit in self.coming:
            if visit.node[1] is not PICK:
                break
            self.picked.setdefault(visit.node[2][0][0], []).append(visit)
        else:
            return
        if isinstance(g, list):  # of several outputs
            for one in self.picked.pop(visit.node[0], []):
                part = g[one.node[5]["place"]]
                one.shape, one.arrived, one.value = _measured(part)
        else:
            visit.shape, visit.arrived, visit.value = _measured(g)
        common = visit.node[1].elsewhere[1]
        self.due = ([None] if common else []) + list(visit.sent)


def _leaves(visits: list[Visit]) -> list[Tensor]:
    """The leaves that the graph reaches, each once."""
    found = {
        id(x): x
        for visit in visits
        if visit.node[1] is not PICK
        for i, _ in visit.node[1].terms
        if isinstance(x := visit.node[2][i], Tensor)
    }
    return list(found.values())


def _leaf_names(leaves: list[Tensor]) -> dict[int, str]:
    """What to call leaves, by their identity: their names, or numbers in the order of the pass."""
    without = iter(range(1, len(leaves) + 1))
    return {id(x): x.name or f"leaf {next(without)}" for x in leaves}


# ---- the order of the pass --------------------------------------------------------------------


def _order(first: Any) -> Iterator[Visit]:
    """The nodes as the pass will visit them: of those that wait, always the newest."""
    users: dict[int, int] = {}
    heap, seen = [first], {first[0]}
    while heap:
        waiting = len(heap)
        node = heappop(heap)
        links = [node[2][0]] if node[1] is PICK else [node[2][i] for i, _ in node[1].terms]
        for to in links:
            if type(to) is tuple:
                users[to[0]] = users.get(to[0], 0) + 1
                if to[0] not in seen:
                    seen.add(to[0])
                    heappush(heap, to)
        yield Visit(node, _name(node), waiting, users.get(node[0], 0), list(_sent(node)))


def _name(node: Any) -> str:
    return f"output {node[5]['place']} of" if node[1] is PICK else str(node[1].op.name)


def _sent(node: Any) -> Iterator[Sent]:
    if node[1] is PICK:
        return
    names, any_number = node[1].op.parameters, node[1].op.arity < 0
    for i, derivative in node[1].terms:
        to = node[2][i]
        target = _name(to) if type(to) is tuple else ""  # a leaf, which is named at the end
        name = names[i] if not any_number else f"{names[0].removesuffix('s')}[{i}]"
        yield Sent(name, derivative_text(derivative), target)


# ---- the text of a derivative -----------------------------------------------------------------


def derivative_text(derivative: Callable[..., Any]) -> str:
    """A row of the table of derivatives as a formula, g·b; of a longer function, what it says."""
    code = getattr(derivative, "__code__", None)
    return _text(derivative) if code is None else _text_of(code, derivative)


_known: dict[Any, str] = {}  # texts by code: a file is searched once for each


def _text_of(code: Any, derivative: Any) -> str:
    if code not in _known:
        _known[code] = _text(derivative)
    return _known[code]


def _text(derivative: Any) -> str:
    code = getattr(derivative, "__code__", None)
    if code is None or code.co_name != "<lambda>":
        return _says(derivative) or f"{getattr(derivative, '__name__', '…')}(g, …)"
    for node in _lambdas(inspect.getsourcefile(code) or ""):
        inside = [place[0] for place in code.co_positions() if place[0] is not None]
        columns = [
            place[2] for place in code.co_positions() if place[2] and place[0] == node.lineno
        ]
        if node.lineno != code.co_firstlineno or max(inside) > (node.end_lineno or 0):
            continue
        if node.lineno == node.end_lineno and columns:
            start, end = node.body.col_offset, node.end_col_offset or 0
            if not all(start <= column <= end for column in columns):
                continue
        helper = node.body.func if isinstance(node.body, ast.Call) else None
        if isinstance(helper, ast.Name):  # one function for several rows
            return _says(derivative.__globals__.get(helper.id)) or Writer({}).write(node.body)
        return Writer({}).write(node.body)
    return "…"


def _says(function: Any) -> str:
    """The formula in the docstring of a function, or ""."""
    return (inspect.getdoc(function) or "").partition("\n")[0].removesuffix(".")


@functools.cache
def _lambdas(path: str) -> list[ast.Lambda]:
    """The lambdas in a file; none where it cannot be read."""
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    except OSError:
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
