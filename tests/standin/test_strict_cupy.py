"""The stand-in's arithmetic is NumPy's, and its arrays behave as CuPy's."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.standin import strict_cupy
from tests.standin.strict_cupy import watch

pytestmark = pytest.mark.host


@pytest.fixture
def xp() -> Iterator[Any]:
    with strict_cupy.installed() as module:
        yield module


@pytest.fixture
def x(xp: Any) -> Any:
    return xp.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_arithmetic_is_numpys(xp: Any, x: Any) -> None:
    h = x.get()
    rows = np.asarray([[0], [2]])
    windows = xp.lib.stride_tricks.sliding_window_view
    for mine, numpys in [
        (x + 1.0, h + 1.0),
        (2.0 - x, 2.0 - h),
        (x / 3, h / 3),
        (x**2, h**2),
        (-x, -h),
        (x @ x.T, h @ h.T),
        (x > 2, h > 2),
        (x[1:, ::2], h[1:, ::2]),
        (x[[0, 1], [2, 0]], h[[0, 1], [2, 0]]),
        (xp.where(x > 2, x, 0.0), np.where(h > 2, h, 0.0)),
        (xp.concatenate([x, x], axis=1), np.concatenate([h, h], axis=1)),
        (xp.einsum("ij,kj->ik", x, x), np.einsum("ij,kj->ik", h, h)),
        (xp.maximum(x, 2.0), np.maximum(h, 2.0)),
        (x.reshape(3, 2).swapaxes(0, 1), h.reshape(3, 2).swapaxes(0, 1)),
        (xp.take_along_axis(x, xp.asarray(rows), 1), np.take_along_axis(h, rows, 1)),
        (windows(x, (2, 2)), np.lib.stride_tricks.sliding_window_view(h, (2, 2))),
    ]:
        assert mine.dtype == numpys.dtype
        np.testing.assert_array_equal(mine.get(), numpys)


def test_reductions_stay_on_the_device(xp: Any, x: Any) -> None:
    with watch() as traffic:
        total = x.sum()
        close = xp.allclose(x, x)
    assert isinstance(total, xp.ndarray) and total.shape == ()
    assert isinstance(close, xp.ndarray)
    assert traffic.syncs == []


def test_python_scalars_are_weak_and_numpy_scalars_are_not(x: Any) -> None:
    assert (x * 0.1).dtype == np.float32
    assert (x * np.float64(0.1)).dtype == np.float64


def test_results_lie_in_c_order(xp: Any, x: Any) -> None:
    assert x.T.flags.f_contiguous and not x.T.flags.c_contiguous
    for result in (x.T + 1, -x.T, xp.exp(x.T), x.T @ x, x.T.copy()):
        assert result.flags.c_contiguous


def test_host_data_are_copied(xp: Any) -> None:
    host = np.ones(3)
    device = xp.asarray(host)
    device += 1
    assert host.tolist() == [1, 1, 1]


def test_views_share_memory_and_know_their_base(xp: Any, x: Any) -> None:
    row = x[0]
    row[...] = 7
    corner = x[0, 0]
    corner += 1
    assert x[0].tolist() == [8, 7, 7]
    assert x.base is None and row.base is x and corner.base is x
    for view in (x.T, x.ravel(), row[1:], xp.broadcast_to(row, (2, 3)), xp.split(row, 3)[1]):
        assert view.base is x
    for owner in (x.T.ravel(), x + 1, x[xp.asarray([0])], x.astype(np.float64)):
        assert owner.base is None
    assert (x.nbytes, x.itemsize, x.strides, x.flags.owndata) == (24, 4, (12, 4), True)
    assert x.data.ptr == row.data.ptr == x[1].data.ptr - 12


def test_an_array_of_its_own_on_memory_that_is_there(xp: Any, x: Any) -> None:
    last = xp.ndarray((3,), np.float32, x.data + 12)
    last[...] = 0
    assert last.base is None
    assert x.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_what_is_passed_as_out_is_returned(xp: Any, x: Any) -> None:
    out = xp.empty_like(x)
    assert xp.add(x, x, out=out) is out
    assert x.sum(axis=0, out=out[0]).tolist() == x.get().sum(axis=0).tolist()
    y = x
    y += 1
    assert y is x
    x[xp.asarray([0, 0])] = x.sum()  # repeated, but one value: defined


def test_unwritten_memory_shows(xp: Any) -> None:
    assert xp.isnan(xp.empty(3)).all()
    assert xp.isnan(xp.ndarray((3,))).all()
    assert (xp.empty_like(xp.arange(3)) == np.iinfo(np.int64).max).all()


def test_no_floating_point_warning(xp: Any) -> None:
    with np.errstate(all="raise"):
        assert xp.isinf(xp.asarray([1.0]) / 0.0).all()
        assert xp.isnan(xp.log(xp.asarray([-1.0]))).all()


def test_two_devices(xp: Any, x: Any) -> None:
    with xp.cuda.Device(1):
        y = xp.zeros(3)
        with pytest.raises(ValueError, match="array on device 0 used while device 1"):
            x + y
        moved = xp.asarray(x)
    assert (x.device.id, y.device.id, moved.device.id) == (0, 1, 1)
    with pytest.raises(ValueError, match="array on device 1"):
        y.sum()
    assert y.reshape(3, 1).T[0, 1:].device.id == 1, "views need no current device"


def test_a_foreign_tensor_keeps_the_last_word(x: Any) -> None:
    class Tensor:
        __array_ufunc__ = None

        def __radd__(self, other: Any) -> str:
            return "Tensor.__radd__"

    assert x + Tensor() == "Tensor.__radd__"


def test_copies(x: Any) -> None:
    for twin in (copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x))):
        twin += 1
        assert twin.sum().item() == 21
    assert x.sum().item() == 15


def test_exchange_by_dlpack(xp: Any, x: Any) -> None:
    twin = xp.from_dlpack(x)
    x += 1
    assert twin.sum().item() == 21
    assert x.__dlpack_device__() == (2, 0)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(x)
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), x.get())
    assert x.__cuda_array_interface__["data"][0] == x.data.ptr


def test_what_cupy_has_and_the_stand_in_does_not_model_says_so(xp: Any, x: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"stand-in: cupy\.RawModule"):
        xp.RawModule(code="")
    with pytest.raises(NotImplementedError, match=r"stand-in: cupy\.ndarray\.cstruct"):
        x.cstruct  # noqa: B018
    with pytest.raises(AttributeError, match=r"'cupy\.cuda' has no attribute 'Grid'"):
        xp.cuda.Grid  # noqa: B018


def test_import_is_undone() -> None:
    with strict_cupy.installed():
        import cupy

        assert cupy is strict_cupy.cupy
    try:
        import cupy
    except ImportError:
        return
    assert cupy is not strict_cupy.cupy
