"""Functions called before and after every step, each with a handle that removes it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Self

Hook = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

_number = count().__next__


class Hooks(dict[int, Hook]):
    """Hooks by number, called in the order in which they came."""

    def add(self, hook: Hook) -> Handle:
        """One more hook, called last."""
        key = _number()
        self[key] = hook
        return Handle(self, key)

    def call(
        self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the hooks make of the arguments of `step`, the optimizer first among them."""
        for hook in list(self.values()):
            result = hook(optimizer, args, kwargs)
            if result is not None:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(
                        f"{type(optimizer).__name__}: a step hook returned {result!r}. It returns "
                        "None, or (args, kwargs) to put in their place."
                    )
                args, kwargs = result
        return args, kwargs


class Handle:
    """Removes a hook: `handle.remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: Hooks, key: int) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
