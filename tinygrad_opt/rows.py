"""Rows of a table: looking them up leaves a gradient that is zero but for those rows.

    y = lookup(weight, indices, sparse=True)          y[i] = weight[indices[i]]
    y.sum().backward()
    weight.grad                          a RowGradient: the rows that occurred, and no others

Order: the gradient · the operation that makes it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from . import ops
from .device import Device
from .operation import fused, there, wrap
from .tensor import Tensor


class RowGradient(Tensor):
    """A gradient by its rows: values[i] belongs to row indices[i], and rows named twice add up.

    It is a Tensor like any other. Whoever asks for all its numbers gets them, zeros included; the
    array is made then, once, and is not to be written into.
    """

    __slots__ = ()
    is_sparse = True
    _dense: Any = None

    def __init__(self, indices: Any, values: Any, shape: tuple[int, ...], device: Device) -> None:
        self.indices, self.values, self._shape, self.device = indices, values, shape, device
        self._node, self._requires_grad = None, False

    @property
    def _data(self) -> Any:
        if self._dense is None:
            self._dense = there(
                self.device, _added_up, self.device.xp, self.values, self.indices, self.shape
            )
            if self.device.kind == "cpu":
                self._dense.flags.writeable = False
        return self._dense

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the table."""
        return self._shape

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self.values.dtype

    @property
    def size(self) -> int:
        """The number of elements, zeros included."""
        return math.prod(self._shape)

    def coalesce(self) -> RowGradient:
        """The same gradient, every row named once, in order; waits for a GPU."""
        xp = self.device.xp
        rows, places = there(self.device, partial(xp.unique, self.indices, return_inverse=True))
        shape = (len(rows), *self._shape[1:])
        values = there(self.device, _added_up, xp, self.values, places, shape)
        return RowGradient(rows, values, self._shape, self.device)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, RowGradient):
            join = self.device.xp.concatenate
            indices = there(self.device, join, [self.indices, other.indices])
            values = there(self.device, join, [self.values, other.values])
            return RowGradient(indices, values, self._shape, self.device)
        if isinstance(other, Tensor):
            return self.detach() + other
        return self._data + other  # raw arrays, inside the backward pass

    __radd__ = __add__

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.detach().clone()

    def __reduce__(self) -> Any:
        return self.detach().__reduce__()

    def __repr__(self) -> str:
        return f"RowGradient({len(self.indices)} rows of {self.shape})"


def _added_up(xp: Any, values: Any, indices: Any, shape: tuple[int, ...]) -> Any:
    return ops.scatter_add.within(xp, values, index=indices, shape=shape)


def _lookup(weight: Tensor, indices: Any, padding_idx: int | None) -> Tensor:
    rows: Tensor = weight[indices]
    if padding_idx is None:
        return rows
    padding = (wrap(indices, weight.device) == padding_idx)[..., None]
    result: Tensor = ops.where(padding, rows.detach(), rows)
    return result


def _row_gradient(
    xp: Any, g: Any, y: Any, weight: Any, indices: Any, padding_idx: int | None
) -> RowGradient:
    indices = indices.reshape(-1)
    values = g.reshape(len(indices), *weight.shape[1:])
    if padding_idx is not None:
        learned = indices != padding_idx
        indices, values = indices[learned], values[learned]
    return RowGradient(indices, values, weight.shape, Device.of(g))


@fused(_lookup, _row_gradient)
def _lookup_rows(xp: Any, weight: Any, indices: Any, padding_idx: int | None) -> Any:
    return weight[indices]


def lookup(
    weight: Tensor, indices: Tensor, padding_idx: int | None = None, sparse: bool = False
) -> Tensor:
    """Rows of a table, weight (n, …), indices (…) -> (…, …); row padding_idx gets no gradient.

    With ``sparse`` the gradient of a leaf is a `RowGradient`; results of operations, and gradients
    that are to be differentiated, get an ordinary one.
    """
    function = _lookup_rows if sparse and weight.is_leaf else _lookup
    rows = ops.raw_index("lookup", weight, indices)
    result: Tensor = function(weight, indices=rows, padding_idx=padding_idx)
    return result
