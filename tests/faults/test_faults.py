"""What a power cut, a killed process, a full disk and a folder of others' do to checkpoints.

Processes are killed for good here: SIGKILL leaves nobody to tidy up.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygrad_opt as tg
from tests.faults.run import UPDATES, newest, same, train
from tinygrad_opt.cli import main

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[2]


def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


# ---- killed -----------------------------------------------------------------------------------


THIRD_SAVE = {"the file": 8, "its name": 9, "the folder": 10, "tidying": 11, "the oldest": 12}


@pytest.mark.parametrize("operation", THIRD_SAVE.values(), ids=list(THIRD_SAVE))
def test_killed_before_any_file_operation_of_a_save(operation: int, tmp_path: Path) -> None:
    assert python("tests.faults.victim", tmp_path, str(operation)).returncode == -signal.SIGKILL
    assert newest(tmp_path) == (2 if operation <= THIRD_SAVE["its name"] else 3)
    assert same(train(tg.Checkpoints(tmp_path)), train())


def test_killed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    assert python("tests.faults.victim", tmp_path, "write").returncode == -signal.SIGXFSZ
    assert any(tmp_path.glob(".step-*.part")) and 0 < newest(tmp_path) < UPDATES
    assert same(train(tg.Checkpoints(tmp_path)), train())
    assert not any(tmp_path.glob(".step-*.part"))


def killed(folder: Path, times: int) -> int:
    """How many of so many deaths were in the middle of a save; the killer checks the rest."""
    found = python("tests.faults.killer", folder, str(times))
    assert found.returncode == 0, found.stderr
    words = re.fullmatch(r"(\d+) kills, (\d+) of them in the middle of a .*\n", found.stdout)
    assert words and int(words[1]) == times
    return int(words[2])


def test_killed_at_some_random_moments(tmp_path: Path) -> None:
    killed(tmp_path, 15)


@pytest.mark.slow
def test_killed_at_many_random_moments(tmp_path: Path) -> None:
    assert killed(tmp_path, 200) > 0


# ---- a full disk, a folder that may not be written into ---------------------------------------


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    found = python("tests.faults.victim", tmp_path, "quota")
    assert found.returncode == 1
    assert re.search(
        rf"OSError: save: cannot write {re.escape(str(tmp_path))}/step-\d+\.npz: File too large\. "
        r"Nothing was written\. Make room, or name a folder that exists and that you may write "
        r"into\.\n",
        found.stderr,
    )
    assert not any(tmp_path.glob(".*")) and 0 < newest(tmp_path) < UPDATES
    assert same(train(tg.Checkpoints(tmp_path)), train())


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the powers of root, whom no folder refuses."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tg.save(tmp_path / "run.npz", epoch=1)
    tmp_path.chmod(0o555)
    monkeypatch.chdir(tmp_path)  # from here on, as nobody would not get here
    with as_nobody():
        with pytest.raises(OSError) as caught:
            tg.save("run.npz", epoch=2)
        with pytest.raises(OSError, match=r"runs is no folder and cannot be made one: Permission"):
            tg.Checkpoints("runs")
        assert tg.load("run.npz") == {"epoch": 1}
    assert str(caught.value) == (
        "save: cannot write run.npz: Permission denied. What was there before is untouched. Make "
        "room, or name a folder that exists and that you may write into."
    )


# ---- results that a command writes ------------------------------------------------------------


def step_bowl(folder: Path, *flags: str, most: int = 1 << 20) -> subprocess.CompletedProcess[str]:
    """`tinygrad-opt step bowl` where no file may become larger than so many bytes."""
    code = (
        "import resource, signal, sys; from tinygrad_opt.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        "sys.exit(main(['step', 'bowl', '--quiet', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code, *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_full_disk_leaves_the_last_results(tmp_path: Path) -> None:
    walk = tmp_path / "walk.csv"
    walk.write_text("of last week")
    found = step_bowl(tmp_path, "--csv", "walk.csv", "--steps", "200", most=4096)
    assert found.returncode == 2 and found.stderr == (
        "error: cannot write walk.csv: File too large. Make room, or name a file in a "
        "folder that exists.\n"
    )
    assert walk.read_text() == "of last week" and list(tmp_path.iterdir()) == [walk]


def test_a_full_disk_leaves_the_last_results_at_the_end_of_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "folder" / "real.csv", tmp_path / "link.csv"
    real.parent.mkdir()
    real.write_text("of last week")
    (real.parent / "other.csv").symlink_to("real.csv")
    link.symlink_to("folder/other.csv")
    found = step_bowl(tmp_path, "--csv", "link.csv", "--steps", "200", most=4096)
    assert found.returncode == 2 and "cannot write link.csv: File too large." in found.stderr
    assert real.read_text() == "of last week" and link.is_symlink()
    real.unlink()
    assert step_bowl(tmp_path, "--csv", "link.csv").returncode == 0
    assert link.is_symlink() and real.read_text().startswith("step,")


def test_a_link_to_itself_and_a_folder_are_no_place_for_results(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("link.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("link.csv", "folder.csv"):
        found = step_bowl(tmp_path, "--csv", name)
        assert found.returncode == 2 and found.stderr == (
            f"error: cannot write {name}: name a file in a folder that you may write into.\n"
        )
    assert (tmp_path / "link.csv").is_symlink()


def test_stdout_by_its_name_is_a_stream_even_where_it_is_a_file(tmp_path: Path) -> None:
    printed = tmp_path / "printed.txt"
    command = [sys.executable, "-m", "tinygrad_opt", "step", "bowl", "--steps", "3"]
    for name in ("/dev/stdout", "link.csv"):
        if name == "link.csv":
            (tmp_path / name).symlink_to("/dev/stdout")
        with printed.open("w") as out:
            out.write("before\n")
            out.flush()
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            words = [*command, "--csv", name]
            assert subprocess.run(words, cwd=tmp_path, env=environment, stdout=out).returncode == 0
        lines = printed.read_text().splitlines()
        assert lines[0] == "before" and "\0" not in printed.read_text()
        table = lines.index(next(line for line in lines if line.startswith("step,loss,")))
        assert [line[:2] for line in lines[table + 1 : table + 4]] == ["0,", "1,", "2,"]
        assert f"wrote {name}" in lines[table + 4 :]


def test_what_is_no_file_can_be_written_without_a_folder_that_can(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["step", "bowl", "--steps", "3", "--quiet", "--csv"]
    assert main([*words, "/dev/null"]) == 0  # with all that it imports
    with as_nobody():
        assert not os.access("/dev", os.W_OK)
        assert main([*words, "/dev/null"]) == 0
        assert main([*words, "/dev/stdout"]) == 0
        capfd.readouterr()
        assert main([*words, "/dev/walk.csv"]) == 2
    assert capfd.readouterr().err == (
        "error: cannot write /dev/walk.csv: name a file in a folder that you may write into.\n"
    )
    assert os.stat("/dev/null").st_rdev and not os.path.exists("/dev/walk.csv")


def test_a_folder_that_may_not_be_looked_into_is_no_place_for_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link.csv").symlink_to("theirs/walk.csv")
    words = ["step", "bowl", "--steps", "3", "--quiet", "--csv"]
    assert main([*words, str(tmp_path / "link.csv")]) == 0  # with all that it imports
    (tmp_path / "theirs").chmod(0)
    for name in ("theirs/walk.csv", "link.csv", "a\0.csv"):
        path = tmp_path / name
        with as_nobody():
            assert main([*words, str(path)]) == 2
        assert capfd.readouterr().err == (
            f"error: cannot write {path}: name a file in a folder that you may write into.\n"
        )


def test_results_go_along_links_and_into_pipes_and_keep_their_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("of last week")
    real.chmod(0o600)
    link.symlink_to(real)
    assert step_bowl(tmp_path, "--csv", "link.csv").returncode == 0
    assert link.is_symlink() and real.read_text().startswith("step,")
    assert step_bowl(tmp_path, "--csv", "real.csv", "--steps", "3").returncode == 0
    assert real.stat().st_mode & 0o777 == 0o600 and len(real.read_text().splitlines()) == 4
    found = step_bowl(tmp_path, "--csv", "/dev/stdout", "--steps", "3")
    assert found.returncode == 0 and real.read_text() in found.stdout


# ---- the command, as the README shows it --------------------------------------------------------


SHOWN = re.search(
    r"```\n(tinygrad-opt train .*whole\.csv.*\n)(.*--checkpoint.*\n)(.*--resume.*\n)(cmp .*\n)```",
    (ROOT / "README.md").read_text(),
)


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_was_stopped_goes_on_to_the_same_record(
    ended_by: signal.Signals, tmp_path: Path
) -> None:
    assert SHOWN is not None
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tinygrad_opt"]

    def start(line: str) -> subprocess.Popen[bytes]:
        first, *rest = shlex.split(line.split("#")[0])
        words = [*(command if first == "tinygrad-opt" else [first]), *rest]
        return subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)

    whole, stopped, resumed, compared = SHOWN.groups()
    assert start(whole).wait() == 0
    with start(stopped) as victim:
        while victim.poll() is None and not (tmp_path / "run/step-00000300.npz").exists():
            time.sleep(0.001)
        victim.send_signal(ended_by)
    assert victim.returncode == (130 if ended_by == signal.SIGINT else -ended_by)
    assert start(resumed).wait() == 0
    assert start(compared).wait() == 0
