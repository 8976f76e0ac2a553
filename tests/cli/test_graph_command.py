"""`graph` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tinygrad_opt.cli import main
from tinygrad_opt.teach.examples import EXAMPLES

pytestmark = pytest.mark.on("cpu")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["graph", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_drawn_with_its_sentence(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = run(capsys, "--example", name)
    assert (code, err) == (0, "")
    assert out.startswith(f"{EXAMPLES[name].sentence}\n\n")
    assert "shape" in out and "gradient" in out and "in Python:" in out


@pytest.mark.parametrize("form", ["text", "mermaid", "dot", "svg"])
def test_the_python_lines_print_the_same(capsys: pytest.CaptureFixture[str], form: str) -> None:
    words = ["--example", "mlp", "--format", form, "--order", "--max-nodes", "9", "--seed", "3"]
    _, out, err = run(capsys, *words)
    drawn, _, code = (out if form == "text" else out + err).partition("in Python:\n\n")
    drawn = drawn.partition("\n\n")[2] if form == "text" else drawn
    exec(code, {})
    assert capsys.readouterr().out.strip() == drawn.strip()
    assert json.loads(run(capsys, *words, "--json")[1])["python"] == code.rstrip()
    _, out, err = run(capsys, *words, "--quiet")
    assert "Python" not in out + err


@pytest.mark.parametrize(("form", "first"), [("mermaid", "flowchart TB"), ("dot", "digraph {")])
def test_stdout_holds_the_drawing_alone(
    capsys: pytest.CaptureFixture[str], form: str, first: str
) -> None:
    _, out, err = run(capsys, "--format", form)
    assert out.splitlines()[0] == first and "Python" not in out
    assert err.startswith("in Python:")


def test_a_picture_is_written_and_its_python_lines_write_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "graph.svg"
    code, out, _ = run(capsys, "--example", "softmax", "--svg", str(path))
    assert code == 0 and f"wrote {path}" in out
    written = path.read_text(encoding="utf-8")
    ElementTree.fromstring(written)
    path.unlink()
    exec(out.partition("in Python:\n\n")[2], {})
    assert path.read_text(encoding="utf-8") == written


def test_json_holds_the_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--example", "fan_out", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert [box["name"] for box in report["boxes"]] == ["x", "multiply", "sin", "add"]
    assert report["boxes"][-1]["inputs"] == [[1, True], [2, True]]
    assert report["notes"] == [] and report["text"].startswith(" ")


def test_a_graph_that_is_too_large_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--example", "mlp", "--max-nodes", "5")
    assert "layer 2: 1 operation, 10 numbers learned" in out
    assert "9 operations and tensors are drawn as 5 boxes, those of a layer as one" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--example sofmax", "there is no example 'sofmax'. Did you mean 'softmax'?"),
        ("--max-nodes 1", "max_nodes is 1; two boxes are the least."),
        ("--svg nowhere/graph.svg", "cannot write nowhere/graph.svg"),
    ],
)
def test_wrong_words_are_one_sentence(
    capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    code, _, err = run(capsys, *words.split())
    assert code == 2
    assert err.startswith("error: ") and sentence in err and len(err.splitlines()) == 1
