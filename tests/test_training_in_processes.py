"""Forked and spawned processes train as their parent does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_s_training_is_its_parent_s(method: str) -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TINYGRAD_OPT_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-m", "tests.processes", method],
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert found.stdout == "equal\n", found.stderr
