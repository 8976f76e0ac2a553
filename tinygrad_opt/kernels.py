"""On a GPU: a function of many small array calls becomes one kernel.

A launch costs some ten microseconds, however little there is to do. So a function that is made of
elementwise calls is run once on symbols, and what they wrote down becomes the body of one
`cupy.ElementwiseKernel`. The text of the function stays the only one: on the CPU, for Tensors, and
with kernels switched off it runs as it stands.

What is not elementwise has CUDA text of its own, beside the NumPy text that defines it.

Order: the switch · kernels by their text · traced.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .observer import Observer
from .tracing import Array, Names, Tape, cuda
from .tracing.program import TRUTHS, Step, needed

ENVIRONMENT_VARIABLE = "TINYGRAD_OPT_KERNELS"

# ---- the switch -------------------------------------------------------------------------------

_on = os.environ.get(ENVIRONMENT_VARIABLE, "1") != "0"


@contextlib.contextmanager
def use_kernels(on: bool = True) -> Iterator[None]:
    """Whether GPUs run kernels of ours inside this block, or the calls that define them.

    For the search of a fault: what differs with them off is the fault of a kernel. They are on
    unless the environment says TINYGRAD_OPT_KERNELS=0. An optimizer keeps the engine that it was
    made with; the switch is one for the whole process.
    """
    global _on
    before, _on = _on, on
    try:
        yield
    finally:
        _on = before


def has_kernels(xp: Any) -> bool:
    """Whether this array module is CuPy, and kernels are on."""
    return _on and xp is not np and getattr(xp, "__name__", "") == "cupy"


# ---- kernels by their text --------------------------------------------------------------------

C_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


@functools.lru_cache(maxsize=1024)
def elementwise_kernel(xp: Any, inputs: str, outputs: str, body: str, name: str) -> Any:
    """The one `ElementwiseKernel` with this text."""
    return xp.ElementwiseKernel(inputs, outputs, body, name)


@functools.lru_cache(maxsize=1024)
def raw_kernel(xp: Any, name: str, text: str, dtype: np.dtype[Any]) -> Any:
    """The one `RawKernel` with this text, in which T is the float type."""
    return xp.RawKernel(f"typedef {C_TYPES[dtype]} T;\n{text}", name)


# ---- traced -----------------------------------------------------------------------------------

VARIANTS = 16  # of one function; one whose numbers change all the time is not worth compiling


class Kernel:
    """A function (xp, *arrays, **options) that runs as one kernel on a GPU, where it can be one.

    It can where it makes two elementwise calls or more, on arrays of one float dtype, float32 or
    float64, and on truths. Else, and on the CPU, it is called as it is. It has to be pure: what it
    reads besides its arguments is what it was when it was traced. ``numpy`` is another text of the
    same function, faster on the CPU, which may write into its first array. ``name`` tells observers
    what it is; one that is not ``traced`` is always called as it is.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        numpy: Callable[..., Any] | None = None,
        name: str = "",
        traced: bool = True,
    ) -> None:
        self.function, self.numpy = function, numpy or function
        self.name, self.traced = name or function.__name__, traced
        self.variants: dict[Any, tuple[Any, list[int]] | None] = {}

    def __call__(self, xp: Any, *operands: Any, **options: Any) -> Any:
        """The function's value."""
        if xp is np:
            return self.numpy(xp, *operands, **options)
        if isinstance(xp, Observer):
            return xp.operation(self, *operands, **options)
        if self.traced and has_kernels(xp):
            found = self.variant(xp, operands, options)
            if found is not None:
                kernel, read = found
                return kernel(*[operands[i] for i in read])
        return self.function(xp, *operands, **options)

    def variant(
        self, xp: Any, operands: Sequence[Any], options: dict[str, Any]
    ) -> tuple[Any, list[int]] | None:
        """The kernel for operands and options like these, and which of them it reads; or None."""
        if not all(map(_is_plain, operands)):
            return None
        key = (xp, *map(_kind, operands), *options.items())
        try:
            return self.variants[key]
        except TypeError:
            return None  # options that cannot be looked up, such as arrays
        except KeyError:
            if len(self.variants) == VARIANTS:
                return None
        found = self.variants[key] = self.compile(xp, operands, options)
        return found

    def compile(
        self, xp: Any, operands: Sequence[Any], options: dict[str, Any]
    ) -> tuple[Any, list[int]] | None:
        """Trace the function and make its kernel; None where there is nothing to gain."""
        tape = Tape(carry=False)
        symbols = [Array(tape, f"x{i}") if _is_array(x) else x for i, x in enumerate(operands)]
        try:
            result = self.function(Names(), *symbols, **options)
        except (AttributeError, TypeError):
            return None  # it is not elementwise
        if not isinstance(result, Array):
            return None
        steps = needed(list(tape.steps.values()), [result.name])
        names = {name for step in steps for name in step.operands}
        read = [i for i, x in enumerate(operands) if _is_array(x) and f"x{i}" in names]
        floats = {operands[i].dtype for i in read if operands[i].dtype != bool}
        if len(steps) < 2 or len(floats) != 1 or not floats <= C_TYPES.keys():
            return None
        truths = {f"x{i}" for i in read if operands[i].dtype == bool}
        if not _computes_in_floats(steps, truths, tape):
            return None
        types = ["bool" if operands[i].dtype == bool else "T" for i in read]

        def spelled(operand: str) -> str:
            number = tape.scalars.get(operand)
            return operand if number is None else cuda.literal(number.value)

        kernel = elementwise_kernel(
            xp,
            ", ".join(f"{kind} x{i}" for kind, i in zip(types, read)),
            f"{'bool' if steps[-1].operation in TRUTHS else 'T'} y",
            "\n".join([*cuda.lines(steps, spelled), f"y = {result.name};"]),
            identifier(getattr(self.function, "__qualname__", "function")),
        )
        return kernel, read


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype")


def _is_plain(operand: Any) -> bool:
    """Whether it is an array, or its shape where it is not read, or a number, or nothing."""
    return hasattr(operand, "shape") or operand is None or isinstance(operand, (int, float))


def _kind(operand: Any) -> Any:
    """What the text of a kernel depends on: the dtype of an array, a number, a bare shape."""
    if _is_array(operand):
        return operand.dtype
    return getattr(operand, "shape", operand)


def _computes_in_floats(steps: Sequence[Step], truths: set[str], tape: Tape) -> bool:
    """Whether every step gives truths, or reads an array of floats, as T does.

    What NumPy makes of truths alone, such as the integers of True + True, is not for kernels.
    """
    truths = set(truths)
    for name, operation, operands in steps:
        if operation in TRUTHS:
            truths.add(name)
            continue
        values = operands[1:] if operation == "where" else operands
        if all(x in truths or x in tape.scalars for x in values):
            return False
    return True


def identifier(text: str) -> str:
    """A name that a profiler can show, and that is no function of CUDA's."""
    name = text.replace("<lambda>", "derivative").replace("<locals>", "")
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name).strip("_") + "_kernel"
