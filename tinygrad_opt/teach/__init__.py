"""Training that keeps a record: what the command line shows and tests read."""

from .fit import evaluate, fit
from .history import History

__all__ = ["History", "evaluate", "fit"]
