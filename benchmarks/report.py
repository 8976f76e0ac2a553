"""What comes out: ratios, how far to trust them, tables, and targets that are met or missed.

Order: ratios · tables · targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .turns import Line

QUIET = 0.15  # by how much ratios of medians and of p25 may disagree
BUSY = 0.05  # of the machine's time, for other programs

# ---- ratios -----------------------------------------------------------------------------------


def ratio(line: Line, peer: str, against: str) -> dict[str, Any] | None:
    """The time of a peer over another's; None where one is missing."""
    if peer not in line["peers"] or against not in line["peers"]:
        return None
    ours, theirs = line["peers"][peer], line["peers"][against]
    medians, p25 = (ours[name] / theirs[name] for name in ("median", "p25"))
    return {"median": medians, "p25": p25, "quiet": abs(p25 / medians - 1) <= QUIET}


def with_ratios(line: Line, references: Sequence[str]) -> Line:
    """The line, with the ratio of every peer to those that the benchmark looks up to."""
    peers = line["peers"]
    here = [other for other in references if other in peers]
    return line | {
        "ratios": {
            other: {peer: ratio(line, peer, other) for peer in peers if peer != other}
            for other in here
        }
    }


def remarks(lines: Sequence[Line]) -> list[str]:
    """Sentences on what keeps these numbers from being trusted."""
    found = []
    if any(line["others"] is None for line in lines):
        found.append("This system does not tell how much time other programs used.")
    busy = [f"{line['name']} ({line['others']:.0%})" for line in lines if is_busy(line)]
    if busy:
        found.append(
            f"Other programs used the machine: nothing is decided about {', '.join(busy)}."
        )
    ratios = [
        known for line in lines for ours in line["ratios"].values() for known in ours.values()
    ]
    if not all(known["quiet"] for known in ratios):
        found.append(
            f"~ marks ratios of medians that those of p25 contradict by more than {QUIET:.0%}: "
            "it was not quiet, measure again."
        )
    return found


def is_busy(line: Line) -> bool:
    """Whether other programs used too much of the machine's time."""
    return (line["others"] or 0.0) > BUSY


# ---- tables -----------------------------------------------------------------------------------


def table(line: Line, titles: dict[str, str], references: Sequence[str]) -> str:
    """A row for every peer: median / p25 / minimum, ns a parameter, and ratios."""
    here = [other for other in references if other in line["peers"]]
    unit, scale = ("ms", 1e-3) if quickest(line) >= 1e3 else ("µs", 1.0)
    heads = [f"{unit}: median / p25 / min".rjust(28)]
    heads += ["ns each".rjust(10)] if "parameters" in line else []
    heads += [f"  / {titles[other]}".rjust(18) for other in here]
    rows = [f"{line['name']}: {line['about']}", f"{'':32}{''.join(heads)}"]
    for peer, known in line["peers"].items():
        times = " / ".join(number(known[name] * scale) for name in ("median", "p25", "minimum"))
        cells = [times.rjust(28)]
        if "parameters" in line:
            cells.append(f"{known['median'] * 1e3 / line['parameters']:10.2f}")
        cells += [share(line, peer, other).rjust(18) for other in here]
        rows.append(f"  {titles[peer]:30}{''.join(cells)}")
    return "\n".join(rows)


def grid(lines: Sequence[Line], titles: dict[str, str], references: Sequence[str]) -> str:
    """A row for every case and a column for every peer: for many cases and few peers."""
    peers = list(dict.fromkeys(peer for line in lines for peer in line["peers"]))
    rows = [f"{'median in µs':34}{''.join(titles[peer].rjust(22) for peer in peers)}"]
    for line in lines:
        cells = []
        for peer in peers:
            cell = number(line["peers"][peer]["median"]) if peer in line["peers"] else "–"
            ratios = [share(line, peer, other) for other in references if other != peer]
            cells.append(f"{cell} ({', '.join(ratios)})" if any(ratios) else cell)
        rows.append(f"{line['name']:34}{''.join(cell.rjust(22) for cell in cells)}")
    return "\n".join(rows)


def share(line: Line, peer: str, against: str) -> str:
    """A ratio in words, with ~ where it is not to be trusted."""
    known = ratio(line, peer, against)
    return "" if not known else f"{'' if known['quiet'] else '~'}{known['median']:.3f}"


def quickest(line: Line) -> float:
    """The shortest median."""
    return min((known["median"] for known in line["peers"].values()), default=0.0)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# ---- targets ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A bound for the time of a peer over another's, in one case."""

    case: str
    peer: str
    against: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def words(self) -> str:
        """The bound."""
        return f"≤ {self.at_most:.2f}" if self.at_most is not None else f"≥ {self.at_least:.2f}"

    def holds(self, value: float) -> bool:
        """Whether a ratio keeps to the bound."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


def check(
    targets: Sequence[Target], lines: Sequence[Line], titles: dict[str, str]
) -> tuple[str, bool]:
    """The tables of targets with pass or miss, and whether all are met; what is missing is not."""
    rows, met = [], True
    for target in targets:
        line = next((line for line in lines if line["name"] == target.case), None)
        found = line and ratio(line, target.peer, target.against)
        if not line or not found:
            value, word, fine = "–", "not measured", False
        else:
            value, fine = f"{found['median']:.3f}", target.holds(found["median"])
            word = "pass" if fine else "MISS"
            word += ", not quiet" if is_busy(line) or not found["quiet"] else ""
        met = met and fine
        names = f"{titles[target.peer]} / {titles[target.against]}"
        rows.append(f"{target.case:16}{names:50}{target.words:>8}{value:>9}  {word}")
    heads = f"{'':16}{'ratio of medians':50}{'target':>8}{'here':>9}"
    return "\n".join([heads, *rows]), met
