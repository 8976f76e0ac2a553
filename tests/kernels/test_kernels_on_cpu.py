"""CuPy's kernels run on the stand-in, agree with NumPy, and are caught where they are wrong."""

from __future__ import annotations

from typing import Any

import cupy as real_cupy
import numpy as np
import pytest

from tests.kernels.attach import attached
from tests.kernels.host_compiler import load
from tests.kernels.recording import recorded
from tests.kernels.samples import PRODUCT, TOTAL
from tests.standin import strict_cupy
from tests.standin.strict_cupy import watch
from tinygrad_opt import Device

pytestmark = pytest.mark.kernels


@pytest.fixture
def xp(on_device: Device) -> Any:
    return on_device.xp


def matrix(xp: Any, rows: int, columns: int) -> Any:
    values = np.random.default_rng(rows * columns).standard_normal((rows, columns))
    return xp.asarray(values.astype(np.float32))


# ---- ElementwiseKernel ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4, 1003])
def test_an_elementwise_kernel_has_the_bits_of_numpy(xp: Any, size: int) -> None:
    x, y = matrix(xp, 2, size)
    wanted = 0.1 * x.get() * x.get() + y.get() / np.float32(3)
    kernel = xp.ElementwiseKernel("T x, T s", "T y", "y = s * x * x + y / T(3)", "mix")
    with watch() as traffic:
        assert kernel(x, 0.1, y) is y
    np.testing.assert_array_equal(y.get(), wanted)
    assert traffic.launches == ["mix"] * (size > 0)


@pytest.mark.parametrize("function", ["exp", "log1p", "tanh", "sqrt", "floor", "erf"])
def test_functions_of_floats_stay_floats(xp: Any, function: str) -> None:
    """A double here would hide what float32 loses on a GPU."""
    kernel = xp.ElementwiseKernel(
        "float32 x", "int32 bytes", f"bytes = sizeof({function}(x))", f"width_of_{function}"
    )
    assert kernel(xp.ones(1, np.float32)).item() == 4


def test_cupys_rules_for_arguments_hold(xp: Any) -> None:
    kernel = xp.ElementwiseKernel("T x, T s", "T y", "y = x * s", "scale")
    x = matrix(xp, 2, 3)
    out = xp.empty((2, 3), np.float32)
    assert kernel(x, 2.0, out) is out
    np.testing.assert_array_equal(kernel(x.T, 2.0).get(), 2 * x.T.get())
    assert kernel(x, xp.asarray([1.0, 2.0, 3.0], np.float32)).shape == (2, 3)
    assert kernel(x.sum(), 2.0).shape == ()
    with pytest.raises(TypeError, match="mismatched"):
        kernel(x.astype(np.float64), 2.0, out)
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel(np.ones((2, 3), np.float32), 2.0, out)
    with pytest.raises(ValueError, match="Out shape"):
        kernel(x, 2.0, out[:1])


def test_views_are_read_and_written_in_place(xp: Any) -> None:
    kernel = xp.ElementwiseKernel("raw T table, int32 row", "T y", "y += table[row]", "lookup")
    flat = xp.zeros(10, np.float32)
    kernel(xp.asarray([5.0, 7.0], np.float32), 1, flat[2:6:2])
    assert flat.tolist() == [0, 0, 7, 0, 7, 0, 0, 0, 0, 0]


def test_what_the_compiler_refuses_is_shown(xp: Any) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)g\+\+ refused the kernel.*nonsense"):
        xp.ElementwiseKernel("T x", "T y", "y = nonsense(x)", "wrong")(xp.ones(2))


# ---- RawKernel --------------------------------------------------------------------------------


def multiply(xp: Any, text: str) -> None:
    """Compare with NumPy a product whose shape fits no tile."""
    m, n, k = 50, 37, 70
    a, b = matrix(xp, m, k), matrix(xp, k, n)
    c = xp.empty((m, n), np.float32)
    sizes = (np.int32(m), np.int32(n), np.int32(k))
    xp.RawKernel(text, "product")((-(-n // 16), -(-m // 16)), (16, 16), (a, b, c, *sizes))
    np.testing.assert_allclose(c.get(), a.get() @ b.get(), rtol=1e-4, atol=1e-5)


def test_shared_memory_and_barriers(xp: Any) -> None:
    with watch() as traffic:
        multiply(xp, PRODUCT)
    assert "product" in traffic.launches


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_barrier_is_caught(xp: Any, missing: int) -> None:
    parts = PRODUCT.split("__syncthreads();")
    barriers = ["__syncthreads();"] * 2
    barriers[missing - 1] = ""
    with pytest.raises(RuntimeError, match="depends on the order of the threads"):
        multiply(xp, parts[0] + barriers[0] + parts[1] + barriers[1] + parts[2])


@pytest.mark.parametrize("size", [1, 31, 128, 1003])
def test_shuffles_and_atomics(xp: Any, size: int) -> None:
    x = xp.asarray(np.random.default_rng(size).random(size))
    total = xp.zeros(1)
    xp.RawKernel(TOTAL, "total")((-(-size // 64),), (64,), (x, total, size))
    np.testing.assert_allclose(total.get(), x.get().sum())


def test_arguments_are_compared_with_the_signature(xp: Any) -> None:
    kernel = xp.RawKernel(TOTAL, "total")
    x, total = xp.ones(4), xp.zeros(1)
    kernel((1,), (32,), (x, total, 4))
    for args, text in [
        ((x, total), "total takes 3 arguments, and was given 2"),
        ((x.astype(np.float32), total, 4), r"total\(x\) is float64, and was given float32"),
        ((x, 0.0, 4), r"total\(total\) is an array, and was given a float"),
        ((x, total, x), r"total\(n\) is a number, int64, and was given a ndarray"),
        ((x, total, 4.0), r"total\(n\) is int64, and was given float64"),
        ((x, total, np.int32(4)), r"total\(n\) is int64, and was given int32"),
        ((x[::2], total, 2), r"total\(x\): the array is not C-contiguous"),
    ]:
        with pytest.raises(TypeError, match=text):
            kernel((1,), (32,), args)
    for grid, block in [((1,), (2048,)), ((0,), (32,)), ((1,), (1, 1, 128))]:
        with pytest.raises(ValueError, match=r"block|empty launch"):
            kernel(grid, block, (x, total, 4))
    with pytest.raises(ValueError, match="no extern"):
        xp.RawKernel(TOTAL, "sum")


# ---- the machinery ----------------------------------------------------------------------------


def test_the_texts_that_run_are_recorded_once(xp: Any) -> None:
    kernel = xp.ElementwiseKernel("T x", "T y", "y = x + x", "twice")
    with recorded() as sources:
        for dtype in (np.float32, np.float32, np.float64):
            kernel(xp.ones(3, dtype))
        xp.RawKernel(TOTAL, "total")((1,), (32,), (xp.ones(4), xp.zeros(1), 4))
    assert [source.name for source in sources] == ["twice", "twice", "total"]
    text = next(iter(sources)).complete
    assert "#include <cupy/carray.cuh>" in text and "void twice(" in text


@pytest.mark.host
def test_the_stand_in_has_no_kernels_where_they_are_not_attached() -> None:
    with strict_cupy.installed() as xp:
        with attached():
            assert xp.ElementwiseKernel is real_cupy.ElementwiseKernel
        with pytest.raises(NotImplementedError):
            xp.ElementwiseKernel  # noqa: B018


@pytest.mark.host
def test_a_library_is_compiled_once() -> None:
    text = 'extern "C" int answer() { return 42; }'
    assert load(text) is load(text)
    assert load(text).answer() == 42


@pytest.mark.host
def test_private_names_of_cupy_are_still_there() -> None:
    """Fails first where a new CuPy moves what the runner leans on."""

    class Probe:
        def __cupy_override_elementwise_kernel__(
            self, kernel: Any, *args: Any, **kwargs: Any
        ) -> Any:
            return kernel.name, len(args), kwargs

    kernel = real_cupy.ElementwiseKernel("T x", "T y", "y = x", "probe")
    assert kernel(Probe()) == ("probe", 1, {})
    assert kernel(Probe(), Probe(), size=3) == ("probe", 2, {})  # `size` does not arrive
