"""Every lesson runs by itself, prints what it shows, asserts something, and ends with questions.

Exercises are there with their hole, and say so.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tinygrad_opt.cli import parser

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LESSONS = sorted(EXAMPLES.glob("*.py"))
SECONDS = 60  # the limit for one lesson, generous for a busy machine; each takes a few

pytestmark = pytest.mark.host
lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def run(path: Path, folder: Path, *search: Path) -> str:
    """What the script prints, run in an empty folder without fetched data; stderr stays empty.

    A lesson that knows ``--quick`` is shortened by it and asserts the same.
    """
    quick = ["--quick"] if "--quick" in path.read_text(encoding="utf-8") else []
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, (*search, ROOT))),
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "Agg",
        "TINYGRAD_OPT_DATA": str(folder / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *quick],
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def imports(path: Path) -> set[str]:
    """The top-level names of all modules that a script imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return {name.split(".")[0] for name in found}


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[str]]]:
    """The lessons that are to be run, as many at a time as there are cores."""
    tests = [item for item in request.session.items if "running" in item.fixturenames]
    paths = [test.callspec.params["path"] for test in tests]
    folders = [tmp_path_factory.mktemp(path.stem) for path in paths]
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {path: pool.submit(run, path, folder) for path, folder in zip(paths, folders)}
    pool.shutdown(cancel_futures=True)


@lesson
def test_runs_alone_and_prints_what_it_shows(path: Path, running: dict[Path, Future[str]]) -> None:
    assert len(running[path].result().splitlines()) > 5


def test_without_pytorch_the_comparison_runs_ours_alone(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('hidden by a test')\n")
    printed = run(EXAMPLES / "pytorch_side_by_side.py", tmp_path, tmp_path)
    assert "PyTorch is not installed" in printed
    assert "difference" not in printed


@lesson
def test_asserts_its_claims_and_ends_with_questions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text))) >= 2
    first, *_, last = text.split("# %%")[1:]
    assert first.startswith(' [markdown]\n"""# ')
    assert last.startswith(" [markdown]\n")
    assert "## Try\n\n1. " in last and "\n2. " in last


@lesson
def test_names_command_lines_that_there_are(path: Path) -> None:
    for line in re.findall(r"^    tinygrad-opt (.+)$", path.read_text(encoding="utf-8"), re.M):
        parser().parse_args(shlex.split(line))


@lesson
def test_imports_the_library_and_no_other_lesson(path: Path) -> None:
    found = imports(path)
    guest = {"torch"} if path.stem == "pytorch_side_by_side" else set()
    assert "tinygrad_opt" in found
    assert found <= {"tinygrad_opt", "numpy"} | guest | sys.stdlib_module_names


def test_every_lesson_stands_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in LESSONS if f"({path.name})" not in table] == []


# ---- exercises --------------------------------------------------------------------------------


def test_exercises_wait_to_be_filled_in_and_say_so() -> None:
    files = sorted((EXAMPLES / "exercises").glob("ex*.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert f"{len(files)} failed" in done.stdout and "passed" not in done.stdout
    assert done.stdout.count("Hint: ") >= len(files)
