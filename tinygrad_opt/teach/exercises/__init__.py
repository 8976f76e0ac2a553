"""Exercises that check themselves: one function to write, held against the library.

    tinygrad-opt check --copy momentum       a file with one hole
    tinygrad-opt check ex03_momentum.py      which checks it passes, and a hint where it does not

`EXERCISES` names them; `copy_exercise` and `check_file` do what the commands do; `check` stands at
the end of every file, for pytest.
"""

from .checking import Hint, Verdict, check, verdicts
from .exercise import Exercise
from .file import Checked, check_file, copy_exercise
from .formula import Formula, Mistake
from .table import EXERCISES, get_exercise

__all__ = [
    "EXERCISES",
    "Checked",
    "Exercise",
    "Formula",
    "Hint",
    "Mistake",
    "Verdict",
    "check",
    "check_file",
    "copy_exercise",
    "get_exercise",
    "verdicts",
]
