"""`step` and `backprop`: what they print, and that the Python lines do the same."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tinygrad_opt.cli import main
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.teach import SURFACES, trace
from tinygrad_opt.teach.examples import EXAMPLES
from tinygrad_opt.teach.plot.walk import walk_figure

pytestmark = pytest.mark.on("cpu")

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *words: str) -> tuple[int, str, str]:
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_bowl_reads_as_in_a_lecture(capsys: Captured) -> None:
    code, out, err = run(capsys, "step", "bowl", "--lr", "0.1", "--from", "3", "--steps", "3")
    assert (code, err) == (0, "")
    assert out.split("\n\n")[0] == (
        "f(w) = w²    SGD, lr 0.1    each step multiplies w by 1 − 2·0.1 = 0.8\n"
        "step       w    loss   dL/dw  lr·dL/dw   new w\n"
        "   0  3.0000  9.0000  6.0000    0.6000  2.4000\n"
        "   1  2.4000  5.7600  4.8000    0.4800  1.9200\n"
        "   2  1.9200  3.6864  3.8400    0.3840  1.5360"
    )


def test_explain_shows_the_rule_of_every_update(capsys: Captured) -> None:
    code, out, _ = run(
        capsys, "step", "bowl", "--optimizer", "adam", "--lr", "0.1", "--steps", "2", "--explain"
    )
    assert code == 0
    assert "    p ← p − η·m̂/(√v̂ + ε) = 3 − 0.1·6/(√36 + 1e-8) = 2.9\n" in out
    assert "    Adam, update 2 of p\n" in out


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (["--lr", "0.6"], "crossed the minimum"),
        (["--lr", "0.5"], "reached the minimum"),
        (["--lr", "1.5"], "crossed the minimum, loss rose"),
        (["--lr", "1e308"], "no number any more"),
    ],
)
def test_remarks_say_what_catches_the_eye(capsys: Captured, words: list[str], remark: str) -> None:
    code, out, _ = run(capsys, "step", "bowl", "--steps", "1", *words)
    assert out.splitlines()[2].endswith(f"  {remark}")
    assert code == ("loss rose" in remark or "no number" in remark)


@pytest.mark.parametrize(
    "words",
    [
        ["bowl", "--from", "3,-2", "--optimizer", "nesterov", "--lr", "0.05"],
        ["x**2 + 10*y**2", "--from", "3,1", "--lr", "0.05", "--schedule", "warmup(2) >> cosine(8)"],
        ["rosenbrock", "--optimizer", "adam", "--set", "betas=(0.8,0.9)", "--set", "eps=1e-6"],
        ["double_well", "--momentum", "0.9", "--lr", "0.01", "--seed", "3", "--explain"],
        ["sin(x) + x^2", "--optimizer", "muon"],
        ["beale", "--optimizer", "lbfgs", "--steps", "2", "--explain"],
    ],
)
def test_the_python_lines_do_the_same(capsys: Captured, words: list[str]) -> None:
    code, out, err = run(capsys, "step", *words, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out, parse_constant=pytest.fail)
    exec(report["python"], names := {})
    assert json.loads(names["history"].to_json())["w"] == report["history"]["w"]
    if "--explain" in words:
        assert capsys.readouterr().out.startswith(names["history"].meta["optimizer"])
        assert report["explanations"][0][-1].keys() == {
            "function", "target", "formula", "numbers", "result"
        }  # fmt: skip


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in ("sophiag", "sparseadam")])
def test_every_optimizer_walks_and_is_explained(capsys: Captured, name: str) -> None:
    code, out, err = run(
        capsys, "step", "ravine", "--optimizer", name, "--steps", "2", "--lr", "0.01", "--explain"
    )
    assert err == "" and code in (0, 1)
    assert "←" in out


@pytest.mark.parametrize("name", SURFACES)
def test_every_surface_has_a_walk(capsys: Captured, name: str) -> None:
    code, out, err = run(capsys, "step", name, "--lr", "1e-3", "--steps", "2", "--csv", "-")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 2 and rows[0]["step"] == "0"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bowll"], "there is no surface 'bowll'. Did you mean 'bowl'?"),
        (["__import__('os').system('true')"], "is no arithmetic"),
        (["9**9**9**9 * x"], "an exponent is a number of at most 64"),
        (["bowl", "--optimizer", "adamm"], "Did you mean"),
        (["bowl", "--set", "nesterof=True"], "sgd has no nesterof; its options are"),
        (["bowl", "--set", "nesterov"], "write name=value"),
        (["bowl", "--set", "nesterov=open('x')"], "write name=value"),
        (["bowl", "--from", "three"], "write numbers with commas"),
        (["bowl", "--from", "nan"], "begins at numbers that are finite"),
        (["rosenbrock", "--from", "3"], "rosenbrock takes 2 numbers"),
        (["x + y", "--from", "3"], "takes 2 numbers"),
        (["bowl", "--steps", "0"], "--steps is 0; it has to be at least 1."),
        (["bowl", "--steps", "9" * 20], "it goes up to 1,000,000."),
        (["bowl", "--seed", "-1"], "--seed is -1; it has to be at least 0."),
        (["bowl", "--json", "--csv", "-"], "--json and --csv - both want stdout"),
        (["bowl", "--png", "-"], "a picture is no text; name a file."),
        (["bowl", "--png", "walk.gif"], "what it writes is PNG, so end it in .png."),
        (["bowl", "--csv", "walk.png"], "what it writes is CSV, so end it in .csv."),
        (["bowl", "--schedule", "cosin(3)"], "cosin"),
        (["bowl", "--optimizer", "sophiag"], "SophiaG needs logits"),
        (["bowl", "--csv", "/nowhere/walk.csv"], "cannot write /nowhere/walk.csv"),
    ],
)
def test_what_cannot_be_walked_is_said(capsys: Captured, words: list[str], sentence: str) -> None:
    code, _, err = run(capsys, "step", *words)
    assert code == 2
    assert sentence in err and "Traceback" not in err


def test_what_begins_with_a_minus_is_no_flag(capsys: Captured) -> None:
    for words in (["-x**2"], ["-sin(x)"], ["rosenbrock", "--from", "-3,2"], ["-x", "--from", "-3"]):
        code, out, err = run(capsys, "step", *words, "--lr", "1e-4", "--json")
        assert (code, err) == (0, "")
    assert json.loads(out)["start"] == [-3.0]
    code, _, err = run(capsys, "step", "bowl", "-lr", "3")
    assert code == 2 and "unrecognized arguments: -lr 3" in err


def test_what_is_very_long_is_not_said_whole(capsys: Captured) -> None:
    code, _, err = run(capsys, "step", "a" * 100_000)
    assert code == 2 and "there is no surface" in err and len(err) < 350


def test_a_rate_that_moves_has_a_column(capsys: Captured) -> None:
    flags = ["bowl", "--steps", "3", "--schedule"]
    lines = run(capsys, "step", *flags, "linear(4)")[1].splitlines()
    assert [line.split()[4] for line in lines[1:5]] == ["lr", "0.1000", "0.0750", "0.0500"]
    assert "  lr  " not in run(capsys, "step", *flags, "constant()")[1].splitlines()[1]


def test_the_table_has_no_minus_0_and_no_endless_lines(capsys: Captured) -> None:
    _, out, _ = run(capsys, "step", "bowl", "--from", ",".join("0" * 50), "--steps", "2")
    table = out.split("\n\n")[0]
    assert "-0.0000" not in table and "0.0000, …, 0.0000" in table
    assert all(len(line) < 250 for line in table.splitlines())


@pytest.mark.viz
@pytest.mark.parametrize("words", [["himmelblau", "--steps", "2"], ["x**2 + y"]])
def test_the_python_lines_draw_the_same_picture(
    capsys: Captured, tmp_path: Path, words: list[str]
) -> None:
    path = tmp_path / "walk.png"
    code, out, _ = run(capsys, "step", *words, "--lr", "1e-3", "--png", str(path))
    assert code == 0
    written = path.read_bytes()
    path.unlink()
    exec(out.partition("in Python:\n\n")[2], {})
    assert path.read_bytes() == written


@pytest.mark.viz
@pytest.mark.parametrize("words", [["double_well"], ["rosenbrock"], ["bowl", "--from", "1,2,3"]])
def test_the_picture_has_something_on_it(
    capsys: Captured, tmp_path: Path, words: list[str]
) -> None:
    from PIL import Image

    path = tmp_path / "walk.png"
    code, out, _ = run(capsys, "step", *words, "--lr", "1e-3", "--png", str(path))
    assert code == 0 and f"wrote {path}" in out
    assert len(Image.open(path).convert("RGB").getcolors(1 << 24) or []) > 50


@pytest.mark.viz
def test_the_map_says_what_its_marks_are() -> None:
    for name, words in (("himmelblau", "minima"), ("rosenbrock", "minimum")):
        drawn = walk_figure(trace(name, None, "sgd", 2, lr=1e-4), SURFACES[name])
        legend = drawn.axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [words, "start", "end"]


def test_intermediates_of_the_rule_are_in_the_record() -> None:
    plain = trace("ravine", None, "adam", 3, lr=0.1)
    told = trace("ravine", None, "adam", 3, lr=0.1, intermediates=True)
    assert plain.state.keys() == {"m", "v"}
    assert told.state.keys() == {"m", "v", "m_hat", "v_hat"}
    for t in range(3):
        assert told.state["m_hat"][t] == pytest.approx(told.state["m"][t] / (1 - 0.9 ** (t + 1)))
    assert (told.w == plain.w).all() and (told.evaluations == plain.evaluations).all()


@pytest.mark.parametrize("name", EXAMPLES)
def test_backprop_tells_and_the_python_lines_do_the_same(capsys: Captured, name: str) -> None:
    code, out, err = run(capsys, "backprop", "--example", name)
    assert (code, err) == (0, "")
    told, python = out.split("\n\nin Python:\n\n")
    exec(python, {})
    assert capsys.readouterr().out.rstrip().endswith(told.split("\n\n", 1)[1].rstrip())
    code, out, _ = run(capsys, "backprop", "--example", name, "--json")
    report = json.loads(out, parse_constant=pytest.fail)
    visits = report["visits"]
    assert report["python"] == python.rstrip()
    assert visits[0]["why"] == "here it begins: the gradient is 1"
    assert all(visit["place"].startswith("examples.py:") for visit in visits)


def test_surfaces_are_listed(capsys: Captured) -> None:
    code, out, _ = run(capsys, "list", "surfaces", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == list(SURFACES)


def test_dialects_are_listed(capsys: Captured) -> None:
    code, out, _ = run(capsys, "list", "optimizers", "--dialects")
    assert code == 0 and "adamw, all with lr 0.1" in out
    code, out, _ = run(capsys, "list", "optimizers", "--dialects", "--json")
    rules = json.loads(out, parse_constant=pytest.fail)
    assert [row["who"] for row in rules[0]["rows"]] == [
        "ours", "PyTorch", "paper", "Keras", "optax", "MLX"
    ]  # fmt: skip
    code, _, err = run(capsys, "list", "layers", "--dialects")
    assert code == 2 and "goes with: list optimizers" in err


@pytest.mark.viz
def test_a_page_holds_the_picture_and_asks_for_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "walk.html"
    code, out, _ = run(capsys, "step", "ravine", "--html", str(path))
    text = path.read_text(encoding="utf-8")
    assert code == 0 and f"wrote {path}" in out
    assert "<svg " in text and "<title>tinygrad-opt step</title>" in text
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
