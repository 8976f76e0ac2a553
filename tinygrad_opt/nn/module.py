"""Module: what layers and models are. It adds to its parts what can be done with them.

Order: calling and hooks · changing all parts · saving · printing · helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from ..device import Device
from ..operation import Variable, changed, there
from ..tensor import Tensor
from .parts import Parameter, Parts

__all__ = ["LoadResult", "Module", "Parameter"]

Hook = Callable[..., Any]


class LoadResult(NamedTuple):
    """The keys that `load_state_dict` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class _Called:
    """What a call of a module runs: its forward of this moment, or the hooks around it."""

    def __get__(self, module: Module | None, kind: type[Module]) -> Callable[..., Any]:
        if module is None:
            return kind.forward
        return module._call_with_hooks if module._forward_hooks else module.forward


class Module(Parts):
    """A layer or a model: attributes that are Parameters and Modules, and ``forward``.

    ``module(x)`` is ``module.forward(x)``, with the module's hooks before and after it. Each
    parameter appears once, however often it is tied. A plain list or dict of modules is not looked
    into, which is warned about: use ModuleList or ModuleDict.
    """

    __call__ = _Called()
    training: bool = True
    _forward_hooks: dict[object, tuple[str, Hook]] = {}  # each "before" or "after"
    _shown: tuple[str, ...] = ()  # the attributes that `repr` tells

    # ---- calling and hooks --------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            raise TypeError(
                f"{cls.__name__}: define forward, not __call__; model(x) calls forward."
            )

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f"{type(self).__name__}: there is no forward(self, x), so it cannot be called."
        )

    def register_forward_pre_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(module, inputs)`` before forward; what it returns replaces the inputs.

        Gives back a function that removes the hook; calling it again does nothing.
        """
        return self._register("before", hook)

    def register_forward_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(module, inputs, output)`` after forward; what it returns replaces the output.

        Gives back a function that removes the hook; calling it again does nothing.
        """
        return self._register("after", hook)

    def _register(self, when: str, hook: Hook) -> Callable[[], None]:
        key = object()
        self._forward_hooks = self._forward_hooks | {key: (when, hook)}  # copies share the old one

        def remove() -> None:
            self._forward_hooks = {k: v for k, v in self._forward_hooks.items() if k is not key}

        return remove

    def _call_with_hooks(self, *inputs: Any, **options: Any) -> Any:
        hooks = self._forward_hooks.values()
        for hook in [hook for when, hook in hooks if when == "before"]:
            given = hook(self, inputs)
            if given is not None:
                inputs = given if isinstance(given, tuple) else (given,)
        output = self.forward(*inputs, **options)
        for hook in [hook for when, hook in hooks if when == "after"]:
            given = hook(self, inputs, output)
            output = output if given is None else given
        return output

    # ---- changing all of them -----------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch statistics on, here and below."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout and batch statistics off, here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Learn all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget all gradients: None, so that an optimizer skips what gets no new one."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, *targets: Any) -> Self:
        """Move to a device, convert to a float dtype, or both: `to("cuda")`, `to("float64")`.

        The same Parameter objects stay, so an optimizer that holds them need not be made anew.
        Gradients come along. Where there is no room, OutOfMemory, and nothing has moved.
        """
        tensors = [*self.parameters(), *self.buffers()]
        for tensor in tensors:
            if tensor.grad is not None and tensor.grad.is_sparse:
                tensor.grad = tensor.grad.detach()  # all its numbers, in one array
        tensors += [tensor.grad for tensor in tensors if tensor.grad is not None]
        converted = [_converted(tensor, targets) for tensor in tensors]
        for tensor, (array, device) in zip(tensors, converted):
            if array is not tensor._data:
                tensor._data, tensor.device = array, device
                changed([tensor], "Module.to()")
        return self

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, index: int = 0) -> Self:
        """Move to a GPU."""
        return self.to(f"cuda:{index}")

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module, inner ones first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of all parameters and buffers as NumPy arrays, under PyTorch's keys."""
        saved = self._saved().items()
        return {key: np.array(tensor.device.to_host(tensor._data)) for key, tensor in saved}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Take in the values of Tensors, NumPy arrays or PyTorch's CPU tensors; dtypes stay.

        ValueError where shapes differ and, with ``strict``, where keys do; then nothing changed.
        """
        own = self._saved()
        given = {key: _host(state[key], own[key].dtype) for key in own if key in state}
        missing = [key for key in own if key not in state]
        unexpected = [key for key in state if key not in own]
        faults = [
            f'"{key}" is {array.shape} in the file and {own[key].shape} here'
            for key, array in given.items()
            if array.shape != own[key].shape
        ]
        if strict and missing:
            faults.append(f"Missing: {', '.join(missing)}")
        if strict and unexpected:
            faults.append(f"Not expected: {', '.join(unexpected)}")
        if faults:
            raise ValueError(f"load_state_dict: {'. '.join(faults)}.")
        for key, array in given.items():
            t = own[key]
            there(t.device, t._data.__setitem__, ..., t.device.from_host(array))
        changed((own[key] for key in given), "load_state_dict()")
        return LoadResult(missing, unexpected)

    # ---- printing -----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {child!r}" for name, child in self.named_children()]
        if children:
            lines = "\n".join([extra, *children] if extra else children)
            extra = "\n  " + lines.replace("\n", "\n  ") + "\n"
        return f"{type(self).__name__}({extra})"


# ---- helpers ----------------------------------------------------------------------------------


def _converted(tensor: Tensor, targets: tuple[Any, ...]) -> tuple[Any, Device]:
    """The array of a tensor on another device or, if it has floats, in another dtype."""
    array, device = tensor._data, tensor.device
    for target in targets:
        if isinstance(target, Device) or str(target).startswith(("cpu", "cuda")):
            device = Device(target)
            array = device.put(array)
        elif np.dtype(target).kind != "f":
            raise TypeError(
                f"to: a module cannot become {np.dtype(target)}; it needs floats to learn."
            )
        elif array.dtype.kind == "f":
            array = there(device, partial(array.astype, np.dtype(target), copy=False))
    return array, device


def _host(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if isinstance(value, Variable):
        value = value.device.to_host(value._data)
    return np.asarray(value, dtype)
