"""Every lesson has its notebook, which says the same and holds no outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from examples.notebooks.make import HERE, LESSONS, notebook

pytestmark = pytest.mark.host
lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)

MAKE = "python examples/notebooks/make.py writes it anew."


def cells_of_script(path: Path) -> list[tuple[str, str]]:
    """The kinds and texts of the cells that `# %%` cuts a lesson into."""
    parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert parts[0] == ""
    kinds = ["markdown" if "markdown" in kind else "code" for kind in parts[1::2]]
    texts = [text.strip() for text in parts[2::2]]
    assert all(kind == "code" or text[:3] == text[-3:] == '"""' for kind, text in zip(kinds, texts))
    return [
        (kind, text[3:-3].strip() if kind == "markdown" else text)
        for kind, text in zip(kinds, texts, strict=True)
    ]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_is_a_notebook_for_every_lesson_and_no_other() -> None:
    assert [path.stem for path in sorted(HERE.glob("*.ipynb"))] == [path.stem for path in LESSONS]


@lesson
def test_a_notebook_says_what_its_lesson_says(path: Path) -> None:
    found = read(HERE / f"{path.stem}.ipynb")
    cells = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in found["cells"]]
    assert cells == cells_of_script(path), MAKE


@lesson
def test_a_notebook_has_no_outputs_and_nothing_that_changes_from_run_to_run(path: Path) -> None:
    found = read(HERE / f"{path.stem}.ipynb")
    assert found["metadata"]["kernelspec"]["name"] == "python3"
    assert "version" not in json.dumps(found["metadata"])
    for cell in found["cells"]:
        assert "id" not in cell and cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.notebook
@lesson
def test_a_notebook_is_what_jupytext_makes_to_the_byte(path: Path) -> None:
    assert (HERE / f"{path.stem}.ipynb").read_bytes() == notebook(path).encode(), MAKE


@pytest.mark.notebook
def test_the_same_lesson_gives_the_same_bytes() -> None:
    assert notebook(LESSONS[0]) == notebook(LESSONS[0])
