"""The statements of some functions as they are executed, with the values that stood before them.

Order: Statement · Watch · the source of a function.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from ...tensor import Tensor

WATCHED = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return)


@dataclass
class Statement:
    """One that was executed: where, with what names, and what it left."""

    function: str
    node: ast.stmt
    before: dict[str, Any]
    pick: Callable[[Any], Any]  # what is shown of an array
    pure: bool = True  # a function of its arguments, not a method
    after: dict[str, Any] = field(default_factory=dict)
    returned: Any = None


class Watch:
    """Notes the statements of functions while it is open.

    ``enter(frame)`` is asked at every call of one of the ``functions``: None to pass it by, or a
    function that says what is to be shown of an array.
    """

    def __init__(
        self,
        functions: Mapping[CodeType, str],
        enter: Callable[[FrameType], Callable[[Any], Any] | None],
    ) -> None:
        self.functions, self.enter = functions, enter
        self.statements: list[Statement] = []
        self.unread: list[str] = []  # functions without a source
        self._before: Any = None

    def __enter__(self) -> Watch:
        self._before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks once whether a frame wants it
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        if event != "call" or frame.f_code not in self.functions:
            return None
        pick = self.enter(frame)
        if pick is None:
            return None
        nodes = statements_of(frame.f_code)
        if nodes is None:
            self.unread.append(self.functions[frame.f_code])
            return None
        open_: list[Statement] = []
        seen: ast.stmt | None = None

        def step(frame: FrameType, event: str, value: Any) -> Any:
            nonlocal seen
            if event == "opcode":
                node = nodes[frame.f_lasti // 2]
                if node is None or seen is node:
                    return step
                close(frame)
                seen = node
                if isinstance(node, WATCHED):
                    name = self.functions[frame.f_code]
                    held = known = {**frame.f_globals, **frame.f_locals}
                    pure = "self" not in frame.f_locals
                    if not pure:
                        node, held = plain_names(node, known)
                    before = {**frame.f_globals, **copies(held)}
                    open_.append(Statement(name, node, before, pick, pure))
            elif event == "return":
                close(frame, value)
            return step

        def close(frame: FrameType, returned: Any = None) -> None:
            if open_:
                statement = open_.pop()
                statement.after, statement.returned = copies(frame.f_locals), _copy(returned)
                self.statements.append(statement)

        frame.f_trace = step  # first, since 3.13
        frame.f_trace_opcodes = True  # a line may hold several statements
        return step


def copies(names: Mapping[str, Any]) -> dict[str, Any]:
    """The values of local names, arrays copied: what a rule reads may be written into later."""
    return {name: _copy(value) for name, value in names.items()}


def _copy(value: Any) -> Any:
    value = value._data if isinstance(value, Tensor) and not value.is_sparse else value
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    if type(value) is dict:
        return copies(value)
    return value.copy() if hasattr(type(value), "dtype") else value


def plain_names(node: ast.stmt, known: dict[str, Any]) -> tuple[ast.stmt, dict[str, Any]]:
    """The statement with a name for each number or array that stands under one: t for memory.t.

    Also what the names stand for, by now: objects may be changed by the time that it is read.
    """
    found: dict[str, Any] = {}

    class Named(ast.NodeTransformer):
        def visit_Attribute(self, part: ast.Attribute) -> Any:
            return self.named(part, part.attr)

        def visit_Subscript(self, part: ast.Subscript) -> Any:
            key = part.slice.value if isinstance(part.slice, ast.Constant) else None
            return self.named(part, key) if isinstance(key, str) else part

        def named(self, part: Any, name: str) -> Any:
            if not isinstance(part.ctx, ast.Load) or "(" in (text := ast.unparse(part)):
                return part
            try:
                value = eval(text, dict(known))
            except Exception:
                return part
            name = name.lstrip("_")
            if isinstance(value, (int, float)) or hasattr(type(value), "dtype"):
                found[name] = value
                return ast.Name(name, ast.Load())
            return part

    fresh = ast.parse(ast.unparse(node)).body[0] if not isinstance(node, ast.Return) else node
    changed: ast.stmt = Named().visit(deepcopy(fresh))
    return changed, {**known, **found}


# ---- the source of a function -----------------------------------------------------------------


@functools.cache
def statements_of(code: CodeType) -> list[ast.stmt | None] | None:
    """The innermost statement around each instruction; None for a function without a source."""
    try:
        lines, _ = inspect.findsource(code)
    except (OSError, TypeError):
        return None
    places = list(code.co_positions())
    body = _body(code, _tree("".join(lines)))
    found: list[ast.stmt | None] = [None] * len(places)
    for node in body:
        for i, place in enumerate(places):
            if _inside(place, node):
                found[i] = node
    return found if body else None


@functools.lru_cache(maxsize=32)
def _tree(source: str) -> ast.Module:
    return ast.parse(source)


def _body(code: CodeType, tree: ast.Module) -> list[ast.stmt]:
    """The statements of a function, outer ones first; a lambda returns its expression."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            if first == code.co_firstlineno:
                return list(_outside_in(node))
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            result = ast.copy_location(ast.Return(node.body), node.body)
            if node.lineno == code.co_firstlineno and any(
                _inside(place, result) for place in code.co_positions()
            ):
                return [result]
    return []


def _inside(place: tuple[int | None, ...], node: ast.stmt) -> bool:
    """Whether an instruction, (line, last line, column, last column), belongs to a statement."""
    line, last_line, column, last_column = place
    if line is None or last_line is None:
        return False
    if column is None or last_column is None:
        return node.lineno <= line <= (node.end_lineno or line)
    begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return begin <= (line, column) and (last_line, last_column) <= end


def _outside_in(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
            if not isinstance(child, ast.FunctionDef):
                yield from _outside_in(child)
        elif isinstance(child, ast.ExceptHandler):
            yield from _outside_in(child)
