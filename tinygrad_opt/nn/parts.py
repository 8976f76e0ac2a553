"""What a module holds, and how it is found: parameters, buffers and inner modules.

They are attributes and nothing else, found by looking through `vars(module)` in order of
definition. Nothing is registered, so no second list can go stale, and a forgotten
``super().__init__()`` does no harm.

Order: Parameter · Parts: setting · finding · helpers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module learns: it tracks gradients from the start, also under `no_grad`.

    It shares the array of a Tensor or a raw array, until an optimizer that is given the parameter
    moves the values into a buffer of its own; lists of numbers become float32.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = getattr(data, "_data", data)
        dtype = None if hasattr(array, "dtype") else np.float32
        super().__init__(array, dtype, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Parts:
    """Attributes that are Parameters, buffers and other Parts."""

    _buffers: Mapping[str, bool] = {}  # name -> whether it is saved

    # ---- setting ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        is_plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        if is_plain and isinstance(vars(self).get(name), Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter, and a plain Tensor in its place "
                f"would not be learned. Set its values, layer.{name}.data = ..., or give a new "
                "Parameter."
            )
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        text = (
            f"{type(self).__name__} has no attribute {name!r}. If a base class sets it, call "
            "super().__init__(...) first."
        )
        raise AttributeError(text, name=name, obj=self)

    def add_module(self, name: str, module: Any) -> None:
        """Set an inner module whose name is computed, such as "0"."""
        who = f"{type(self).__name__}: {name!r}"
        if isinstance(module, type) and issubclass(module, Parts):
            raise TypeError(f"{who} is the class {module.__name__}. Write {module.__name__}().")
        if not isinstance(module, Parts):
            raise TypeError(f"{who} is a {type(module).__name__}, and only Modules have a place.")
        if not name or "." in name or hasattr(type(self), name):
            raise ValueError(f"{who} cannot be a name here: it is empty, dotted or a method's.")
        setattr(self, name, module)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that moves and is saved with the module but is not learned."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: {name!r} is a {type(tensor).__name__}. Wrap it: tensor(...)."
            )
        self._buffers = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Set a parameter whose name is computed."""
        setattr(self, name, parameter)

    # ---- finding ------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The modules one level below, with their names."""
        return ((name, part) for name, part in vars(self).items() if isinstance(part, Parts))

    def children(self) -> Iterator[Any]:
        """The modules one level below."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module and all below it, each under its path: "", "0", "0.norm"."""
        return iter(_walk(self, prefix, [], set() if remove_duplicate else None))

    def modules(self) -> Iterator[Any]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters under their paths, by which error messages call them from now on."""
        found = self._named(_parameters, prefix, recurse, remove_duplicate)
        for name, parameter in found:
            if len(name) > len(parameter.name or ""):  # the outermost module knows most
                parameter.name = name
        if recurse:
            _warn_of_plain_lists(self)
        return iter(found)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters in order of definition, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers under their paths."""
        return iter(self._named(_buffers, prefix, recurse, remove_duplicate))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _saved(self) -> dict[str, Tensor]:
        """What is saved, under PyTorch's keys; a tied parameter has several."""
        return dict(self._named(_saved_here, "", True, remove_duplicate=False))

    def _named(
        self, own: Callable[[Any], Any], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> list[tuple[str, Any]]:
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        found = [
            (f"{path}.{name}" if path else name, tensor)
            for path, module in modules
            for name, tensor in own(module)
        ]
        if not remove_duplicate:
            return found
        first: dict[Tensor, str] = {}
        for name, tensor in found:
            first.setdefault(tensor, name)
        return [(name, tensor) for tensor, name in first.items()]


# ---- helpers ----------------------------------------------------------------------------------


def _walk(module: Any, path: str, found: list[Any], seen: set[Any] | None) -> list[Any]:
    """A module and all below it; each once where what was seen is noted."""
    if seen is not None:
        if module in seen:
            return found
        seen.add(module)
    found.append((path, module))
    for name, part in vars(module).items():
        if isinstance(part, Parts):
            _walk(part, f"{path}.{name}" if path else name, found, seen)
    return found


def _parameters(module: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in vars(module).items() if isinstance(part, Parameter)]


def _buffers(module: Any) -> list[tuple[str, Any]]:
    held = vars(module)
    return [(name, held[name]) for name in module._buffers if held.get(name) is not None]


def _saved_here(module: Any) -> list[tuple[str, Any]]:
    kept = [(name, buffer) for name, buffer in _buffers(module) if module._buffers[name]]
    return _parameters(module) + kept


def _warn_of_plain_lists(root: Any) -> None:
    """A list of layers is where parameters get lost most often."""
    for module in root.modules():
        for name, value in vars(module).items():
            if not isinstance(value, (list, tuple, dict)) or not value:
                continue
            part = next(iter(value.values() if isinstance(value, dict) else value))  # one look
            if isinstance(part, (Parts, Parameter)) and part not in _everything(root):
                kind = "ModuleDict" if isinstance(value, dict) else "ModuleList"
                warnings.warn(
                    f"{type(module).__name__}.{name} is a plain {type(value).__name__}, and what "
                    "is in it will not be learned, moved or saved. "
                    + (f"Use {kind}." if isinstance(part, Parts) else "Make it attributes."),
                    stacklevel=4,
                )


def _everything(root: Any) -> set[Any]:
    return {*root.modules(), *(tensor for _, tensor in root._named(_parameters, "", True, True))}
