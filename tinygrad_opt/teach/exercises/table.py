"""All exercises, in the order of a course, and where their files are."""

from __future__ import annotations

from pathlib import Path

from ...names import did_you_mean
from .adam import ADAM
from .backward import CROSS_ENTROPY, LINEAR, RELU
from .break_it import BREAK_IT
from .exercise import Exercise
from .rules import MOMENTUM, RMSPROP
from .schedules import WARMUP_COSINE

_IN_ORDER = (RELU, LINEAR, MOMENTUM, RMSPROP, ADAM, CROSS_ENTROPY, WARMUP_COSINE, BREAK_IT)
EXERCISES = {exercise.name: exercise for exercise in _IN_ORDER}


def get_exercise(name: str) -> Exercise:
    """The exercise of a name; ValueError with the nearest one where there is none."""
    if name in EXERCISES:
        return EXERCISES[name]
    raise ValueError(
        f"there is no exercise {name!r}.{did_you_mean(name, EXERCISES)} "
        f"There are {', '.join(EXERCISES)}."
    )


def unsolved(exercise: Exercise) -> Path:
    """The file with the hole: packed into the wheel; in a checkout, that of ``examples``."""
    here = Path(__file__).parent
    folders = (here / "files", here.parents[2] / "examples" / "exercises")
    for folder in folders:
        if (folder / exercise.file).is_file():
            return folder / exercise.file
    raise FileNotFoundError(f"{exercise.file} is in none of {', '.join(map(str, folders))}.")
