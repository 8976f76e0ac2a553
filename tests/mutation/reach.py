"""Which tests reach a line, and a run of some of them in a process of its own."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = ["tests/test_*.py", "tests/ops", "tests/optim", "tests/nn", "tests/broken"]
TESTS += ["tests/teach/test_explain.py", "tests/teach/test_narrate.py"]
OPTIONS = ["-q", "--device=cpu", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning"]
MEMORY = 8 * 2**30  # a mutant may ask for all there is


def in_a_child(work: Callable[[], Any], seconds: float) -> int | None:
    """The exit status of `work()` in a fork of this process, which has NumPy and pytest ready."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        status = 99
        with contextlib.suppress(BaseException):
            status = int(work())
        os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Recorder:
    """Notes how long each test takes, whether it passes, and the lines that it reaches."""

    def __init__(self, folders: list[str]) -> None:
        import coverage

        self.coverage = coverage.Coverage(data_file=None, include=folders, config_file=False)
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        took = self.seconds.get(report.nodeid, 0.0)
        self.seconds[report.nodeid] = took + report.duration
        if not report.passed:
            self.failed.add(report.nodeid)

    def record(self, answer: Path) -> int:
        """Run the tests, and write what was noted into a file."""
        sys.dont_write_bytecode = False
        self.coverage.start()
        pytest.main([*OPTIONS, *self.files()], plugins=[self])
        self.coverage.stop()
        data = self.coverage.get_data()
        numbers = {test: number for number, test in enumerate(self.seconds)}
        lines = {
            os.path.relpath(path): {
                line: [numbers[test] for test in tests if test in numbers]
                for line, tests in data.contexts_by_lineno(path).items()
            }
            for path in data.measured_files()
        }
        passed = [test not in self.failed for test in numbers]
        tests = list(zip(self.seconds.items(), passed, strict=True))
        answer.write_text(json.dumps({"tests": tests, "lines": lines}))
        return 0

    @staticmethod
    def files() -> list[str]:
        """The files and folders of TESTS that exist."""
        return sorted(str(path) for pattern in TESTS for path in Path().glob(pattern))


class Reach:
    """What was recorded."""

    def __init__(self, record: Path) -> None:
        content = json.loads(record.read_text())
        self.tests = [name for (name, _), _ in content["tests"]]
        self.seconds = [seconds for (_, seconds), _ in content["tests"]]
        self.passed = [passed for _, passed in content["tests"]]
        self.lines = {
            path: {int(line): set(tests) for line, tests in lines.items()}
            for path, lines in content["lines"].items()
        }

    def of(self, path: str, line: int, budget: float) -> list[list[str]]:
        """Batches of tests worth `budget` seconds: those of the line, its function, class, file.

        A line may be reached once and its result kept, as a traced rule is: then the tests of the
        class decide. Of each test function one case comes first, then a second, the quick first.
        """
        reached = self.lines.get(path, {})
        chosen: dict[int, None] = {}
        for first, last in around(Path(path).read_text(), line):
            here = set().union(*(reached.get(n, ()) for n in range(first, last + 1)))
            quick = sorted(here, key=self.seconds.__getitem__)
            turn: Counter[str] = Counter()
            order = []
            for test in quick:
                function = self.tests[test].partition("[")[0]
                turn[function] += 1
                order.append((turn[function], self.seconds[test], test))
            chosen |= {test: None for *_, test in sorted(order) if self.passed[test]}
        return self.batches(list(chosen), [1.0, budget])

    def batches(self, tests: list[int], budgets: list[float]) -> list[list[str]]:
        found: list[list[str]] = []
        for budget in budgets:
            spent, batch = 0.0, []
            while tests and spent < budget and len(batch) < 600:
                spent += self.seconds[tests[0]] + 0.005
                batch.append(self.tests[tests.pop(0)])
            if batch:
                found.append(batch)
        return found

    def time(self, tests: list[str]) -> float:
        wanted = set(tests)
        return sum(s for t, s in zip(self.tests, self.seconds, strict=True) if t in wanted)


def around(source: str, line: int) -> list[tuple[int, int]]:
    """The lines of every statement and expression that a line is in, the smallest first."""
    ranges = {(line, line), (1, source.count("\n") + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.stmt, ast.Lambda)) and node.lineno <= line <= node.end_lineno:
            decorators = getattr(node, "decorator_list", [])
            ranges.add((min(n.lineno for n in (node, *decorators)), node.end_lineno))
        for decorator in getattr(node, "decorator_list", []):
            if decorator.lineno <= line <= decorator.end_lineno:
                ranges.add((decorator.lineno, node.end_lineno))
    return sorted(ranges, key=lambda r: r[1] - r[0])


class InOrder:
    """Runs these tests and no others, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        mine = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(mine, key=lambda item: self.place[item.nodeid])


def run(tests: list[str]) -> int:
    """pytest's exit status for these tests, which ends at the first failure."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    return pytest.main(["-x", *OPTIONS, *files], plugins=[InOrder(tests)])
