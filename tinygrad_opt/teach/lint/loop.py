"""Mistakes of the training loop: what is called when, and with which gradients.

Order: gradients · schedules · parameters · the graph · the rate.
"""

from __future__ import annotations

import gc
import itertools
from typing import Any

from ...operation import Plan, recording
from ...optim import Accumulate, SkipNonFinite
from ...optim.wrapper import Wrapper
from .watch import Call, Rule, Where, norm

STEPS_GROWING = 5
LOOKS, APART = 8, 1000  # steps in a row at which the graph is counted, and from look to look
RISES, RISEN = 3, 2.0  # of the loss, running; and to how many times the highest before
LARGE_RATIO = 0.1  # ‖update‖ / ‖weight‖
SCALARS = 1000  # operations on one number in a step

# ---- gradients --------------------------------------------------------------------------------


class ForgotZeroGrad(Rule):
    """A step uses gradients that were added to those of a step before."""

    name = "forgot zero_grad"
    level = "error"

    def begin(self) -> None:
        """Nothing was added."""
        self.mixed: dict[Any, tuple[Any, str]] = {}  # gradients, and where something was added

    def before_backward(self, loss: Any) -> None:
        """Which gradients are old."""
        old = self.session.used | {p: g for p, (g, _) in self.mixed.items()}
        self.old = {p: g for p, g in old.items() if p.grad is g and _any(g)}

    def after_backward(self, loss: Any) -> None:
        """Whether something was added to them."""
        added = [p for p, g in self.old.items() if p.grad is not g]
        if added:
            line = Where().line
            self.mixed |= {p: (p.grad, self.mixed.get(p, (None, line))[1]) for p in added}

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """Whether such a gradient was used: what other losses left behind is no matter before."""
        params = [p for p in optimizer.parameters() if p in self.mixed]
        mixed = [self.mixed.pop(p) for p in params if p.grad is self.mixed[p][0]]
        if mixed:
            self.found(
                "backward() adds to gradients that a step has used already.",
                f"{len(mixed)} parameters",
                "optimizer.zero_grad() before loss.backward().",
                line=mixed[0][1],
            )


def _any(gradient: Any) -> bool:
    return gradient.is_sparse or bool(gradient._data.any())


class StepWithoutGradients(Rule):
    """A step with no gradients, with those of the step before, or with those set to 0."""

    name = "step without new gradients"
    level = "error"

    def begin(self) -> None:
        """No gradient has arrived."""
        self.alive: list[Any] = []  # a parameter whose gradient was not 0 after a backward pass

    def after_backward(self, loss: Any) -> None:
        """Look for one that is not 0."""
        optimizer = self.session.optimizer
        params = [] if optimizer is None else optimizer.parameters()
        alive = (p for p in params if p.grad is not None and _any(p.grad))
        self.alive = [*self.alive, *itertools.islice(alive, 1)][:1]

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """The next step needs others."""
        self.alive = []

    def before_step(self, optimizer: Any, closure: bool) -> None:
        """Look at the gradients that there are."""
        if closure:
            return
        gradients = {p: p.grad for p in optimizer.parameters() if p.grad is not None}
        used = self.session.used
        if not gradients:
            evidence = "every gradient is None"
        elif all(used.get(p) is g for p, g in gradients.items()):
            evidence = "the gradients are those of the step before"
        elif any(p in gradients for p in self.alive) and not any(map(_any, gradients.values())):
            evidence = "every gradient was set to 0 after the backward pass"
        else:
            return
        self.found(
            f"{type(optimizer).__name__}.step() has no new gradients.",
            evidence,
            "loss.backward() before optimizer.step(), and zero_grad() before both.",
        )


# ---- schedules --------------------------------------------------------------------------------


class SchedulerFirst(Rule):
    """The scheduler moves although no step was taken since it last moved."""

    name = "scheduler before optimizer"

    def begin(self) -> None:
        """Where both stand; a scheduler that goes on with an earlier run may move at once."""
        self.t = self._now()
        optimizer: Any = self.session.optimizer
        self.steps = -1 if optimizer is None or optimizer.step_count else 0
        self.skips = False
        while isinstance(optimizer, Wrapper):  # these leave steps out, which is no mistake
            self.skips |= isinstance(optimizer, Accumulate | SkipNonFinite)
            optimizer = optimizer.optimizer

    def operation(self, call: Call) -> None:
        """Whether it has moved."""
        self._look()

    def before_step(self, optimizer: Any, closure: bool) -> None:
        """Whether it has moved."""
        self._look()

    def _now(self) -> Any:
        return getattr(self.session.scheduler, "last_epoch", None)

    def _look(self) -> None:
        t = self._now()
        if t == self.t:
            return
        before, self.t, count = self.t, t, self.session.optimizer.step_count
        if count == self.steps and not self.skips:
            self.found(
                f"{type(self.session.scheduler).__name__} moved before the optimizer's step.",
                f"at step {count} of the optimizer, the scheduler is at {t:g}",
                "optimizer.step() first, then scheduler.step(): else a learning rate is skipped.",
            )
        elif before is not None and t - before == 2 and not self.skips:
            self.found(
                f"{type(self.session.scheduler).__name__} moved twice in a row.",
                f"at step {count} of the optimizer, it went from {before:g} to {t:g}",
                "one scheduler.step() after optimizer.step(): else a learning rate is skipped.",
            )
        self.steps = count


# ---- parameters -------------------------------------------------------------------------------


class WithoutGradient(Rule):
    """A parameter of the optimizer that the loss does not depend on."""

    name = "parameter without gradient"

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """Which have none, while others do."""
        params = [p for p in optimizer.parameters() if p.requires_grad]
        missing = [self.session.names.get(p) or str(p.shape) for p in params if p.grad is None]
        if missing and len(missing) < len(params):
            self.found(
                f"{', '.join(missing)}: no gradient arrived.",
                f"{len(missing)} of {len(params)} parameters",
                "look for a layer that is not called, a detach(), or numbers taken out with "
                "item(); or freeze it, requires_grad_(False).",
            )


class NotInOptimizer(Rule):
    """A parameter that no optimizer moves, or one that is of another model."""

    name = "parameter not in the optimizer"

    def begin(self) -> None:
        """Compare both."""
        if self.session.model is None or self.session.optimizer is None:
            return
        moved = set(self.session.optimizer.parameters())
        names = self.session.names
        missing = [name for p, name in names.items() if p.requires_grad and p not in moved]
        if missing:
            self.found(
                "The optimizer does not have all parameters of the model.",
                f"missing: {', '.join(missing)}",
                "make the optimizer after the model, from model.parameters(); freeze what is not "
                "to be learned, requires_grad_(False).",
                line="",
            )
        strangers = moved - set(names)
        if strangers:
            self.found(
                "The optimizer has parameters that are not the model's.",
                f"{len(strangers)} of {len(moved)}",
                "make the optimizer anew when the model is built anew.",
                line="",
            )


# ---- the graph --------------------------------------------------------------------------------


class GraphGrows(Rule):
    """More and more nodes of graphs stay alive."""

    name = "graph grows"

    def begin(self) -> None:
        """Nothing was counted."""
        self.steps = self.rises = self.nodes = 0
        self.plans: set[Plan] = set()  # of the operations that are recorded

    def before_backward(self, loss: Any) -> None:
        """See what is recorded."""
        if self.steps % APART < LOOKS:
            self.plans |= _plans_behind(loss)

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """Count them, for some steps now and then; a differentiable step is there to be kept."""
        kept = any(group.get("differentiable") for group in optimizer.param_groups)
        if self.steps % APART < LOOKS and not kept:
            before, self.nodes = self.nodes, _live_nodes(self.plans)
            self.rises = self.rises + 1 if self.nodes > before > 0 else 0
            if self.rises == STEPS_GROWING:
                self.found(
                    "The graphs of earlier steps stay in memory.",
                    f"{self.nodes:,} nodes are alive, more from step to step",
                    "losses.append(loss.item()), for a loss holds its graph; detach() what is "
                    "carried from step to step.",
                )
        self.steps += 1


def _plans_behind(loss: Any) -> set[Plan]:
    waiting, seen, plans = [loss._node], set(), set()
    while waiting:
        node = waiting.pop()
        if type(node) is tuple and node[0] not in seen:
            seen.add(node[0])
            waiting += node[2]
            if type(node[1]) is Plan:
                plans.add(node[1])
    return plans


def _live_nodes(plans: set[Plan]) -> int:
    """Who holds these plans; who held all objects would disturb threads that are making some."""
    holders = gc.get_referrers(*plans)
    return sum(type(one) is tuple and len(one) == 7 and type(one[1]) is Plan for one in holders)


class PythonLoop(Rule):
    """A batch is worked off number by number."""

    name = "python loop"

    def begin(self) -> None:
        """Nothing was counted."""
        self.lines: dict[str, int] = {}

    def operation(self, call: Call) -> None:
        """Count recorded operations whose result is one number, by line."""
        if call.value.size == 1 and not call.backward and recording():
            line = call.where.line
            self.lines[line] = self.lines.get(line, 0) + 1

    def before_backward(self, loss: Any) -> None:
        """How many there were since the last one."""
        total = sum(self.lines.values())
        if total > SCALARS:
            self.found(
                "A Python loop computes number by number.",
                f"{total:,} operations on one number before a backward()",
                "operations on whole batches: one call for all examples.",
                line=max(self.lines, key=self.lines.__getitem__),
            )
        self.lines = {}


# ---- the rate ---------------------------------------------------------------------------------


class LearningRate(Rule):
    """The loss rises again and again, and steps are large."""

    name = "learning rate"

    def begin(self) -> None:
        """No loss was seen."""
        self.last, self.rises = float("inf"), 0
        self.highest = 0.0  # before the loss began to rise
        self.before: dict[Any, Any] = {}

    def before_backward(self, loss: Any) -> None:
        """Whether the loss rose."""
        if loss._data.size == 1:
            value = loss.item()
            if value > self.last:
                self.rises += 1
            else:
                self.rises, self.highest = 0, max(self.highest, value)
            self.last = value

    def before_step(self, optimizer: Any, closure: bool) -> None:
        """Where the weights are, if a look is due."""
        due = self.rises >= RISES and self.last > RISEN * self.highest
        self.before = {p: p._data.copy() for p in optimizer.parameters() if p.ndim > 1 and due}

    def after_step(self, optimizer: Any, closure: bool) -> None:
        """How far they moved."""
        for p, old in self.before.items():
            xp, size = p.device.xp, norm(p.device.xp, old)
            ratio = norm(xp, p._data - old) / size if size else 0.0
            if ratio > LARGE_RATIO:
                self.found(
                    "The learning rate is too high.",
                    f"the loss rose {RISES} times running, and a step changes "
                    f"{self.session.names.get(p) or 'a weight matrix'} by {ratio:.0%}",
                    "a third of it.",
                )
                break
        self.before = {}
