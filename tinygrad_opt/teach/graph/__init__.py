"""The graph that a result was recorded with, as text, Mermaid, DOT and an SVG picture."""

from .dot import to_dot
from .drawing import draw
from .mermaid import to_mermaid
from .svg import Svg, to_svg
from .text import to_text

__all__ = ["Svg", "draw", "to_dot", "to_mermaid", "to_svg", "to_text"]
