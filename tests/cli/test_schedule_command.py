"""`schedule` as a person meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tinygrad_opt.cli import main
from tinygrad_opt.optim import parse

pytestmark = pytest.mark.on("cpu")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["schedule", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_sparkline_and_the_values_at_start_joins_end_and_past_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "warmup(100) >> cosine(900)")
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "warmup(100) >> cosine(900)"
    assert lines[1] == parse("warmup(100) >> cosine(900)").sparkline()
    assert lines[2] == "1,000 steps, between 3.046e-06 and 1"
    assert [line.split(None, 2) for line in lines[5:11]] == [
        ["0", "0.009901", "the first step"],
        ["100", "1", "the next part begins"],
        ["500", "0.5868", "half way"],
        ["999", "3.046e-06", "the last step"],
        ["1,000", "0", "the end: held from here on"],
        ["2,000", "0", "long past it"],
    ]


def test_a_rate_multiplies_and_an_endless_one_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "exponential(0.5)", "--steps", "3", "--lr", "0.1")
    assert "0.1 * exponential(0.5)" in out and "the last step shown" in out
    assert "0.025" in out and "held from here" not in out


def test_many_joins_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "cosine(5).repeat(30)")
    assert out.count("the next part begins") == 8 and "; 21 more joins follow" in out


def test_the_python_lines_print_the_same_values(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "wsd(3, 4, 4)", "--lr", "0.2")
    exec(out.partition("in Python:\n\n")[2], {})
    printed = capsys.readouterr().out.splitlines()
    schedule = parse("0.2 * wsd(3, 4, 4)")
    assert printed == [repr(schedule), str([schedule(t) for t in (0, 3, 5, 7, 10, 11, 22)])]


def test_json_and_csv_hold_all_values(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    code, out, err = run(capsys, "linear(4)", "--json", "--csv", str(path))
    assert code == 0 and err == f"wrote {path}\n"
    report = json.loads(out)
    assert report["values"] == [1.0, 0.75, 0.5, 0.25]
    assert report["length"] == 4 and report["points"][0]["where"] == "the first step"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["value"]) for row in rows] == report["values"]


def test_one_row_makes_python_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    exec(json.loads(run(capsys, "cosine(0)", "--json")[1])["python"], {})
    assert capsys.readouterr().out.endswith("[0.0]\n")


@pytest.mark.viz
def test_a_picture_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "schedule.png"
    code, out, _ = run(capsys, "warmup(10) >> cosine(90)", "--png", str(path), "--steps", "150")
    assert code == 0 and f"wrote {path}" in out
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["cosinus(3)"], "there is no 'cosinus'. Did you mean 'cosine'?"),
        (["cosine"], "cosine needs its arguments, as in cosine(…)"),
        (["__import__('os')"], "cannot read"),
        (["foo"], "there is no 'foo'. Schedules are"),
        (["cosine(3)", "--steps", "1000000000"], "it goes up to 10,000,000."),
        (["cosine(3)", "--steps", "0"], "steps must be a whole number ≥ 1, got 0"),
    ],
)
def test_wrong_words_are_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err and len(err.splitlines()) == 1
