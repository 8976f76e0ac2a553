"""Learning and teaching: runs that keep a record, and what can be read from one.

Everything here is made of `History`: `trace` walks down a surface, `fit` trains a network.
"""

from .finding import Finding
from .fit import evaluate, fit
from .history import History
from .surfaces import SURFACES, Surface, get_surface
from .trace import trace

__all__ = ["SURFACES", "Finding", "History", "Surface", "evaluate", "fit", "get_surface", "trace"]
