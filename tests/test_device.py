"""Devices: names, moving between them, what is missing and what does not fit, and the default."""

from __future__ import annotations

import contextlib
import importlib.machinery
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.standin import strict_cupy
from tinygrad_opt import Device, DeviceError, OutOfMemory, default_device, nn, optim, use_device
from tinygrad_opt.device import ENVIRONMENT_VARIABLE, readable, why_no_cuda

CPU = Device("cpu")
on_cpu = pytest.mark.on("cpu")
on_standin = pytest.mark.on("standin")  # which has two GPUs
on_gpus = pytest.mark.on("standin", "cuda")


@pytest.fixture(autouse=True)
def the_cpu_goes_on_working(on_device: Device) -> Iterator[None]:
    """Whatever a test did to GPUs."""
    yield
    with use_device("cpu"):
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        (w * w).sum().backward()
        tg.optim.SGD([w], lr=0.25).step()
        assert w.tolist() == [0.5, 1.0]


@on_gpus
def test_the_readme_s_lines_for_gpus_run(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = readme.partition("## On a GPU")[2]
    with use_device("cpu"):
        exec(section.partition("```python")[2].partition("```")[0], {})
    assert capsys.readouterr().out == "cuda:0\n"


# ---- names ------------------------------------------------------------------------------------


def test_there_is_one_object_for_each_device() -> None:
    assert Device("cpu") is Device("cpu") is Device(CPU)
    assert repr(CPU) == "cpu"
    assert CPU.xp is np


@on_gpus
def test_a_gpu_has_two_names_and_one_object() -> None:
    gpu = Device("cuda")
    assert Device("cuda:0") is Device("cuda:00") is gpu
    assert (repr(gpu), gpu.kind, gpu.index, gpu.xp) == ("cuda:0", "cuda", 0, sys.modules["cupy"])


@on_standin
def test_each_gpu_has_its_object() -> None:
    assert Device("cuda:1") is not Device("cuda")
    assert repr(Device("cuda:1")) == "cuda:1"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "cpu:0", "", "cuda:-1", None, 1])
def test_an_unknown_name_is_a_sentence(name: object) -> None:
    with pytest.raises(ValueError) as error:
        Device(name)  # type: ignore[arg-type]
    assert str(error.value) == f"device: {name!r} is unknown. Write 'cpu', 'cuda' or 'cuda:1'."


@on_standin
@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_a_device_and_its_tensors_can_be_pickled(name: str) -> None:
    device = Device(name)
    assert pickle.loads(pickle.dumps(device)) is device
    x = tg.tensor([1.0, 2.0], device=device, requires_grad=True)
    again = pickle.loads(pickle.dumps(x))
    assert (again.device, again.requires_grad, again.tolist()) == (device, True, [1, 2])


@on_cpu
def test_what_was_pickled_on_a_gpu_says_what_is_missing_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with strict_cupy.installed():
        saved = pickle.dumps(tg.ones(2, device="cuda"))
    Device.forget()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match='device "cuda" needs CuPy, which is not installed'):
        pickle.loads(saved)


def test_what_the_cpu_does() -> None:
    array = np.ones(2)
    assert CPU.from_host(array) is CPU.to_host(array) is CPU.put(array) is array
    assert CPU.memory() == 0
    assert CPU.memory_info() == (0, 0, 0, 0)
    assert CPU.staging((2, 3), "float32").shape == (2, 3)
    assert not CPU.guarded
    CPU.synchronize()
    CPU.empty_cache()
    with CPU.activate(), CPU.errstate(divide="ignore"):
        assert np.isinf(np.float64(1) / 0)
    assert Device.of(array) is CPU
    with pytest.raises(TypeError, match="a list is neither a NumPy nor a CuPy array"):
        Device.of([1.0])


# ---- moving -----------------------------------------------------------------------------------


@on_gpus
def test_what_a_gpu_does() -> None:
    gpu = Device("cuda")
    array = np.arange(3.0)
    there = gpu.from_host(array)
    assert Device.of(there) is gpu
    assert gpu.put(there) is there
    array[:] = 7
    assert gpu.to_host(there).tolist() == CPU.put(there).tolist() == [0, 1, 2]
    assert gpu.from_host([1, 2], "float16").dtype == np.float16
    room = gpu.staging((2, 3), "float32")
    assert isinstance(room, np.ndarray) and room.shape == (2, 3)
    gpu.synchronize()
    with gpu.errstate(divide="ignore"):
        pass


@on_gpus
def test_memory_is_told_apart() -> None:
    gpu = Device("cuda")
    before = gpu.memory()
    x = tg.zeros(1024, device=gpu)
    view = x[:10]
    assert gpu.memory() - before == 4096
    info = gpu.memory_info()
    assert info.live == gpu.memory()
    assert 0 < info.free < info.total
    assert str(info).startswith("live arrays hold ") and str(info).endswith(" are free")
    del x, view
    gpu.empty_cache()
    assert gpu.memory() == before


@on_standin
def test_an_upload_does_not_wait_and_a_download_does() -> None:
    gpu = Device("cuda")
    with strict_cupy.watch() as traffic:
        there = gpu.from_host(np.ones(3))
    assert (len(traffic.uploads), traffic.syncs) == (1, [])
    with strict_cupy.watch() as traffic:
        gpu.to_host(there)
        gpu.synchronize()
    assert (traffic.uploads, traffic.syncs) == ([], ["get()", "Device.synchronize()"])


@on_standin
def test_between_gpus_nothing_passes_the_host() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda:0", requires_grad=True)
    with strict_cupy.watch() as traffic:
        y = x.detach().T.to("cuda:1")
        z = tg.nn.Parameter(x.detach()).to("cuda:1")
    assert (traffic.uploads, traffic.syncs) == ([], [])
    assert (y.device, y._data.device.id, z.device) == (Device("cuda:1"), 1, Device("cuda:1"))
    assert y.tolist() == [[1, 3], [2, 4]]
    with Device("cuda:1").activate():
        y += 1
    assert x.tolist() == [[1, 2], [3, 4]]


def test_a_tensor_moves_and_keeps_what_it_is(on_device: Device) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.name = "w"
    y = x.to(on_device)
    assert y is x
    y = x.cpu()
    assert (repr(y.device), y.name, y.requires_grad, y.is_leaf) == ("cpu", "w", True, True)
    back = y.to(on_device)
    assert (back.device, back.tolist()) == (on_device, [1, 2])


@on_gpus
def test_a_gpu_shows_in_the_repr() -> None:
    assert "device=cuda:0" in repr(tg.ones(2).cuda())
    with pytest.raises(DeviceError, match=r"part of a graph\. Move its inputs instead"):
        (tg.ones(2, device="cpu", requires_grad=True) * 2).to("cuda")


def test_numbers_as_numpy() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    assert isinstance(tg.asnumpy(y), np.ndarray)
    assert tg.asnumpy(y).tolist() == tg.asnumpy(y.data).tolist() == [2, 4]
    assert tg.asnumpy(np.ones(2)).tolist() == [1, 1]
    with pytest.raises(TypeError, match="a list is neither a NumPy nor a CuPy array"):
        tg.asnumpy([1.0])


@on_cpu
def test_numbers_on_the_cpu_are_shared() -> None:
    x = tg.ones(2, requires_grad=True)
    assert tg.asnumpy(x) is x.data


@on_gpus
def test_numpy_refuses_a_tensor_on_a_gpu() -> None:
    with pytest.raises(DeviceError) as error:
        tg.ones(2).numpy()
    assert str(error.value) == "numpy: the tensor is on cuda:0. Write t.cpu().numpy()."


# ---- the second gpu ---------------------------------------------------------------------------


@on_standin
def test_work_is_guarded_only_where_a_second_gpu_is_in_use() -> None:
    first = Device("cuda")
    assert not first.guarded
    second = Device("cuda:1")
    assert first.guarded and second.guarded and not CPU.guarded
    Device.forget()
    assert not Device("cuda").guarded


@on_standin
@pytest.mark.parametrize("where", ["argument", "block", "cuda()", "to()"])
def test_tensors_are_made_on_the_second_gpu(where: str) -> None:
    ways: dict[str, Callable[[], tg.Tensor]] = {
        "argument": lambda: tg.zeros(3, device="cuda:1"),
        "cuda()": lambda: tg.zeros(3, device="cpu").cuda(1),
        "to()": lambda: tg.zeros(3).to("cuda:1"),
    }
    if where == "block":
        with use_device("cuda:1"):
            x = tg.zeros(3)
    else:
        x = ways[where]()
    assert x.device is Device("cuda:1") and x._data.device.id == 1
    y = (x + 1).exp().sum()
    assert y.device is x.device and y._data.device.id == 1
    assert y.cpu().item() == pytest.approx(3 * np.e)


@on_standin
def test_training_on_the_second_gpu_leaves_nothing_on_the_first() -> None:
    second = Device("cuda:1")
    model = nn.Sequential(
        nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    ).to(second)
    optimizer = tg.optim.AdamW(model.parameters(), lr=0.1)
    batches = tg.data.DataLoader(
        (np.ones((8, 4), np.float32), np.arange(8) % 3), batch_size=4, device=second
    )
    pool = second.xp.get_default_memory_pool()
    assert pool.total_bytes() > 0  # where the model was born
    pool.free_all_blocks()
    assert pool.total_bytes() == 0
    for _ in range(2):
        for x, y in batches:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.device is second and np.isfinite(loss.item())
    assert pool.total_bytes() == 0  # neither in use nor kept from earlier use


@on_standin
def test_the_second_gpu_computes_what_the_cpu_does() -> None:
    losses = []
    for name in ("cpu", "cuda:1"):
        tg.manual_seed(0)
        with use_device(name):
            model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
            x = tg.linspace(-1, 1, 16).reshape(8, 2)
            optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in range(3):
                loss = nn.functional.mse_loss(model(x), x.sum(axis=1, keepdims=True))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


# ---- two devices in one operation -------------------------------------------------------------


@on_gpus
def test_tensors_on_two_devices_do_not_mix() -> None:
    a, b = tg.ones(2), tg.ones(2, device="cpu")
    for mix in (lambda: a + b, lambda: b @ a, lambda: tg.concatenate([b, a])):
        with pytest.raises(DeviceError) as error:
            mix()
        text = str(error.value)
        assert "cuda:0" in text and "cpu" in text and "Nothing moves by itself" in text


@on_standin
def test_tensors_on_two_gpus_do_not_mix() -> None:
    with pytest.raises(DeviceError) as error:
        tg.ones(2) * tg.ones(2, device="cuda:1")
    text = str(error.value)
    assert "cuda:0" in text and "cuda:1" in text and "Nothing moves by itself" in text


@on_gpus
def test_raw_arrays_are_wrapped_first() -> None:
    x = tg.ones(2)
    for array in (np.ones(2), CPU.put(x.data), x.data):
        for operate in (lambda a: x + a, lambda a: a * x):
            with pytest.raises(TypeError, match=r'Wrap it: tensor\(array, device="cuda:0"\)\.$'):
                operate(array)


@on_gpus
def test_a_model_half_of_which_was_moved_names_what_stayed() -> None:
    with use_device("cpu"):
        model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        optim.SGD(model.parameters())
    model[0].to("cuda")
    with pytest.raises(DeviceError) as error:
        model(tg.ones(4, 2))
    text = str(error.value)
    assert "cuda:0" in text and "cpu" in text and "1.weight" in text
    assert model.to("cuda")(tg.ones(4, 2)).shape == (4, 1)


# ---- what is missing --------------------------------------------------------------------------

NO_CUPY = (
    'device "cuda" needs CuPy, which is not installed: pip install "tinygrad-opt[cuda13]" '
    "(or cuda12, whichever the driver supports)."
)
NO_GPU = (
    "CuPy is installed but finds no usable CUDA device. Is there a GPU, and is its driver new "
    "enough? nvidia-smi shows both."
)


@on_cpu
def test_cupy_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for ask in (
        lambda: Device("cuda"),
        lambda: tg.ones(2).cuda(),
        lambda: nn.Linear(1, 1).to("cuda"),
        lambda: tg.data.DataLoader(([[1.0]], [1.0]), device="cuda"),
    ):
        with pytest.raises(DeviceError) as error:
            ask()
        assert str(error.value) == why_no_cuda() == NO_CUPY


class Broken:
    """What finds a CuPy that cannot be imported."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name == "cupy":
            raise self.error
        return None


@on_cpu
@pytest.mark.parametrize(
    "error",
    [
        ImportError("\n====\nFailed to import CuPy.\n\nlibcudart.so.13: cannot open\n====\n"),
        ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
        ValueError("numpy.dtype size changed"),
    ],
)
def test_a_broken_cupy_shows_its_own_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])
    with pytest.raises(type(error)) as raised:
        Device("cuda")
    assert raised.value is error
    reason = why_no_cuda()
    assert reason is not None
    assert reason.startswith("CuPy is installed, and importing it fails: ")
    assert " ".join(str(error).split()) in reason


@on_standin
@pytest.mark.parametrize("visible", [None, ""])
def test_cupy_without_a_gpu(monkeypatch: pytest.MonkeyPatch, visible: str | None) -> None:
    Device.forget()
    monkeypatch.setattr(strict_cupy.cupy, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError) as error:
        Device("cuda")
    hidden = "" if visible is None else " CUDA_VISIBLE_DEVICES= hides all others."
    assert str(error.value) == why_no_cuda() == NO_GPU + hidden
    monkeypatch.setattr(strict_cupy.cupy, "is_available", lambda: True)  # it is tried again
    assert Device("cuda").xp is strict_cupy.cupy
    assert why_no_cuda() is None


@on_standin
@pytest.mark.parametrize(("count", "there"), [(1, "only cuda:0"), (2, "cuda:0 to cuda:1")])
def test_an_index_out_of_range(monkeypatch: pytest.MonkeyPatch, count: int, there: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(strict_cupy.cupy.cuda.runtime, "getDeviceCount", lambda: count)
    for ask in (lambda: Device("cuda:3"), lambda: tg.ones(2).cuda(3)):
        with pytest.raises(DeviceError) as error:
            ask()
        assert str(error.value) == f"there is no cuda:3: this machine has {there}."


# ---- what does not fit ------------------------------------------------------------------------


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Inside the block, so many bytes fit beside what is there."""
    pool = sys.modules["cupy"].get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(pool.total_bytes() + size)
    try:
        yield
    finally:
        pool.set_limit(0)


@on_standin
def test_what_does_not_fit_is_a_sentence() -> None:
    x = tg.zeros(1024)
    with room_for(2**20 - 4096), pytest.raises(OutOfMemory) as error:
        tg.zeros(2**20)
    assert x.tolist() == [0] * 1024
    assert isinstance(error.value, DeviceError) and isinstance(error.value, MemoryError)
    assert str(error.value) == (
        "not enough memory on cuda:0 for 4 MiB more: live arrays hold 4 KiB, CuPy keeps 0 bytes "
        "more, 16 GiB of 16 GiB are free, CuPy's limit is 1 MiB. Take smaller batches or "
        "a smaller network, evaluate under no_grad(), and keep loss.item() where you keep losses: "
        "a loss holds its whole graph. Where libraries share the GPU, torch.cuda.empty_cache() "
        "gives back what PyTorch keeps unused, and Device.empty_cache() what CuPy keeps."
    )


@on_standin
@pytest.mark.parametrize(
    "grow",
    [
        lambda w: tg.randn(2**18),
        lambda w: tg.Tensor(np.ones(2**18), device="cuda"),
        lambda w: tg.ones(2**18, device="cpu").cuda(),
        lambda w: w.reshape(512, 1) * w,
        lambda w: tg.stack([w] * 512),
        lambda w: nn.Linear(1024, 1024),
        lambda w: nn.Linear(512, 512, device="cpu").to("cuda"),
    ],
)
def test_whatever_asks_for_too_much_gets_the_same_sentence(
    grow: Callable[[tg.Tensor], object],
) -> None:
    w = tg.ones(512, requires_grad=True)
    with room_for(2**18), pytest.raises(OutOfMemory) as error:
        grow(w)
    assert str(error.value).startswith("not enough memory on cuda:0 for ")
    assert (w + 1).sum().item() == 1024


@on_standin
def test_the_backward_pass_may_run_out_of_memory_too() -> None:
    x = tg.ones(64, 64, requires_grad=True)
    loss = ((x.exp() + 1).exp() * x).sum()
    with room_for(20_000), pytest.raises(OutOfMemory, match="on cuda:0 for 16 KiB more"):
        loss.backward()
    assert x.grad is None
    loss.backward()
    assert x.grad is not None


@on_standin
def test_a_model_that_does_not_fit_moves_not_at_all() -> None:
    with use_device("cpu"):
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(256, 256))
    with room_for(2**16), pytest.raises(OutOfMemory):
        model.to("cuda")
    assert {p.device for p in model.parameters()} == {CPU}


@on_standin
def test_data_that_do_not_fit_are_told_where_to_stay() -> None:
    x = np.ones((1024, 64), np.float32)
    with room_for(2**16):
        with pytest.raises(OutOfMemory, match=r'DataLoader: .* keep_on="host"\)\. not enough mem'):
            tg.data.DataLoader((x, x), device="cuda")
        batches = tg.data.DataLoader((x, x), device="cuda", keep_on="host")
        assert sum(len(x) for x, _ in batches) == 1024


@on_gpus
def test_no_gpu_has_a_pebibyte() -> None:
    with pytest.raises(OutOfMemory, match=r"not enough memory on cuda:0 for 1.* more: live"):
        tg.zeros(2**48)


@on_cpu
def test_the_cpu_runs_out_of_memory_with_the_same_advice() -> None:
    column = tg.zeros(2**24, 1)
    for ask in (lambda: tg.zeros(2**48), lambda: column + column.T):
        with pytest.raises(OutOfMemory, match=r"not enough memory on cpu for .* more\. Take"):
            ask()


@pytest.mark.host
@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1536, "1.5 KiB"),
        (80 * 2**30, "80 GiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_bytes_are_readable(count: int, text: str) -> None:
    assert readable(count) == text


# ---- the default ------------------------------------------------------------------------------


@on_cpu
def test_the_default_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "cpu"):
        if value is not None:
            monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
        assert default_device() is tg.zeros(2).device is CPU


@on_gpus
def test_the_innermost_block_names_the_default() -> None:
    with use_device("cuda") as gpu:
        assert default_device() is gpu
        assert tg.zeros(2).device is tg.tensor([1.0]).device is tg.rand(2).device is gpu
        assert tg.zeros(2, device="cpu").device is CPU
        with use_device("cpu"):
            assert tg.ones(2).device is CPU
        assert default_device() is gpu


@on_gpus
def test_an_exception_gives_the_default_back() -> None:
    before = default_device()
    with pytest.raises(KeyError), use_device("cpu"):
        raise KeyError
    assert default_device() is before


@on_cpu
def test_the_environment_names_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "cuda:1")
    with strict_cupy.installed():
        assert repr(tg.zeros(2).device) == "cuda:1"
        with use_device("cpu"):
            assert tg.zeros(2).device is CPU
    Device.forget()


@on_cpu
def test_a_default_that_cannot_be_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "toaster")
    with pytest.raises(
        ValueError, match=r"TINYGRAD_OPT_DEVICE is 'toaster': .* Write 'cpu', 'cuda'"
    ):
        tg.zeros(2)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "cuda")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError) as error:
        nn.Linear(1, 1)
    assert str(error.value) == f"TINYGRAD_OPT_DEVICE is 'cuda': {NO_CUPY}"


def test_an_array_stays_where_it_is_whatever_the_default(on_device: Device) -> None:
    assert tg.Tensor(np.ones(2)).device is CPU
    raw = on_device.from_host(np.ones(2))
    with use_device("cpu"):
        assert tg.Tensor(raw).device is on_device


def test_the_same_seed_gives_the_same_values_everywhere(on_device: Device) -> None:
    def drawn(device: Device) -> list[list[float]]:
        tg.manual_seed(0)
        with use_device(device):
            model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
            return [host(t).tolist() for t in (tg.randn(3), tg.rand(3), *model.parameters())]

    assert drawn(on_device) == drawn(CPU)
