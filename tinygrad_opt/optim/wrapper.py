"""What looks like an optimizer, and the base of all that goes around one."""

# ruff: noqa: D102      what an optimizer does is said there

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from ..live import live
from ..operation import enable_grad
from ..tensor import Tensor
from .hooks import Handle, Hook
from .parameters import check_gradient, label
from .saving import host_copy

Closure = Callable[[], Any]


class OptimizerLike(Protocol):
    """An optimizer, a wrapper, or several optimizers side by side."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...
    @property
    def step_count(self) -> int: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def zero_grad(self, set_to_none: bool = True) -> None: ...
    def step(self, closure: Closure | None = None) -> Any: ...
    def add_param_group(self, param_group: Mapping[str, Any]) -> None: ...
    def state_of(self, p: Tensor) -> dict[str, Any]: ...
    def state_dict(self) -> Any: ...
    def load_state_dict(self, state_dict: Any) -> None: ...
    def register_step_pre_hook(self, hook: Hook) -> Handle: ...
    def register_step_post_hook(self, hook: Hook) -> Handle: ...


def evaluate(closure: Closure | None) -> Any:
    """The loss that a closure computes and calls backward on, if there is one."""
    if closure is None:
        return None
    with enable_grad():
        return closure()


def with_gradients(optimizer: OptimizerLike) -> list[tuple[str, Tensor]]:
    """The parameters that have a gradient, and what to call them; an error if one does not fit."""
    owner, found = type(optimizer).__name__, []
    for i, p in enumerate(optimizer.parameters()):
        if p.grad is not None:
            check_gradient(owner, p, label(p, i))
            found.append((label(p, i), p))
    return found


class Wrapper:
    """An optimizer around another: everything is the inner one's, unless a subclass says otherwise.

    TypeError for what is no optimizer, ValueError for one whose steps are recorded.
    """

    options: ClassVar[tuple[str, ...]] = ()  # attributes that `repr` shows
    saved: ClassVar[tuple[str, ...]] = ()  # those that are state: a count, or arrays by parameter

    def __init__(self, optimizer: OptimizerLike) -> None:
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"{type(self).__name__}: it goes around an optimizer, and this is a "
                f"{type(optimizer).__name__}. Write {type(self).__name__}(SGD(params, lr=0.1))."
            )
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            self._check(group)

    def _check(self, group: Any) -> None:
        if isinstance(group, Mapping) and group.get("differentiable"):
            raise ValueError(
                f"{type(self).__name__}: this optimizer is differentiable, and its graph would "
                "miss what a wrapper does to arrays. Leave differentiable off."
            )

    # ---- the inner optimizer's ----------------------------------------------------------------

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of the inner optimizer, for schedulers."""
        return self.optimizer.param_groups

    @property
    def step_count(self) -> int:
        """The steps that the inner optimizer took."""
        return self.optimizer.step_count

    def parameters(self) -> Iterator[Tensor]:
        """The parameters of all groups."""
        return self.optimizer.parameters()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those that exist to zero."""
        self.optimizer.zero_grad(set_to_none)

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step; the loss of the closure, if there is one."""
        return self.optimizer.step(closure)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """One more group in the inner optimizer."""
        self._check(param_group)
        self.optimizer.add_param_group(param_group)

    def state_of(self, p: Tensor) -> dict[str, Any]:
        """The state of a parameter in the inner optimizer."""
        return self.optimizer.state_of(p)

    def register_step_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(inner optimizer, args, kwargs)` before each of its steps."""
        return self.optimizer.register_step_pre_hook(hook)

    def register_step_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(inner optimizer, args, kwargs)` after each of its steps."""
        return self.optimizer.register_step_post_hook(hook)

    def __getattr__(self, name: str) -> Any:
        """What else the inner optimizer has, such as `train()` and `eval()`."""
        if name == "optimizer" or name.startswith("_"):  # a copy that is being made has none yet
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.optimizer, name)

    # ---- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"optimizer": the inner one's, …}: NumPy copies and plain Python.

        Arrays are a list in the order of `parameters()`, None where a parameter has none.
        """
        own = {name: self._plain(getattr(self, name)) for name in self.saved}
        return {"optimizer": self.optimizer.state_dict(), **own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume; ValueError, and nothing is changed, for what does not fit."""
        missing = {"optimizer", *self.saved} - set(state_dict)
        if missing:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: {', '.join(sorted(missing))} missing. "
                f"Was it saved by {type(self).__name__}?"
            )
        own = {
            name: self._own(name, state_dict[name])
            if isinstance(getattr(self, name), dict)
            else int(state_dict[name])
            for name in self.saved
        }
        self.optimizer.load_state_dict(state_dict["optimizer"])
        vars(self).update(own)

    def _plain(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return [host_copy(value[p]) if p in value else None for p in self.parameters()]

    def _own(self, name: str, arrays: list[Any]) -> dict[Tensor, Any]:
        """Arrays as they were saved, by parameter."""
        who = f"{type(self).__name__}.load_state_dict: {name}"
        params = list(self.parameters())
        if len(arrays) != len(params):
            raise ValueError(f"{who} has {len(arrays)} arrays for {len(params)} parameters.")
        own = {p: np.array(a, p.dtype) for p, a in zip(params, arrays) if a is not None}
        for i, p in enumerate(params):
            if p in own and own[p].shape != p.shape:
                raise ValueError(
                    f"{who} of {label(p, i)} is {own[p].shape} in the file and {p.shape} here."
                )
        return {p: p.device.from_host(array) for p, array in own.items()}

    # ---- printing -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        options = [f"{name}={getattr(self, name)!r}" for name in self.options]
        return f"{type(self).__name__}({', '.join([repr(self.optimizer), *options])})"
