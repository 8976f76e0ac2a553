"""What the README shows is what happens."""

from __future__ import annotations

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

pytestmark = pytest.mark.host


@pytest.mark.parametrize("text", PYTHON, ids=range(len(PYTHON)))
def test_the_code_runs_and_prints_what_its_comments_say(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(text, {})
    printed = capsys.readouterr().out.splitlines()
    comments = re.findall(r"^print\(.*\)  # (.*)$", text, re.MULTILINE)
    for line, comment in zip(printed, comments, strict=False):
        assert comment.startswith(line)


def test_the_loop_prints_the_losses_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PYTHON[0], {})
    assert capsys.readouterr().out in README


NOT_SOLVED = "tinygrad-opt check ex03_momentum.py"  # as it is after being copied


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one command finds what another wrote."""
    path = tmp_path_factory.mktemp("readme")
    (path / "examples").symlink_to(ROOT / "examples")
    return path


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
