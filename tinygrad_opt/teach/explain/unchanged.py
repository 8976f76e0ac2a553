"""Taking a step of an optimizer, and leaving no trace of it: everything stands as it stood."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import copy
from typing import Any

from ...optim.hooks import Hooks
from ...optim.lbfgs import Memory
from ...random_numbers import undisturbed
from ...tensor import Tensor


def layers(optimizer: Any) -> list[Any]:
    """An optimizer and everything that it goes around, outermost first."""
    inner = getattr(optimizer, "optimizers", None) if not hasattr(optimizer, "optimizer") else None
    found = [optimizer]
    for one in inner or ([optimizer.optimizer] if "optimizer" in vars(optimizer) else []):
        found += layers(one)
    return found


class Hooked:
    """The hooks of a step that is rehearsed, and what is to be said of them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def own(self, name: str, value: Any) -> Any:
        """The value of an attribute for the rehearsal."""
        if not isinstance(value, Hooks):
            return _own(value)
        if name == "_before":
            return self.told(value) if value else Hooks()
        if value:
            self.notes.append("not shown: hooks that are called after the step")
        return Hooks()

    def told(self, hooks: Hooks) -> Hooks:
        """These hooks, which tell whether they change gradients."""
        mine, before = Hooks(), {}

        def first(optimizer: Any, args: Any, kwargs: Any) -> None:
            before.update({p: p.grad for p in optimizer.parameters()})

        def last(optimizer: Any, args: Any, kwargs: Any) -> None:
            if any(p.grad is not g for p, g in before.items()):
                self.notes.append("hooks before the step have changed the gradients")

        for hook in (first, *hooks.values(), last):
            mine.add(hook)
        return mine


@contextlib.contextmanager
def rehearsal(optimizer: Any) -> Iterator[Hooked]:
    """Inside this block a step is taken with the rule as it stands, on copies.

    Afterwards weights, gradients, state, counts, groups, the generator and the places where arrays
    live are what they were, to the bit. Hooks before a step are called, those after it are not.
    """
    every, hooked = layers(optimizer), Hooked()
    params = list(optimizer.parameters())
    tensors = [_contents(p) for p in params]
    gradients = [(p.grad, p.grad._data) for p in params if p.grad is not None and _dense(p.grad)]
    attributes = [dict(vars(one)) for one in every]
    groups = [(group, dict(group)) for one in every for group in one.param_groups]
    try:
        for one in every:
            for name, value in vars(one).items():
                if name not in ("param_groups", "optimizer", "_made", "_storages", "buffers"):
                    setattr(one, name, hooked.own(name, value))
        for p in params:
            p.grad = None if p.grad is None else _twin(p.grad)
        for one in every:
            if hasattr(one, "_restore"):
                one.engine = "reference"
                entries = [
                    {p: storage.entry(p) for p in group["params"]}
                    for storage, group in zip(one._storages, one.param_groups, strict=True)
                ]
                one._restore(entries)
        with undisturbed():
            yield hooked
    finally:
        for one, kept in zip(every, attributes, strict=True):
            vars(one).clear()
            vars(one).update(kept)
        for group, kept in groups:
            group.clear()
            group.update(kept)
        for p, contents in zip(params, tensors, strict=True):
            _put_back(p, contents)
        for g, array in gradients:
            g._data = array


def _dense(g: Tensor) -> bool:
    return not g.is_sparse


def _twin(g: Tensor) -> Tensor:
    """A gradient in memory of its own; one of rows is never written into."""
    if g.is_sparse or g.requires_grad:
        return g
    twin = g.detach().clone()
    twin.name = g.name
    return twin


def _contents(p: Tensor) -> tuple[Any, ...]:
    return p._data, p._node, p._requires_grad, dict(p.__dict__)


def _put_back(p: Tensor, kept: tuple[Any, ...]) -> None:
    p._data, p._node, p._requires_grad, attributes = kept
    p.__dict__.clear()
    p.__dict__.update(attributes)


def _own(value: Any) -> Any:
    """A value that may be changed without the other knowing; tensors stay the same ones."""
    if isinstance(value, dict):
        return {key: _own(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_own(one) for one in value]
    if isinstance(value, Memory):
        mine = copy(value)
        vars(mine).update({name: _own(one) for name, one in vars(value).items()})
        return mine
    if hasattr(value, "dtype") and hasattr(value, "copy") and not isinstance(value, Tensor):
        return value.copy()
    return value
