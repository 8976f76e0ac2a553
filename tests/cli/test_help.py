"""The help of every command, read as a newcomer does: its examples are run."""

from __future__ import annotations

import json
import operator
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import tinygrad_opt as tg
from tinygrad_opt.cli import COMMANDS, WELCOME, main, parser

pytestmark = pytest.mark.on("cpu")

FLOWERS = Path(__file__).parents[2] / "examples" / "flowers.csv"

# What is added to examples that begin so, to take less time; of a flag that is there twice the last
# counts.
SHORTER = {
    "train": "--epochs 1",
    "race": "--tune 4",
    "lr digits": "--epochs 1 --seeds 1",
    "landscape": "--grid 9",
    "landscape digits": "--epochs 2",
    "landscape spiral": "--epochs 3",
}
NOT_RUN = {"data fetch mnist": "needs the network"}
EXIT_CODE = {
    "check ex03_momentum.py": 1,  # not solved yet
    "train digits --lr 5 --diagnose": 1,  # it diverges
    "gradcheck --broken transpose": 1,  # a mistake is found
    "gradcheck --broken softmax_x7": 1,
}
NO_FUNCTION = {"doctor"}  # only a command

PICTURE = re.compile("--(png|html|gif)")


def examples(text: str) -> list[str]:
    """The lines that start a command, without its name and without what is said behind it."""
    lines = re.findall(r"^  tinygrad-opt (.*)$", text, flags=re.MULTILINE)
    return [re.split(r"\s{2,}", line)[0] for line in lines]


EXAMPLES = {module.NAME: examples(module.EPILOG) for module in COMMANDS}
EXAMPLES["welcome"] = examples(WELCOME)

every_command = pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.NAME)


@every_command
def test_the_help_has_examples_and_ends_with_the_same_in_python(
    module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([module.NAME, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: tinygrad-opt {module.NAME} ")
    assert re.search(r"^examples?:$", printed, flags=re.MULTILINE)
    last = printed.split("\n\n")[-1]
    assert ("in Python: " in last or "Python lines" in last) == (module.NAME not in NO_FUNCTION)
    assert EXAMPLES[module.NAME]
    assert all(line == line.rstrip() and len(line) <= 100 for line in module.EPILOG.splitlines())


@every_command
def test_what_it_calls_in_python_is_there(module: ModuleType) -> None:
    said = module.EPILOG.partition("in Python: ")[2]
    names = re.findall(r"\btg((?:\.\w+)+)", said)
    assert bool(names) == bool(said)
    for name in names:
        operator.attrgetter(name[1:])(tg)


@every_command
def test_every_argument_is_explained(module: ModuleType) -> None:
    subcommands = parser()._subparsers._group_actions[0].choices
    actions = subcommands[module.NAME]._actions
    assert [action.dest for action in actions if not (action.help or action.choices)] == []


@every_command
def test_the_sentence_in_the_list_of_commands_is_short(module: ModuleType) -> None:
    assert module.HELP[0].islower() and not module.HELP.endswith(".")
    assert len(module.HELP) <= 90


def run_examples(
    lines: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    """Run commands one after another in a folder with a table of flowers."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(folder / "data"))
    shutil.copy(FLOWERS, folder)
    for line in lines:
        shorter = " ".join(flags for begin, flags in SHORTER.items() if line.startswith(begin))
        words = shlex.split(f"{line} {shorter}")
        code = main(words)
        printed = capsys.readouterr()
        assert code == EXIT_CODE.get(line, 0), f"{line}: {printed.err or printed.out}"
        if "--json" in words:
            json.loads(printed.out)
        else:
            assert printed.out, line


plain = {
    name: [line for line in lines if not PICTURE.search(line)] for name, lines in EXAMPLES.items()
}
drawn = {name: [line for line in lines if PICTURE.search(line)] for name, lines in EXAMPLES.items()}


@pytest.mark.parametrize("name", [name for name, lines in plain.items() if lines])
def test_its_examples_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [line for line in plain[name] if line not in NOT_RUN]
    run_examples(lines, tmp_path, monkeypatch, capsys)


@pytest.mark.viz
@pytest.mark.parametrize("name", [name for name, lines in drawn.items() if lines])
def test_its_examples_that_draw_run_and_write_their_files(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_examples(drawn[name], tmp_path, monkeypatch, capsys)
    for line in drawn[name]:
        for file in re.findall(r"--(?:png|html|gif) (\S+)", line):
            assert (tmp_path / file).stat().st_size > 1000, line


def test_the_tables_of_exceptions_name_examples_that_exist() -> None:
    lines = {line for some in EXAMPLES.values() for line in some}
    assert set(NOT_RUN) | set(EXIT_CODE) <= lines
    assert all(any(line.startswith(begin) for line in lines) for begin in SHORTER)
    assert set(EXAMPLES) >= NO_FUNCTION
