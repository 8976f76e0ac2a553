"""Every lesson runs by itself, prints what it shows, asserts something, and ends with questions."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LESSONS = sorted(EXAMPLES.glob("*.py"))
SECONDS = 60  # the limit for one lesson, generous for a busy machine; each takes a few

pytestmark = pytest.mark.host
lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def run(path: Path, folder: Path, *search: Path) -> str:
    """What the script prints, run in an empty folder without fetched data; stderr stays empty."""
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, (*search, ROOT))),
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "Agg",
        "TINYGRAD_OPT_DATA": str(folder / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
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


@lesson
def test_runs_alone_and_prints_what_it_shows(path: Path, tmp_path: Path) -> None:
    assert len(run(path, tmp_path).splitlines()) > 5


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
def test_imports_the_library_and_no_other_lesson(path: Path) -> None:
    found = imports(path)
    guest = {"torch"} if path.stem == "pytorch_side_by_side" else set()
    assert "tinygrad_opt" in found
    assert found <= {"tinygrad_opt", "numpy"} | guest | sys.stdlib_module_names


def test_every_lesson_stands_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in LESSONS if f"({path.name})" not in table] == []
