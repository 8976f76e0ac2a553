"""What is read here imports CuPy, so it is read only in the run that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.devices import selected

LINES = pytest.StashKey[list[str]]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these modules alone in every other run."""
    return None if selected(config) == ["kernels"] else True


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line at the end of the run."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What was reported."""
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)
