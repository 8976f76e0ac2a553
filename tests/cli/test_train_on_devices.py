"""`train --device`: the same run on another device, and a sentence where there is none."""

from __future__ import annotations

import json
import sys

import pytest

from tests.standin import strict_cupy
from tinygrad_opt import Device
from tinygrad_opt.cli import COMMANDS, main
from tinygrad_opt.device import ENVIRONMENT_VARIABLE
from tinygrad_opt.kernels import use_kernels

TRAIN = ["train", "iris", "--epochs", "2", "--hidden", "8", "--dropout", "0.2", "--json"]
on_cpu = pytest.mark.on("cpu")
on_gpus = pytest.mark.on("standin", "cuda")
on_standin = pytest.mark.on("standin")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.host
def test_every_command_that_trains_has_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    trains = [c.NAME for c in COMMANDS if "--epochs" in run(capsys, c.NAME, "--help")[1]]
    assert "train" in trains
    for name in trains:
        assert "--device" in run(capsys, name, "--help")[1]


@on_gpus
def test_a_run_on_the_gpu_is_the_run_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    reports = {}
    for device in ("cpu", "cuda"):
        code, out, err = run(capsys, *TRAIN, "--device", device)
        assert (code, err) == (0, "")
        reports[device] = json.loads(out)
        assert reports[device]["history"]["meta"]["device"] == device
    here, there = (report["history"]["loss"] for report in reports.values())
    assert here == pytest.approx(there, rel=1e-4)
    python = reports["cuda"]["python"]
    assert "with tg.use_device('cuda'):" in python
    exec(python, names := {})
    assert list(names["history"].loss) == pytest.approx(there, rel=1e-4)
    assert names["model"][0].weight.device is Device("cuda")


@on_standin
def test_a_run_on_the_second_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *TRAIN, "--device", "cuda:1")
    assert (code, err) == (0, "")
    assert json.loads(out)["history"]["meta"]["device"] == "cuda:1"


@on_cpu
@pytest.mark.parametrize("flags", [[], ["--device", "cpu"]])
def test_the_environment_is_the_default_of_the_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "cuda")
    with strict_cupy.installed(), use_kernels(False):
        code, out, _ = run(capsys, *TRAIN, *flags)
    Device.forget()
    assert code == 0
    assert json.loads(out)["history"]["meta"]["device"] == ("cpu" if flags else "cuda:0")


@on_cpu
def test_without_cupy_it_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    code, out, err = run(capsys, *TRAIN, "--device", "cuda")
    assert (code, out) == (2, "")
    assert err.startswith('error: device "cuda" needs CuPy, which is not installed: pip install')
    assert len(err.splitlines()) == 1
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "cuda")
    code, out, err = run(capsys, *TRAIN)
    assert (code, out) == (2, "")
    assert err.startswith("error: TINYGRAD_OPT_DEVICE is 'cuda': device \"cuda\" needs CuPy")
    assert run(capsys, *TRAIN, "--device", "cpu")[0] == 0


@on_standin
def test_without_a_gpu_it_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Device.forget()
    monkeypatch.setattr(strict_cupy.cupy, "is_available", lambda: False)
    code, out, err = run(capsys, *TRAIN, "--device", "cuda")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "nvidia-smi shows both" in err


@on_standin
def test_an_index_too_high_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *TRAIN, "--device", "cuda:7")
    assert (code, out) == (2, "")
    assert err == "error: there is no cuda:7: this machine has cuda:0 to cuda:1.\n"


@on_standin
def test_what_does_not_fit_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    strict_cupy.cupy.get_default_memory_pool().set_limit(2**16)
    code, out, err = run(capsys, *TRAIN, "--hidden", "4096", "--device", "cuda")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: not enough memory on cuda:0 for ")
    assert run(capsys, *TRAIN, "--device", "cpu")[0] == 0
