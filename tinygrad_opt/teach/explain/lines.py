"""Statements that were executed as lines to read: formula, the same with numbers, result.

Order: Line · one statement, its lines · what is worth a line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .executed import Statement
from .formula import Writer
from .letters import letter

RETURNS = {"between": ("p", "z"), "rate": ("dlr",), "adam_rate": ("dlr",), "direction": ("d",)}
SHARED = ("update", "_share")  # methods that put numbers into the groups
BOOKS = {"self", "storage", "memory", "closure", "grad", "generator", "zip", "_replace", "signs"}
BOOKS |= {"evaluations"}  # of the loss, counted
OPEN = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.IfExp, ast.ListComp)


@dataclass
class Line:
    """One executed line: ``target`` ← ``formula`` = ``numbers`` = ``result``.

    ``value`` is the exact result and ``values`` are those of the names in it; ``exact`` is
    ``numbers`` with all their digits, ``source`` the Python text, ``function`` where it stands.
    ``closed``: the values are enough to compute it again; a derivative takes the graph.
    """

    function: str
    name: str
    target: str
    source: str
    formula: str
    numbers: str
    exact: str
    result: str
    value: Any
    values: dict[str, Any]
    closed: bool
    _scope: dict[str, Any] = field(repr=False)

    def evaluate(self) -> Any:
        """What the source gives for the recorded values of its names."""
        return eval(self.source, dict(self._scope))

    def __str__(self) -> str:
        parts = list(dict.fromkeys((self.formula, self.numbers, self.result)))
        head = f"{self.target} ← " if self.target else ""
        line = head + " = ".join(parts)
        if len(line) <= 100:
            return line
        return head + ("\n" + " " * max(0, len(head) - 2) + "= ").join(parts)


def lines_of(statement: Statement, letters: tuple[str, ...]) -> Iterator[Line]:
    """The lines of a statement; ``letters`` are those of the state, as the rule returns them."""
    for name, target, node, value in _pairs(statement, letters):
        scope = _scope(statement, node)
        writer = Writer(scope)
        node = _taken(writer, node)
        try:
            value = statement.pick(writer.value(node) if value is _UNKNOWN else value)
        except LookupError:
            continue
        if not _is_data(value) or not _worth(statement, node, writer):
            continue
        if writer.write(node) == target:
            continue  # the same numbers in another shape
        values = {n: scope[n] for n in _names(node) if n in scope and _is_data(scope[n])}
        yield Line(
            statement.function,
            name,
            target,
            ast.unparse(node),
            writer.write(node),
            Writer(scope, 6).write(node),
            Writer(scope, -1).write(node),
            writer.shown(value)[0],
            value,
            values,
            "gradient" not in _names(node),
            scope,
        )


_UNKNOWN: Any = object()


def _pairs(
    statement: Statement, letters: tuple[str, ...]
) -> Iterator[tuple[str, str, ast.expr, Any]]:
    """Name, how it is written, expression and value of everything that a statement gives."""
    node, after = statement.node, statement.after
    symbol = Writer({}).symbol
    for part in ast.walk(node):
        if isinstance(part, ast.NamedExpr):
            yield part.target.id, symbol(part.target), part.value, _UNKNOWN
    if isinstance(node, ast.AugAssign):
        old = ast.parse(ast.unparse(node.target), mode="eval").body
        new = ast.BinOp(old, node.op, node.value)
        yield ast.unparse(node.target), symbol(old), new, _left(node.target, after)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        value = _left(node.target, after)
        yield ast.unparse(node.target), symbol(node.target), node.value, value
    elif isinstance(node, ast.Assign):
        first = node.targets[0]
        several = isinstance(first, ast.Tuple)
        if any(isinstance(target, ast.Starred) for target in getattr(first, "elts", ())):
            return
        if isinstance(first, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for target, value in zip(first.elts, node.value.elts, strict=False):
                yield ast.unparse(target), symbol(target), value, _left(target, after)
            return
        targets = first.elts if isinstance(first, ast.Tuple) else node.targets
        left = [_left(target, after) for target in targets]
        text = (", " if several else " = ").join(map(symbol, targets))
        yield ast.unparse(targets[-1]), text, node.value, _UNKNOWN if several else left[0]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        if isinstance(called, ast.Attribute) and called.attr == "_place":
            yield "p", "p", node.value.args[0], _UNKNOWN
        if isinstance(called, ast.Attribute) and called.attr == "append":
            yield ast.unparse(called.value), symbol(called.value), node.value.args[0], _UNKNOWN
        if isinstance(called, ast.Attribute) and called.attr in SHARED:
            for keyword in node.value.keywords:
                if keyword.arg:
                    yield keyword.arg, letter(keyword.arg), keyword.value, _UNKNOWN
    elif isinstance(node, ast.Return) and node.value is not None:
        yield from _returned(statement, node.value, letters)


def _returned(
    statement: Statement, node: ast.expr, letters: tuple[str, ...]
) -> Iterator[tuple[str, str, ast.expr, Any]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, letter(key.value), value, statement.returned[key.value]
        return
    kind = statement.function
    names = RETURNS.get(
        kind, {"rule": ("p", *letters), "measure": ("", "", *letters)}.get(kind, ())
    )
    if not isinstance(node, ast.Tuple) and isinstance(statement.returned, (tuple, list)):
        return  # of a function whose own lines stand here, or of a line above
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    several = isinstance(node, ast.Tuple)
    for i, (part, value) in enumerate(
        zip(parts, statement.returned if several else [statement.returned], strict=False)
    ):
        if isinstance(part, ast.Starred):
            return  # how many come here, no name says
        name = names[i] if i < len(names) else ""
        renamed = kind == "rule" and isinstance(part, ast.Name) and part.id != name
        if renamed or not isinstance(part, (ast.Name, ast.Constant)):
            yield name, letter(name), part, value


# ---- what is worth a line ---------------------------------------------------------------------


def _worth(statement: Statement, node: ast.expr, writer: Writer) -> bool:
    """Whether something is computed; a new name for an option is not."""
    if statement.pure:
        if isinstance(node, ast.Name):
            return hasattr(type(writer.scope.get(node.id)), "dtype")
        return not isinstance(node, (ast.Attribute, ast.Subscript, ast.Constant))
    inner = node.elt if isinstance(node, ast.ListComp) else node
    return isinstance(inner, OPEN) and not _keeps_books(node)


def _keeps_books(node: ast.expr) -> bool:
    """Whether it is about the program: objects, closures, sets, random draws, gradients."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    names |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("plain", "gradient", "int"):
        return True
    return bool(names & BOOKS) or any(isinstance(part, ast.Set) for part in ast.walk(node))


def _taken(writer: Writer, node: ast.expr) -> ast.expr:
    while isinstance(node, ast.IfExp):
        node = writer.taken(node)
    return node


def _names(node: ast.expr) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]


def _scope(statement: Statement, node: ast.expr) -> dict[str, Any]:
    """The names of an expression, with what is shown of their arrays."""
    found = {n: statement.before[n] for n in _names(node) if n in statement.before}
    picked = {n: statement.pick(value) for n, value in found.items()}
    if any(isinstance(value, np.generic) for value in picked.values()) or "ops" in str(
        getattr(found.get("xp"), "__name__", "")
    ):
        picked["xp"] = np
    return picked


def _left(target: ast.expr, after: dict[str, Any]) -> Any:
    """What an assignment left under a name, where that is a plain one."""
    if isinstance(target, ast.Name):
        return after.get(target.id, _UNKNOWN)
    return _UNKNOWN


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_data(v) or v is None for v in value)
    return isinstance(value, (int, float)) or (
        hasattr(type(value), "dtype") and hasattr(value, "shape") and value.dtype.kind in "fiubc"
    )
