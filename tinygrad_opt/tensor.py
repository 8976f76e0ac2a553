"""The class that people hold: an array, its gradient, and how it was made.

Every method is one line that calls `ops`, where value and derivative stand side by side.

Order: construction and properties · moving · gradients · operators · elementwise · reductions ·
shapes and indexing · products · making tensors.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import autograd, ops
from . import device as devices
from .device import Device, DeviceError, default_device
from .operation import NEVER_CHANGED, Variable, changed, connect, is_grad_enabled, wrap

Axis = int | tuple[int, ...] | None


class Tensor(Variable):
    """An n-dimensional array that can tell its gradient.

    Python numbers and lists become float32 (integers int64); a raw array keeps its dtype and is
    shared, not copied (`tensor` copies). Raises TypeError for integers that require a gradient.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy, CuPy and their scalars leave every operator to the Tensor
    __hash__ = object.__hash__

    def __init__(
        self,
        data: Any,
        dtype: Any = None,
        device: str | Device | None = None,
        requires_grad: bool = False,
    ) -> None:
        if isinstance(data, Variable):
            raise TypeError("Tensor: the data is a Tensor already. Use t.detach() or t.clone().")
        array, self.device = _as_array(data, dtype, device)
        self._data = array
        self._node = self._hooks = self.grad = self.name = None
        self._change = NEVER_CHANGED
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    def _set_data(self, data: Any) -> None:
        raw = data._data if isinstance(data, Variable) else data
        self._data, self.device = _as_array(raw, None, None)
        changed([self], "a new .data")

    data = property(operator.attrgetter("_data"), _set_data)
    data.__doc__ = """The raw NumPy or CuPy array.

    Setting it is noticed by graphs that still need the old value and by optimizers, which take the
    new values in. Writing into it, ``t.data[...] = v``, is not: do it before the forward pass.
    """

    shape: tuple[int, ...] = property(lambda self: self._data.shape)  # type: ignore[assignment]
    dtype: np.dtype[Any] = property(lambda self: self._data.dtype)  # type: ignore[assignment]
    ndim: int = property(lambda self: self._data.ndim)  # type: ignore[assignment]
    size: int = property(lambda self: self._data.size)  # type: ignore[assignment]
    is_leaf: bool = property(lambda self: self._node is None)  # type: ignore[assignment]
    T: Tensor = property(lambda self: ops.transpose(self))  # type: ignore[assignment]

    def __repr__(self) -> str:
        host = self.device.to_host(self._data)
        text = np.array2string(host, separator=", ", prefix="tensor(", precision=4, threshold=100)
        notes = [] if self.dtype in (np.float32, np.int64, np.bool_) else [f"dtype={self.dtype}"]
        notes += [] if self.device.kind == "cpu" else [f"device={self.device!r}"]
        if self._node is not None:
            plan = self._node[1]
            notes.append(f"made by {plan.op.name}" if hasattr(plan, "op") else "one of several")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: this tensor is one number and has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "A Tensor does not turn into a NumPy array by itself; that would drop its graph. Use "
            "t.detach().numpy(), or the tinygrad_opt function of the same name."
        )

    # ---- to numbers, to arrays, to other devices ----------------------------------------------

    def item(self) -> Any:
        """The one element as a Python number; waits for a GPU."""
        if self.size != 1:
            raise ValueError(f"item: shape {self.shape} has {self.size} elements, not one.")
        return self._data.item()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The NumPy array itself; RuntimeError in a graph, DeviceError elsewhere than on the CPU."""
        if self.device.kind != "cpu":
            raise DeviceError(f"numpy: the tensor is on {self.device}. Write t.cpu().numpy().")
        if self.requires_grad:
            raise RuntimeError("numpy: the tensor requires a gradient. Write t.detach().numpy().")
        array: np.ndarray[Any, Any] = self._data
        return array

    def tolist(self) -> Any:
        """Nested lists of Python numbers; waits for a GPU."""
        return self.device.to_host(self._data).tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"bool: a tensor of shape {self.shape} is neither true nor false. "
                "Use .any() or .all()."
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iub" or self.size != 1:
            raise TypeError(f"index: shape {self.shape} of {self.dtype} is not one integer.")
        return int(self.item())

    def to(self, target: Any) -> Tensor:
        """On another device (`to("cuda")`) or in another dtype (`to("float64")`)."""
        if not isinstance(target, Device) and not str(target).startswith(("cpu", "cuda")):
            return self.astype(target)
        device = Device(target)
        if device is self.device:
            return self
        if self._node is not None and is_grad_enabled():
            raise DeviceError("to: this tensor is part of a graph. Move its inputs instead.")
        moved = wrap(device.from_host(self.device.to_host(self._data)), device)
        moved.requires_grad, moved.name = self.requires_grad, self.name
        tensor: Tensor = moved
        return tensor

    def cpu(self) -> Tensor:
        """On the CPU."""
        return self.to("cpu")

    def cuda(self, index: int = 0) -> Tensor:
        """On a GPU."""
        return self.to(f"cuda:{index}")

    def astype(self, dtype: Any) -> Tensor:
        """In another dtype; gradients flow between float dtypes."""
        return _tensor(ops.astype(self, dtype))

    def float(self) -> Tensor:
        """In float32."""
        return self.astype(np.float32)

    def double(self) -> Tensor:
        """In float64."""
        return self.astype(np.float64)

    def long(self) -> Tensor:
        """In int64."""
        return self.astype(np.int64)

    def clone(self) -> Tensor:
        """The same values in memory of their own; gradients flow through."""
        return _tensor(ops.clone(self))

    def __deepcopy__(self, memo: Any) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: only leaves can be copied. Write t.detach().clone().")
        copy = wrap(self._data.copy(), self.device)
        copy.__class__ = type(self)
        copy.requires_grad, copy.name = self.requires_grad, self.name
        if self.grad is not None:
            copy.grad = self.grad.detach().clone()
        memo[id(self)] = copy
        tensor: Tensor = copy
        return tensor

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError("pickle: only leaves can be saved. Use t.detach().")
        host = self.device.to_host(self._data)
        return _rebuild, (type(self), host, str(self.device), self.requires_grad, self.name)

    # ---- gradients ----------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, create_graph: bool = False, retain_graph: bool = True
    ) -> None:
        """Add d self / d x to ``x.grad`` of every leaf x below that requires a gradient.

        A graph lives as long as its last tensor, so ``retain_graph`` changes nothing here.
        """
        autograd.backward(self, gradient, create_graph)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Track this leaf, or stop to."""
        if self._node is not None and not requires_grad:
            raise RuntimeError("requires_grad_: only a leaf can stop tracking. Use t.detach().")
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: {self.dtype} data has no gradient. Use float32: "
                'tensor(x, dtype="float32").'
            )
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same array without its graph."""
        return _tensor(wrap(self._data, self.device))

    def retain_grad(self) -> None:
        """Keep the gradient that reaches this tensor in ``.grad``, though it is not a leaf."""
        if self._node is not None:
            me = weakref.ref(self)

            def keep(g: Tensor) -> None:
                tensor = me()
                if tensor is not None:
                    tensor.grad = g if tensor.grad is None else tensor.grad + g

            self.register_hook(keep)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook(gradient)`` when the whole gradient has arrived; what it returns replaces it.

        Gives back a function that removes the hook.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor requires no gradient; none will arrive.")
        if self._node is None and self._hooks is None:
            self._hooks = []
        hooks: list[Any] = self._hooks if self._node is None else self._node[6]  # type: ignore
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    # ---- operators ----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return _tensor(ops.add(self, other))

    def __radd__(self, other: Any) -> Tensor:
        return _tensor(ops.add(other, self))

    def __sub__(self, other: Any) -> Tensor:
        return _tensor(ops.subtract(self, other))

    def __rsub__(self, other: Any) -> Tensor:
        return _tensor(ops.subtract(other, self))

    def __mul__(self, other: Any) -> Tensor:
        return _tensor(ops.multiply(self, other))

    def __rmul__(self, other: Any) -> Tensor:
        return _tensor(ops.multiply(other, self))

    def __truediv__(self, other: Any) -> Tensor:
        return _tensor(ops.divide(self, other))

    def __rtruediv__(self, other: Any) -> Tensor:
        return _tensor(ops.divide(other, self))

    def __pow__(self, other: Any) -> Tensor:
        return _tensor(ops.power(self, other))

    def __rpow__(self, other: Any) -> Tensor:
        return _tensor(ops.power(other, self))

    def __matmul__(self, other: Any) -> Tensor:
        return _tensor(ops.matmul(self, other))

    def __neg__(self) -> Tensor:
        return _tensor(ops.negative(self))

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return _tensor(ops.absolute(self))

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _tensor(ops.equal(self, other))

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _tensor(ops.not_equal(self, other))

    def __lt__(self, other: Any) -> Tensor:
        return _tensor(ops.less(self, other))

    def __le__(self, other: Any) -> Tensor:
        return _tensor(ops.less_equal(self, other))

    def __gt__(self, other: Any) -> Tensor:
        return _tensor(ops.greater(self, other))

    def __ge__(self, other: Any) -> Tensor:
        return _tensor(ops.greater_equal(self, other))

    def __and__(self, other: Any) -> Tensor:
        return _tensor(ops.logical_and(self, other))

    def __or__(self, other: Any) -> Tensor:
        return _tensor(ops.logical_or(self, other))

    def __xor__(self, other: Any) -> Tensor:
        return _tensor(ops.logical_xor(self, other))

    def __invert__(self) -> Tensor:
        return _tensor(ops.logical_not(self))

    def _write(self, symbol: str, index: Any, value: Any) -> Tensor:
        """In-place changes are for leaves that no gradient is asked of, or under no_grad."""
        if self._node is not None:
            maker = getattr(self._node[1], "op", None)
            raise RuntimeError(
                f"x {symbol} ...: x was made by {maker.name if maker else 'an operation'} and is "
                "part of a graph, so its value is still needed for the gradient. Write a new "
                "tensor: x = x + ..."
            )
        if self.requires_grad and is_grad_enabled():
            who = self.name or "w"
            raise RuntimeError(
                f"{who} {symbol} ...: {who} requires a gradient. Change it under no_grad(), or let "
                "an optimizer do it."
            )
        self._data[ops.raw_index(index)] = value._data if isinstance(value, Variable) else value
        changed([self], f"{symbol} in place")
        return self

    def __iadd__(self, other: Any) -> Tensor:
        return self._write("+=", ..., self.detach() + other)

    def __isub__(self, other: Any) -> Tensor:
        return self._write("-=", ..., self.detach() - other)

    def __imul__(self, other: Any) -> Tensor:
        return self._write("*=", ..., self.detach() * other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._write("/=", ..., self.detach() / other)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write("[...] =", index, value)

    def __getitem__(self, index: Any) -> Tensor:
        return _tensor(ops.getitem(self, index))

    # ---- elementwise --------------------------------------------------------------------------

    def exp(self) -> Tensor:
        """eˣ."""
        return _tensor(ops.exp(self))
