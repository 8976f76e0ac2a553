"""Every kernel compiles for every architecture, and none runs short of registers."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kernels.conftest import report
from tests.kernels.nvrtc import COMPILER, Usage, compile_for
from tests.kernels.recording import Source, recorded
from tests.kernels.samples import PRODUCT, TOTAL
from tests.ops.op_table import TABLE
from tests.optim.family import ENTRIES, training
from tinygrad_opt import tensor
from tinygrad_opt.autograd import grad

pytestmark = pytest.mark.kernels

DTYPES = ("float32", "float64")
MOST_REGISTERS = 64  # so that a multiprocessor has room for 1024 threads


@functools.cache
def of_operations() -> list[Source]:
    """The kernels of every operation and its derivatives."""
    with recorded() as sources:
        for dtype in DTYPES:
            for case in TABLE:
                arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.arrays()]
                xs = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
                y = case.call(*xs)
                if case.gradient:
                    grad(y.sum(), [x for x in xs if x.requires_grad])
    return list(sources.values())


@functools.cache
def of_optimizers() -> list[Source]:
    """The kernels of the first two steps of every optimizer."""
    with recorded() as sources:
        for dtype in DTYPES:
            for name in ENTRIES:
                _, optimizer, closure = training(name, dtype)
                for _ in range(2):
                    closure()
                    optimizer.step(closure)
    return list(sources.values())


def usage(source: Source, architecture: str) -> Usage:
    return compile_for(architecture, source.text, source.options)[source.name]


@pytest.mark.parametrize("architecture", COMPILER)
@pytest.mark.parametrize("sources", [of_operations, of_optimizers])
def test_every_kernel_compiles_and_none_spills(sources, architecture, request) -> None:
    names = [source.name for source in sources()]
    assert len(names) > 40
    with ThreadPoolExecutor(2) as pool:  # the compiler lets other threads run
        used = pool.map(functools.partial(usage, architecture=architecture), sources())
    worst = sorted(zip(used, names), reverse=True)
    assert [name for (_, spilled), name in worst if spilled] == []
    (registers, _), name = worst[0]
    assert registers <= MOST_REGISTERS, name
    report(request.config, f"sm_{architecture}: {len(names)} kernels, {registers} registers")


@pytest.mark.host
@pytest.mark.parametrize("architecture", COMPILER)
def test_registers_and_spills_are_read_from_what_the_compiler_says(architecture: str) -> None:
    text = "#include <cupy/complex.cuh>\n" + PRODUCT.replace('extern "C"', "") + TOTAL
    used = compile_for(architecture, PRODUCT)["product"]
    assert 10 < used.registers < 60 and used.spilled == 0
    hungry = "".join(f"a[{i}] = x[{i}] * b; " for i in range(200))
    hungry += "__syncthreads(); " + "".join(f"x[{i}] = a[{199 - i}] + a[{i}]; " for i in range(200))
    text = (
        'extern "C" __global__ void __launch_bounds__(1024) hungry(float* x, float b) '
        f"{{ float a[200]; {hungry} }}"
    )
    used = compile_for(architecture, text)["hungry"]
    assert used.registers == 64 and used.spilled > 0
    with pytest.raises(RuntimeError, match="(?s)sm_.* refused the kernel.*nonsense"):
        compile_for(architecture, PRODUCT.replace("float sum", "nonsense sum"))
