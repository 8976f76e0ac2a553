"""Every data set by its name: one table for `load`, for the command line, for the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from ..names import did_you_mean, shortened
from . import idx, packaged, toys
from .dataset import Array, Dataset
from .download import verify_fetched


@dataclasses.dataclass(frozen=True)
class Entry:
    """How a data set is loaded, with which options, and what there is to say about it first."""

    sentence: str
    size: str
    load: Callable[..., Dataset]
    options: tuple[str, ...] = ()


def _packaged(name: str, size: str) -> Entry:
    return Entry(packaged.KNOWN[name]["description"], size, partial(packaged.load, name))


def _toy(make: Callable[..., tuple[Array, Array]], size: str) -> Entry:
    sentence = (make.__doc__ or "").strip()

    def load(**options: Any) -> Dataset:
        x, y = make(**options)
        classes = tuple(map(str, range(int(y.max()) + 1))) if y.dtype.kind == "i" else ()
        return Dataset(make.__name__, x, y, classes, description=sentence, divide_by=1.0)

    return Entry(sentence, size, load, ("n", "noise", "seed"))


DATASETS: dict[str, Entry] = {
    "digits": _packaged("digits", "1,797 × 64, 10 classes"),
    "iris": _packaged("iris", "150 × 4, 3 classes"),
    "wine": _packaged("wine", "178 × 13, 3 classes"),
    "breast_cancer": _packaged("breast_cancer", "569 × 30, 2 classes"),
    "diabetes": _packaged("diabetes", "442 × 10, regression"),
    "moons": _toy(toys.moons, "400 × 2, 2 classes"),
    "circles": _toy(toys.circles, "400 × 2, 2 classes"),
    "spiral": _toy(toys.spiral, "600 × 2, 3 classes"),
    "xor": _toy(toys.xor, "400 × 2, 2 classes"),
    "blobs": _toy(toys.blobs, "400 × 2, 3 classes"),
    "sine": _toy(toys.sine, "200 × 1, regression"),
    "line": _toy(toys.line, "200 × 1, regression"),
    "mnist": Entry(
        "Handwritten digits of 28×28 pixels; to be fetched first (12 MB).",
        "70,000 × 784, 10 classes",
        idx.mnist,
        ("folder",),
    ),
    "fashion_mnist": Entry(
        "Clothing in 28×28 pixels, from files that you have.",
        "70,000 × 784, 10 classes",
        idx.fashion_mnist,
        ("folder",),
    ),
}


def load(name: str, **options: Any) -> Dataset:
    """A data set by its name: `load("digits")`, `load("moons", n=1000, noise=0.2, seed=1)`.

    Values are as they were published; `prepare` splits and scales them. ValueError for an unknown
    name and for packaged data that is damaged, TypeError for an option that the set does not have,
    FileNotFoundError for MNIST before it was fetched.
    """
    if not isinstance(name, str):
        raise TypeError(f"load: a data set is called by a text, not by a {type(name).__name__}.")
    entry = DATASETS.get(name.lower().replace("-", "_"))
    if entry is None:
        raise ValueError(
            f"load: there is no data set {shortened(name)}.{did_you_mean(name, DATASETS)} There "
            f"are {', '.join(DATASETS)}."
        )
    for option in options:
        if option not in entry.options:
            has = f"its options are {', '.join(entry.options)}" if entry.options else "it has none"
            raise TypeError(f"load: {name!r} has no option {option!r}; {has}.")
    return entry.load(**options)


def verify() -> list[str]:
    """Check every packaged and every fetched file by its SHA-256 and return their names.

    ValueError, with the fix, for one that is damaged.
    """
    return packaged.verify() + verify_fetched()
