"""A class or a function of the library with one line written wrong: "old → new"."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any


def edited(thing: Any, edit: str) -> Any:
    """The same class or function, with the mistake; AssertionError if "old" is not there once."""
    old, new = edit.split(" → ")
    source = textwrap.dedent(inspect.getsource(thing))
    source = source[source.index("class " if inspect.isclass(thing) else "def ") :]
    assert source.count(old) == 1, f"{thing.__qualname__} has {source.count(old)} × {old!r}"
    names = dict(vars(sys.modules[thing.__module__]))
    exec("from __future__ import annotations\n" + source.replace(old, new), names)
    return names[thing.__name__]
