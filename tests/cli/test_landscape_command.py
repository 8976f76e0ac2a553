"""`landscape` as a person meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygrad_opt.cli import main, recipe

pytestmark = pytest.mark.on("cpu")

QUICK = ["--epochs", "2", "--hidden", "6", "--grid", "5"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["landscape", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_it_prints_a_map_the_sentence_and_the_python_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "moons", *QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "moons 2-6-2, adam lr 0.02, 2 epochs"
    assert lines[2].startswith("across: direction 1 (") and "up: direction 2 (" in lines[2]
    drawn = "\n".join(lines[5:10])
    assert drawn.count("s") == drawn.count("e") == 1 and "@@" in drawn
    assert lines[11].startswith("The loss goes from ") and lines[11].endswith(" % of the path.")
    assert "in Python:" in out


def test_the_line_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "moons", *QUICK, "--directions", "line", "--grid", "25")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split("  ")[0] == "part of the way from start (0) to end (1)"
    assert [line.split()[0] for line in lines[2:7]] == ["-0.25", "-0.125", "0", "0.125", "0.25"]


@pytest.mark.parametrize(
    "flags",
    [
        ["moons", "--l2", "1e-3", "--optimizer", "sgdschedulefree"],
        ["iris", "--directions", "random", "--seed", "2", "--radius", "0.5"],
        ["iris", "--directions", "line", "--dropout", "0.2"],
        ["rosenbrock", "--optimizer", "momentum", "--lr", "5e-4", "--steps", "20"],
        ["double_well", "--optimizer", "sgd", "--lr", "0.01", "--directions", "line"],
    ],
)
def test_the_python_lines_do_the_same(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    code, out, _ = run(capsys, *QUICK, *flags, "--json")
    assert code == 0
    report = json.loads(out, parse_constant=pytest.fail)
    names: dict[str, Any] = {}
    exec(report["python"], names)
    assert names["found"].loss.tolist() == report["loss"]
    assert capsys.readouterr().out.splitlines()[-1] == report["sentence"]


def test_a_training_that_diverges_is_drawn_and_exits_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "rosenbrock", "--optimizer", "sgd", "--lr", "1", "--grid", "5")
    assert code == 1
    assert "status of the training: " in out and "@@" in out


def test_around_weights_that_are_not_finite_there_is_nothing_to_see(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = ["iris", "--optimizer", "sgd", "--lr", "1e30", "--epochs", "3"]
    code, out, err = run(capsys, *lost)
    assert (code, out) == (1, "")
    assert err.endswith("the weights are not finite. Try a tenth of the learning rate.\n")
    code, out, _ = run(capsys, *lost, "--json")
    assert code == 1 and json.loads(out)["status"] in ("nan", "diverged")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["spirl"], "there is no task 'spirl'. Did you mean 'spiral'?"),
        (["spiral", "--optimizer", "adm"], "Did you mean 'adam'?"),
        (["spiral", "--directions", "pcs"], "Did you mean 'pca'?"),
        (["spiral", "--grid", "1000"], "grid 1000 makes 1,000,000 points"),
        (["rosenbrock", "--directions", "random"], "a function has axes of its own"),
    ],
)
def test_words_that_make_no_sense(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(recipe, "fit", pytest.fail)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err


@pytest.mark.parametrize(
    ("flag", "module", "package"),
    [("--png", "matplotlib", "matplotlib"), ("--html", "plotly", "plotly")],
)
def test_without_an_extra_it_says_so_before_the_work(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    module: str,
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(recipe, "fit", pytest.fail)
    code, out, err = run(capsys, "moons", flag, "file")
    assert (code, out) == (2, "")
    assert err == f'error: This needs {package}: pip install "tinygrad-opt[viz]"\n'


@pytest.mark.viz
def test_files_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"loss.{kind}" for kind in ("csv", "png", "html")}
    flags = [word for kind, path in paths.items() for word in (f"--{kind}", str(path))]
    code, out, _ = run(capsys, "moons", *QUICK, *flags, "--3d")
    assert code == 0
    assert all(f"wrote {path}\n" in out for path in paths.values())
    assert len(paths["csv"].read_text().splitlines()) == 26
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    page = paths["html"].read_text()
    assert "<title>moons 2-6-2, adam lr 0.02, 2 epochs</title>" in page
