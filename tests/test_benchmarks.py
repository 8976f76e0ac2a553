"""The benchmark on a GPU, run on the stand-in: its times mean nothing there, its document does."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import gpu, results, timing
from tests.standin import strict_cupy
from tinygrad_opt.device import Device, why_no_cuda
from tinygrad_opt.kernels import use_kernels

on_standin = pytest.mark.on("standin")
on_kernels = pytest.mark.on("standin", "kernels")

SIZES = {"launch": 16, "optimizer": 100, "mlp": 8, "large": 8, "memory": 8}

CUPY = """
import sys
from tests.standin import strict_cupy
sys.modules |= {"cupy": strict_cupy.cupy, "cupyx": strict_cupy.cupyx}
"""


def added(*words: str) -> Callable[..., Any]:
    """Instead of an ElementwiseKernel where nothing compiles it."""
    return lambda a, b, y: strict_cupy.cupy.add(a, b, y)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """No PyTorch, few and short runs, results elsewhere, and the stand-in for processes too."""
    monkeypatch.setattr(timing, "WARM_UPS", 1)
    monkeypatch.setattr(timing, "RUN", 0.0)
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "results")
    if "torch" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "torch", None)
    if request.node.callspec.params["on_device"] != "kernels":
        monkeypatch.setitem(vars(strict_cupy.cupy), "ElementwiseKernel", added)
    (tmp_path / "cupy.py").write_text(CUPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TINYGRAD_OPT_KERNELS", "0")


def written() -> dict[str, Any]:
    """The only document among the results."""
    (path,) = gpu.RESULTS.iterdir()
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def measured(part: str) -> list[dict[str, Any]]:
    """The lines of a part, measured with tiny sizes."""
    sizes = ["--sizes", str(SIZES[part])] if part in SIZES else []
    assert gpu.main([part, "--runs", "2", *sizes]) == 0
    lines: list[dict[str, Any]] = written()["parts"][part]["lines"]
    return lines


# ---- the parts --------------------------------------------------------------------------------


def check_times(found: dict[str, Any]) -> None:
    assert found["runs"] == 2
    for name in ("host_us", "device_us"):
        assert 0 < found[name]["p10"] <= found[name]["median"] <= found[name]["p90"]


@on_kernels
def test_a_launch_is_timed_for_our_operation_for_cupys_and_for_a_kernel() -> None:
    add, matmul, kernel = measured("launch")
    assert (add["shape"], matmul["shape"], kernel["shape"]) == ([16], [4, 4], [16])
    assert set(add["peers"]) == set(matmul["peers"]) == {"tinygrad_opt", "CuPy", "PyTorch"}
    for line in (add, matmul, kernel):
        check_times(line["peers"]["CuPy"])
    assert add["peers"]["tinygrad_opt"]["ratio"] is None
    assert set(add["peers"]["CuPy"]["ratio"]) == {"median", "q1", "q3"}


@on_kernels
def test_an_optimizer_step_is_compared_with_a_copy_of_as_many_bytes() -> None:
    lines = measured("optimizer")
    assert [(line["rule"], line["bytes"], line["tensors"]) for line in lines] == [
        (rule, each, tensors)
        for tensors in (1, 50)
        for rule, each in (("SGD", 12), ("momentum", 20), ("Adam", 28), ("AdamW", 28))
    ]
    for line in lines:
        ours, copy = line["peers"]["tinygrad_opt"], line["peers"]["copy"]
        check_times(ours)
        moved = 100 * line["bytes"]
        assert ours["GB_s"] == pytest.approx(moved / ours["device_us"]["median"] / 1e3)
        assert copy["of_copy"] == 1
        assert ours["of_copy"] == pytest.approx(ours["GB_s"] / copy["GB_s"])


@on_kernels
@pytest.mark.parametrize("part", ["mlp", "large"])
def test_a_training_step_gives_the_same_losses_on_every_device(part: str) -> None:
    (line,) = measured(part)
    features = {"mlp": 784, "large": 8}[part]
    assert (line["sizes"], line["batch"]) == ([features, 8, 8, 10], 8)
    ours = line["peers"]["tinygrad_opt"]
    check_times(ours)
    products = [features * 8, 8 * 8, 8 * 10]
    flops = 2 * 8 * (2 * products[0] + 3 * products[1] + 3 * products[2])
    assert ours["TFLOP_s"] == pytest.approx(flops / ours["device_us"]["median"] / 1e6)
    if part == "mlp":
        cpu = line["peers"]["tinygrad_opt, CPU"]
        assert cpu["device_us"] is None
        assert cpu["loss_difference"] < 1e-5
        assert cpu["ratio"]["median"] > 0


@on_standin
def test_without_pytorch_launches_are_not_counted() -> None:
    for line in measured("kernels"):
        assert line["peers"] == {"tinygrad_opt": {"launches": None}, "PyTorch": None}


@on_standin
def test_determinism_counts_different_results() -> None:
    scattered, trained, compared = (
        line["peers"]["tinygrad_opt"] for line in measured("determinism")
    )
    for found in (scattered, trained):
        assert (found["tries"], found["different"], found["same_bits"]) == (2, 1, True)
    check_times(scattered)
    assert 0 <= compared["loss_difference"] < 1e-4


@on_kernels
def test_memory_of_live_arrays_does_not_grow_from_step_to_step() -> None:
    (line,) = measured("memory")
    ours = line["peers"]["tinygrad_opt"]
    assert ours["growth"] == ours["after_100"] - ours["after_10"]
    assert 0 <= ours["growth"] < 90 * 512  # the smallest array, once a step
    assert 0 < ours["after_100"] <= ours["held"]


@on_standin
def test_the_first_step_is_timed_in_two_fresh_processes() -> None:
    lines = measured("import")
    assert [line["name"].split()[0] for line in lines] == ["empty", "full"]
    for line in lines:
        seconds = line["peers"]["tinygrad_opt"]
        assert set(seconds) == {"import_s", "first_step_s", "second_step_s"}
        assert min(seconds.values()) > 0


@on_standin
def test_a_line_for_which_memory_does_not_suffice_says_so() -> None:
    with strict_cupy.memory_limit(500):
        lines = measured("optimizer")
    for line in lines:
        assert "not enough memory on cuda:0" in line["error"]
        assert set(line["peers"].values()) == {None}


# ---- the document -----------------------------------------------------------------------------


@on_kernels
def test_parts_are_written_with_date_and_versions_and_those_of_earlier_runs_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured("launch")
    launch = written()["parts"]["launch"]
    measured("large")
    large = written()["parts"]["large"]
    assert written() == {"device": "Stand-in", "parts": {"launch": launch, "large": large}}
    assert launch["date"] <= large["date"]
    assert set(launch["versions"]) == {
        "cuda_of_driver", "cuda_runtime", "cupy", "driver", "numpy", "python", "tinygrad_opt",
        "torch",
    }  # fmt: skip
    assert launch["versions"]["torch"] is None
    assert launch["versions"]["cupy"] == strict_cupy.cupy.__version__
    printed = capsys.readouterr()
    assert "8-8-8-10, batch 8" in printed.out
    assert "PyTorch is not installed" in printed.err


@on_standin
def test_an_interrupt_leaves_the_parts_that_were_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(bench: Any) -> Any:
        yield {"name": "line", "peers": {"tinygrad_opt": {"seconds": 1.5}}}

    def interrupted(bench: Any) -> Any:
        yield from finished(bench)
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "PARTS", {"first": finished, "second": interrupted})
    assert gpu.main([]) == 130
    assert list(written()["parts"]) == ["first"]


@on_standin
def test_a_document_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.write(path, {"device": "GPU", "parts": {}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write(path, {"device": "GPU", "parts": {"mlp": float("nan")}})
    assert json.loads(path.read_text()) == {"device": "GPU", "parts": {}}
    assert not list(tmp_path.glob("*.new"))


@on_standin
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"device": "Other", "parts": {}}',
            "is about Other, this is Stand-in.",
        ),
        ("[]", "holds no results of this program. Name another file."),
    ],
)
def test_a_file_about_something_else_is_refused(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(SystemExit):
        gpu.main(["import", "--output", str(path)])
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert path.read_text() == text


@pytest.mark.host
def test_without_a_gpu_nothing_is_measured_or_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    Device.forget()
    assert gpu.main(["launch"]) == 2
    assert capsys.readouterr().err == f"{why_no_cuda()}\n"
    assert not gpu.RESULTS.exists()


@pytest.mark.host
@pytest.mark.parametrize(
    "words", [["--sizes", "8"], ["import", "--sizes", "8"], ["launch", "--sizes", "0.5"], ["no"]]
)
def test_words_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(words)


# ---- timing -----------------------------------------------------------------------------------


@pytest.mark.host
def test_sizes_may_be_powers_of_ten() -> None:
    assert gpu.count("1e6") == 10**6


@pytest.mark.host
def test_ratios_are_taken_turn_by_turn() -> None:
    assert timing.ratio([1, 4, 9], [1, 2, 3]) == {"median": 2, "q1": 1.5, "q3": 2.5}
    assert timing.spread(range(11)) == {"median": 5, "p10": 1, "p90": 9}


@pytest.mark.host
def test_peers_run_by_turns_and_a_slow_one_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PATIENCE", 0.0)
    calls: list[str] = []
    cpu = Device("cpu")
    steps = {name: (cpu, lambda name=name: calls.append(name)) for name in "ab"}
    times = timing.by_turns(steps, runs=5)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert [len(known.done) for known in times.values()] == [3, 3]


@on_standin
def test_launches_are_what_the_profiler_saw_on_the_gpu_in_its_second_session() -> None:
    sessions = [["cpu", "gpu"], ["gpu", "cpu", "gpu"]]

    @contextlib.contextmanager
    def profile(activities: list[str]) -> Any:
        events = [SimpleNamespace(device_type=kind) for kind in sessions.pop(0)]
        yield SimpleNamespace(events=lambda: events)

    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: True),
        autograd=SimpleNamespace(DeviceType=SimpleNamespace(CUDA="gpu")),
        profiler=SimpleNamespace(profile=profile, ProfilerActivity=SimpleNamespace(CUDA="gpu")),
    )
    assert timing.launches(torch, Device("cuda"), lambda: None) == 2
    assert not sessions


# ---- PyTorch ----------------------------------------------------------------------------------


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """PyTorch on its CPU in the place of its GPU, in float32, beside us on the stand-in."""
    module = importlib.import_module("torch")
    monkeypatch.setattr(gpu, "pytorch", lambda: (module, None))
    monkeypatch.setattr(timing, "TORCH_DEVICE", "cpu")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float32)
    yield module
    module.set_default_dtype(before)


@pytest.mark.oracle
@pytest.mark.on("cpu")
@pytest.mark.parametrize("part", [part for part in gpu.PARTS if part != "import"])
def test_pytorch_does_the_same_work(part: str, torch: Any) -> None:
    Device.forget()
    try:
        with use_kernels(False), strict_cupy.installed():
            lines = measured(part)
    finally:
        Device.forget()
    theirs = [line["peers"][peer] for line in lines for peer in line["peers"] if "PyT" in peer]
    assert theirs
    for found in theirs:
        assert found.get("loss_difference", 0) < 1e-5
        assert "ratio" not in found or found["ratio"]["median"] > 0
