"""Optimizers around an optimizer.

    optimizer = Lookahead(Adam(model.parameters()))
    optimizer = SkipNonFinite(Accumulate(SGD(model.parameters(), lr=0.1), k=4))

Each looks like what it wraps: groups, step counts and hooks are those of the optimizer inside. So a
hook that clips sees the gradients that are stepped with, and schedulers need not know.

Order: Lookahead · Accumulate · SkipNonFinite.
"""

from __future__ import annotations

import operator
from typing import Any

from ..live import live
from ..operation import changed, there, wrap
from ..tensor import Tensor
from .hooks import Handle, Hook, Hooks
from .options import COUNT, UNIT, demand
from .places import copied, numbers
from .wrapper import Closure, OptimizerLike, Wrapper, evaluate, with_gradients


class Lookahead(Wrapper):
    """k steps forward, one step back (Zhang et al. 2019, arXiv:1907.08610).

        every k steps:  p ← p − (1 − α) (p − s),    s ← p

    s are slow weights, which begin as p before the first step; α = 1 is the optimizer itself. Its
    momentum is left alone. In timm s begins at the first k-th step.
    """

    options = ("k", "alpha")
    saved = ("slow_params", "steps")

    def __init__(self, optimizer: OptimizerLike, k: int = 5, alpha: float = 0.5) -> None:
        demand("Lookahead", "k", k, COUNT)
        demand("Lookahead", "alpha", alpha, UNIT)
        super().__init__(optimizer)
        self.k, self.alpha = k, alpha
        self.slow_params: dict[Tensor, Any] = {}
        self.steps = 0  # since the slow weights were last moved
        self._after = Hooks()

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step, and after every k-th of them look back."""
        for p in self.parameters():
            if p not in self.slow_params:
                self.slow_params[p] = copied(p)
        before = self.step_count
        loss = self.optimizer.step(closure)
        if self.step_count > before:  # one that accumulates or skips may not have
            self.steps += 1
            if self.steps >= self.k:
                self._look_back()
            self._after.call(self, (self, closure), {})
        return loss

    def _look_back(self) -> None:
        for p in self.slow_params:
            there(p.device, self._pull_back, p)
        changed(self.slow_params, "Lookahead.step()")
        self.steps = 0

    def _pull_back(self, p: Tensor) -> None:
        slow = p.device.put(self.slow_params[p]).astype(p.dtype, copy=False)
        slow[...] = p._data - (1 - self.alpha) * (p._data - slow)
        p._data[...] = slow
        self.slow_params[p] = slow

    def register_step_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(self, args, kwargs)` after each step, when the slow weights have moved too."""
        return self._after.add(hook)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_after": Hooks()}  # a copy brings no hooks along, as everywhere


class Accumulate(Wrapper):
    """One step with the mean gradient of k micro-batches, as if they were one large batch.

        G ← G + g;    every k calls:  g ← G / k,  the step,  G ← 0

    It takes gradients over: `p.grad` is None after each call, so a loop may clear them or not. The
    mean of means is that of the large batch where the micro-batches are equally large. PyTorch's
    usual loop adds up gradients, so that the loss has to be divided by k.
    """

    options = ("k",)
    saved = ("sums", "count")

    def __init__(self, optimizer: OptimizerLike, k: int) -> None:
        demand("Accumulate", "k", k, COUNT)
        super().__init__(optimizer)
        self.k = k
        self.sums: dict[Tensor, Any] = {}
        self.count = 0  # micro-batches in the sums

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Take in the gradients of a micro-batch; the k-th time, step."""
        loss = evaluate(closure)
        for _, p in with_gradients(self):
            there(p.device, self._add, p)
            p.grad = None
        self.count += 1
        if self.count >= self.k:
            self.flush()
        return loss

    def _add(self, p: Tensor) -> None:
        if p in self.sums:
            self.sums[p] = p.device.put(self.sums[p])  # the model may have moved
            self.sums[p] += p.grad._data
        else:
            self.sums[p] = p.grad._data.astype(p.dtype)

    def flush(self) -> None:
        """Step with the mean over the micro-batches so far, at the end of an epoch perhaps."""
        if not self.count:
            return
        for p, total in self.sums.items():
            total = p.device.put(total)
            p.grad = wrap(there(p.device, operator.itruediv, total, self.count), p.device)
        self.sums, self.count = {}, 0
        try:
            self.optimizer.step()
        finally:
            self.zero_grad()


class SkipNonFinite(Wrapper):
    """Leave a step out where any gradient is NaN or infinite: no parameter, state or t moves.

    RuntimeError when that happens `max_consecutive` times in a row, naming the first such
    parameter. Of a closure that is called several times the first gradient is looked at: put SAM
    outside, SAM(SkipNonFinite(SGD(…))), and it is the one that is stepped with. A step waits for a
    GPU once.
    """

    options = ("max_consecutive",)
    saved = ("skipped", "in_a_row")

    def __init__(self, optimizer: OptimizerLike, max_consecutive: int = 10) -> None:
        demand("SkipNonFinite", "max_consecutive", max_consecutive, COUNT)
        super().__init__(optimizer)
        self.max_consecutive = max_consecutive
        self.skipped = 0  # in all
        self.in_a_row = 0

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Take the step if it is safe."""
        loss = evaluate(closure)
        given = with_gradients(self)
        finite = numbers(*[there(p.device, _is_finite, p) for _, p in given])
        wrong = [who for (who, _), fine in zip(given, finite) if not fine]
        if not wrong:
            self.in_a_row = 0
            self.optimizer.step(closure and _called(closure, loss, [p for _, p in given]))
            return loss
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= self.max_consecutive:
            raise RuntimeError(
                f"SkipNonFinite: the gradient of {wrong[0]} is not finite, and {self.in_a_row} "
                "steps in a row were skipped for such gradients. Lower the learning rate, clip, or "
                "look for NaN in the data."
            )
        return loss


def _called(closure: Closure, loss: Any, params: list[Tensor]) -> Closure:
    """The closure once more: the first time it answers with what it has computed already."""
    ready = [(p, p.grad) for p in params]

    def answer() -> Any:
        if not ready:
            return closure()
        for p, grad in ready:
            p.grad = grad
        ready.clear()
        return loss

    return answer


def _is_finite(p: Tensor) -> Any:
    """Whether all numbers of the gradient are finite, as an array."""
    return p.device.xp.isfinite(p.grad._data).all()
