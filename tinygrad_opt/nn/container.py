"""Modules made of modules: a chain, a list, a dictionary."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import count
from typing import Any, Self, overload

from . import functional as F
from .activation import ReLU
from .linear import Linear
from .module import Module

_LINEAR, _RELU = Linear.forward, ReLU.forward  # what can run in one pass


class _Numbered(Module):
    """What a chain and a list share: their layers are named "0", "1", … unless names are given."""

    def _layers(self) -> list[Module]:
        return [part for part in vars(self).values() if isinstance(part, Module)]

    def _name(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        if not -len(names) <= index < len(names):
            raise IndexError(
                f"{type(self).__name__}: there is no layer {index} among {len(names)}."
            )
        return names[index]

    def __len__(self) -> int:
        return len(self._layers())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        """One layer, or with a slice a chain or list of the same layers, which are not copied."""
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            for name, layer in list(self.named_children())[index]:
                part.add_module(name, layer)
            return part._renumber()
        return self._layers()[index]

    def __setitem__(self, index: int, layer: Module) -> None:
        self.add_module(self._name(index), layer)

    def __delitem__(self, index: int) -> None:
        delattr(self, self._name(index))
        self._renumber()

    def append(self, layer: Module) -> Self:
        """One more layer at the end."""
        free = (str(n) for n in count(len(self)) if str(n) not in vars(self))
        self.add_module(next(free), layer)
        return self

    def extend(self, layers: Iterable[Module]) -> Self:
        """More layers at the end."""
        for layer in layers:
            self.append(layer)
        return self

    def insert(self, index: int, layer: Module) -> None:
        """One more layer before this place."""
        layers = self._layers()
        layers.insert(index, layer)
        self.append(layer)
        for name, each in zip([name for name, _ in self.named_children()], layers, strict=True):
            self.add_module(name, each)

    def _renumber(self) -> Self:
        """Numbers without gaps; given names stay."""
        parts = list(self.named_children())
        for name, _ in parts:
            delattr(self, name)
        for place, (name, layer) in enumerate(parts):
            self.add_module(str(place) if name.isdigit() else name, layer)
        return self


class Sequential(_Numbered):
    """Layers one after another: x -> layer 0 -> layer 1 -> …

    From layers, or from a dictionary that names them: `Sequential(Linear(4, 8), ReLU())`.
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        named: Iterable[tuple[Any, Any]] = enumerate(layers)
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = layers[0].items()
        for name, layer in named:
            self.add_module(str(name), layer)

    def forward(self, x: Any) -> Any:
        """What the last layer makes of it; a Linear and the ReLU after it run in one pass."""
        linear = None  # one that waits until it is known what follows
        for layer in vars(self).values():
            if not isinstance(layer, Module):
                continue
            changed = layer._forward_hooks or "forward" in layer.__dict__
            runs = None if changed else type(layer).forward
            if linear is not None:
                if runs is _RELU:
                    x, linear = linear.forward(x, F.linear_relu), None
                    continue
                x, linear = linear.forward(x), None
            if runs is _LINEAR:
                linear = layer
            else:
                x = layer(x)
        return x if linear is None else linear.forward(x)


class ModuleList(_Numbered):
    """A list of modules that are learned, moved and saved; what to do with them is yours."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ModuleDict(Module):
    """A dictionary of modules that are learned, moved and saved, in order of insertion.

    A key becomes an attribute; one that is the name of a method raises ValueError.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def _parts(self) -> dict[str, Module]:
        return dict(self.named_children())

    def __len__(self) -> int:
        return len(self._parts())

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts())

    def __contains__(self, key: object) -> bool:
        return key in self._parts()

    def __getitem__(self, key: str) -> Module:
        return self._parts()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def pop(self, key: str) -> Module:
        """Take a module out."""
        module = self._parts()[key]
        delattr(self, key)
        return module

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules or put them in the place of those of the same key."""
        for key, module in dict(modules).items():
            self.add_module(key, module)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._parts().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._parts().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._parts().items()
