"""The command that the CPU's benchmarks share: who and what takes part, what is printed and kept.

Order: a benchmark · its command · what it was measured with.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from . import report, results
from .picture import draw
from .report import Target
from .turns import Case, Line, Team, WrongNumbers, lines
from .worker import Peer

SETTINGS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TINYGRAD_OPT_THREADS",
    "NPROC",  # JAX counts its threads by it
)

# ---- a benchmark ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Benchmark:
    """Cases for peers, with which of them the others are compared, and what is hoped for."""

    name: str
    doc: str
    cases: tuple[Case, ...]
    peers: dict[str, Peer]
    references: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    word: str = "cases"  # for a choice among the cases
    rounds: int = 9
    odd: frozenset[str] = frozenset()  # peers that compute nothing that could be compared
    many: bool = False  # so many cases that each gets one row

    @property
    def titles(self) -> dict[str, str]:
        """The names of the peers for people."""
        return {name: peer.title for name, peer in self.peers.items()}

    def chosen(self, words: argparse.Namespace) -> tuple[list[Case], dict[str, Peer]]:
        """Cases and peers of a run: those named, those that the targets need, or the usual ones."""
        targets = self.targets if words.check else ()
        wanted = getattr(words, self.word) or [target.case for target in targets]
        cases = [case for case in self.cases if not wanted or case.name in wanted]
        taken = {name for case in cases for name in case.peers}
        usual = [name for name, peer in self.peers.items() if not peer.asked]
        needed = [peer for target in targets for peer in (target.peer, target.against)]
        taken &= set(words.peers or needed or usual)
        return cases, {name: peer for name, peer in self.peers.items() if name in taken}


# ---- its command ------------------------------------------------------------------------------


def main(benchmark: Benchmark, argv: list[str] | None = None) -> int:
    """Measure, print and keep; 1 where a target is missed or a peer fails, 130 when interrupted."""
    parser = command_line(benchmark)
    words = parser.parse_args(argv)
    device = results.processor()
    document: dict[str, Any] = {"device": device, "parts": {}}
    file = None if words.json in (None, "-") else Path(words.json)
    try:
        if file:
            document = results.known(file, device)
        if words.png:
            importlib.import_module("matplotlib")
    except (ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    tables = sys.stderr if words.json == "-" else sys.stdout
    cases, peers = benchmark.chosen(words)
    try:
        with threads(words.threads), Team(peers) as team:
            part = measure(benchmark, team, cases, words.rounds, tables)
    except WrongNumbers as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing is kept.", file=sys.stderr)
        return 130
    lines = part["lines"]
    fine = not part["failed"]
    if words.check:
        names = {case.name for case in cases}
        targets = [target for target in benchmark.targets if target.case in names]
        text, met = report.check(targets, lines, benchmark.titles)
        print("", text, sep="\n", file=tables)
        fine = fine and met
    for remark in report.remarks(lines):
        print(remark, file=sys.stderr)
    document["parts"][benchmark.name] = part
    if file:
        results.write(file, document)
    elif words.json:
        print(results.as_text(document))
    if words.png:
        columns = 4 if benchmark.many else 1
        draw(words.png, lines, benchmark.titles, benchmark.references, columns)
    return 0 if fine else 1


def measure(
    benchmark: Benchmark, team: Team, cases: list[Case], rounds: int, tables: TextIO
) -> dict[str, Any]:
    """Let the peers work, and print what is known as soon as it is."""
    for name, facts in team.facts.items():
        about = f"{listed(facts['versions'])} (threads: {listed(facts['threads'])})"
        print(f"{name}: {about}", file=tables)
    measured: list[Line] = []
    for line in lines(team, cases, rounds, benchmark.odd):
        measured.append(report.with_ratios(line, benchmark.references))
        if not benchmark.many:
            text = report.table(measured[-1], benchmark.titles, benchmark.references)
            print("", text, sep="\n", file=tables, flush=True)
    if benchmark.many:
        text = report.grid(measured, benchmark.titles, benchmark.references)
        print("", text, sep="\n", file=tables)
    return environment(team) | {"unit": "µs", "rounds": rounds, "lines": measured}


def listed(facts: dict[str, Any]) -> str:
    """Names and values."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def command_line(benchmark: Benchmark) -> argparse.ArgumentParser:
    """What can be asked for."""
    cases = [case.name for case in benchmark.cases]
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}",
        description=benchmark.doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for word, names in ((benchmark.word, cases), ("peers", list(benchmark.peers))):
        listed = ", ".join(names)
        parser.add_argument(f"--{word}", nargs="+", choices=names, metavar="NAME", help=listed)
    rounds = f"bursts of every peer ({benchmark.rounds})"
    parser.add_argument("--rounds", type=natural, default=benchmark.rounds, help=rounds)
    parser.add_argument("--threads", type=natural, help="for every peer (each its own default)")
    if benchmark.targets:
        parser.add_argument("--check", action="store_true", help="targets, with pass or miss")
    else:
        parser.set_defaults(check=False)
    kept = "keep the results in a file; alone, print them"
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=kept)
    parser.add_argument("--png", metavar="FILE", help="a picture (needs Matplotlib)")
    return parser


def natural(text: str) -> int:
    """1, 2, 3, …"""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of things")
    return int(text)


# ---- what it was measured with ----------------------------------------------------------------


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Processes that are started here, and all that they load, take so many threads."""
    if count is None:
        yield
        return
    before = {name: os.environ.get(name) for name in (*SETTINGS, "XLA_FLAGS")}
    os.environ |= dict.fromkeys(SETTINGS, str(count))
    if count == 1:
        flags = f"{before['XLA_FLAGS'] or ''} --xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = flags.strip()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def environment(team: Team) -> dict[str, Any]:
    """Date, machine, versions, threads and settings."""
    return {
        "date": results.now(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "peers": team.facts,
        "absent": team.absent,
        "failed": team.failed,
        "settings": {name: os.environ.get(name) for name in SETTINGS},
    }
