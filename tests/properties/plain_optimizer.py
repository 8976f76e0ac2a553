"""What optimizers are held to: the same steps, taken by something that is never disturbed.

Order: the rule alone, on NumPy arrays · for classes that do more than their rule, a twin.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.helpers import host
from tinygrad_opt import Device, Tensor, use_device
from tinygrad_opt.optim import Optimizer
from tinygrad_opt.optim.rule import each

Array = np.ndarray[Any, Any]
Gradients = Sequence[Array | None]
NAMES = ("params", "param_names")


def options_of(group: dict[str, Any]) -> dict[str, Any]:
    """What a group says besides its parameters."""
    return {name: value for name, value in group.items() if name not in NAMES}


class PlainOptimizer:
    """The rule of a class, tensor by tensor, with a dict of state for each."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.kind = type(optimizer)
        self.param_groups: list[dict[str, Any]] = []
        self.step_count = 0
        self.values: list[Array] = []
        self.states: list[dict[str, Any]] = []
        self.add(optimizer)

    def add(self, optimizer: Optimizer) -> None:
        """Begin with the groups that an optimizer has and this has not."""
        for group in optimizer.param_groups[len(self.param_groups) :]:
            members = range(len(self.values), len(self.values) + len(group["params"]))
            self.param_groups.append(options_of(group) | {"params": members})
            self.values += [host(p).copy() for p in group["params"]]
            self.states += [{"t": 0} for _ in group["params"]]
            if self.kind.state_at_once:
                for i in members:
                    self.begin(i, self.param_groups[-1])

    def kept(self, group: dict[str, Any]) -> list[str]:
        """The letters of the state that exist with the options of a group."""
        gates = self.kind.state_if
        return [s for s in self.kind.state if s not in gates or group[gates[s]]]

    def begin(self, i: int, group: dict[str, Any]) -> bool:
        """Make the state that is missing; whether there was any."""
        p, state = self.values[i], self.states[i]
        missing = [letter for letter in self.kept(group) if letter not in state]
        for letter in missing:
            start = self.kind.start.get(letter, 0.0)
            if callable(start):
                asked = inspect.getfullargspec(start).kwonlyargs
                state[letter] = start(np, p, **{name: group[name] for name in asked})
                continue
            number = p if start == "p" else group[start] if isinstance(start, str) else start
            scalar = letter in self.kind.scalars
            state[letter] = number if scalar else np.zeros_like(p) + number
        return bool(missing)

    def step(self, gradients: Gradients) -> None:
        """Move what has a gradient."""
        self.step_count += 1
        for group in self.param_groups:
            for i in group["params"]:
                self.follow(i)
                if gradients[i] is not None:
                    self.move(i, gradients[i], group)

    def follow(self, i: int) -> None:
        """State has the dtype of its parameter."""
        dtype, numbers = self.values[i].dtype, ("t", *self.kind.scalars)
        self.states[i] = {
            s: value if s in numbers else each(lambda array: array.astype(dtype), value)
            for s, value in self.states[i].items()
        }

    def move(self, i: int, g: Any, group: dict[str, Any]) -> None:
        """Apply the rule, behind what all rules share."""
        kind, p, state = self.kind, self.values[i], self.states[i]
        first = self.begin(i, group)
        state["t"] += 1
        asked = [
            one.name
            for one in inspect.signature(kind.rule).parameters.values()  # behind decorators, too
            if one.kind is one.KEYWORD_ONLY
        ]
        options = {"t": state["t"], "first": first, **group}
        decay = group.get("weight_decay", 0) if "weight_decay" not in asked else 0
        if group.get("maximize"):
            g = -g
        if decay and group.get("decoupled_weight_decay"):
            p = p * (1 - group["lr"] * decay)
        elif decay:
            g = g + decay * p
        kept = self.kept(group)
        old = [state[letter] if letter in kept else None for letter in kind.state]
        new = kind.rule(np, p, g, *old, **{name: options[name] for name in asked})
        self.values[i], *after = new if isinstance(new, tuple) else (new,)
        state |= {s: value for s, value in zip(kind.state, after) if s in kept}

    def write(self, i: int, array: Array) -> None:
        """Give a parameter other values."""
        self.values[i] = array.copy()

    def adopt(self, optimizer: Optimizer) -> None:
        """Go on from where an optimizer is, which has rounded otherwise."""
        for i, p in enumerate(optimizer.parameters()):
            self.values[i] = host(p).copy()
            self.states[i] = seen(optimizer.state_of(p))

    def state(self) -> Any:
        """Step counts and state of all parameters."""
        return list(map(self.saved, self.states))

    def state_in(self, optimizer: Optimizer) -> Any:
        """The same of an optimizer."""
        return [self.saved(seen(optimizer.state_of(p))) for p in optimizer.parameters()]

    def saved(self, state: dict[str, Any]) -> dict[str, Any]:
        """Without what a parameter of this shape has none of, and counts that files have not."""
        return {
            s: value
            for s, value in state.items()
            if value is not None and (s != "t" or self.kind.saves_step)
        }


def seen(state: dict[str, Any]) -> dict[str, Any]:
    """Copies on the host of the state of a parameter."""
    return {
        s: value
        if isinstance(value, (int, float))
        else each(lambda array: host(array).copy(), value)
        for s, value in state.items()
    }


class Undisturbed:
    """A twin on the CPU, with the reference engine: it steps, and nothing else happens to it."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = None
        self.add(optimizer)

    def add(self, optimizer: Optimizer) -> None:
        """Begin with the groups that an optimizer has and this has not."""
        known = len(self.optimizer.param_groups) if self.optimizer else 0
        groups = [
            options_of(group) | {"params": [twin_of(p) for p in group["params"]]}
            for group in optimizer.param_groups[known:]
        ]
        if self.optimizer is None:
            self.optimizer = type(optimizer)(groups)
            groups = []
        for group in groups:
            self.optimizer.add_param_group(group)

    @property
    def params(self) -> list[Tensor]:
        """The parameters."""
        return list(self.optimizer.parameters())

    @property
    def values(self) -> list[Array]:
        """Their arrays."""
        return [p.data for p in self.params]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, for schedulers."""
        return self.optimizer.param_groups

    @property
    def step_count(self) -> int:
        """The steps so far, for schedulers."""
        return self.optimizer.step_count

    def step(
        self, gradients: Gradients, closure: Callable[[list[Tensor]], Any] | None = None
    ) -> None:
        """Take the step."""
        with use_device("cpu"):
            for p, g in zip(self.params, gradients):
                p.grad = None if g is None else Tensor(g.copy())
            self.optimizer.step(closure and (lambda: closure(self.params)))

    def write(self, i: int, array: Array) -> None:
        """Give a parameter other values."""
        self.params[i].data = array.copy()

    def state(self) -> Any:
        """All state, in the layout of files."""
        return self.optimizer.state_dict()["state"]

    def state_in(self, optimizer: Optimizer) -> Any:
        """The same of an optimizer."""
        return optimizer.state_dict()["state"]


def twin_of(p: Tensor) -> Tensor:
    """A parameter of its own, on the CPU."""
    return Tensor(host(p).copy(), requires_grad=True, device=Device("cpu"))
