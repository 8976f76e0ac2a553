"""`gradcheck` as a person meets it: right operations agree, every broken one is found."""

from __future__ import annotations

import json
import math

import pytest

from tinygrad_opt.cli import main
from tinygrad_opt.gradcheck import gradcheck
from tinygrad_opt.teach.checks import BROKEN, CHECKS, get_check

pytestmark = pytest.mark.on("cpu")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["gradcheck", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# What the report says about each mistake.
TOLD = {
    "transpose": "input 0 of matmul is wrong at",
    "sign": "The sign is wrong.",
    "factor": "A factor of 2: an input that is used twice, or a square?",
    "mean": "The factor 6 is a length: a sum where a mean belongs, or the reverse?",
    "softmax_x7": "the derivative is multiplied by -7.",
    "relu_side": "where values stay, and none where they change: the wrong branch?",
    "constant_norm": "flat: the derivative is wrong",
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_right_operation_agrees(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = run(capsys, "--example", name)
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}: {CHECKS[name].sentence}\n")
    assert "by backward" in out and "right" in out and "wrong" not in out
    assert f"gradcheck: {name} agrees, " in out


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_a_broken_operation_is_found_and_the_mistake_told(
    capsys: pytest.CaptureFixture[str], name: str, seed: str
) -> None:
    code, out, err = run(capsys, "--broken", name, "--seed", seed)
    assert (code, err) == (1, "")
    assert TOLD[name] in out and "wrong" in out
    assert f"cotangent, from seed {seed}: " in out


def test_the_table_tells_all_there_is_to_a_kink(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--example", "relu")
    rows = [line.split() for line in out.splitlines() if line.startswith("x[")]
    assert [row[-1] for row in rows] == ["right", "kink", "right"]
    assert "-0 " not in out


def test_rows_show_wrong_ones_first_and_how_many_more_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "--broken", "sign", "--rows", "4")
    rows = [line.split() for line in out.splitlines() if line.startswith(("a[", "b["))]
    assert [row[-1] for row in rows] == ["wrong", "wrong", "wrong", "right"]
    assert "… and 2 more: --rows 6" in out


def test_json_holds_every_slope(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--broken", "mean", "--json")
    report = json.loads(out, parse_constant=pytest.fail)
    assert code == 1 and not report["ok"]
    assert len(report["slopes"]) == 6
    for slope in report["slopes"]:
        assert math.isclose(slope["by_backward"], 6 * slope["by_difference"], rel_tol=1e-6)
        assert slope["verdict"] == "wrong"


@pytest.mark.parametrize("words", [["--example", "linear", "--order", "2"], ["--broken", "mean"]])
def test_the_python_lines_say_the_same(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    _, out, _ = run(capsys, *words, "--seed", "4")
    python = out.partition("in Python:\n\n")[2]
    assert json.loads(run(capsys, *words, "--seed", "4", "--json")[1])["python"] == python.rstrip()
    exec(python, {})
    assert capsys.readouterr().out.strip() in out


def test_right_rules_stand_beside_the_broken_ones_in_the_library() -> None:
    assert set(TOLD) == set(BROKEN) and not set(BROKEN) & set(CHECKS)
    for name in CHECKS:
        check = get_check(name)
        assert gradcheck(check.f, *check.inputs()).ok


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--broken sgn", "there is no operation 'sgn' to check. Did you mean 'sign'?"),
        ("--rows -2", "--rows is -2; it has to be at least 0."),
        ("--order 0", "--order is 0; it has to be at least 1."),
    ],
)
def test_wrong_words_are_one_sentence(
    capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err and len(err.splitlines()) == 1
