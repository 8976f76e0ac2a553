"""CuPy's names, from `cupy_api.json`, and modules that have no others."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

API: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_api.json").read_text())
VERSION: str = API["version"]


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class Module(types.ModuleType):
    """A module with CuPy's names: one that CuPy lacks is an AttributeError.

    One that CuPy has and the stand-in does not model is a NotImplementedError.
    """

    def __init__(self, name: str, **members: Any) -> None:
        super().__init__(name)
        self._table: dict[str, str | None] = API["namespaces"][name]
        invented = members.keys() - self._table.keys()
        if invented:
            raise NameError(f"{name} {VERSION} has no {sorted(invented)}")
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        if name not in self._table:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r} (CuPy {VERSION})"
            )
        value = self.__dict__[name] = self._find(name)  # looked up once
        return value

    def _find(self, name: str) -> Any:
        raise NotImplementedError(f"stand-in: {self.__name__}.{name}")
