"""The attributes and methods of CuPy's array that do what NumPy's do; imported for its effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .api import API, words
from .array import PRODUCTS, call, ndarray, product
from .traffic import sync

LACKED = {"where", "initial", "casting", "subok"}  # by CuPy's reductions, and astype
SYNCING = words("compress nonzero")
VIEWS = words("diagonal ravel reshape squeeze swapaxes transpose view")
ATTRIBUTES = words("dtype itemsize nbytes ndim shape size strides")
VIEW_ATTRIBUTES = words("T imag mT")
TO_HOST = words("dump dumps tobytes tofile tolist")


def syncs_for(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Functions and methods that wait for some of their arguments only."""

    def given(position: int, keyword: str) -> Any:
        return args[position] if len(args) > position else kwargs.get(keyword)

    if name == "where":
        return len(args) == 1
    if name == "repeat":
        return isinstance(given(1, "repeats"), ndarray)
    if name == "average":
        return given(2, "weights") is not None
    if name in ("percentile", "quantile"):
        return isinstance(given(1, "q"), ndarray)
    return False


def _method(name: str) -> Callable[..., Any]:
    host_method = getattr(np.ndarray, name)

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        refused = sorted(LACKED & kwargs.keys())
        if refused:
            raise TypeError(f"{name}() got an unexpected keyword argument {refused[0]!r}")
        if name in VIEWS:
            view = host_method(self._host, *args, **kwargs)
            if np.may_share_memory(view, self._host):
                return self.view_of(view)
        if name in SYNCING or syncs_for(name, (self, *args), kwargs):
            sync(f".{name}()")
        if name in PRODUCTS:
            product(self, *args[:1])
        return call(name, host_method, (self, *args), kwargs)

    return method


def _fetching(name: str) -> Callable[..., Any]:
    return lambda self, *args: getattr(self._fetch(f".{name}()"), name)(*args)


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self._host, name))


def _view_attribute(name: str) -> property:
    return property(lambda self: self.view_of(getattr(self._host, name)))


for names, make in (
    (ATTRIBUTES, _attribute),
    (VIEW_ATTRIBUTES, _view_attribute),
    (TO_HOST, _fetching),
    ([n for n in API["ndarray"] if callable(getattr(np.ndarray, n, None))], _method),
):
    for name in names:
        if name not in vars(ndarray):
            setattr(ndarray, name, make(name))
