"""From a data set to what a network trains on: a split, and a scale learned from one side of it."""

from __future__ import annotations

import dataclasses
from typing import Any, overload

import numpy as np

from .dataset import Array, Dataset, check_examples, examples
from .registry import load

Pair = tuple[Array, Array]
TEST_SHARE = 0.2


@overload
def split(data: Dataset, test: float | None = ..., seed: int = ...) -> tuple[Dataset, Dataset]: ...
@overload
def split(
    data: tuple[Any, Any], test: float | None = ..., seed: int = ...
) -> tuple[Pair, Pair]: ...
def split(data: Any, test: float | None = None, seed: int = 0) -> Any:
    """A training part and a test part, the same for the same seed: two `Dataset`s, or two (x, y).

    Each class has its share in both, to within one example (integer targets are classes); examples
    keep their order. ``test`` is the share of the test part, rounded up: 0.2, unless the data set
    was published with a test part of its own, which is then used. ValueError where a part would
    be empty.

    Who wrote which of the packaged digits is not known, so both parts hold digits of the same
    writers: the accuracy is that for known hands, higher than for new ones.
    """
    x, y = examples("split", data)
    if isinstance(data, Dataset) and data.published_test and test is None:
        in_test = np.arange(len(x)) >= len(x) - data.published_test
    else:
        in_test = _drawn(y, TEST_SHARE if test is None else test, seed)
    if isinstance(data, Dataset):
        return data.part(~in_test), data.part(in_test)
    return (x[~in_test], y[~in_test]), (x[in_test], y[in_test])


def _drawn(y: Array, share: float, seed: int) -> Array:
    """A truth for each example: shuffle, sort by class, take every (1/share)-th."""
    n = len(y)
    size = int(np.ceil(n * share)) if 0 < share < 1 else 0
    if not 0 < size < n:
        raise ValueError(
            f"split: test={share} of {n} examples leaves one part empty. It is a share between 0 "
            "and 1, as in test=0.2."
        )
    order = np.random.default_rng(seed).permutation(n)
    if y.dtype.kind in "iub" and y.ndim == 1:
        order = order[np.argsort(y[order], kind="stable")]
    in_test = np.zeros(n, bool)
    in_test[order[((np.arange(size) + 0.5) * n / size).astype(int)]] = True
    return in_test


class Standardize:
    """z = (x − mean) / scale, feature by feature, with what `fit` learned: mean 0, deviation 1.

    Fit it on the training part alone: statistics of the test part are knowledge about the test.
    Features that never change keep scale 1 and become 0. Works on host arrays x (N, ...) and gives
    float32. `Standardize(0, 16)` is a fixed scale. RuntimeError before `fit`.
    """

    def __init__(self, mean: Any = None, scale: Any = None) -> None:
        self.mean = mean
        self.scale = scale

    def fit(self, x: Any) -> Standardize:
        """Learn mean and standard deviation of every feature, and return itself."""
        x = _floats(x)
        check_examples("Standardize", x, x)
        self.mean = x.mean(axis=0, dtype=np.float64)
        self.scale = np.where(np.ptp(x, axis=0) > 0, x.std(axis=0, dtype=np.float64), 1.0)
        return self

    def __call__(self, x: Any) -> Array:
        """The scaled values."""
        z: Array = (self._known(x) - self.mean) / self.scale
        return z.astype(np.float32, copy=False)

    transform = __call__

    def inverse(self, z: Any) -> Array:
        """The values that were scaled: x = z · scale + mean."""
        x: Array = self._known(z) * self.scale + self.mean
        return x.astype(np.float32, copy=False)

    def _known(self, x: Any) -> Array:
        """x as floats, once it is clear that its features are those of the fit."""
        if self.mean is None:
            raise RuntimeError("Standardize: nothing was learned yet. Call fit(x_train) first.")
        floats = _floats(x)
        if np.ndim(self.mean) and floats.shape[1:] != self.mean.shape:
            raise ValueError(
                f"Standardize: learned from examples of shape {self.mean.shape}, and these are of "
                f"shape {floats.shape[1:]}."
            )
        return floats


def prepare(
    data: str | Dataset, seed: int = 0, test: float | None = None
) -> tuple[Dataset, Dataset]:
    """A data set, by its name or itself, as a training and a test part that are ready to train on.

    x (N, D) is float32: divided by the known largest shade for images, as it is for toy sets, else
    standardized by statistics of the training part. y is (N,) int64 for classes and (N, 1) float32,
    standardized alike, for a regression. The scale is that of
    `Standardize().fit(split(dataset)[0].x)`, for new examples and for the way back.
    """
    dataset = load(data) if isinstance(data, str) else data
    train, rest = split(dataset, test, seed)
    if dataset.divide_by is not None:
        inputs, targets = Standardize(0, dataset.divide_by), Standardize(0, 1)
    else:
        inputs = Standardize().fit(_rows(train.x))
        targets = Standardize() if dataset.class_names else Standardize().fit(_rows(train.y))

    def ready(part: Dataset) -> Dataset:
        y = part.y.astype(np.int64) if part.class_names else targets(_rows(part.y))
        return dataclasses.replace(part, x=inputs(_rows(part.x)), y=y, divide_by=1.0)

    return ready(train), ready(rest)


def _floats(x: Any) -> Array:
    array = np.asarray(x)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _rows(array: Array) -> Array:
    """One row of numbers for each example."""
    return array.reshape(len(array), -1)
