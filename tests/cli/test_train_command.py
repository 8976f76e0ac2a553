"""What `train` looks at and keeps: summary, gap, noise, diagnosis, lint, pictures, penalties."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinygrad_opt.cli import main, recipe
from tinygrad_opt.teach import History, fit

pytestmark = pytest.mark.on("cpu")

QUICK = ["--epochs", "2", "--hidden", "8"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["train", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def python_of(out: str) -> str:
    return out.partition("in Python:\n\n")[2].partition("\nwrote")[0]


def test_the_summary_comes_first_and_not_where_it_is_to_be_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "iris", *QUICK)
    table = out[out.index("layer ") : out.index("epoch 1/2")]
    assert "0 Linear" in table and "(32, 8)" in table and "total" in table and " 67" in table
    _, out, _ = run(capsys, "iris", *QUICK, "--quiet")
    assert "Linear  " not in out.partition("in Python:")[0]


def test_the_gap_between_train_and_test_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "iris", *QUICK)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    train_loss, test_loss, gap = (float(rows[name][0]) for name in ("train", "test", "gap"))
    assert gap == pytest.approx(test_loss - train_loss, abs=2e-4)
    report = json.loads(run(capsys, "iris", *QUICK, "--json")[1])
    for kind in ("loss", "accuracy"):
        assert report["gap"][kind] == report["test"][kind] - report["train"][kind]


def test_noise_is_for_toy_sets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    losses = [
        json.loads(run(capsys, "moons", *QUICK, "--noise", noise, "--json")[1])["test"]["loss"]
        for noise in ("0", "0.5")
    ]
    assert losses[0] < losses[1]
    _, out, _ = run(capsys, "moons", *QUICK, "--noise", "0.2")
    assert "tg.data.prepare(tg.data.load('moons', noise=0.2))" in out
    code, _, err = run(capsys, "digits", "--noise", "0.2")
    assert code == 2 and "'digits' has no option 'noise'; it has none." in err
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,0\n2,1\n")
    code, _, err = run(capsys, str(table), "--noise", "0.2")
    assert code == 2 and "--noise is for toy sets, such as spiral; a table has its own." in err
    code, _, err = run(capsys, "moons", "--noise", "-1")
    assert code == 2 and "noise is -1.0; it is a standard deviation, 0 or more." in err


# ---- diagnosis and lint -----------------------------------------------------------------------


def test_a_diagnosis_names_the_fault(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--optimizer", "sgd", "--lr", "1e-5", "--schedule", "constant", "--epochs", "3"]
    code, out, err = run(capsys, "digits", *flags, "--diagnose")
    assert (code, err) == (0, "")
    assert "\ndiagnosis\n" in out and "learning rate" in out and "    Try: " in out
    report = json.loads(run(capsys, "digits", *flags, "--diagnose", "--json")[1])
    assert "learning rate too low" in [finding["rule"] for finding in report["diagnosis"]]
    assert report["history"]["norms"]


def test_lint_watches_the_loop_and_finds_nothing_in_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "iris", *QUICK, "--lint")
    assert "\nlint\nNo mistake of the known kinds was noticed.\n" in out
    plain, watched = (
        json.loads(run(capsys, "iris", *QUICK, "--json", *more)[1]) for more in ([], ["--lint"])
    )
    assert watched["lint"] == [] and "lint" not in plain
    assert plain["history"]["loss"] == watched["history"]["loss"]


def test_profile_and_lint_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "iris", "--profile", "--lint")
    assert (code, out) == (2, "")
    assert err == "error: --profile and --lint watch the same operations; give one of them.\n"


def test_the_python_lines_diagnose_and_lint_alike(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "moons", *QUICK, "--diagnose", "--lint")
    exec(python_of(out), names := {})
    printed = capsys.readouterr().out
    assert names["findings"] == []
    assert out.partition("\ndiagnosis\n")[2].partition("\n\nlint\n")[0] in printed


# ---- interrupted ------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Press Ctrl-C in the middle of these updates, which count from 1."""

    def press(*updates: int) -> None:
        def pressing(model: Any, train: Any, optimizer: Any, **options: Any) -> History:
            def press(optimizer: Any, *_: Any) -> None:
                if optimizer.step_count + 1 in updates:
                    for _ in range(updates.count(optimizer.step_count + 1)):
                        os.kill(os.getpid(), signal.SIGINT)

            optimizer.register_step_pre_hook(press)
            return fit(model, train, optimizer, **options)

        monkeypatch.setattr(recipe, "fit", pressing)

    return press


def test_a_run_that_is_interrupted_shows_and_writes_what_there_is(
    capsys: pytest.CaptureFixture[str], ctrl_c_at: Callable[..., None], tmp_path: Path
) -> None:
    ctrl_c_at(6)
    path = tmp_path / "run.csv"
    code, out, err = run(capsys, "iris", "--epochs", "9", "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n")
    assert f"wrote {path}" in out and "gap" in out
    assert len(list(csv.DictReader(path.read_text().splitlines()))) == 6


def test_in_its_first_update(
    capsys: pytest.CaptureFixture[str], ctrl_c_at: Callable[..., None]
) -> None:
    ctrl_c_at(1)
    code, out, err = run(capsys, "iris", "--diagnose")
    assert (code, err) == (130, "Interrupted.\n")
    assert "gap" in out


def test_twice_it_ends_at_once(
    capsys: pytest.CaptureFixture[str], ctrl_c_at: Callable[..., None], tmp_path: Path
) -> None:
    ctrl_c_at(3, 3)
    path = tmp_path / "run.csv"
    code, _, err = run(capsys, "iris", "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n") and not path.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- checkpoints ------------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(
    capsys: pytest.CaptureFixture[str], ctrl_c_at: Callable[..., None], tmp_path: Path
) -> None:
    whole, resumed, folder = (str(tmp_path / name) for name in ("whole.csv", "again.csv", "run"))
    words = ["iris", "--epochs", "4", "--dropout", "0.2"]
    run(capsys, *words, "--csv", whole)
    ctrl_c_at(6)
    assert run(capsys, *words, "--checkpoint", folder)[0] == 130
    ctrl_c_at()
    code, out, _ = run(capsys, *words, "--checkpoint", folder, "--resume", "--csv", resumed)
    assert code == 0
    assert Path(resumed).read_bytes() == Path(whole).read_bytes()
    exec(python_of(out), names := {})  # it goes on from the end: there is nothing left to do
    assert len(names["history"]) == 16


def test_a_folder_that_is_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["iris", "--epochs", "2", "--checkpoint", str(tmp_path), "--every", "3", "--keep", "2"]
    assert run(capsys, *words)[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-00000006.npz", "step-00000008.npz"]
    code, _, err = run(capsys, *words)
    assert (code, err) == (
        2,
        f"error: fit: {tmp_path} holds the checkpoints of a run. Go on with it by resume, or name "
        "another folder.\n",
    )
    code, _, err = run(capsys, *words, "--resume", "--lr", "0.5")
    assert code == 2 and "is of another run: lr was 0.02 and is 0.5." in err


def test_another_target_and_other_data_are_another_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, folder = tmp_path / "mine.csv", tmp_path / "run"
    rows = [f"{i % 5}.5,{i % 7}.5,{i % 3}.5\n" for i in range(30)]
    table.write_text("a,b,c\n" + "".join(rows))
    words = [str(table), *QUICK, "--checkpoint", str(folder), "--resume"]
    assert run(capsys, *words)[0] == 0
    assert run(capsys, *words, "--target", "c")[0] == 0
    code, _, err = run(capsys, *words, "--target", "b")
    assert code == 2
    assert re.fullmatch(
        r"error: .*step-00000002\.npz is of another run: target was 'c' and is 'b'; data was "
        r"'sha256 \w{16}' and is 'sha256 \w{16}'\. Give what was given then, or another folder\.\n",
        err,
    )
    table.write_text("a,b,c\n" + "".join(rows).replace("4.5", "4.6", 1))
    code, _, err = run(capsys, *words)
    assert code == 2
    assert re.search(r"of another run: data was 'sha256 \w{16}' and is 'sha256 \w{16}'\. Give", err)


def test_a_run_goes_on_for_more_epochs_and_not_for_fewer_than_it_has(
    capsys: pytest.CaptureFixture[str], ctrl_c_at: Callable[..., None], tmp_path: Path
) -> None:
    def go_on(*words: str) -> tuple[int, str, str]:
        return run(capsys, "iris", "--checkpoint", folder, "--resume", *words)

    folder = str(tmp_path)
    assert go_on("--schedule", "constant", "--epochs", "2")[0] == 0
    ctrl_c_at(9)  # the first one of the third epoch
    assert go_on("--schedule", "constant", "--epochs", "3")[0] == 130
    ctrl_c_at()
    before = sorted(tmp_path.iterdir())
    code, _, err = go_on("--schedule", "constant", "--epochs", "2")
    assert code == 2 and "epochs is 2, and this run has begun pass 3. Give that many" in err
    assert sorted(tmp_path.iterdir()) == before
    assert go_on("--schedule", "constant", "--epochs", "3")[0] == 0
    code, _, err = go_on("--epochs", "1")
    assert code == 2 and "schedule was 'constant()' and is 'cosine(4)'." in err


def test_a_damaged_checkpoint_is_spoken_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["iris", "--epochs", "2", "--checkpoint", str(tmp_path)]
    run(capsys, *words)
    (tmp_path / "step-00000008.npz").write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = run(capsys, *words, "--resume")
    assert code == 0
    assert err.startswith(f"warning: load: {tmp_path / 'step-00000008.npz'} is damaged, or is no")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--resume"], "--resume goes with --checkpoint DIR, the folder to save in."),
        (["--every", "3"], "--every goes with --checkpoint DIR"),
        (["--keep", "0"], "--keep goes with --checkpoint DIR"),
        (["--checkpoint", ""], "--checkpoint is ''; name a folder to save in."),
        (["--checkpoint", "run", "--penalties"], "--checkpoint saves one training."),
        (["--checkpoint", "run", "--every", "0"], "both count from 1"),
        (["--checkpoint", "run", "--keep", "0"], "both count from 1"),
        (["--checkpoint", __file__], "is no folder and cannot be made one: File exists."),
    ],
)
def test_words_about_checkpoints_that_make_no_sense(
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "iris", *words)
    assert code == 2 and sentence in err


# ---- pictures ---------------------------------------------------------------------------------


@pytest.mark.viz
@pytest.mark.parametrize("name", ["spiral", "sine", "iris"])
def test_a_picture_is_written_and_its_python_lines_write_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "training.png"
    code, out, err = run(capsys, name, *QUICK, "--png", str(path))
    assert (code, err) == (0, "") and f"wrote {path}" in out
    written = path.read_bytes()
    assert written.startswith(b"\x89PNG")
    path.unlink()
    exec(python_of(out), {})
    assert path.read_bytes() == written


def test_without_matplotlib_it_says_so_before_it_trains(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, out, err = run(capsys, "iris", "--png", "run.png")
    assert (code, out) == (2, "")
    assert err == 'error: This needs matplotlib: pip install "tinygrad-opt[viz]"\n'


# ---- penalties --------------------------------------------------------------------------------


def test_penalties_close_the_gap_on_noisy_spirals(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["spiral", "--noise", "0.3", "--hidden", "64,64", "--epochs", "60", "--seeds", "1"]
    code, out, err = run(capsys, *words, "--penalties", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out, parse_constant=pytest.fail)
    none, *others = report["rows"]
    assert [row["penalty"] for row in report["rows"]] == [
        "none", "L1 0.001", "L2 0.003", "dropout 0.5",
    ]  # fmt: skip
    for row in others:
        assert row["gap"] < 0.8 * none["gap"]
        assert row["test loss"] < none["test loss"]
        assert row["train loss"] > none["train loss"]
    assert "is best: test loss" in report["words"]


def test_their_python_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, "--penalties", "--seeds", "2", "--l2", "0.01"]
    code, out, _ = run(capsys, "moons", *words)
    assert code == 0 and "L2 0.01" in out and "2 seeds" in out
    exec(python_of(out), names := {})
    assert capsys.readouterr().out.strip() in out
    rows = json.loads(run(capsys, "moons", *words, "--json")[1])["rows"]
    assert names["found"].rows() == rows


@pytest.mark.viz
def test_their_picture_and_table_are_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture, table = tmp_path / "four.png", tmp_path / "four.csv"
    files = ["--png", str(picture), "--csv", str(table)]
    code, out, _ = run(capsys, "moons", *QUICK, "--penalties", "--seeds", "1", *files)
    assert code == 0 and f"wrote {picture}" in out and picture.read_bytes().startswith(b"\x89PNG")
    names = [row["penalty"] for row in csv.DictReader(table.read_text().splitlines())]
    assert names == ["none", "L1 0.001", "L2 0.003", "dropout 0.5"]


def test_penalties_need_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "moons", "--penalties", "--seeds", "0")
    assert (code, out, err) == (2, "", "error: --seeds is 0; it has to be at least 1.\n")


@pytest.mark.parametrize("flag", ["--diagnose", "--lint", "--profile"])
def test_penalties_are_not_watched(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    code, out, err = run(capsys, "moons", "--penalties", flag)
    assert (code, out) == (2, "")
    assert "--penalties trains many times; --diagnose, --lint, --profile look at one." in err
