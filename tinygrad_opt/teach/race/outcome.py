"""The outcome of a race: records, standings, ranks, and the table of both columns.

Order: `Standing` · `Racer` · `Race` · files.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, field
from typing import Any, Literal

from ..export import plain, strict_json, table
from ..history import History
from .tasks import Task

Column = Literal["common", "tuned"]
COLUMNS: tuple[Column, Column] = ("common", "tuned")
SCHEMA = "tinygrad_opt.race/1"
FLOOR = 1e-12  # what is left of a loss below this is rounding


def left(number: float, digits: int = 4) -> str:
    """What is left of a loss, in so many digits."""
    return f"<{FLOOR:g}" if 0 <= number < FLOOR else f"{number:.{digits}g}"


def above_rounding(number: float) -> float:
    """What is left of a loss, for comparisons; losses without a known minimum may be negative."""
    return max(number, FLOOR) if number >= 0 else number


def fell(history: History) -> bool:
    """Whether a run is out of the race."""
    return history.status in ("nan", "diverged")


@dataclass(frozen=True)
class Standing:
    """How one optimizer did at one rate, over its seeds: inf stands for diverged, and for never."""

    finals: tuple[float, ...]  # what was left at the end
    arrivals: tuple[float, ...]  # gradients until the target
    stops: tuple[int | None, ...]  # the updates at which runs diverged

    @property
    def final(self) -> float:
        """The median of what was left."""
        return statistics.median(self.finals) if self.finals else math.inf

    @property
    def arrival(self) -> float:
        """The median of the gradients until the target."""
        return statistics.median(self.arrivals) if self.arrivals else math.inf

    @property
    def diverged(self) -> bool:
        """Whether half of the runs did."""
        return math.isinf(self.final) and self.final > 0

    @property
    def order(self) -> tuple[float, float]:
        """Less is better: first the steps to the target, then what is left, above rounding."""
        return self.arrival, above_rounding(self.final)

    def __str__(self) -> str:
        if not self.finals:
            return "–"
        if self.diverged:
            steps = [step for step in self.stops if step is not None]
            at = f", step {int(statistics.median_low(steps))}" if steps else ""
            fallen = sum(map(math.isinf, self.finals))
            return f"diverged{at}" + (f" ({fallen} of {len(self.finals)})" if fallen > 1 else "")
        if len(self.finals) == 1:
            return left(self.final)
        worst = max(self.finals)
        most = "diverged" if math.isinf(worst) else left(worst, 3)
        return f"{left(self.final)} ({left(min(self.finals), 3)}…{most})"


@dataclass
class Racer:
    """An optimizer with its runs in both columns, one a seed, and how its own rate was found."""

    name: str
    common: list[History] = field(default_factory=list)
    tuned: list[History] = field(default_factory=list)
    lr: float | None = None  # its own; None where every trial diverged
    trials: list[tuple[float, float]] = field(default_factory=list)  # rate, score; see `diverged`
    random: bool = False  # whether another seed makes another run
    sentence: str = ""  # why it cannot run

    @property
    def diverged(self) -> int:
        """How many of the rates did, with the score inf; those at which it fails have nan."""
        return sum(math.isinf(score) for _, score in self.trials)

    @property
    def failed(self) -> int:
        """At how many of the rates it cannot run."""
        return sum(math.isnan(score) for _, score in self.trials)

    @property
    def runs_at_all(self) -> bool:
        """Whether there is a rate at which it does."""
        return bool(self.common or self.tuned) or self.failed < len(self.trials)

    @property
    def at_edge(self) -> bool:
        """Whether its own rate is the least or the largest that was tried."""
        rates = [rate for rate, _ in self.trials]
        return len(rates) > 1 and self.lr in (min(rates), max(rates))

    @property
    def seconds(self) -> float:
        """Wall time of a reported run: shown, not ranked."""
        times = [history.seconds for history in (*self.common, *self.tuned)]
        return statistics.median(times) if times else math.nan

    def runs(self, column: Column) -> list[History]:
        """The records of a column."""
        return self.common if column == "common" else self.tuned


@dataclass
class Race:
    """What `race` found; printed, it is the table and the verdict.

    ``entered``: the names of all; ``racers``: name -> `Racer` of those that have finished, in the
    same order; ``lr`` the common rate, ``rates`` those that each tried for its own.
    """

    task: Task
    lr: float
    rates: list[float]
    seeds: int
    seed: int
    entered: list[str]
    racers: dict[str, Racer] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Those that have not finished: the race goes on, or was interrupted."""
        return [name for name in self.entered if name not in self.racers]

    @property
    def ranked(self) -> bool:
        """Whether there is a ranking: one run with luck in it says nothing."""
        return self.seeds > 1 or not any(racer.random for racer in self.racers.values())

    def standing(self, name: str, column: Column) -> Standing:
        """How an optimizer did in a column."""
        runs = self.racers[name].runs(column)
        finals = [math.inf if fell(h) else float(self.task.curve(h)[1][-1]) for h in runs]
        arrivals = [math.inf if fell(h) else self.task.arrival(h) for h in runs]
        stops = [h.stopped_at for h in runs if fell(h)]
        return Standing(tuple(finals), tuple(arrivals), tuple(stops))

    def gains(self, name: str) -> bool:
        """Whether its own rate is better than the common one, beyond the ranges over the seeds."""
        common, own = (self.standing(name, column) for column in COLUMNS)
        if not common.finals or not own.finals or math.isinf(max(own.finals)):
            return False
        return above_rounding(max(own.finals)) < above_rounding(min(common.finals))

    def unsure(self, name: str) -> bool:
        """Whether its own rate is another one and not better beyond the ranges over the seeds."""
        racer = self.racers[name]
        searched = bool(racer.tuned and racer.common) and racer.lr != self.lr
        return self.ranked and racer.random and searched and not self.gains(name)

    def too_close(self, column: Column) -> list[str]:
        """The first two, if other seeds might well turn them round."""
        names = list(self.ranks(column))[:2]
        if len(names) < 2:
            return []
        one, two = (self.standing(name, column) for name in names)
        alike = max(one.finals) >= min(two.finals) and max(one.arrivals) >= min(two.arrivals)
        return names if alike and len(one.finals) > 1 else []

    def ranks(self, column: Column) -> dict[str, int]:
        """name -> 1, 2, …, equals sharing a rank; those that diverged have none."""
        if not self.ranked:
            return {}
        standings = {name: self.standing(name, column) for name in self.racers}
        orders = {name: s.order for name, s in standings.items() if s.finals and not s.diverged}
        return {
            name: 1 + sum(other < order for other in orders.values())
            for name, order in sorted(orders.items(), key=lambda pair: pair[1])
        }

    def table(self) -> list[dict[str, str]]:
        """A row for each optimizer, with both columns, as text."""
        rows = [self._row(name) for name in self.racers]
        return rows + [
            dict.fromkeys(rows[0], "–") | {"optimizer": name, "lost": "not run"}
            for name in self.missing
        ]

    def _row(self, name: str) -> dict[str, str]:
        racer = self.racers[name]
        row = {"optimizer": name}
        for column in COLUMNS:
            standing, rank = self.standing(name, column), self.ranks(column).get(name)
            own = column == "tuned"
            row["at its own lr" if own else f"at lr {self.lr:g}"] = str(standing)
            if own:
                row["lr"] = "–" if racer.lr is None else f"{racer.lr:.4g}"
                row["lr"] += " (edge)" if racer.at_edge else ""
                row["lr"] += " (unsure)" if self.unsure(name) else ""
            if self.task.target is not None:
                reached = "" if math.isinf(standing.arrival) else f"{standing.arrival:g}"
                row["target " if own else "target"] = reached or "–"
            row["# " if own else "#"] = str(rank or "–")
        lost = f"{racer.diverged} of {len(racer.trials)}"
        row["lost"] = lost if racer.runs_at_all else "cannot run"
        row["time"] = "–" if math.isnan(racer.seconds) else f"{racer.seconds:.2g} s"
        return row

    @property
    def legend(self) -> str:
        """What the table shows."""
        task = self.task
        luck = any(racer.random for racer in self.racers.values())
        words = f"{task.name}: {task.unit} after {task.evaluations:,} gradients"
        words += f", median (and range) of {self.seeds} seeds." if luck else "."
        goal = f"target: gradients until {task.goal}. " if task.target is not None else ""
        return f"{words}\n{goal}#: rank. lost: how many of the rates tried diverged."

    @property
    def verdict(self) -> str:
        """Who wins each column, and why the columns differ: a sentence a line."""
        from .verdict import verdict

        return verdict(self)

    def __str__(self) -> str:
        rows = self.table()
        lines = [list(rows[0]), *(list(row.values()) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([self.legend, "", *text, "", self.verdict])

    # ---- files --------------------------------------------------------------------------------

    def to_json(self, **options: Any) -> str:
        """Everything, records included, as strict JSON."""
        return strict_json(self.document(), **options)

    def document(self) -> dict[str, Any]:
        """The same in JSON's types; what is not finite becomes "inf" or "nan"."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "task": self.task.name,
            "unit": self.task.unit,
            "target": self.task.goal,
            "evaluations": self.task.evaluations,
            "lr": self.lr,
            "rates": self.rates,
            "seeds": self.seeds,
            "seed": self.seed,
            "ranked": self.ranked,
            "missing": self.missing,
            "racers": {name: self._racer(name) for name in self.racers},
            "verdict": self.verdict,
        }
        plainly: dict[str, Any] = plain(document)
        return plainly

    def _racer(self, name: str) -> dict[str, Any]:
        racer = self.racers[name]
        found: dict[str, Any] = {
            "lr": racer.lr,
            "at_edge": racer.at_edge,
            "trials": [[rate, score] for rate, score in racer.trials],
            "diverged_trials": racer.diverged,
            "failed_trials": racer.failed,
            "sentence": racer.sentence,
        }
        for column in COLUMNS:
            standing = self.standing(name, column)
            found[column] = {
                "rank": self.ranks(column).get(name),
                "final": standing.final,
                "arrival": standing.arrival,
                "runs": [json.loads(history.to_json()) for history in racer.runs(column)],
            }
        return found

    def to_csv(self) -> str:
        """The curves of all runs as a table with a header; no numbers where one has no runs."""
        columns = ["optimizer", "column", "lr", "run", "evaluations", self.task.unit]
        rows: list[tuple[Any, ...]] = [
            (name, column, self.lr if column == "common" else racer.lr, run, int(done), float(left))
            for name, racer in self.racers.items()
            for column in COLUMNS
            for run, history in enumerate(racer.runs(column))
            for done, left in zip(*self.task.curve(history), strict=True)
        ]
        shown = {name for name, *_ in rows}
        rows += [(name, *[""] * 5) for name in self.entered if name not in shown]
        return table([dict(zip(columns, row, strict=True)) for row in rows], columns)
