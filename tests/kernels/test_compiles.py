"""Every kernel compiles for every architecture, and none runs short of registers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pytest

import tinygrad_opt
from tests.kernels.nvrtc import COMPILER, compile_for
from tests.kernels.recording import Source, recorded
from tests.kernels.samples import PRODUCT, TOTAL
from tests.ops.op_table import TABLE
from tests.optim.family import ENTRIES, training
from tinygrad_opt import tensor
from tinygrad_opt.autograd import grad

pytestmark = pytest.mark.kernels

DTYPES = ("float32", "float64")
MOST_REGISTERS = 96  # so that five blocks of 128 threads find room on a multiprocessor


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
    return list(sources)


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
    return list(sources)


def programs(sources: list[Source]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Some dozens of kernels in one text, because reading CuPy's headers takes longest.

    Each is in a namespace of its own, with a number after its name.
    """
    key = attrgetter("headers", "options")
    for (headers, options), group in groupby(sorted(sources, key=key), key):
        numbered = list(enumerate(group))
        for start in range(0, len(numbered), 48):
            parts = [
                f'#line 1 "{source.name}"\nnamespace part{i} {{\n'
                + re.sub(rf"\b{source.name}(?=\s*\()", f"{source.name}_{i}", source.text, count=1)
                + "\n}\n"
                for i, source in numbered[start : start + 48]
            ]
            yield headers + "".join(parts), options


@pytest.mark.parametrize("architecture", COMPILER)
@pytest.mark.parametrize("sources", [of_operations, of_optimizers])
def test_every_kernel_compiles_and_none_spills(
    sources: Callable[[], list[Source]], architecture: str, report: Callable[[str], None]
) -> None:
    texts, options = zip(*programs(sources()))
    with ThreadPoolExecutor(2) as pool:  # the compiler lets other threads run
        each = pool.map(partial(compile_for, architecture), texts, options)
    used = {name: usage for usages in each for name, usage in usages.items()}
    assert len(used) == len(sources()) > 40
    assert {name: usage for name, usage in used.items() if usage.spilled} == {}
    name = max(used, key=lambda name: used[name].registers)
    registers = used[name].registers
    assert registers <= MOST_REGISTERS, name
    most = f"at most {registers} registers ({name})"
    report(f"sm_{architecture}: {len(used)} kernels compiled, {most}")


def test_every_hand_written_kernel_is_among_them() -> None:
    files = Path(tinygrad_opt.__file__).parent.rglob("*.py")
    written = {n for f in files for n in re.findall(r"__global__ void (\w+)", f.read_text())}
    assert written and written <= {source.name for source in of_operations()}


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
    with pytest.raises(RuntimeError, match=r"(?s)sm_.* refused the kernel.*nonsense"):
        compile_for(architecture, PRODUCT.replace("float sum", "nonsense sum"))
