"""What every exercise has: a name, a file with one hole, and checks of what is written into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Function = Callable[..., Any]
# What is checked, and the function that gives a hint, or "" where it is right.
Check = tuple[str, Callable[[], str]]


@dataclass(frozen=True)
class Exercise(ABC):
    """A function to write: its name, which is that of the exercise, too, and its arguments."""

    name: str
    title: str
    file: str
    arguments: tuple[str, ...]

    @abstractmethod
    def checks(self, function: Function) -> Iterator[Check]:
        """One check after another; each is only made after those before it have passed."""
