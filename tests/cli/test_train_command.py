"""What `train` looks at and keeps: summary, gap, noise, diagnosis, lint, pictures, penalties."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tinygrad_opt.cli import main, train
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


def test_a_run_that_is_interrupted_shows_and_writes_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*args: Any, on_epoch: Any, **options: Any) -> History:
        def show(epoch: int, history: History) -> None:
            on_epoch(epoch, history)
            if epoch == 2:
                raise KeyboardInterrupt

        return fit(*args, on_epoch=show, **options)

    monkeypatch.setattr(train, "fit", interrupted)
    path = tmp_path / "run.csv"
    code, out, err = run(capsys, "iris", "--epochs", "9", "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n")
    assert f"wrote {path}" in out and "gap" in out
    assert len(list(csv.DictReader(path.read_text().splitlines()))) == 2 * 4


def test_one_that_is_interrupted_before_a_pass_has_nothing_to_show(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: Any, **__: Any) -> History:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", interrupted)
    path = tmp_path / "run.csv"
    code, _, err = run(capsys, "iris", "--csv", str(path))
    assert (code, err) == (130, "Interrupted.\n") and not path.exists()


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
