"""The command line as a person meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_opt as tg
from tinygrad_opt import nn
from tinygrad_opt.cli import COMMANDS, main
from tinygrad_opt.data import DATASETS
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.optim.schedules import SCHEDULES

pytestmark = pytest.mark.host

QUICK = ["--epochs", "2", "--hidden", "8"]


HARMLESS = [
    "step bowl --optimizer adam --steps 3 --explain",
    "train iris --epochs 2 --diagnose",
    "race rosenbrock --optimizers sgd,adam --steps 20",
    "lr iris --steps 20",
    "schedule cosine(10)",
    "gradcheck --example linear",
    "graph",
    "list optimizers",
    "data verify",
    "data path",
]


@pytest.mark.parametrize("words", HARMLESS)
def test_no_file_and_no_network_without_being_asked(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the network was asked")

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("socket.socket.connect", asked)
    monkeypatch.setattr("socket.getaddrinfo", asked)
    assert main(words.split()) == 0
    assert list(home.iterdir()) == []


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# ---- train ------------------------------------------------------------------------------------


def test_training_prints_a_line_an_epoch_a_table_and_the_python_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "train", "digits", *QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(
        "digits: 1437 examples to train on, 360 to test · 64-8-10, 610 param"
    )
    assert lines[0].endswith("Adam lr 0.02 · cosine(90) · seed 0")
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line[:9] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert all(word in epochs[0] for word in ("train loss", "test acc", "lr 0."))
    assert "loss  accuracy" in out and "in Python:" in out
    assert "\x1b" not in out and "\r" not in out


@pytest.mark.parametrize(
    "flags",
    [
        ["digits", "--l1", "1e-4", "--l2", "1e-3", "--dropout", "0.2", "--seed", "3"],
        ["spiral", "--optimizer", "momentum", "--schedule", "linear", "--warmup", "5"],
        ["diabetes", "--optimizer", "adamw", "--weight-decay", "0.1", "--batch", "full"],
        ["iris", "--hidden", "0", "--schedule", "warmup(4) >> cosine(4)", "--lr", "0.1"],
    ],
)
def test_the_python_lines_do_the_same(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    code, out, _ = run(capsys, "train", *QUICK, *flags, "--json")
    report = json.loads(out)
    assert code == 0
    exec(report["python"], names := {})
    assert list(names["history"].loss) == report["history"]["loss"]
    printed = capsys.readouterr().out
    assert printed.strip() == str(report["test"])


def test_json_is_one_strict_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "train", "iris", *QUICK, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out, parse_constant=pytest.fail)
    assert report["status"] == report["history"]["status"] in ("ok", "stuck")
    assert set(report["train"]) == set(report["test"]) == {"loss", "accuracy"}
    assert report["parameters"] == 4 * 8 + 8 + 8 * 3 + 3
    assert report["history"]["meta"]["task"] == "iris"
    assert len(report["history"]["loss"]) == 2 * 4


def test_the_same_seed_gives_the_same_losses(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = ("0", "0", "1")
    reports = [
        json.loads(run(capsys, "train", "moons", *QUICK, "--json", "--seed", seed)[1])
        for seed in seeds
    ]
    losses = [report["history"]["loss"] for report in reports]
    assert losses[0] == losses[1] != losses[2]


def test_quiet_prints_the_final_table_only(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "train", "iris", *QUICK, "--quiet")
    assert "accuracy" in out and not any(word in out for word in ("epoch", "128", "in Python"))


def test_profile_shows_where_the_time_of_the_training_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "train", "iris", *QUICK, "--profile")
    assert (code, err) == (0, "")
    table = out[out.index("forward") : out.index("in Python:")]
    for name in ("operation", "linear_relu", "cross_entropy", "Adam.step()", "everything else"):
        assert f"\n{name} " in table
    plain, profiled = (
        json.loads(run(capsys, "train", "iris", *QUICK, "--json", *more)[1])
        for more in ([], ["--profile"])
    )
    rows = {row["name"]: row for row in profiled["profile"]["rows"]}
    assert rows["Adam.step()"]["calls"] == len(profiled["history"]["loss"])
    assert profiled["profile"]["seconds"] >= profiled["history"]["seconds"]
    assert "profile" not in plain and plain["history"]["loss"] == profiled["history"]["loss"]
    assert plain["python"] == profiled["python"]


@pytest.mark.parametrize("lr", ["1e9", "30"])
def test_a_run_that_diverges_says_so_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], lr: str
) -> None:
    flags = ["--optimizer", "sgd", "--lr", lr, "--schedule", "constant", "--epochs", "3"]
    code, out, err = run(capsys, "train", "digits", *flags)
    assert (code, err) == (1, "")
    assert "status: nan" in out or "status: diverged" in out
    assert "Try a tenth of the learning rate." in out
    code, out, _ = run(capsys, "train", "digits", *flags, "--json")
    assert code == 1
    assert json.loads(out, parse_constant=pytest.fail)["status"] in ("nan", "diverged")


def test_a_table_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(60)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,label", *rows]))
    code, out, _ = run(capsys, "train", str(path), "--target", "label", "--epochs", "20")
    assert code == 0
    assert "table: 48 examples to train on, 12 to test · 2-128-2" in out
    assert f"tg.data.read_csv({str(path)!r}, 'label')" in out


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "sparseadam"])
def test_every_optimizer_trains(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, "train", "iris", "--optimizer", name, "--epochs", "10", "--json")
    assert code == 0
    losses = json.loads(out)["history"]["loss"]
    assert losses[-1] < losses[0]


def test_an_optimizer_for_rows_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "iris", "--optimizer", "sparseadam")
    assert code == 2
    assert "Make the layer Embedding(…, sparse=True), or take Adam." in err


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_can_be_named(capsys: pytest.CaptureFixture[str], name: str) -> None:
    flags = ["--schedule", name, "--warmup", "2", "--json"]
    code, out, _ = run(capsys, "train", "iris", *QUICK, *flags)
    assert code == 0
    assert f"{name}(" in json.loads(out)["history"]["meta"]["schedule"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("digitz", "there is no data set 'digitz'. Did you mean 'digits'?"),
        ("digits --optimizer adm", "there is no optimizer 'adm'. Did you mean 'adam'?"),
        ("digits --schedule cosinus", "there is no 'cosinus'. Did you mean 'cosine'?"),
        ("digits --lr -1", "lr is -1.0"),
        ("digits --lr nan", "lr is nan"),
        ("digits --momentum 0.9", "adam has no momentum; its options are lr, betas"),
        ("digits --epochs 0", "--epochs is 0; it has to be at least 1."),
        ("digits --seed -1", "--seed is -1; it has to be at least 0."),
        ("digits --batch many", "--batch is 'many'; write a number of examples, or full."),
        ("digits --hidden 8,x", "--hidden is '8,x'; write sizes with commas"),
        ("digits --dropout 1.5", "p is 1.5; it is the share of values set to zero"),
        ("digits --l2 -1", "--l2 is -1.0; it has to be at least 0."),
        ("digits --warmup -1", "--warmup is -1"),
        ("iris --warmup 120", "--warmup is 120 and the whole run has 120 updates"),
        ("iris --hidden ²", "--hidden is '²'; write sizes with commas"),
        ("iris --hidden 99999999", "799,999,995 parameters; it goes up to 100,000,000."),
        (
            "iris --target zz",
            "--target is 'zz', a column of a table of one's own",
        ),
        ("iris --seeds 5", "--seeds goes with --penalties"),
        ("digits --device cuda", 'pip install "tinygrad-opt[cuda13]"'),
        ("digits --device gpu", "'gpu' is unknown. Write 'cpu', 'cuda' or 'cuda:1'."),
        ("nowhere.csv", "there is no file nowhere.csv"),
        ("mnist", "Run: tinygrad-opt data fetch mnist"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "cupy", None)
    code, out, err = run(capsys, "train", *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err
    assert len(err.splitlines()) == 1


def test_a_schedule_that_overflows_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "iris", "--schedule", "exponential(1e308)")
    assert code == 2
    assert err.startswith("error: OverflowError") and len(err.splitlines()) == 1


def test_a_table_with_a_gap_names_the_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "gap.csv"
    path.write_text("a,b,y\n1,2,0\n1,nan,1\n")
    code, _, err = run(capsys, "train", str(path))
    assert code == 2
    assert "line 3" in err and "b" in err


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="there is no data set"):
        main(["train", "digitz", "--debug"])


# ---- the other commands -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["optimizers", "schedules", "datasets", "layers"])
def test_lists_name_everything(capsys: pytest.CaptureFixture[str], what: str) -> None:
    layers = [n for n, one in vars(nn).items() if isinstance(one, type) and n != "Parameter"]
    names = {
        "optimizers": list(OPTIMIZERS),
        "schedules": list(SCHEDULES),
        "datasets": list(DATASETS),
        "layers": [n for n in layers if n != "Module"],
    }[what]
    code, out, _ = run(capsys, "list", what)
    assert code == 0
    assert all(name in out for name in names)
    rows = json.loads(run(capsys, "list", what, "--json")[1])
    assert [next(iter(row.values())) for row in rows] == names
    assert all(all(row.values()) for row in rows)


def test_doctor_looks_at_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    for word in (
        "tinygrad_opt",
        "numpy",
        "rich",
        "matplotlib",
        "plotly",
        "cuda",
        "data",
        "downloads",
    ):
        assert word in out
    report = json.loads(run(capsys, "doctor", "--json")[1])
    assert report["tinygrad_opt"]["found"] == tg.__version__
    assert report["data"]["says"] == "ok"


def test_data_is_verified_and_its_place_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(tmp_path))
    assert "digits.npz ok\n" in run(capsys, "data", "verify")[1]
    assert "digits.npz" in json.loads(run(capsys, "data", "verify", "--json")[1])
    assert run(capsys, "data", "path")[1].strip() == str(tmp_path)
    code, _, err = run(capsys, "data", "fetch")
    assert code == 2 and "write data fetch mnist" in err
    code, _, err = run(capsys, "data", "fetch", "cifar")
    assert code == 2 and "only 'mnist'" in err


def test_no_command_is_a_welcome(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    assert "tinygrad-opt train digits" in out and "usage: tinygrad-opt" in out


def test_help_and_version_exit_with_0_and_wrong_use_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(capsys, "--version")[:2] == (0, f"tinygrad_opt {tg.__version__}\n")
    for command in COMMANDS:
        code, out, _ = run(capsys, command.NAME, "--help")
        assert code == 0 and "example" in out
    for words in (["trian"], ["list", "colours"], ["train", "digits", "--epochs", "many"]):
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, "") and "invalid" in err


def test_ctrl_c_exits_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_opt.cli.train._run", interrupted)
    code, _, err = run(capsys, "train", "digits")
    assert (code, err) == (130, "Interrupted.\n")


def test_the_module_runs_and_the_reader_may_leave_early() -> None:
    command = [sys.executable, "-m", "tinygrad_opt", "list", "layers"]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert whole.stderr == "" and "Linear" in whole.stdout
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_who_leaves_early_does_not_keep_files_from_being_written(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    command = [sys.executable, "-m", "tinygrad_opt", "train", "iris", *QUICK, "--csv", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert len(path.read_text().splitlines()) == 1 + 2 * 4


def test_a_package_that_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "rich.table", raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    code, _, err = run(capsys, "list", "datasets")
    assert (code, err) == (
        2,
        "error: rich is missing, which tinygrad_opt needs: pip install rich\n",
    )


def test_a_terminal_gets_a_bar_and_no_color_is_respected(tmp_path: Path) -> None:
    import pty

    def on_a_terminal(*flags: str, **environment: str) -> str:
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "tinygrad_opt", "train", "iris", *QUICK, *flags]
        env = os.environ | {"TERM": "xterm", "COLUMNS": "120"} | environment
        process = subprocess.Popen(command, stdout=child, stderr=child, env=env)
        os.close(child)
        printed = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:
                break
            if not piece:
                break
            printed += piece
        os.close(parent)
        assert process.wait() == 0
        return printed.decode()

    colours = re.compile(r"\x1b\[[\d;]+m")
    shown = on_a_terminal()
    assert "2/2" in shown and "test acc" in shown and "━" in shown and colours.search(shown)
    narrow = on_a_terminal(COLUMNS="80")
    assert re.search(r"━.*2/2.*loss \d.*test loss \d.*test acc \d.*lr \d\S*[\d]", narrow)
    plain = on_a_terminal(NO_COLOR="1")
    assert "━" in plain and not colours.search(plain)
    assert colours.search(on_a_terminal(NO_COLOR=""))
    assert "epoch 1/2" in on_a_terminal(TERM="dumb")
    assert "0/0" not in on_a_terminal("--quiet")
