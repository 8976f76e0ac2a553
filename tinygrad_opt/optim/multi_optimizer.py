"""Several optimizers side by side, each for the parameters that it suits.

    optimizer = MultiOptimizer(
        model.named_parameters(),
        [(is_hidden_matrix, Muon), (lambda name, p: True, lambda params: AdamW(params, lr=3e-4))],
    )

Order: MultiOptimizer · the usual split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Protocol

from ..live import live
from ..tensor import Tensor
from .hooks import Handle, Hook, Hooks
from .parameters import label, members
from .wrapper import Closure, OptimizerLike, evaluate, with_gradients

Predicate = Callable[[str, Tensor], bool]
Factory = Callable[[list[Any]], OptimizerLike]


class MultiOptimizer:
    """One optimizer for each rule (predicate, factory) that has parameters.

    A parameter goes to the first rule whose `predicate(name, p)` is true, and `factory(pairs)`
    makes an optimizer of the pairs (name, p) of a rule. `param_groups` are those of all, for
    schedulers; `state_dict` is a list. ValueError, with the name, for a parameter without a rule.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        rules: Sequence[tuple[Predicate, Factory]],
    ) -> None:
        self.rules = list(rules)
        self.param_groups: list[dict[str, Any]] = []
        self.step_count = 0
        self._made: dict[int, OptimizerLike] = {}  # by the number of their rule
        self._before, self._after = Hooks(), Hooks()
        pairs = self._pairs(named_parameters)
        numbers = [self._rule_of(*pair) for pair in pairs]
        for number in sorted(set(numbers)):
            self._make(number, [pair for pair, n in zip(pairs, numbers) if n == number])

    def _pairs(self, params: Any) -> list[tuple[str, Tensor]]:
        taken = {p: f"parameter {i}" for i, p in enumerate(self.parameters())}
        found = members("MultiOptimizer", params, taken)
        if not found or None in found.values():
            raise ValueError(
                "MultiOptimizer: parameters come with names, by which the rules choose. Pass "
                "model.named_parameters(), or pairs (name, p)."
            )
        return [(name, p) for p, name in found.items() if name is not None]

    def _rule_of(self, name: str, p: Tensor) -> int:
        for number, (predicate, _) in enumerate(self.rules):
            if predicate(name, p):
                return number
        raise ValueError(
            f'MultiOptimizer: no rule takes parameter "{name}" of shape {p.shape}. End with a rule '
            "that takes the rest: (lambda name, p: True, AdamW)."
        )

    def _make(self, number: int, params: list[Any]) -> None:
        self._made[number] = self.rules[number][1](params)
        self.param_groups += self._made[number].param_groups

    @property
    def optimizers(self) -> list[OptimizerLike]:
        """The optimizers, in the order of their rules."""
        return [self._made[number] for number in sorted(self._made)]

    def parameters(self) -> Iterator[Tensor]:
        """The parameters of all groups."""
        return chain.from_iterable(group["params"] for group in self.param_groups)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """One more group, {"params": pairs, "lr": 0.1, …}, for the one rule that takes them all."""
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(
                f'MultiOptimizer: a group is a dict with a list "params", not {param_group!r}.'
            )
        pairs = self._pairs(param_group["params"])
        numbers = {self._rule_of(*pair): pair[0] for pair in pairs}
        if len(numbers) > 1:
            raise ValueError(
                f"MultiOptimizer: {' and '.join(numbers.values())} belong to different optimizers. "
                "Add a group for each."
            )
        (number,) = numbers
        group = {**param_group, "params": pairs}
        if number in self._made:
            self._made[number].add_param_group(group)
            self.param_groups.append(self._made[number].param_groups[-1])
        else:
            self._make(number, [group])

    # ---- the step -----------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those that exist to zero."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Let every optimizer take its step; the loss of the closure, if there is one."""
        args: tuple[Any, ...] = (self,) if closure is None else (self, closure)
        args, kwargs = self._before.call(self, args, {})
        loss = self._step(*args[1:], **kwargs)
        self._after.call(self, args, kwargs)
        return loss

    def _step(self, closure: Closure | None = None) -> Any:
        loss = evaluate(closure)
        with_gradients(self)  # none moves if one cannot
        for optimizer in self.optimizers:
            optimizer.step()
        self.step_count += 1
        return loss

    def register_step_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(self, args, kwargs)` before each step: it sees the gradients of all."""
        return self._before.add(hook)

    def register_step_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(self, args, kwargs)` after each step of all."""
        return self._after.add(hook)

    # ---- state --------------------------------------------------------------------------------

    def state_of(self, p: Tensor) -> dict[str, Any]:
        """The state of a parameter in its optimizer."""
        for optimizer in self.optimizers:
            if any(p is q for q in optimizer.parameters()):
                return optimizer.state_of(p)
        raise KeyError(f"MultiOptimizer: {label(p, 0)} is not one of mine")

    def state_dict(self) -> list[Any]:
        """The state of every optimizer, in the order of their rules."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, state_dict: Sequence[Any]) -> None:
        """Resume; ValueError, and nothing is changed, for what does not fit."""
        if len(state_dict) != len(self.optimizers):
            raise ValueError(
                f"MultiOptimizer.load_state_dict: the file has {len(state_dict)} optimizers, and "
                f"here are {len(self.optimizers)}. Build it with the same rules first."
            )
        before = self.state_dict()
        try:
            for optimizer, state in zip(self.optimizers, state_dict):
                optimizer.load_state_dict(state)
        except Exception:
            for optimizer, state in zip(self.optimizers, before):
                optimizer.load_state_dict(state)
            raise

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_before": Hooks(), "_after": Hooks()}  # copies bring no hooks along

    def __repr__(self) -> str:
        inside = "".join(f"{optimizer!r},\n".replace("\n", "\n  ") for optimizer in self.optimizers)
        return f"MultiOptimizer(\n  {inside.rstrip()}\n)"


# ---- the usual split --------------------------------------------------------------------------


class HasModules(Protocol):
    """What is needed of a model."""

    def named_parameters(self) -> Iterable[tuple[str, Any]]:
        """Its parameters with their names."""

    def modules(self) -> Iterable[Any]:
        """Itself and all that it consists of."""


def split_matrices(model: HasModules, matrices: Factory, rest: Factory) -> MultiOptimizer:
    """One optimizer for the hidden weights, such as Muon, another for all other parameters.

        split_matrices(model, Muon, lambda params: AdamW(params, lr=3e-4))

    Hidden weights are the matrices but those of embeddings and of the output layer, the last
    matrix; the rest are these, biases and normalization. Parameters that require no gradient are
    left out.
    """
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    tables = {m.weight for m in model.modules() if hasattr(m, "num_embeddings")}
    names = [name for name, p in learned if p.ndim == 2 and p not in tables]
    hidden = frozenset(names[:-1])
    return MultiOptimizer(learned, [(partial(_among, hidden), matrices), (_any, rest)])


def _among(names: frozenset[str], name: str, p: Tensor) -> bool:
    return name in names


def _any(name: str, p: Tensor) -> bool:
    return True
