"""`lr` as a person meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygrad_opt.cli import lr_tasks, main
from tinygrad_opt.teach import History

pytestmark = pytest.mark.on("cpu")

QUICK = ["--epochs", "2", "--hidden", "8", "--seeds", "2", "--rates", "0.001:10:3"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["lr", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_it_prints_a_row_for_every_rate_then_the_sentences_and_the_python_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "iris", "--optimizer", "sgd", *QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "iris: 4-8-3, SGD, 2 epochs, constant(), 2 seeds from 0"
    assert lines[1].split() == ["lr", "verdict", "loss", "accuracy", "course", "words"]
    assert [line.split()[0] for line in lines[2:5]] == ["0.001", "0.1", "10"]
    assert "too low" in lines[2] and "good" in lines[3] and "the best of these" in lines[3]
    assert lines[6].startswith("sweep: ") and lines[7].startswith("range test: ")
    assert "in Python:" in out
    assert all(len(line) <= 100 for line in lines[:6])


@pytest.mark.parametrize(
    "flags",
    [
        ["iris", "--optimizer", "momentum", "--seed", "3"],
        ["moons", "--dropout", "0.2", "--l2", "1e-3", "--batch", "16", "--rates", "0.01,0.1"],
        ["iris", "--optimizer", "muon", "--schedule", "cosine"],
        ["ravine", "--optimizer", "momentum", "--momentum", "0.5", "--steps", "20"],
    ],
)
def test_the_python_lines_do_the_same(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    code, out, _ = run(capsys, *QUICK, *flags, "--json")
    assert code == 0
    report = json.loads(out, parse_constant=pytest.fail)
    names: dict[str, Any] = {}
    exec(report["python"], names)
    rows = json.loads(names["sweep"].to_json())["rates"]
    assert rows == report["rates"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == report["sentence"]
    if report["range_test"] is not None:
        assert names["found"].loss.tolist() == report["range_test"]["loss"]
        assert printed[1] == report["range_test"]["sentence"]


def test_on_a_surface_there_is_one_run_a_rate_and_no_range_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "ravine", "--optimizer", "sgd", "--steps", "50")
    assert code == 0
    assert out.startswith("ravine: 50 steps of sgd\n")
    assert "sweep: Of these rates 0.3162 alone is good." in out
    assert "range test:" not in out


def test_what_is_known_is_shown_after_an_interrupt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = lr_tasks.Training.run

    def interrupted(self: lr_tasks.Training, lr: float, seed: int) -> History:
        if lr > 1:
            raise KeyboardInterrupt
        return real(self, lr, seed)

    monkeypatch.setattr(lr_tasks.Training, "run", interrupted)
    path = tmp_path / "runs.csv"
    code, out, err = run(capsys, "iris", *QUICK, "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n")
    assert len([line for line in out.splitlines() if line.strip().startswith("0.")]) == 2
    assert "sweep: " in out and "range test:" not in out
    assert len(path.read_text().splitlines()) == 1 + 2 * 2
    code, out, err = run(capsys, "iris", *QUICK, "--rates", "5,9", "--json")
    assert (code, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["digis"], "there is no task 'digis'. Did you mean 'digits'?"),
        (["rosenbrok"], "Did you mean 'rosenbrock'?"),
        (["iris", "--optimizer", "adm"], "Did you mean 'adam'?"),
        (["iris", "--rates", "some"], "Write LOW:HIGH:COUNT, as in 1e-4:10:11"),
        (["iris", "--rates", "1:0.1:5"], "Write LOW:HIGH:COUNT, as in 1e-4:10:11"),
        (["iris", "--rates=-0.1,0.1"], "lr"),
        (["iris", "--lr", "0.1"], "there are many rates here. Write --rates 0.1."),
        (["iris", "--seeds", "0"], "at least one seed"),
    ],
)
def test_words_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err


def test_without_matplotlib_it_says_so_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(lr_tasks.Training, "run", pytest.fail)
    code, out, err = run(capsys, "iris", "--png", "rates.png")
    assert (code, out) == (2, "")
    assert err == 'error: This needs matplotlib: pip install "tinygrad-opt[viz]"\n'


@pytest.mark.viz
def test_the_picture_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rates.png"
    code, out, _ = run(capsys, "iris", *QUICK, "--png", str(path))
    assert code == 0 and out.endswith(f"wrote {path}\n")
    assert path.read_bytes().startswith(b"\x89PNG")
