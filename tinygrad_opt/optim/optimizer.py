"""The base of all optimizers: everything that is not the rule.

A class says what it keeps and how one step looks, and nothing else:

    class Momentum(Optimizer):
        state = {"b": "momentum_buffer"}

        def __init__(self, params, lr=0.1, momentum=0.9):
            super().__init__(params, {"lr": lr, "momentum": momentum})

        @staticmethod
        def rule(xp, p, g, b, *, lr, momentum):
            b = momentum * b + g
            return p - lr * b, b

Order: what a class says · construction · the step · state · printing and copies.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, ClassVar

from ..observer import Observer
from ..operation import enable_grad, there, wrap
from ..tensor import Tensor
from . import saving
from .by_rows import ByRows
from .engine import ENGINES
from .hooks import Handle, Hook, Hooks
from .options import FLAGS, Flags, Rows, check, described, warn_of_small_eps, warn_of_strangers
from .parameters import Params, groups_of, label, members
from .recorded import Recorded
from .rule import rule_of
from .storage import Storage


class Optimizer:
    """Moves parameters against their gradients: `loss.backward()`, then `optimizer.step()`.

    `params` are Tensors, pairs (name, Tensor), or group dicts with a list "params" and options of
    their own. A parameter whose `.grad` is None is skipped: nothing of it changes. ValueError for
    options out of range and for parameters that cannot move, TypeError for what is no parameter.
    """

    # What a class says. The rule is pure: it returns new values and writes into nothing.

    state: ClassVar[dict[str, str]] = {}  # the paper's letter: the name in PyTorch's checkpoints
    state_if: ClassVar[dict[str, str]] = {}  # letter: the option that has to be on for it to exist
    scalars: ClassVar[tuple[str, ...]] = ()  # letters of numbers, functions of numbers alone
    start: ClassVar[dict[str, Any]] = {}  # letter: where it starts instead of 0, see `rule`
    state_at_once: ClassVar[bool] = False  # make the state at construction, not at the first step
    saves_step: ClassVar[bool] = True  # a checkpoint holds the count of steps, "step"
    ignored: ClassVar[tuple[str, ...]] = ()  # beginnings of keys that other packages also save
    scope: ClassVar[str] = "elementwise"  # what the rule sees at once, see below
    flags: ClassVar[tuple[str, ...]] = tuple(FLAGS)  # those that PyTorch's class has
    allowed: ClassVar[Rows] = {}  # options whose range is not that of the common table
    fixed: ClassVar[dict[str, Any]] = {}  # options that are no choice

    # Scopes: "elementwise", any part of the parameters; "tensor" or "matrix", one whole parameter;
    # "rows", some rows of one. With "global" and "closure" a class does more than its rule.

    @staticmethod
    def rule(xp: Any, p: Any, g: Any, *state: Any, **options: Any) -> Any:
        """New p, and new state, from the old ones and the gradient.

        It asks by keyword for the options it uses, for `t` (1, 2, …, the parameter's own count) and
        for `first` (its state is new). `xp` is NumPy, CuPy, `tinygrad_opt.ops` or a tracer.

        State is an array shaped like p. It starts at 0 or, in `start`, at another number, at an
        option by its name, at the first p by "p", or as what a function of (xp, p, *, options)
        makes: an array of any shape, a list of them, or None for a p that has no such state.
        `scalars` are Python numbers.
        """
        raise NotImplementedError("an optimizer says what its rule is")

    # ---- construction -------------------------------------------------------------------------

    def __init__(
        self, params: Params, defaults: dict[str, Any], flags: Flags | None = None
    ) -> None:
        name = type(self).__name__
        given: dict[str, Any] = dict(flags or {})
        self.engine: str | None = given.pop("engine", None)
        if self.engine not in (None, *ENGINES):
            raise ValueError(
                f"{name}: engine is {self.engine!r}; it has to be one of {', '.join(ENGINES)}."
            )
        if not given.get("maximize") and "maximize" not in self.flags:
            given.pop("maximize", None)  # any can climb; where PyTorch's cannot, files do not say
        for unknown in given.keys() - {*self.flags, "maximize"}:
            raise TypeError(f"{name}: there is no option {unknown!r}.")
        flagged = {flag: FLAGS[flag] for flag in self.flags}
        self.defaults: dict[str, Any] = defaults | flagged | given | self.fixed
        check(type(self), self.defaults)
        self.param_groups: list[dict[str, Any]] = []
        self.step_count = 0  # calls of `step`; schedulers read it
        self._rule = rule_of(type(self), tuple(self.defaults))
        self._storages: list[Storage | Recorded | ByRows] = []
        self._before, self._after = Hooks(), Hooks()
        for group in groups_of(name, params):
            self.add_param_group(group)
        if not any(group["params"] for group in self.param_groups):
            raise ValueError(f"{name}: there are no parameters in any group.")
        self._first = next(self.parameters())

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """One more group, {"params": […], "lr": 0.1, …}; options not given are the defaults."""
        name = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f'{name}: a group is a dict with a list "params", not {param_group!r}.')
        taken = {
            p: f"parameter {i} of group {k}"
            for k, group in enumerate(self.param_groups)
            for i, p in enumerate(group["params"])
        }
        group = self.defaults | dict(param_group) | self.fixed
        found = members(name, group["params"], taken, leaves=not group.get("differentiable"))
        group["params"] = list(found)
        if None not in found.values():
            group["param_names"] = list(found.values())
        check(type(self), group)
        warn_of_strangers(name, group, self.defaults)
        for i, (p, given_name) in enumerate(found.items()):
            self.check_parameter(p, label(p, i, given_name), group)
        warn_of_small_eps(name, group)
        self.param_groups.append(group)
        self._storages.append(self._store(group))

    def check_parameter(self, p: Tensor, who: str, group: Mapping[str, Any]) -> None:
        """ValueError for a parameter that this optimizer cannot move."""

    def _store(self, group: dict[str, Any]) -> Storage | Recorded | ByRows:
        params, names = group["params"], group.get("param_names")
        labels = [label(p, i, names and names[i]) for i, p in enumerate(params)]
        climbs = ["maximize"] if group.get("maximize") else []  # known to some groups only
        rule = rule_of(type(self), tuple(dict.fromkeys([*self.defaults, *climbs])))
        if group.get("differentiable"):
            return Recorded(list(params), labels, rule)
        if self.scope == "rows":
            return ByRows(list(params), labels, rule)
        engine = self.engine or ("reference" if group.get("foreach") is False else None)
        storage = Storage(list(params), labels, rule, "reference" if rule.whole else engine)
        if self.state_at_once:
            storage.begin(group)
        return storage

    def parameters(self) -> Iterator[Tensor]:
        """The parameters of all groups."""
        return chain.from_iterable(group["params"] for group in self.param_groups)

    # ---- the step -----------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those that exist to zero, so that momentum goes on."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = wrap(there(p.device, p.device.xp.zeros_like, p._data), p.device)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient by one application of the rule.

        A closure computes the loss anew, calls backward and returns the loss, which is returned.
        """
        step = self._step_with_hooks if self._before or self._after else self._step
        device = self._first.device
        if isinstance(xp := device.xp, Observer):
            return xp.step(there, device, step, closure)
        return there(device, step, closure)

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._check_groups()
        for storage in self._storages:
            storage.gather()  # all that can fail comes before anything is changed
        self._advance()
        self.step_count += 1
        return loss

    def _check_groups(self) -> None:
        """RuntimeError for parameters that got into a group by another way than our own."""
        known = len(self.param_groups) == len(self._storages)
        for storage, group in zip(self._storages, self.param_groups):
            now, then = group["params"], storage.params
            known = known and len(now) == len(then) and all(map(operator.is_, now, then))
        if not known:
            raise RuntimeError(
                f"{type(self).__name__}: parameters of param_groups were changed by hand, which "
                "moves no memory. Use add_param_group, or make a new optimizer."
            )

    def _advance(self) -> None:
        """Move the parameters; gradients are in."""
        for storage, group in zip(self._storages, self.param_groups):
            storage.advance(group)

    def _step_with_hooks(self, closure: Callable[[], Any] | None) -> Any:
        args, kwargs = self._before.call(self, (self,) if closure is None else (self, closure), {})
        loss = type(self)._step(*args, **kwargs)
        self._after.call(self, args, kwargs)
        return loss

    def register_step_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; (args, kwargs) returned replace.

        `handle.remove()` ends it.
        """
        return self._before.add(hook)

    def register_step_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step; `handle.remove()` ends it."""
        return self._after.add(hook)

    # ---- state --------------------------------------------------------------------------------

    def state_of(self, p: Tensor) -> dict[str, Any]:
        """The step count "t" and the state of a parameter, by the paper's letters; not copies."""
        for storage, group in zip(self._storages, self.param_groups):
            if any(p is q for q in group["params"]):
                t, state = storage.entry(p)
                return {"t": t} | {s: value for s, value in state.items() if value is not None}
        raise KeyError(f"{type(self).__name__}: this tensor, shape {p.shape}, is not one of mine")

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, in PyTorch's layout: NumPy copies and plain Python."""
        return saving.state_dict(self)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], by_name: bool = False, strict: bool = True
    ) -> None:
        """Resume from ours or PyTorch's `state_dict`, which replaces the options of the groups.

        State meets parameters by position or, `by_name`, by the names of `named_parameters()`; not
        `strict`, those without a partner are left as they are. ValueError, and nothing is changed,
        for groups, shapes or names that do not fit.
        """
        saving.load(self, state_dict, by_name, strict)

    # ---- printing and copies ------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [described(group) for group in self.param_groups]
        inside = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines) + "\n"
        return f"{type(self).__name__}({inside})"

    def __getstate__(self) -> dict[str, Any]:
        entries = [
            {i: storage.entry(p) for i, p in enumerate(group["params"])}
            for storage, group in zip(self._storages, self.param_groups)
        ]
        hidden = ("_storages", "_rule", "_before", "_after")
        kept = {name: value for name, value in vars(self).items() if name not in hidden}
        return kept | {"_entries": entries}

    def __setstate__(self, state: dict[str, Any]) -> None:
        entries = state.pop("_entries")
        vars(self).update(state)
        self._before, self._after = Hooks(), Hooks()
        self._rule = rule_of(type(self), tuple(self.defaults))
        self._restore(
            [
                {group["params"][i]: entry for i, entry in each.items()}
                for each, group in zip(entries, self.param_groups)
            ]
        )

    def _restore(self, entries: list[dict[Tensor, Any]]) -> None:
        """New storages that continue from these step counts and states, one dict for each group."""
        self._storages = [self._store(group) for group in self.param_groups]
        for storage, known in zip(self._storages, entries):
            storage.load(known)
