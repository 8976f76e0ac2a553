"""What a data set is: examples, their targets, and what is known about them."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import numpy as np

from ..creation import tensor
from ..device import default_device
from ..operation import Variable
from ..tensor import Tensor

Array = np.ndarray[Any, Any]

IGNORED = -100  # the label that cross_entropy leaves out


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples x (N, ...) and targets y (N,) on the host, with what is known about them.

    With ``class_names`` y holds class numbers from 0, without them the numbers to predict.
    ``divide_by`` is the scale that the values come with (16 for the shades of the digits, 1 for
    what is fit to train on); without it `prepare` standardizes. The last ``published_test``
    examples are the test part that the data set was published with. ValueError or TypeError for
    x and y that do not fit together, see `check_examples`.
    """

    name: str
    x: Array
    y: Array
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    description: str = ""
    image_shape: tuple[int, int] | None = None
    divide_by: float | None = None
    published_test: int = 0
    target_name: str = ""

    def __post_init__(self) -> None:
        check_examples(self.name, self.x, self.y)
        if not self.class_names:
            return
        if self.y.dtype.kind not in "iu":
            raise TypeError(
                f"{self.name}: labels are {self.y.dtype}. Give class numbers as integers, or leave "
                "class_names out for a regression."
            )
        if self.y.max() >= self.n_classes:
            place = int(self.y.argmax())
            raise ValueError(
                f"{self.name}: label {self.y[place]} at position {place} is outside "
                f"0..{self.n_classes - 1} for {self.n_classes} classes. Labels count from 0."
            )

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> tuple[Tensor, Tensor]:
        """Some examples as Tensors x, y: `x, y = dataset[:32]`, all of them with `[:]`."""
        device = default_device()
        return tensor(self.x[rows], device=device), tensor(self.y[rows], device=device)

    def __repr__(self) -> str:
        what = f"{self.n_classes} classes" if self.class_names else "regression"
        return f"Dataset({self.name}: x {self.x.shape} {self.x.dtype}, {what})"

    @property
    def task(self) -> str:
        """What there is to predict: "classification" or "regression"."""
        return "classification" if self.class_names else "regression"

    @property
    def n_classes(self) -> int:
        """How many classes there are; 0 for a regression."""
        return len(self.class_names)

    @property
    def n_features(self) -> int:
        """How many numbers describe one example: the inputs of a network."""
        return math.prod(self.x.shape[1:])

    @property
    def n_outputs(self) -> int:
        """How many numbers a network has to say about one example."""
        return self.n_classes or 1

    @property
    def fingerprint(self) -> str:
        """The same for the same examples, in every process: of SHA-256 over x and y, 16 digits."""
        digest = hashlib.sha256()
        for array in (self.x, self.y):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:16]

    def part(self, rows: slice | Array) -> Dataset:
        """A data set of some examples: a slice, row numbers, or a truth for each example."""
        return dataclasses.replace(self, x=self.x[rows], y=self.y[rows], published_test=0)


def examples(where: str, data: Any) -> tuple[Array, Array]:
    """x and y of a `Dataset` or of a pair of arrays, Tensors or lists, checked, on the host."""
    if isinstance(data, Dataset):
        x, y = data.x, data.y
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        x, y = _host(data[0]), _host(data[1])
    else:
        raise TypeError(f"{where}: give a Dataset or a pair (x, y), not a {type(data).__name__}.")
    check_examples(where, x, y)
    return x, y


def _host(data: Any) -> Array:
    t = data if isinstance(data, Variable) else Tensor(data, device="cpu")
    host: Array = t.device.to_host(t._data)
    return host


def check_examples(where: str, x: Array, y: Array) -> None:
    """Refuse what cannot be trained on, here on the host, before it reaches a device.

    ValueError for unequal lengths, no examples, nan or infinity, and negative labels (but -100,
    which cross_entropy ignores); TypeError for what is not numeric.
    """
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{where}: {name} holds {array.dtype}, not numbers. Code it first.")
    if not (x.ndim and y.ndim) or len(x) != len(y):
        raise ValueError(
            f"{where}: x of shape {x.shape} and y of shape {y.shape} do not belong together. "
            "Each example, a row of x, needs one target."
        )
    if x.size == 0:
        raise ValueError(f"{where}: x of shape {x.shape} holds no examples.")
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(array)))
            raise ValueError(
                f"{where}: {name}{list(place)} is {array[place]}. Leave example {place[0]} out, or "
                "fill the gap in."
            )
    if y.dtype.kind == "i":
        wrong = (y < 0) & (y != IGNORED)
        if wrong.any():
            place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            raise ValueError(
                f"{where}: label {y[place]} at position {place[0]} is negative. Labels count from "
                f"0; {IGNORED} marks examples to ignore, and numbers to predict are floats."
            )
