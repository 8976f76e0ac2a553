"""What the README shows is what happens."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from tinygrad_opt.cli import main
from tinygrad_opt.optim import OPTIMIZERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python" and '"cuda"' not in text]
COMMANDS = [
    line.split("#")[0].strip()
    for _, text in BLOCKS
    for line in text.splitlines()
    if line.startswith("tinygrad-opt ")
]
OUTPUTS = [(text, shown) for (_, text), (_, shown) in itertools.pairwise(BLOCKS)]

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one command finds what another wrote."""
    path = tmp_path_factory.mktemp("readme")
    (path / "examples").symlink_to(ROOT / "examples")
    return path


@pytest.mark.parametrize("text", PYTHON, ids=range(len(PYTHON)))
def test_the_code_runs_and_prints_what_its_comments_say(
    text: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    exec(text, {})
    printed = capsys.readouterr().out.splitlines()
    comments = re.findall(r"^print\(.*\)  # (.*)$", text, re.MULTILINE)
    for line, comment in zip(printed, comments, strict=False):
        assert comment.startswith(line)


@pytest.mark.parametrize("word", ["init", "tg.lint(", "AnomalyError"])
def test_the_code_prints_what_stands_below_it(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, shown = next((text, shown) for text, shown in OUTPUTS if word in text)
    exec(compile(text, "train.py", "exec"), {})
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("name", ["step bowl", "race rosenbrock"])
def test_the_commands_print_what_stands_below_them(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, shown = next((text, shown) for text, shown in OUTPUTS if name in text)
    assert main(shlex.split(command)[1:]) == 0
    printed = [timeless(line) for line in capsys.readouterr().out.splitlines()]
    lines = [timeless(line) for line in shown.splitlines()]
    assert printed[: len(lines)] == lines


def timeless(line: str) -> str:
    """The line without wall time and the spaces at its end."""
    return re.sub(r"[\d.e-]+ s$", "", line.rstrip()).rstrip()


NOT_SOLVED = "tinygrad-opt check ex03_momentum.py"  # as it is after being copied


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(
    command: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    words = shlex.split(command)[1:]
    if words[0] == "train":
        words += ["--epochs", "1"]
    assert main(words) == (1 if command == NOT_SOLVED else 0)
    assert capsys.readouterr().out


def test_the_tables_of_optimizers_are_the_registry() -> None:
    for name, entry in OPTIMIZERS.items():
        assert f"| `{name}` | {entry.fixes} |" in README
    for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw"):
        entry = OPTIMIZERS[name]
        update = " · ".join(re.sub(r"\s+", " ", line) for line in entry.equation.splitlines())
        assert f"| `{name}` | {update} | {entry.fixes} |" in README


def test_the_readme_s_test_command_is_what_ci_runs() -> None:
    commands = [text.strip() for _, text in BLOCKS if ".venv/bin/pytest" in text]
    assert commands[0] in (ROOT / ".ci" / "run").read_text()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
