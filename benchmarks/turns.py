"""Workers by turns: first the same numbers, then short bursts, each round begun by another peer.

Noise of the machine meets all alike, and nothing is timed that computes something else. Between two
bursts is a pause, in which the threads of the last peer fall asleep.

Order: what is timed · the team · one case · who else used the machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .worker import Absent, Failed, Peer, Worker

PAUSE = 0.04  # seconds
SHOWN, CLOSE = 12, 5e-4  # numbers that are compared, and the relative difference that is allowed

Line = dict[str, Any]

# ---- what is timed ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Work for some peers: as it is compared, and as it is timed (at a rate that moves nothing)."""

    name: str
    about: str
    shown: Any
    timed: Any
    peers: tuple[str, ...]
    burst: float = 0.25  # seconds
    facts: dict[str, Any] = field(default_factory=dict)


class WrongNumbers(Exception):
    """Some peers compute something else than the others."""


# ---- the team ---------------------------------------------------------------------------------


class Team:
    """A worker for every peer that is here, and a word on the others."""

    def __init__(self, peers: dict[str, Peer]) -> None:
        self.facts: dict[str, Any] = {}
        self.absent: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.workers: dict[str, Worker] = {}
        try:
            for name, peer in peers.items():  # all at once: imports take their time
                self.workers[name] = Worker(peer)
            for name in peers:
                found = self._try(name, Worker.answer)
                if found is not None:
                    self.facts[name] = {"title": peers[name].title, **found}
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all workers."""
        while self.workers:
            _, worker = self.workers.popitem()
            worker.end()

    def ask(self, name: str, what: str, *arguments: Any) -> Any:
        """What a peer answers; None where it fails, which is noted."""
        return self._try(name, lambda worker: worker.ask(what, *arguments))

    def _try(self, name: str, do: Callable[[Worker], Any]) -> Any:
        try:
            return do(self.workers[name])
        except Absent as sentence:
            self.absent[name] = str(sentence)
            print(f"Without {name}: {sentence}", file=sys.stderr)
        except Failed as error:
            self.failed[name] = str(error)
            print(f"{name} failed.\n{error}", file=sys.stderr)
        self.workers.pop(name).end()
        return None

    def spent(self) -> float:
        """Seconds of processors that all workers and this process have used."""
        workers = [self.ask(name, "spent") or 0.0 for name in [*self.workers]]
        return sum(workers) + sum(os.times()[:2])


# ---- one case ---------------------------------------------------------------------------------


def lines(team: Team, cases: Iterable[Case], rounds: int, odd: Collection[str]) -> Iterator[Line]:
    """A line for every case; peers in `odd` compute no numbers that could be compared."""
    for case in cases:
        shown = compare(team, case, odd)
        for name in [*team.workers]:
            if name in case.peers:
                team.ask(name, "prepare", case.timed)
        here = [name for name in case.peers if name in team.workers]
        for name in here:
            team.ask(name, "warm_up", case.burst)
        watch = Watch(team)
        times = by_turns(team, here, case.burst, rounds)
        yield {
            "name": case.name,
            "about": case.about,
            **case.facts,
            "shown": shown,
            "others": watch.others(team),
            "peers": {name: summary(blocks) for name, blocks in times.items() if blocks},
        }


def compare(team: Team, case: Case, odd: Collection[str]) -> list[float]:
    """The first numbers, on which all agree; WrongNumbers names those that do not."""
    shown = {}
    for name in case.peers:
        if name in team.workers and name not in odd:
            team.ask(name, "prepare", case.shown)
        if name in team.workers and name not in odd:
            shown[name] = team.ask(name, "first", SHOWN)
    shown = {name: numbers for name, numbers in shown.items() if numbers is not None}
    if not shown:
        return []
    if liars := strangers(shown, CLOSE):
        listed = "\n".join(f"  {name}: {numbers}" for name, numbers in shown.items())
        verb = "computes" if len(liars) == 1 else "compute"
        raise WrongNumbers(
            f"{case.name}: {' and '.join(liars)} {verb} other numbers than the rest.\n{listed}"
        )
    middle: list[float] = np.median(list(shown.values()), axis=0).tolist()
    return middle


def strangers(shown: dict[str, list[float]], close: float) -> list[str]:
    """Who is far from the median of all; of two that differ, both are."""
    table = np.array(list(shown.values()))
    middle = np.median(np.where(np.isnan(table), np.inf, table), axis=0)
    near = np.isclose(table, middle, rtol=close / 2 if len(table) == 2 else close, atol=1e-9)
    return [name for name, fine in zip(shown, near.all(1)) if not fine]


def by_turns(
    team: Team, names: Sequence[str], burst: float, rounds: int
) -> dict[str, list[list[float]]]:
    """Seconds a step of every block of every burst."""
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    order = list(names)
    for _ in range(rounds):
        for name in order:
            time.sleep(PAUSE)
            if name in team.workers:
                blocks = team.ask(name, "burst", burst)
                if blocks is not None:
                    times[name].append(blocks)
        order.append(order.pop(0))
    return {name: bursts for name, bursts in times.items() if name in team.workers}


def summary(bursts: list[list[float]]) -> dict[str, Any]:
    """Of all blocks, in µs: the median, the quantile at 25 %, the minimum, and their number."""
    blocks = np.concatenate(bursts) * 1e6
    p25, median, p75 = np.quantile(blocks, [0.25, 0.5, 0.75]).tolist()
    return {
        "median": median,
        "p25": p25,
        "p75": p75,
        "minimum": float(blocks.min()),
        "bursts": len(bursts),
        "blocks": len(blocks),
    }


# ---- who else used the machine ----------------------------------------------------------------


class Watch:
    """How much of the machine's time went to programs other than the team, since it was made."""

    def __init__(self, team: Team) -> None:
        self.before = (*machine_time(), team.spent())

    def others(self, team: Team) -> float | None:
        """A share of all processors' time; None where the system does not tell."""
        (total, busy), spent = machine_time(), team.spent()
        total, busy, own = (now - then for now, then in zip((total, busy, spent), self.before))
        return max(0.0, busy - own) / total if total > 0 else None


def machine_time(path: Path = Path("/proc/stat")) -> tuple[float, float]:
    """Seconds of all processors since the start, and those in which they were busy, on Linux."""
    try:
        with path.open() as file:
            user, nice, system, idle, iowait, *rest = map(int, file.readline().split()[1:9])
    except OSError:
        return 0.0, 0.0
    busy = user + nice + system + sum(rest)  # interrupts, and what the host machine took away
    tick = os.sysconf("SC_CLK_TCK")
    return (busy + idle + iowait) / tick, busy / tick
