"""Every small change that cosmic-ray's operators would make to a file, as text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# No test would tell these from an import that fails, or from the original: a float has no bits
# to shift, and whether `==` may stand for `is` no number decides.
TOO_EASY = re.compile(
    r"Binary.*_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|Bit.*)$"
    r"|Binary.*_Bit.*_(RShift|LShift|Mul|Div|FloorDiv|Mod|Pow|Add)$"
    r"|Comparison.*_(Eq|NotEq|Lt|LtE|Gt|GtE)_(Is|IsNot)$"
    r"|Comparison.*_Is_(?!IsNot$)|Comparison.*_IsNot_(?!Is$)"
    r"|Unary.*_(UAdd|Invert)$|RemoveDecorator"
)
Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change to one line of one file."""

    path: Path
    operator: str
    occurrence: int
    line: int

    def source(self) -> str | None:
        """The text of the file with the change, or None where it is no other program."""
        before = self.path.read_text()
        after = mutate_code(before, get_operator(self.operator)(), self.occurrence)
        try:
            same = ast.dump(ast.parse(after)) == ast.dump(ast.parse(before))
        except SyntaxError:
            return None
        return None if same else after

    def change(self) -> tuple[str, str]:
        """The line without and with the change."""
        before, after = self.path.read_text().splitlines(), (self.source() or "").splitlines()
        return next(
            (a.strip(), re.sub(r"(?<=\S)  +", " ", b.strip()))
            for a, b in zip(before, after, strict=False)
            if a != b
        )


def no_mathematics(tree: ast.AST) -> Iterator[tuple[Place, Place]]:
    """Where types and messages stand."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, (ast.Raise, ast.JoinedStr)):
            parts = [node]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warn"):
            parts = [*node.args, *node.keywords]
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            parts = [node.annotation]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts = [node.returns]
        for part in filter(None, parts):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def mutants(path: Path) -> list[Mutant]:
    """All of a file, in its order."""
    source = path.read_text()
    nodes = list(ast_nodes(get_ast(source)))
    left_out = list(no_mathematics(ast.parse(source)))
    found = []
    for name in filter(lambda name: not TOO_EASY.search(name), operator_names()):
        kind = get_operator(name)
        if kind.arguments():
            continue
        places = [place for node in nodes for place, _ in kind().mutation_positions(node)]
        found += [
            Mutant(path, name, number, place[0])
            for number, place in enumerate(places)
            if not any(first <= place < last for first, last in left_out)
        ]
    return sorted(found, key=lambda mutant: mutant.line)
