"""What was noticed about a run, in words: the one type of `lint` and `diagnose`."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("info", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """A rule that fired: what is the matter, the numbers that show it, and what to try.

    Printed, it is a line of what and evidence, and one of what to try.
    """

    level: str  # "info", "warning" or "error"
    rule: str  # its name, as in "dead relu"
    what: str
    evidence: str
    try_this: str

    def __str__(self) -> str:
        return f"{self.level}: {self.what} ({self.evidence})\n    Try: {self.try_this}"
