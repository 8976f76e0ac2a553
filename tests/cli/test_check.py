"""`check`: the exercises on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.teach.solutions import SOLUTIONS, filled, unsolved
from tinygrad_opt.cli import main
from tinygrad_opt.teach.exercises import EXERCISES

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["check", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_every_exercise_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--list")
    assert (code, err) == (0, "")
    for exercise in EXERCISES.values():
        assert exercise.name in out and exercise.file in out
    rows = json.loads(run(capsys, "--list", "--json")[1])
    assert [row["name"] for row in rows] == list(EXERCISES)


def test_a_copy_is_not_solved_and_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--copy", "momentum")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "wrote ex03_momentum.py"
    code, out, err = run(capsys, "ex03_momentum.py")
    assert (code, err) == (1, "")
    assert out.splitlines()[:4] == [
        "momentum: the step of gradient descent with momentum",
        "  → momentum(…) gives p and b",
        "      Hint: It gives nothing yet. Write the equation, and end with: return p, b.",
        "  · one update of one number",
    ]
    code, out, err = run(capsys, "--copy", "momentum")
    assert (code, out) == (2, "") and "may hold your solution" in err


def test_a_copy_goes_where_it_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    code, out, err = run(capsys, "--copy", "adam", "--to", "home", "--json")
    assert code == 0 and err == f"wrote {Path('home') / 'ex05_adam.py'}\n"
    assert Path(json.loads(out)["file"]).read_text(encoding="utf-8") == unsolved("adam")
    code, _, err = run(capsys, "--copy", "adam", "--to", "nowhere")
    assert code == 2 and "Name a folder that exists." in err
    code, _, err = run(capsys, "--copy", "adm")
    assert code == 2 and "Did you mean 'adam'?" in err


def test_a_solution_is_solved_and_the_python_line_does_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = "print('mine')\n" + filled("adam", SOLUTIONS["adam"])
    (tmp_path / "homework.py").write_text(text, encoding="utf-8")
    code, out, err = run(capsys, "homework.py")
    assert (code, err) == (0, "mine\n")
    said, python = out.split("in Python: ")
    assert said.endswith("Solved.\n") and "→" not in said
    exec("import tinygrad_opt as tg\n" + python)
    assert capsys.readouterr().out == said


def test_json_tells_every_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = filled("relu_backward", "        return g * (x >= 0)\n")
    (tmp_path / "homework.py").write_text(text, encoding="utf-8")
    code, out, err = run(capsys, "homework.py", "--json")
    report = json.loads(out)
    assert (code, err) == (1, "") and not report["solved"]
    assert [one["passed"] for one in report["verdicts"]] == [True, True, False, None, None]
    assert "x > 0, not x ≥ 0" in report["verdicts"][2]["hint"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        (["."], "there is no file ."),
        (["plain.py"], "plain.py is no exercise"),
        ([], "one of the arguments FILE --list --copy is required"),
        (["plain.py", "--list"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_checked_exits_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "plain.py").write_text("print(1)\n")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "") and sentence in err


def test_what_is_no_python_yet_names_the_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text('EXERCISE = "adam"\ndef adam(:\n')
    code, out, _ = run(capsys, "a.py")
    assert code == 1
    assert "Line 2, `def adam(:`, is no Python yet: " in out
