"""Devices on a machine without a GPU: names, the default, and what is said about CuPy."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt.device import (
    ENVIRONMENT_VARIABLE,
    Device,
    DeviceError,
    default_device,
    use_device,
    why_no_cuda,
)

CPU = Device("cpu")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Devices made with a false CuPy are forgotten, and the one of the CPU is kept."""
    known = dict(Device._known)
    yield
    Device._known.clear()
    Device._known.update(known)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """NumPy under the name of CuPy, with one GPU that is not there."""
    module = types.ModuleType("cupy")
    module.asarray, module.asnumpy = np.array, np.array
    module.is_available = lambda: True
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)
    module.entered = []

    class Current:
        def __init__(self, index: int) -> None:
            self.index = index

        def __enter__(self) -> None:
            module.entered.append(self.index)

        def __exit__(self, *_: object) -> None:
            module.entered.append("left")

        def synchronize(self) -> None:
            module.entered.append("waited")

    module.cuda = types.SimpleNamespace(runtime=runtime, Device=Current)
    pool = types.SimpleNamespace(used_bytes=lambda: 1024)
    module.get_default_memory_pool = lambda: pool
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


# ---- names ------------------------------------------------------------------------------------


def test_there_is_one_object_for_each_device() -> None:
    assert Device("cpu") is Device("cpu") is Device(CPU)
    assert repr(CPU) == "cpu"
    assert CPU.xp is np
    assert pickle.loads(pickle.dumps(CPU)) is CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "cpu:0", "", "cuda:-1", None])
def test_an_unknown_name_is_a_sentence(name: object) -> None:
    with pytest.raises(ValueError) as error:
        Device(name)  # type: ignore[arg-type]
    assert str(error.value) == f"device: {name!r} is unknown. Write 'cpu', 'cuda' or 'cuda:1'."


def test_what_the_cpu_does() -> None:
    array = np.ones(2)
    assert CPU.from_host(array) is array
    assert CPU.to_host(array) is array
    assert CPU.memory() == 0
    CPU.synchronize()
    with CPU.activate(), CPU.errstate(divide="ignore"):
        assert np.isinf(np.float64(1) / 0)
    assert Device.of(array) is CPU
    with pytest.raises(TypeError, match="a list is neither a NumPy nor a CuPy array"):
        Device.of([1.0])


# ---- CuPy -------------------------------------------------------------------------------------


def test_cupy_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCuPy:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cupy":
                raise ModuleNotFoundError("No module named 'cupy'", name="cupy")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoCuPy(), *sys.meta_path])
    text = (
        'device "cuda" needs CuPy, which is not installed: pip install "tinygrad-opt[cuda13]" '
        "(or cuda12, whichever the driver supports)."
    )
    with pytest.raises(DeviceError) as error:
        Device("cuda")
    assert str(error.value) == text
    assert why_no_cuda() == text
    with pytest.raises(DeviceError):
        tg.ones(2).cuda()


def test_a_broken_cupy_shows_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cupy":
                raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match="libcudart"):
        Device("cuda")
    assert "libcudart" in why_no_cuda()


def test_cupy_without_a_gpu(cupy: types.ModuleType) -> None:
    cupy.is_available = lambda: False
    with pytest.raises(DeviceError) as error:
        Device("cuda")
    assert str(error.value) == (
        "CuPy is installed but finds no usable CUDA device. Is there a GPU, and is its driver new "
        "enough? nvidia-smi shows both."
    )


def test_an_index_out_of_range(cupy: types.ModuleType) -> None:
    with pytest.raises(DeviceError) as error:
        Device("cuda:3")
    assert str(error.value) == (
        'there is no "cuda:3": this machine has 1 CUDA device(s), counted from 0.'
    )


def test_a_device_that_fails_is_tried_again(cupy: types.ModuleType) -> None:
    cupy.is_available = lambda: False
    with pytest.raises(DeviceError):
        Device("cuda")
    cupy.is_available = lambda: True
    assert Device("cuda").xp is cupy
    assert why_no_cuda() is None


def test_the_gpu_is_active_where_arrays_are_made(cupy: types.ModuleType) -> None:
    gpu = Device("cuda")
    assert Device("cuda:0") is gpu
    assert repr(gpu) == "cuda:0"
    assert gpu.from_host([1.0, 2.0]).tolist() == [1, 2]
    assert cupy.entered == [0, "left"]
    assert gpu.memory() == 1024
    gpu.synchronize()
    assert cupy.entered[-1] == "waited"
    with gpu.errstate(divide="ignore"):
        pass
    assert pickle.loads(pickle.dumps(gpu)) is gpu


def test_a_tensor_moves_and_keeps_what_it_is(cupy: types.ModuleType) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.name = "w"
    y = x.cuda()
    assert (repr(y.device), y.name, y.requires_grad, y.is_leaf) == ("cuda:0", "w", True, True)
    assert y.cpu().tolist() == [1, 2]
    assert y.cpu().device is CPU
    assert "device=cuda:0" in repr(y)
    with pytest.raises(DeviceError, match=r"part of a graph\. Move its inputs instead"):
        (x * 2).to("cuda")


# ---- the default ------------------------------------------------------------------------------


def test_the_default_is_the_cpu_unless_a_block_says_otherwise(cupy: types.ModuleType) -> None:
    assert default_device() is CPU
    with use_device("cuda") as gpu:
        assert default_device() is gpu
        assert tg.zeros(2).device is tg.tensor([1.0]).device is tg.rand(2).device is gpu
        assert tg.zeros(2, device="cpu").device is CPU
        with use_device("cpu"):
            assert tg.ones(2).device is CPU
        assert default_device() is gpu
    assert default_device() is CPU
    assert tg.zeros(2).device is CPU


def test_an_exception_gives_the_default_back(cupy: types.ModuleType) -> None:
    with pytest.raises(KeyError), use_device("cuda"):
        raise KeyError
    assert default_device() is CPU


def test_the_environment_names_a_default(
    cupy: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "cuda")
    assert repr(tg.zeros(2).device) == "cuda:0"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "toaster")
    with pytest.raises(ValueError, match="'toaster' is unknown"):
        tg.zeros(2)


def test_an_array_stays_where_it_is_whatever_the_default(cupy: types.ModuleType) -> None:
    with use_device("cuda"):
        assert tg.Tensor(np.ones(2)).device is CPU


def test_the_same_seed_gives_the_same_values_everywhere(cupy: types.ModuleType) -> None:
    tg.manual_seed(0)
    here = tg.randn(3).tolist()
    tg.manual_seed(0)
    assert tg.randn(3, device="cuda").tolist() == here
