"""A Python expression as a formula: with letters, or with the numbers that stand behind them.

Order: Writer · operators · calls · what stands for itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from .letters import SUPERSCRIPTS, array, letter, number

NEGATIVE, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)  # how tightly a text holds together
Text = tuple[str, int]

OPERATORS: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: (" + ", SUM),
    ast.Sub: (" − ", SUM),
    ast.Mult: ("·", PRODUCT),
    ast.Div: ("/", PRODUCT),
    ast.FloorDiv: ("//", PRODUCT),
    ast.Mod: (" mod ", PRODUCT),
    ast.MatMult: (" @ ", PRODUCT),
    ast.BitAnd: (" and ", SUM),
    ast.BitOr: (" or ", SUM),
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Gt: ">", ast.Lt: "<", ast.GtE: "≥", ast.LtE: "≤", ast.Eq: "=", ast.NotEq: "≠",
}  # fmt: skip
CALLS = {"maximum": "max", "minimum": "min", "concatenate": "join"}
FENCES = {"abs": "|{}|", "absolute": "|{}|", "norm": "‖{}‖", "dot": "⟨{}⟩"}
SILENT = ("float", "plain", "numbers", "astype", "reshape", "copy", "asarray", "ravel")


class Writer:
    """Writes the expressions of a line; ``scope`` holds the values of its names.

    With ``digits`` numbers stand for names, -1 meaning all digits that there are; without, letters.
    What is made of plain numbers alone, such as 1 − β₁, is one number inside a larger formula.
    """

    def __init__(self, scope: Mapping[str, Any], digits: int = 0) -> None:
        self.scope, self.digits, self.whole = dict(scope), digits, False

    def write(self, node: ast.expr) -> str:
        """The text of an expression."""
        self.whole = self.is_plain(node)
        return self.text(node)[0]

    def value(self, node: ast.expr) -> Any:
        """What an expression is here; LookupError where that is not known."""
        try:
            return eval(ast.unparse(node), dict(self.scope))
        except Exception as error:
            raise LookupError(ast.unparse(node)) from error

    def is_plain(self, node: ast.expr) -> bool:
        """Whether an expression is made of options and other plain numbers alone."""
        if isinstance(node, ast.Constant):
            return type(node.value) in (int, float)
        if isinstance(node, ast.Name):
            return type(self.scope.get(node.id)) in (int, float)
        if isinstance(node, ast.BinOp):
            return self.is_plain(node.left) and self.is_plain(node.right)
        return isinstance(node, ast.UnaryOp) and self.is_plain(node.operand)

    def text(self, node: ast.expr) -> Text:
        """The text of an expression, and how tightly it holds together."""
        if self.digits and not self.whole and self.is_plain(node):
            return self.shown(self.value(node))
        write: Callable[[Any], Text] | None = getattr(self, type(node).__name__.lower(), None)
        return write(node) if write else self.atom(node)

    def inside(self, node: ast.expr, least: int) -> str:
        """The text as part of another one, in parentheses where it would fall apart."""
        text, tight = self.text(node)
        if tight >= least:
            return text
        if self.is_plain(node):
            text = text.replace(" + ", "+").replace(" − ", "−")
        return f"({text})"

    # ---- operators ----------------------------------------------------------------------------

    def binop(self, node: ast.BinOp) -> Text:
        """a + b, a·b, a/b, aᵇ."""
        if isinstance(node.op, ast.Pow):
            return self.power(node.left, node.right)
        left, right = node.left, node.right
        if isinstance(node.op, ast.Mult) and isinstance(right, ast.Name):
            if isinstance(left, ast.Name) and left.id == right.id:
                return self.square(right)
            if (
                isinstance(left, ast.BinOp)
                and isinstance(left.op, ast.Mult)
                and ast.dump(left.right) == ast.dump(right)
            ):
                square, tight = self.square(right)
                square = square if tight >= SIGN else f"({square})"
                return f"{self.inside(left.left, PRODUCT)}·{square}", PRODUCT
        sign, tight = OPERATORS.get(type(node.op), (f" {ast.unparse(node)} ", SUM))
        firmer = tight + (not isinstance(node.op, ast.Add))
        first, holds = self.text(left)
        if holds != NEGATIVE:
            first = self.inside(left, tight)
        negative = first.startswith("−")
        return f"{first}{sign}{self.inside(right, firmer)}", NEGATIVE if negative else tight

    def square(self, x: ast.Name) -> Text:
        """x², or its value where that is one number."""
        try:
            value = self.value(x)
            if self.digits and single(value):
                return self.shown(value * value)
        except LookupError:
            pass
        return f"{self.inside(x, ATOM)}²", POWER

    def power(self, base: ast.expr, exponent: ast.expr) -> Text:
        """xᵏ, and the root for an exponent of one half."""
        if isinstance(exponent, ast.Constant) and exponent.value == 0.5:
            return self.root(base)
        if (
            isinstance(exponent, ast.Constant)
            and exponent.value == 2
            and isinstance(base, ast.Name)
        ):
            return self.square(base)
        raised = self.text(exponent)[0]
        small = raised.replace("−", "-").translate(SUPERSCRIPTS)
        if len(raised) <= 3 and all(c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵗᵏ" for c in small):
            return f"{self.inside(base, ATOM)}{small}", POWER
        return f"{self.inside(base, ATOM)}^{self.inside(exponent, ATOM)}", POWER

    def root(self, x: ast.expr) -> Text:
        """√x."""
        return f"√{self.inside(x, ATOM)}", SIGN

    def unaryop(self, node: ast.UnaryOp) -> Text:
        """−x."""
        if isinstance(node.op, ast.USub):
            return f"−{self.inside(node.operand, PRODUCT)}", NEGATIVE
        if isinstance(node.op, ast.Not):
            return f"not {self.inside(node.operand, ATOM)}", SUM
        return self.text(node.operand)

    def compare(self, node: ast.Compare) -> Text:
        """a > b."""
        parts = [self.inside(node.left, SUM)]
        for op, right in zip(node.ops, node.comparators, strict=True):
            parts += [COMPARISONS.get(type(op), "is"), self.inside(right, SUM)]
        return " ".join(parts), 0

    def ifexp(self, node: ast.IfExp) -> Text:
        """The branch that was taken; both, where nothing is known yet."""
        try:
            return self.text(self.taken(node))
        except LookupError:
            body, test, other = map(self.text, (node.body, node.test, node.orelse))
            return f"{body[0]} if {test[0]}, else {other[0]}", 0

    def boolop(self, node: ast.BoolOp) -> Text:
        """The one that decides."""
        wanted = isinstance(node.op, ast.Or)
        for part in node.values[:-1]:
            if bool(self.value(part)) is wanted:
                return self.text(part)
        return self.text(node.values[-1])

    def taken(self, node: ast.IfExp) -> ast.expr:
        """The branch that was taken."""
        return node.body if self.value(node.test) else node.orelse

    # ---- calls --------------------------------------------------------------------------------

    def call(self, node: ast.Call) -> Text:
        """√x, |x|, max(a, b); the array module is not shown."""
        arguments, function = list(node.args), node.func
        if isinstance(function, ast.Attribute):
            name, owner = function.attr, function.value
            if name == "within":  # an operation in the rule of another
                name = ast.unparse(owner)
            elif not self.is_module(owner):
                arguments.insert(0, owner)
        else:
            name = ast.unparse(function)
        arguments = [a for a in arguments if ast.unparse(a) not in ("xp", "self")]
        if name in SILENT and arguments:
            if name == "numbers" and len(arguments) > 1:
                return ", ".join(self.inside(a, 0) for a in arguments), 0
            return self.text(arguments[0])
        if name == "sqrt":
            return self.root(arguments[0])
        texts = [self.inside(a, 0) for a in arguments]
        texts += [f"{k.arg}={ast.unparse(k.value)}" for k in node.keywords if name not in FENCES]
        inner = ", ".join(texts)
        if name == "dot" and self.of_matrices(arguments):
            return " ".join(self.inside(a, PRODUCT) for a in arguments), PRODUCT
        if name in FENCES:
            return FENCES[name].format(inner), ATOM
        return f"{CALLS.get(name, letter(name))}({inner})", ATOM

    def of_matrices(self, arguments: list[ast.expr]) -> bool:
        """Whether a product is one of matrices, and not the inner product of two vectors."""
        try:
            return any(self.value(a).ndim > 1 for a in arguments)
        except (LookupError, AttributeError):
            return False

    def is_module(self, node: ast.expr) -> bool:
        """Whether an expression names the array module, or a part of it, or the optimizer."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in ("xp", "self", "math")

    def listcomp(self, node: ast.ListComp) -> Text:
        """What is done with each of a list, written as if it were one."""
        each = node.generators[0]
        lists = each.iter.args if isinstance(each.iter, ast.Call) else [each.iter]
        names = each.target.elts if isinstance(each.target, ast.Tuple) else [each.target]
        of = dict(zip(map(ast.unparse, reversed(names)), reversed(lists), strict=False))
        return self.text(_Replaced(of).visit(deepcopy(node.elt)))

    # ---- what stands for itself ---------------------------------------------------------------

    def constant(self, node: ast.Constant) -> Text:
        """A number as it is written."""
        if isinstance(node.value, (int, float)):
            return self.shown(node.value)
        return ast.unparse(node), ATOM

    def namedexpr(self, node: ast.NamedExpr) -> Text:
        """What is named on the way, which has a line of its own."""
        return self.text(node.value)

    def tuple(self, node: ast.Tuple) -> Text:
        """(a, b)."""
        return f"({', '.join(self.text(part)[0] for part in node.elts)})", ATOM

    def starred(self, node: ast.Starred) -> Text:
        """The list itself."""
        return self.text(node.value)

    def atom(self, node: ast.expr) -> Text:
        """A letter, or its value."""
        symbol = self.symbol(node)
        if self.digits:
            try:
                return self.shown(self.value(node))
            except LookupError:
                pass
        return symbol, ATOM

    def symbol(self, node: ast.expr) -> str:
        """The letter of a name, of what stands under a name, or of a place in it."""
        if isinstance(node, ast.Name):
            return letter(node.id)
        if isinstance(node, ast.Attribute):
            return self.symbol(node.value) + "ᵀ" if node.attr == "T" else letter(node.attr)
        if isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return letter(node.slice.value)
            return self.symbol(node.value)
        return self.text(node)[0] if isinstance(node, ast.Call) else ast.unparse(node)

    def shown(self, value: Any) -> Text:
        """A value: a number, an array by its shape and norm, or a list of them."""
        digits = None if self.digits < 0 else self.digits or 6
        if single(value):
            text = number(one(value), digits)
            return text, ATOM if not text.startswith("−") else NEGATIVE
        if hasattr(type(value), "dtype"):
            return array(value), ATOM
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(self.shown(v)[0] for v in value) + "]", ATOM
        if value is None or isinstance(value, (str, bool)):
            return str(value), ATOM
        raise LookupError(type(value).__name__)


class _Replaced(ast.NodeTransformer):
    """Puts expressions where names are."""

    def __init__(self, of: Mapping[str, ast.expr]) -> None:
        self.of = of

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.of.get(node.id, node)


def single(value: Any) -> bool:
    """Whether a value is one number, alone or in an array."""
    return isinstance(value, (int, float)) or (
        hasattr(type(value), "dtype") and value.size == 1 and value.dtype.kind in "fiub"
    )


def one(value: Any) -> Any:
    """The one number, on the host."""
    return value.item() if hasattr(type(value), "dtype") else value
