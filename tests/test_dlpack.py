"""One memory in two libraries: in and out by DLPack, and what cannot be shared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Device, DeviceError, Tensor

DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
on_cpu = pytest.mark.on("cpu")
on_gpus = pytest.mark.on("standin", "cuda")


class Foreign:
    """An array of another library, as far as DLPack looks at it."""

    def __init__(self, device: tuple[int, int], error: Exception | None = None) -> None:
        self.device, self.error = device, error

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **_: Any) -> Any:
        raise self.error or AssertionError("nobody should ask for the memory")


# ---- in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_the_device_comes_in_without_a_copy(on_device: Device, dtype: str) -> None:
    array = on_device.from_host(np.array([[0, 1, 2], [3, 4, 5]], dtype))
    for x in (tg.from_dlpack(array), Tensor.from_dlpack(array.T)):
        assert (x.device, x.dtype) == (on_device, dtype)
        assert not x.requires_grad
    array[0, 0] = 1
    assert x.tolist()[0][0] == 1
    np.testing.assert_array_equal(host(x), host(array).T)


@on_gpus
def test_an_array_of_the_host_stays_there() -> None:
    assert tg.from_dlpack(np.ones(2)).device is Device("cpu")


@pytest.mark.on("standin")
def test_an_array_of_the_second_gpu_stays_there() -> None:
    x = tg.arange(3, device="cuda:1")
    y = tg.from_dlpack(x)
    assert (y.device, y.tolist()) == (Device("cuda:1"), [0, 1, 2])
    x += 1
    assert y.tolist() == [1, 2, 3]


def test_what_does_not_share_is_refused(on_device: Device) -> None:
    with pytest.raises(TypeError) as error:
        tg.from_dlpack([1.0])
    assert str(error.value) == (
        "from_dlpack: a list does not share its memory. Copy it: tensor(...)."
    )
    with pytest.raises(TypeError, match="complex64 data is not numeric"):
        tg.from_dlpack(on_device.from_host(np.ones(2, "complex64")))


@pytest.mark.parametrize(("kind", "name"), [(8, "Metal"), (10, "ROCm"), (99, "foreign")])
def test_memory_out_of_reach_is_named(kind: int, name: str) -> None:
    with pytest.raises(DeviceError) as error:
        tg.from_dlpack(Foreign((kind, 0)))
    assert str(error.value) == (
        f"from_dlpack: the array is in {name} memory; tensors are on the CPU or on CUDA devices. "
        "Move it to the CPU first, in its own library."
    )


@on_cpu
def test_an_array_on_a_gpu_needs_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match='device "cuda" needs CuPy, which is not installed'):
        tg.from_dlpack(Foreign((2, 0)))


@on_cpu
@pytest.mark.parametrize("kind", [BufferError, RuntimeError, NotImplementedError])
def test_what_its_owner_keeps_is_a_sentence(kind: type[Exception]) -> None:
    with pytest.raises(BufferError) as error:
        tg.from_dlpack(Foreign((1, 0), kind("Unsupported dtype in DLTensor.")))
    assert str(error.value) == (
        "from_dlpack: the Foreign cannot be shared: Unsupported dtype in DLTensor. Copy it "
        "instead, as a NumPy array: tensor(...)."
    )


@on_cpu
def test_what_came_in_read_only_is_read_and_not_written() -> None:
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    x = tg.from_dlpack(array)
    assert (x + 1).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError) as error:
        x += 1
    assert str(error.value) == (
        "x += ...: x shows memory that is read-only, of another library perhaps. Write "
        "x = x.clone() first."
    )
    y = x.clone()
    y += 1
    assert (x.tolist(), y.tolist()) == ([1, 1, 1], [2, 2, 2])


@on_cpu
def test_read_only_weights_can_be_trained() -> None:
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    w = tg.from_dlpack(array).requires_grad_()
    (w * w).sum().backward()
    tg.optim.SGD([w], lr=0.25).step()
    assert w.tolist() == [0.5, 0.5, 0.5]
    assert array.tolist() == [1, 1, 1]


# ---- out --------------------------------------------------------------------------------------


@on_cpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_sees_the_same_memory(dtype: str) -> None:
    x = tg.tensor(np.arange(6).reshape(2, 3).astype(dtype))
    array = np.from_dlpack(x)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, x.data)
    x.data[1, 2] = 0  # before 2.3, NumPy itself writes into nothing that came to it
    assert array[1, 2] == 0
    assert np.shares_memory(np.from_dlpack(x.T), x.data)


@on_gpus
@pytest.mark.parametrize("dtype", DTYPES)
def test_cupy_sees_the_same_memory(dtype: str) -> None:
    x = tg.tensor(np.arange(6).reshape(2, 3).astype(dtype))
    array = x.device.xp.from_dlpack(x)
    assert array.dtype == dtype
    x.data[1, 2] = 0
    assert array[1, 2].item() == 0


@on_gpus
def test_numpy_gets_a_copy_where_it_asks_for_one() -> None:
    x = tg.tensor([1.0, 2.0])
    assert np.from_dlpack(x, device="cpu").tolist() == [1, 2]


def test_a_tensor_comes_back_as_it_was(on_device: Device) -> None:
    x = tg.rand(2, 3)
    y = tg.from_dlpack(x)
    assert y.device is on_device
    x[:] = 0.5
    assert y.tolist() == [[0.5] * 3] * 2


def test_a_tensor_knows_the_number_of_its_device(on_device: Device) -> None:
    kind = 1 if on_device.kind == "cpu" else 2
    assert tg.ones(2).__dlpack_device__() == (kind, 0)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            lambda: tg.ones(2, requires_grad=True),
            "dlpack: the tensor requires a gradient, and its graph would be lost. Write "
            "t.detach().",
        ),
        (
            lambda: tg.ones(2, requires_grad=True) * 2,
            "dlpack: the tensor requires a gradient, and its graph would be lost. Write "
            "t.detach().",
        ),
        (
            lambda: tg.arange(3)[::-1],
            "dlpack: an axis of the tensor runs backwards, as in x[::-1], which not every library "
            "can show. Write t.clone().",
        ),
    ],
)
def test_what_cannot_go_out_says_what_to_write(made: Callable[[], Tensor], sentence: str) -> None:
    t = made()
    with pytest.raises(BufferError) as error:
        t.device.xp.from_dlpack(t)
    assert str(error.value) == sentence
    t.device.xp.from_dlpack(t.detach().clone())


@on_cpu
def test_read_only_memory_goes_to_those_who_can_be_told() -> None:
    x = tg.from_dlpack(np.broadcast_to(np.ones(2), (3, 2)))
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError) as error:
        x.__dlpack__()
    assert str(error.value) == (
        "dlpack: the tensor is read-only, which this library cannot be told. Write t.clone()."
    )
    x.clone().__dlpack__()


# ---- the libraries themselves -----------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", DTYPES)
def test_pytorch_shares_both_ways(dtype: str) -> None:
    import torch

    theirs = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    ours = tg.from_dlpack(theirs)
    theirs[0, 1] = 0
    np.testing.assert_array_equal(ours.data, theirs.numpy())
    assert ours.dtype == dtype
    back = torch.from_dlpack(ours)
    assert back.dtype == theirs.dtype
    assert back.data_ptr() == theirs.data_ptr()
    assert torch.from_dlpack(ours.T).stride() == (1, 3)


@pytest.mark.oracle
def test_pytorch_s_refusals_are_passed_on() -> None:
    import torch

    for theirs, says in (
        (torch.ones(2, requires_grad=True), "require gradient"),
        (torch.ones(2, dtype=torch.bfloat16), "Unsupported dtype"),
    ):
        with pytest.raises(
            BufferError, match=f"from_dlpack: the Tensor cannot be shared: .*{says}"
        ):
            tg.from_dlpack(theirs)
    for ours in (tg.ones(2, requires_grad=True), tg.arange(3)[::-1]):  # the last ends PyTorch
        with pytest.raises(BufferError, match="dlpack: "):
            torch.from_dlpack(ours)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32"])
def test_jax_shares_both_ways(dtype: str) -> None:
    import jax

    theirs = jax.numpy.arange(6).reshape(2, 3).astype(dtype)
    ours = tg.from_dlpack(theirs)
    np.testing.assert_array_equal(ours.data, np.asarray(theirs))
    assert not ours.data.flags.writeable
    with pytest.raises(BufferError, match="read-only, which this library cannot be told"):
        jax.dlpack.from_dlpack(ours)
    again = jax.dlpack.from_dlpack(ours.clone())
    assert again.dtype == dtype
    np.testing.assert_array_equal(np.asarray(again), ours.data)
