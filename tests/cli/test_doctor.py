"""What `doctor` finds of drivers, CuPy and GPUs, and what it says to do."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.standin import strict_cupy
from tinygrad_opt import Device, kernels
from tinygrad_opt.cli import main
from tinygrad_opt.device import ENVIRONMENT_VARIABLE

on_cpu = pytest.mark.on("cpu")
on_standin = pytest.mark.on("standin")

WHEELS = {"cupy-cuda12x": "14.1.0", "cupy-cuda13x": "14.2.0"}


class Doubling:
    """An `ElementwiseKernel` that is compiled."""

    def __init__(self, *_: object) -> None: ...

    def __call__(self, x: Any) -> Any:
        return x + x


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a driver, on which CUDA 13's CuPy is installed if any is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    install(monkeypatch, "cupy-cuda13x")
    monkeypatch.setitem(vars(strict_cupy.cupy), "ElementwiseKernel", Doubling)


def install(monkeypatch: pytest.MonkeyPatch, *wheels: str) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "packages_distributions", lambda: {"cupy": list(wheels)}
    )
    monkeypatch.setattr(importlib.metadata, "version", lambda n: WHEELS.get(n) or version(n))


def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    install(monkeypatch)


def drive(folder: Path, answer: str, code: int = 0) -> None:
    """An nvidia-smi that gives this answer."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho {shlex.quote(answer)}\nexit {code}\n")
    program.chmod(0o755)


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and for each thing looked at what was found and what is said."""
    code = main(["doctor", "--json"])
    printed = capsys.readouterr()
    assert printed.err == ""
    report = json.loads(printed.out, parse_constant=pytest.fail)
    return code, {name: (row["found"], row["says"]) for name, row in report.items()}


@on_cpu
def test_the_number_of_threads_is_shown_and_what_is_none_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cupy(monkeypatch)
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", "3")
    code, report = doctor(capsys)
    assert (code, report["threads"][0]) == (0, "3")
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", "abc")
    code, report = doctor(capsys)
    assert (code, report["threads"][0]) == (1, "wrong")
    assert report["threads"][1].startswith("TINYGRAD_OPT_THREADS is 'abc'; it has to be a number")


# ---- before CuPy ------------------------------------------------------------------------------


@on_cpu
def test_with_nothing_there_it_says_what_a_gpu_would_need(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cupy(monkeypatch)
    code, report = doctor(capsys)
    assert code == 0
    assert report["cuda"][0] == report["driver"][0] == report["cupy"][0] == "no"
    assert "needs CuPy, which is not installed" in report["cuda"][1]
    assert report["cupy"][1] == (
        'optional: pip install "tinygrad-opt[cuda13]" for driver 580 on or '
        'pip install "tinygrad-opt[cuda12]" for driver 525 on'
    )
    assert "kernel cache" not in report and "cuda runtime" not in report
    assert report["default device"][0] == "cpu"


@on_cpu
@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("580.65.06", 'pip install "tinygrad-opt[cuda13]"'),
        ("610.1", 'pip install "tinygrad-opt[cuda13]"'),
        ("550.54.14", 'pip install "tinygrad-opt[cuda12]"'),
        ("470.82.01", "update the driver to 525 or newer"),
    ],
)
def test_the_driver_decides_which_cupy(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
    line: str,
) -> None:
    no_cupy(monkeypatch)
    drive(tmp_path, f"{version}, NVIDIA H100, 81559 MiB\n{version}, NVIDIA L4, 23034 MiB")
    code, report = doctor(capsys)
    assert code == 0
    assert report["driver"][0] == version
    assert report["driver"][1].startswith("NVIDIA H100, 81559 MiB; ")
    assert report["cupy"] == ("no", f"optional: {line}")


@on_cpu
def test_a_driver_that_does_not_answer_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_cupy(monkeypatch)
    drive(tmp_path, "NVIDIA-SMI has failed because it\ncouldn't communicate with the driver.", 9)
    code, report = doctor(capsys)
    assert code == 1
    assert report["driver"] == (
        "fails",
        "nvidia-smi says: NVIDIA-SMI has failed because it couldn't communicate with the driver.",
    )


@on_cpu
def test_two_builds_of_cupy_are_one_too_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    install(monkeypatch, *WHEELS)
    drive(tmp_path, "550.54.14, NVIDIA L4, 23034 MiB")
    report = doctor(capsys)[1]
    for name, version in WHEELS.items():
        assert report[name] == (
            version,
            "they overwrite each other: pip uninstall cupy-cuda12x cupy-cuda13x; "
            'pip install "tinygrad-opt[cuda12]"',
        )


@on_cpu
def test_a_cupy_too_new_for_the_driver_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    drive(tmp_path, "550.54.14, NVIDIA L4, 23034 MiB")
    assert doctor(capsys)[1]["cupy-cuda13x"] == (
        "14.2.0",
        'needs driver 580 or newer: pip uninstall cupy-cuda13x; pip install "tinygrad-opt[cuda12]"',
    )


@on_standin
def test_cupy_without_a_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Device.forget()
    monkeypatch.setattr(strict_cupy.cupy, "is_available", lambda: False)
    monkeypatch.setattr(strict_cupy.cupy.cuda.runtime, "driverGetVersion", lambda: 0)
    code, report = doctor(capsys)
    assert code == 0
    assert report["cuda"][0] == "no" and "no usable CUDA device" in report["cuda"][1]
    assert report["cupy-cuda13x"] == ("14.2.0", "ok")
    assert report["cuda runtime"] == ("13.0", "there is no driver")
    assert not any(name.startswith("cuda:") for name in report)


# ---- with a GPU -------------------------------------------------------------------------------


@on_standin
def test_each_gpu_is_described_and_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    code, report = doctor(capsys)
    assert code == 0
    assert report["cuda"] == ("yes", "ok")
    assert report["cuda runtime"] == ("13.0", "the driver runs up to 13.0")
    for gpu in ("cuda:0", "cuda:1"):
        assert report[gpu] == ("Stand-in", "16 GiB, 16 GiB free, compute capability 9.0")
        assert report[f"{gpu}: works"] == (
            "4 of 4",
            "upload, add, multiply matrices, compile a kernel",
        )
    assert report["kernels"][0] == "off"
    assert report["kernel cache"][0] == str(tmp_path)
    assert report["default device"][0] == "cuda:0"
    with kernels.use_kernels():
        assert doctor(capsys)[1]["kernels"][0] == "on"
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert doctor(capsys)[1]["kernel cache"][0] == "no"


@on_standin
def test_what_does_not_work_says_why_and_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCompiler(Doubling):
        def __call__(self, x: Any) -> Any:
            raise RuntimeError("libnvrtc.so.13:\n cannot open shared object file.")

    monkeypatch.setitem(vars(strict_cupy.cupy), "ElementwiseKernel", NoCompiler)
    monkeypatch.setattr(strict_cupy.ndarray, "__matmul__", lambda a, b: a.sum() + 1)
    code, report = doctor(capsys)
    assert code == 1
    assert report["cuda:0: works"] == ("2 of 4", "upload, add")
    found, says = report["cuda:0: compile a kernel"]
    assert found == "fails"
    assert says.startswith("RuntimeError: libnvrtc.so.13: cannot open shared object file. CuPy's")
    assert 'pip install "cupy-cuda13x[ctk]"' in says
    assert "it gives [33.0], not eights" in report["cuda:0: multiply matrices"][1]


@on_standin
def test_a_gpu_that_cannot_be_asked_does_not_end_the_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("cudaErrorUnknown")

    monkeypatch.setattr(strict_cupy.cupy.cuda.runtime, "getDeviceProperties", broken)
    monkeypatch.setattr(strict_cupy.cupy.cuda.runtime, "runtimeGetVersion", broken)
    code, report = doctor(capsys)
    assert code == 1
    assert (
        report["cuda:0"] == report["cuda runtime"] == ("fails", "RuntimeError: cudaErrorUnknown.")
    )
    assert report["data"] == ("5 files", "ok")


@on_cpu
def test_a_default_that_cannot_be_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_cupy(monkeypatch)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "toaster")
    code, report = doctor(capsys)
    assert code == 1
    assert report["default device"][0] == "fails"
    assert "TINYGRAD_OPT_DEVICE is 'toaster'" in report["default device"][1]


@on_standin
def test_the_table_names_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    report = doctor(capsys)[1]
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in report)
