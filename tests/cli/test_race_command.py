"""`race` on the command line: the table of both columns, files, and what goes wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygrad_opt.cli import main, race
from tinygrad_opt.teach import race as teach_race

pytestmark = pytest.mark.on("cpu")

QUICK = ["--tune", "3", "--steps", "12"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["race", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_table_has_both_columns_and_the_verdict_stands_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "rosenbrock", "--optimizers", "sgd,adam", *QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "rosenbrock: loss − minimum after 12 gradients."
    assert lines[1].startswith("target: gradients until 0.001 of the first gap. #: rank. lost: ")
    header = next(line for line in lines if line.startswith("optimizer"))
    assert " ".join(header.split()) == (
        "optimizer at lr 0.1 target # at its own lr lr target # lost time"
    )
    assert "diverged, step 2" in out and "adam wins: " in out and "Why the columns differ: " in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "words",
    [
        ["rosenbrock", "--optimizers", "sgd,adam", "--lr", "0.01", "--grid", "1e-4,1"],
        ["bowl", "--optimizers", "sgd,lbfgs", "--from", "3,-2", "--target", "0.1"],
        [
            "iris",
            "--optimizers",
            "sgd+momentum",
            "--hidden",
            "8,4",
            "--batch",
            "16",
            "--seeds",
            "2",
        ],
    ],
)
def test_the_python_lines_do_the_same(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, _ = run(capsys, *words, *QUICK, "--json", "--seed", "1")
    document = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    exec(document["python"], {})
    printed = capsys.readouterr().out
    for line in document["verdict"].splitlines():
        assert line in printed


def test_a_table_of_ones_own_is_a_task(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(60)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["a,b,label", *rows]))
    code, out, _ = run(capsys, str(path), "--optimizers", "adam", "--seeds", "2", *QUICK)
    assert code == 0
    exec(out.split("in Python:")[1].split("wrote")[0], {})
    assert "adam runs alone" in capsys.readouterr().out


def test_what_is_listed_twice_races_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "bowl", "--optimizers", "sgd,gd,adam,SGD", *QUICK, "--json")
    assert code == 0 and list(json.loads(out)["racers"]) == ["sgd", "adam"]
    assert err == "gd is there already; it races once.\nSGD is there already; it races once.\n"


def test_the_curves_are_written_as_a_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "race.csv"
    code, out, _ = run(capsys, "bowl", "--optimizers", "sgd", *QUICK, "--csv", str(path))
    assert code == 0 and f"wrote {path}" in out
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + 2 * 13 and lines[1] == "sgd,common,0.1,0,0,9.0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rosenbrok"], "there is no task 'rosenbrok'. Did you mean 'rosenbrock'?"),
        (["bowl", "--optimizers", "adm"], "there is no optimizer 'adm'. Did you mean 'adam'?"),
        (["bowl", "--optimizers", ","], "there are no optimizers; name some"),
        (["bowl", "--grid", "1"], "--grid is '1'; write 2 numbers with commas between them."),
        (["bowl", "--from", "here"], "--from is 'here'; write numbers with commas"),
        (["bowl", "--lr", "0"], "make no race"),
        (["iris", "--hidden", "8.5"], "--hidden is '8.5'; write whole numbers with commas"),
        (["iris", "--hidden", "0"], "hidden (0,) and batch 32 are sizes; give 1 or more."),
        (["nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_makes_no_race_is_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("flag", "package", "named"),
    [
        ("--png", "matplotlib", "matplotlib"),
        ("--html", "plotly", "plotly"),
        ("--gif", "PIL", "Pillow"),
    ],
)
def test_a_missing_extra_is_said_before_the_race(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    package: str,
    named: str,
) -> None:
    for other in ("matplotlib", "plotly", "PIL"):
        module = None if other == package else sys.modules.get(other, _Found(other))
        monkeypatch.setitem(sys.modules, other, module)
    monkeypatch.setattr(race, "race", lambda *_, **__: pytest.fail("it raced"))
    code, out, err = run(capsys, "bowl", flag, "picture")
    assert (code, out) == (2, "")
    assert err == f'error: This needs {named}: pip install "tinygrad-opt[viz]"\n'


class _Found:
    """What `find_spec` takes for a module that is there."""

    def __init__(self, name: str) -> None:
        self.__spec__ = name


def test_an_interrupted_race_is_written_as_far_as_it_went(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*words: Any, on_racer: Any, **options: Any) -> None:
        def keep(done: int, so_far: Any) -> None:
            on_racer(done, so_far)
            if done == 2:
                raise KeyboardInterrupt

        teach_race(*words, on_racer=keep, **options)

    monkeypatch.setattr(race, "race", interrupted)
    path = tmp_path / "race.csv"
    names = ["--optimizers", "sgd,adam,momentum"]
    code, out, err = run(capsys, "bowl", *names, *QUICK, "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n")
    assert "adam" in out and f"wrote {path}" in out
    assert "This race is not over: momentum has not finished." in out and "win" not in out
    assert "race('bowl', ['sgd', 'adam']" in out
    lines = path.read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:-1]} == {"sgd", "adam"}
    assert lines[-1] == "momentum,,,,,"


def test_interrupted_before_anybody_has_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(race, "race", interrupted)
    code, out, err = run(capsys, "bowl", *QUICK)
    assert (code, out) == (130, "")
    assert err == "Interrupted. No optimizer had finished: there is nothing to show.\n"
