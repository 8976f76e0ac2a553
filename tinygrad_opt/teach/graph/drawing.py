"""The best picture of a graph that this computer can make."""

from __future__ import annotations

import importlib
import shutil
from typing import Any

from ...tensor import Tensor
from .dot import to_dot
from .svg import to_svg


def draw(t: Tensor, *, max_nodes: int = 60, order: bool = False) -> Any:
    """The graph of a result, for a notebook to show: by Graphviz where it is, else `to_svg`'s.

    Graphviz is the program `dot` together with the package of that name; then this is a
    `graphviz.Source`. Arguments and errors as `to_svg`.
    """
    try:
        graphviz = importlib.import_module("graphviz")
    except ImportError:
        graphviz = None
    if graphviz is None or shutil.which("dot") is None:
        return to_svg(t, max_nodes=max_nodes, order=order)
    return graphviz.Source(to_dot(t, max_nodes=max_nodes, order=order))
