"""Every test runs on every device at hand, and starts from the same random numbers.

    pytest                  on the CPU, and on a stand-in that has CuPy's names and refusals
    pytest -m kernels       on the stand-in, with the real kernels compiled for the CPU
    pytest -m gpu           on a GPU
    pytest --device cpu     on this one only
    pytest --one-in 4       a quarter of the cases of each test, for a first look

A test that is `slow`, or needs what a plain installation has not, runs where `-m` names its mark.

New tensors land on the device of the run (`default_device()`). A test in which no tensor takes part
is marked `host` and runs once; one about the CPU itself says ``@pytest.mark.on("cpu")``.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
from collections.abc import Iterator

import pytest

from tests.devices import devices_of, drawn, left_out, selected
from tests.standin import strict_cupy
from tinygrad_opt.device import Device, use_device, why_no_cuda
from tinygrad_opt.kernels import use_kernels
from tinygrad_opt.random_numbers import manual_seed


def pytest_addoption(parser: pytest.Parser) -> None:
    """Less, where a second look at the same code gains little: under another Python or NumPy."""
    parser.addoption("--device", choices=["cpu", "standin"], help="run on this device only")
    parser.addoption("--one-in", type=int, default=1, metavar="N", help="each N-th case of a test")


def pytest_configure(config: pytest.Config) -> None:
    """Say in one sentence what a run needs and does not find."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `&` in a script takes away
    if selected(config) == ["cuda"] and (reason := why_no_cuda()):
        raise pytest.UsageError(f"-m gpu: {reason}")
    if selected(config) == ["kernels"]:
        try:
            importlib.import_module("tests.kernels.attach")
        except ImportError as error:
            raise pytest.UsageError(
                f"-m kernels: {error}. It takes g++, and pip install cupy-cuda13x "
                "nvidia-cuda-nvrtc nvidia-cuda-nvrtc-cu12; a GPU is not needed."
            ) from None


def pytest_report_header(config: pytest.Config) -> str:
    """Whether there is a GPU, so that nobody takes "not selected" for "passed"."""
    reason = why_no_cuda()
    return f"cuda: not available ({reason})" if reason else "cuda: available"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test on the devices of this run."""
    devices = devices_of(metafunc.definition, metafunc.config)
    metafunc.parametrize("on_device", devices, indirect=True, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what nobody asked for or has no device; pytest would say that it was skipped."""
    here: list[pytest.Item] = []
    absent: list[pytest.Item] = []
    for item in items:
        device = item.callspec.params["on_device"] if isinstance(item, pytest.Function) else ""
        wanted = isinstance(device, str) and not left_out(item)
        wanted = wanted and drawn(item, config.getoption("one_in"))
        (here if wanted else absent).append(item)
    config.hook.pytest_deselected(items=absent)
    items[:] = here


@pytest.fixture(autouse=True)
def on_device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """The device on which new tensors land."""
    if request.param == "cpu":
        yield Device("cpu")
        return
    Device.forget()
    with contextlib.ExitStack() as block:
        block.callback(Device.forget)
        block.enter_context(use_kernels(request.param != "standin"))
        if request.param == "kernels":
            block.enter_context(importlib.import_module("tests.kernels.attach").attached())
        if request.param != "cuda":
            block.enter_context(strict_cupy.installed())
        yield block.enter_context(use_device("cuda"))


@pytest.fixture(autouse=True)
def seeded(on_device: Device) -> None:
    """The generator behind initialization, dropout and `randn`."""
    manual_seed(0)
