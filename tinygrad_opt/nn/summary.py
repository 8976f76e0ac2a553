"""A table of a model: its layers, the shapes that come out of them, and their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..operation import no_grad
from .module import Module, Parameter


@dataclass(frozen=True)
class Row:
    """A module; ``parameters`` counts its own that no row above has counted."""

    name: str
    kind: str
    depth: int
    output_shape: tuple[int, ...] | None
    parameters: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; printed, it is a table."""

    rows: list[Row]
    total: int
    trainable: int

    def __repr__(self) -> str:
        lines = [("layer", "output", "parameters")]
        for row in self.rows:
            name = "  " * row.depth + f"{row.name} {row.kind}".strip()
            shape = "" if row.output_shape is None else str(row.output_shape)
            lines.append((name, shape, f"{row.parameters:,}" if row.parameters else ""))
        lines.append(("total", "", f"{self.total:,}"))
        if self.trainable != self.total:
            lines.append(("learned", "", f"{self.trainable:,}"))
        a, b, c = (max(map(len, column)) for column in zip(*lines))
        text = [f"{name:<{a}}  {shape:<{b}}  {count:>{c}}" for name, shape, count in lines]
        rule = "-" * (a + b + c + 4)
        end = len(self.rows) + 1
        return "\n".join([text[0], rule, *text[1:end], rule, *text[end:]])


def summary(model: Module, *inputs: Any) -> Summary:
    """Run the model once on these inputs and tell what comes out of every layer.

    It runs in evaluation and without recording, so that nothing of the model changes. A parameter
    that is tied counts where it comes first.
    """
    shapes: dict[Module, tuple[int, ...] | None] = {}

    def note(module: Module, _: Any, output: Any) -> None:
        shapes[module] = getattr(output, "shape", None)

    modes = [(module, module.training) for module in model.modules()]
    removers = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with no_grad():
            model.eval()(*inputs)
    finally:
        for remove in removers:
            remove()
        for module, mode in modes:
            module.training = mode
    rows: list[Row] = []
    counted: set[Parameter] = set()
    for path, module in model.named_modules():
        own = {p for p in module.parameters(recurse=False)} - counted
        counted |= own
        rows.append(
            Row(
                path.rpartition(".")[2],
                type(module).__name__,
                path.count(".") + bool(path),
                shapes.get(module),
                sum(p.size for p in own),
            )
        )
    trainable = sum(p.size for p in counted if p.requires_grad)
    return Summary(rows, sum(p.size for p in counted), trainable)
