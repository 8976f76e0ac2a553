"""Learning and teaching: runs that keep a record, and what can be read from one.

Everything here is made of `History`: `trace` walks down a surface, `fit` trains a network.
"""

from .diagnose import diagnose, report
from .dialects import Dialects, dialects
from .exercises import EXERCISES, check_file, copy_exercise
from .explain import Explanation, explain
from .expression import Expression, expression
from .finding import Finding
from .fit import evaluate, fit
from .graph import draw, to_dot, to_mermaid, to_svg, to_text
from .history import History
from .landscape import Landscape, landscape
from .lint import lint
from .lr_range_test import RangeTest, lr_range_test
from .lr_sweep import Sweep, lr_sweep
from .narrate import narrate
from .race import Race, Racer, race
from .surfaces import SURFACES, Surface, get_surface
from .trace import trace

__all__ = [
    "Dialects",
    "EXERCISES",
    "Explanation",
    "Expression",
    "SURFACES",
    "Finding",
    "History",
    "Landscape",
    "Race",
    "Racer",
    "RangeTest",
    "Surface",
    "Sweep",
    "check_file",
    "diagnose",
    "copy_exercise",
    "dialects",
    "draw",
    "evaluate",
    "explain",
    "expression",
    "fit",
    "get_surface",
    "landscape",
    "lint",
    "lr_range_test",
    "lr_sweep",
    "narrate",
    "race",
    "report",
    "to_dot",
    "to_mermaid",
    "to_svg",
    "to_text",
    "trace",
]
