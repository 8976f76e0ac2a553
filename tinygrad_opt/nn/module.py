"""Module: what layers and models are. It adds to its parts what can be done with them.

Order: calling · changing all parts · saving · hooks · printing · helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..device import Device
from ..operation import Variable, changed
from ..tensor import Tensor
from .parts import Parameter, Parts

__all__ = ["LoadResult", "Module", "Parameter"]

Hook = Callable[..., Any]


class LoadResult(NamedTuple):
    """The keys that `load_state_dict` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Parts):
    """A layer or a model: attributes that are Parameters and Modules, and ``forward``.

    ``module(x)`` is ``module.forward(x)``: the class calls it directly unless hooks are registered.
    Each parameter appears once, however often it is tied. A plain list or dict of modules is not
    looked into, which is warned about: use ModuleList or ModuleDict.
    """

    __call__: Callable[..., Any]
    training: bool = True
    _shown: tuple[str, ...] = ()  # the attributes that `repr` tells

    # ---- calling ------------------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            raise TypeError(
                f"{cls.__name__}: define forward, not __call__; model(x) calls forward."
            )
        _bind(cls)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f"{type(self).__name__}: there is no forward(self, x), so it cannot be called."
        )

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
        """
        for tensor in (*self.parameters(), *self.buffers()):
            for target in targets:
                _convert(tensor, target)
                if tensor.grad is not None:
                    _convert(tensor.grad, target)
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
            own[key]._data[...] = own[key].device.from_host(array)
        changed((own[key] for key in given), "load_state_dict()")
        return LoadResult(missing, unexpected)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied or unpickled module brings its hooks along."""
        vars(self).update(state)
        _bind(type(self), len(state.get("_pre_hooks", ())) + len(state.get("_hooks", ())))

    # ---- hooks --------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(module, inputs)`` before forward; what it returns replaces the inputs.

        Gives back a function that removes the hook.
        """
        return self._register("_pre_hooks", hook)

    def register_forward_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(module, inputs, output)`` after forward; what it returns replaces the output.

        Gives back a function that removes the hook.
        """
        return self._register("_hooks", hook)

    @classmethod
    def has_hooks(cls) -> bool:
        """Whether a hook is registered with any module of this class."""
        return bool(vars(cls).get("_hook_count"))

    def _register(self, kind: str, hook: Hook) -> Callable[[], None]:
        hooks: list[Hook] = vars(self).setdefault(kind, [])
        hooks.append(hook)
        _bind(type(self), 1)

        def remove() -> None:
            hooks.remove(hook)
            _bind(type(self), -1)

        return remove

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


def _bind(cls: Any, more_hooks: int = 0) -> None:
    """Let calls of a class go straight to ``forward`` while none of its modules has a hook."""
    cls._hook_count = vars(cls).get("_hook_count", 0) + more_hooks
    cls.__call__ = _call_with_hooks if cls._hook_count else cls.forward


def _call_with_hooks(self: Module, *inputs: Any, **options: Any) -> Any:
    for hook in tuple(vars(self).get("_pre_hooks", ())):
        given = hook(self, inputs)
        if given is not None:
            inputs = given if isinstance(given, tuple) else (given,)
    output = self.forward(*inputs, **options)
    for hook in tuple(vars(self).get("_hooks", ())):
        given = hook(self, inputs, output)
        output = output if given is None else given
    return output


def _convert(tensor: Tensor, target: Any) -> None:
    """Bring a tensor to a device or, if it has floats, to a dtype; the object stays."""
    array = tensor._data
    if isinstance(target, Device) or str(target).startswith(("cpu", "cuda")):
        device = Device(target)
        if device is not tensor.device:
            tensor._data = device.from_host(tensor.device.to_host(array))
            tensor.device = device
    elif np.dtype(target).kind != "f":
        raise TypeError(f"to: a module cannot become {np.dtype(target)}; it needs floats to learn.")
    elif array.dtype.kind == "f":
        tensor._data = array.astype(np.dtype(target), copy=False)
    if tensor._data is not array:
        changed([tensor], "Module.to()")


def _host(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if isinstance(value, Variable):
        value = value.device.to_host(value._data)
    return np.asarray(value, dtype)
