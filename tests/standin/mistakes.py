"""Code that works with NumPy and not with CuPy: what it is, and how it fails.

Where `stricter` is set, only the stand-in refuses; CuPy goes on, slowly or with an undefined
result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

HOST = np.ones((2, 3), np.float32)


class Mistake(NamedTuple):
    """A call with the array module and a matrix of its, and the error that it deserves."""

    name: str
    make: Callable[[Any, Any], Any]
    error: type[Exception]
    text: str = ""
    stricter: bool = False

    def __str__(self) -> str:
        return self.name


def assign_twice(xp: Any, x: Any) -> None:
    x[xp.asarray([0, 0]), xp.asarray([1, 1])] = xp.asarray([1.0, 2.0])


def strided(xp: Any, x: Any) -> Any:
    return xp.lib.stride_tricks.as_strided(x, (2, 2), (4, 4), writeable=False)


MISTAKES = [
    Mistake("numpy.exp of a device array", lambda xp, x: np.exp(x), TypeError, "use xp.exp", True),
    Mistake("numpy.sum of a device array", lambda xp, x: np.sum(x), TypeError, "use xp.sum", True),
    Mistake("numpy.asarray of a device array", lambda xp, x: np.asarray(x), TypeError, "Implicit"),
    Mistake("device + host", lambda xp, x: x + HOST, TypeError, "Unsupported type"),
    Mistake("host + device", lambda xp, x: HOST + x, TypeError),
    Mistake("a ufunc of both", lambda xp, x: xp.maximum(x, HOST), TypeError, "Unsupported"),
    Mistake("a ufunc of a list", lambda xp, x: xp.exp([1.0]), TypeError, "Unsupported type"),
    Mistake("a reduction of a list", lambda xp, x: xp.sum([1.0, 2.0]), Exception),
    Mistake("host values assigned", lambda xp, x: x.__setitem__(0, HOST[0]), ValueError, "fill"),
    Mistake("sum(where=)", lambda xp, x: xp.sum(x, where=x > 1), TypeError, "where"),
    Mistake(".max(initial=)", lambda xp, x: x.max(initial=0), TypeError, "initial"),
    Mistake("add(where=)", lambda xp, x: xp.add(x, 1, where=x > 1), TypeError, "Wrong arguments"),
    Mistake("errstate", lambda xp, x: xp.errstate(all="ignore"), AttributeError, "errstate"),
    Mistake("scatter_add", lambda xp, x: xp.scatter_add(x, 0, 1), AttributeError, "scatter_add"),
    Mistake("vector_norm", lambda xp, x: xp.linalg.vector_norm(x), AttributeError, "vector_norm"),
    Mistake(
        "Generator.normal",
        lambda xp, x: xp.random.default_rng(0).normal(size=3),
        AttributeError,
        "normal",
    ),
    Mistake(
        "Generator.permutation",
        lambda xp, x: xp.random.default_rng(0).permutation(3),
        AttributeError,
        "permutation",
    ),
    Mistake("clip(min=, max=)", lambda xp, x: xp.clip(x, min=0, max=1), TypeError, "keyword"),
    Mistake("concatenate(arrays=)", lambda xp, x: xp.concatenate(arrays=[x]), TypeError, "arrays"),
    Mistake("full(device=)", lambda xp, x: xp.full((2,), 1.0, device="cpu"), TypeError, "device"),
    Mistake("einsum(out=)", lambda xp, x: xp.einsum("ij->i", x, out=x[:, 0]), TypeError),
    Mistake("astype(casting=)", lambda xp, x: x.astype(int, casting="unsafe"), TypeError),
    Mistake("item(index)", lambda xp, x: x.item(0), TypeError),
    Mistake(".ctypes", lambda xp, x: x.ctypes, AttributeError, "ctypes"),
    Mistake(
        "maximum.reduce", lambda xp, x: xp.maximum.reduce(x), NotImplementedError, "maximum.reduce"
    ),
    Mistake("exp.at", lambda xp, x: xp.exp.at(x, xp.asarray([0])), NotImplementedError, "exp.at"),
    Mistake(
        "subtract.at on float32",
        lambda xp, x: xp.subtract.at(x, xp.asarray([0]), x[:1]),
        TypeError,
        "supports",
    ),
    Mistake("integer += float", lambda xp, x: xp.arange(3).__iadd__(0.5), TypeError),
    Mistake("range of a device array", lambda xp, x: range(x.sum()), TypeError, "integer"),
    Mistake("hash of a device array", lambda xp, x: {x: 1}, TypeError, "unhashable"),
    Mistake(
        "a named result of eigh",
        lambda xp, x: xp.linalg.eigh(x @ x.T).eigenvalues,
        AttributeError,
        "eigenvalues",
    ),
    Mistake("as_strided(writeable=)", strided, TypeError, "writeable"),
    Mistake("NumPy's array by DLPack", lambda xp, x: xp.from_dlpack(HOST), TypeError, "CPU arrays"),
    Mistake("an element assigned twice", assign_twice, ValueError, "add.at", True),
    Mistake("an index out of range", lambda xp, x: x[xp.asarray([5])], IndexError, "wrap", True),
]
