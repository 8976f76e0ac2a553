"""A formula that a person typed, as a function of a Tensor: arithmetic alone, never run as Python.

    f = expression("x**2 + 10*y**2")
    f(Tensor([3.0, 1.0]))

Order: `Expression` · `expression` · how it is read · what may stand in it.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..names import did_you_mean
from ..tensor import Tensor

LONGEST, DEEPEST, HIGHEST = 1000, 40, 64  # characters, nested parts, exponent

Build = Callable[[Any], Any]  # from w to the value of a part

CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": ops.sqrt, "exp": ops.exp, "log": ops.log, "ln": ops.log, "abs": ops.abs,
    "sin": ops.sin, "cos": ops.cos, "tan": lambda x: ops.sin(x) / ops.cos(x), "tanh": ops.tanh,
    "sigmoid": ops.sigmoid, "relu": ops.relu,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
RAISED = str.maketrans({digit: f"**{n}" for n, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
LETTERS = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Expression:
    """A formula of w (D,), or of every point of a grid, w (D, …); calling it gives the loss.

    ``size`` is the number of coordinates that it names.
    """

    name: str
    size: int
    build: Build

    def __call__(self, w: Tensor) -> Any:
        """The value at w; ValueError for fewer coordinates than the formula names."""
        if len(w.shape) == 0 or w.shape[0] < self.size:
            raise ValueError(
                f"{self.name}: it names {self.size} coordinates, and w has shape {w.shape}."
            )
        found = self.build(w)
        return found + 0 * w[0] if not isinstance(found, Tensor) else found

    @property
    def formula(self) -> str:
        """As it was written."""
        return self.name

    minimum = None  # nobody knows

    def on_grid(self, *axes: Any) -> Any:
        """The values wherever these coordinates, arrays of one shape, meet."""
        from ..device import Device
        from ..operation import no_grad

        with no_grad(), Device("cpu").errstate(all="ignore"):
            return self(Tensor(np.stack(axes), device="cpu")).numpy()


def expression(text: str) -> Expression:
    """Read a formula: numbers, + − * / **, parentheses, functions, pi and e, and coordinates.

    Coordinates are x, y, z, or w where there is one, or w0, w1, …, or w[0], w[1], …. ValueError,
    with the place, for anything else: it is refused, and never run.
    """
    if not isinstance(text, str):
        raise TypeError(f"expression: a formula is a text, not {type(text).__name__}.")
    if len(text) > LONGEST:
        raise ValueError(
            f"expression: {len(text):,} characters are too many; a formula has up to {LONGEST:,}."
        )
    plain = text.strip().replace("^", "**").replace("−", "-").replace("·", "*").translate(RAISED)
    if not plain:
        raise ValueError('expression: the formula is empty. Write one, such as "x**2 + 3*y**2".')
    try:
        tree = ast.parse(plain, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ValueError(f"expression: {_short(text)} is no formula: {reason}.") from None
    reader = _Reader(plain)
    build, size = reader.read(tree.body, 0), reader.size
    if size == 0:
        raise ValueError(
            f"expression: {_short(text)} is a constant. Name a coordinate: x, y, z, or w."
        )
    return Expression(text.strip(), size, build)


# ---- how it is read ---------------------------------------------------------------------------


class _Reader:
    """Turns the syntax of a formula into functions of w, part by part."""

    def __init__(self, text: str) -> None:
        self.text, self.size = text, 0

    def read(self, node: ast.expr, depth: int) -> Build:
        """The function for a part; ValueError for what is no arithmetic."""
        if depth > DEEPEST:
            raise ValueError(
                f"expression: it is nested more than {DEEPEST} deep. Write it with fewer "
                "parentheses."
            )
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self.number(node.value)
        if isinstance(node, ast.Name):
            return self.name(node.id, node)
        if isinstance(node, ast.Subscript):
            return self.subscript(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self.read(node.operand, depth + 1)
            return inner if isinstance(node.op, ast.UAdd) else lambda w: -inner(w)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base = self.read(node.left, depth + 1)
            exponent = self.exponent(node.right)
            return lambda w: _apply(operator.pow, base(w), exponent)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return self.chain(node, depth)
        if isinstance(node, ast.Call) and not node.keywords and len(node.args) == 1:
            return self.call(node, depth)
        raise self.refused(node)

    def chain(self, node: ast.expr, depth: int) -> Build:
        """What is joined by + − * / from left to right: a long sum is not nested."""
        links: list[tuple[Callable[[Any, Any], Any], Build]] = []
        while isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            links.append((OPERATORS[type(node.op)], self.read(node.right, depth + 1)))
            node = node.left
        first = self.read(node, depth + 1)

        def value(w: Any) -> Any:
            result = first(w)
            for apply, part in reversed(links):
                result = _apply(apply, result, part(w))
            return result

        return value

    def number(self, value: Any) -> Build:
        """A number; one that no float holds is refused."""
        try:
            known = float(value)
        except OverflowError:
            known = math.inf
        if not math.isfinite(known):
            raise ValueError("expression: a number in it is too large. Write one below 1e308.")
        return lambda w: known

    def name(self, name: str, node: ast.expr) -> Build:
        """A constant or a coordinate."""
        if name in CONSTANTS:
            known = CONSTANTS[name]
            return lambda w: known
        if name == "w":
            return self.coordinate(0)
        if name in LETTERS:
            return self.coordinate(LETTERS[name])
        if re.fullmatch(r"w\d{1,3}", name):
            return self.coordinate(int(name[1:]))
        choices = [*LETTERS, "w", *CONSTANTS, *FUNCTIONS]
        hint = " Write it with parentheses." if name in FUNCTIONS else did_you_mean(name, choices)
        raise ValueError(
            f"expression: {_short(name)} is no coordinate.{hint} There are x, y, z or w0, w1, …, "
            f"the constants {', '.join(CONSTANTS)}, and the functions {', '.join(FUNCTIONS)}."
        )

    def coordinate(self, place: int) -> Build:
        """w at a place."""
        self.size = max(self.size, place + 1)
        return lambda w: w[place]

    def subscript(self, node: ast.Subscript) -> Build:
        """w[0], w[1], …."""
        place = node.slice
        if (
            isinstance(node.value, ast.Name)
            and node.value.id == "w"
            and isinstance(place, ast.Constant)
            and type(place.value) is int
            and place.value < 1000
        ):
            return self.coordinate(place.value)
        raise self.refused(node)

    def exponent(self, node: ast.expr) -> float:
        """The number in an exponent, which is small."""
        sign = 1.0
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            sign, node = -sign if isinstance(node.op, ast.USub) else sign, node.operand
        value: Any = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [
                p.value if isinstance(p, ast.Constant) else None for p in (node.left, node.right)
            ]
            if all(type(p) in (int, float) and abs(p) < 1e6 for p in parts) and parts[1]:  # type: ignore[arg-type]
                value = parts[0] / parts[1]  # type: ignore[operator]
        if type(value) not in (int, float) or abs(value) > HIGHEST:
            raise ValueError(
                f"expression: an exponent is a number of at most {HIGHEST}, not "
                f"{_short(ast.unparse(node))}. For others write exp(… * log(…))."
            )
        return sign * float(value)

    def call(self, node: ast.Call, depth: int) -> Build:
        """A function of one part."""
        if not isinstance(node.func, ast.Name):
            raise self.refused(node)
        name = node.func.id
        if name not in FUNCTIONS:
            raise ValueError(
                f"expression: there is no function {_short(name)}.{did_you_mean(name, FUNCTIONS)} "
                f"There are {', '.join(FUNCTIONS)}."
            )
        inner, apply = self.read(node.args[0], depth + 1), FUNCTIONS[name]
        return lambda w: _apply(apply, inner(w))

    def refused(self, node: ast.expr) -> ValueError:
        """The sentence for what is no arithmetic."""
        part = ast.get_source_segment(self.text, node) or self.text
        return ValueError(
            f"expression: {_short(part)} is no arithmetic, and nothing else is read. Write "
            "numbers, x, y, z or w0, w1, …, the signs + - * / **, parentheses, and functions such "
            "as sin(x)."
        )


def _apply(function: Callable[..., Any], *parts: Any) -> Any:
    """A function of Tensors; of numbers alone in float64, where 1/0 is inf as it is for Tensors."""
    if any(isinstance(part, Tensor) for part in parts):
        return function(*parts)
    with np.errstate(all="ignore"):
        if len(parts) == 1:
            return function(Tensor(np.float64(parts[0]), device="cpu")).item()
        return float(function(*map(np.float64, parts)))


def _short(text: str) -> str:
    """A piece of what was typed, not all of it where it is long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
