"""Schedules: pure functions of the step, f(t) -> factor, joined by `>>`, `*` and `repeat`.

`warmup(100) >> cosine(900)` rises for 100 steps and falls for 900. A schedule knows no
optimizer: it multiplies a learning rate, a momentum, or whatever it is handed to.
"""

from . import families
from .families import *
from .schedule import Schedule
from .table import ALIASES, SCHEDULES, Family
from .text import parse

__all__ = ["ALIASES", "SCHEDULES", "Family", "Schedule", "parse"]
__all__ += families.__all__
