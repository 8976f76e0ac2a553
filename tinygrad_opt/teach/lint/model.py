"""Mistakes in the model: layers that are lost, dead, in the wrong mode, or fed raw numbers."""

from __future__ import annotations

from typing import Any

from ...nn import BatchNorm1d, Module, Parameter
from ...operation import recording
from .watch import Call, Rule

RELUS = ("relu", "linear_relu")
LINEARS = ("linear", "linear_relu")
BATCHES, DEAD = 20, 0.5  # in which a unit was 0; the share of such units
LARGE_INPUT = 30.0


class PlainList(Rule):
    """Layers in a list or dict are not learned, moved or saved."""

    name = "layers in a plain list"
    level = "error"

    def begin(self) -> None:
        """Look through the attributes of all modules."""
        model = self.session.model
        known = set() if model is None else {*model.modules(), *model.parameters()}
        for module in [] if model is None else model.modules():
            for name, value in vars(module).items():
                inside = _inside(value)
                lost = [part for part in inside if part not in known]
                if lost:
                    kind = "ModuleDict" if isinstance(value, dict) else "ModuleList"
                    self.found(
                        f"{type(module).__name__}.{name} is a plain {type(value).__name__}.",
                        f"{len(lost)} layers in it are not learned, moved or saved",
                        f"nn.{kind}.",
                        line="",
                    )


def _inside(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple | dict):
        return []
    parts = value.values() if isinstance(value, dict) else value
    deeper = [one for part in parts if part is not value for one in _inside(part)]
    return [part for part in parts if isinstance(part, Module | Parameter)] + deeper


class DeadRelu(Rule):
    """Units that are 0 for all examples of 20 batches."""

    name = "dead relu"

    def begin(self) -> None:
        """No unit has been seen."""
        self.after = "the input"
        self.seen: dict[str, tuple[int, Any]] = {}  # layer: batches, and which units were ever on

    def operation(self, call: Call) -> None:
        """Which units are on."""
        if call.backward or not recording():
            return
        if call.name in LINEARS:
            self.after = self.session.name_of(call.inputs[1]).removesuffix(".weight") or self.after
        if not _cuts_at_zero(call) or call.value.ndim < 2:
            return
        axes = tuple(range(call.value.ndim - 1))
        on = (call.value > 0).any(axis=axes)
        count, before = self.seen.get(self.after, (0, on))
        on = on | before if before.shape == on.shape else on
        self.seen[self.after] = count + 1, on
        if count + 1 == BATCHES:
            del self.seen[self.after]
            share = 1 - float(on.mean())
            if share > DEAD:
                self.found(
                    "Units are 0 for every example.",
                    f"{share:.0%} of the relu after {self.after}, in {BATCHES} batches",
                    "a lower learning rate, He initialization, or leaky_relu.",
                )


def _cuts_at_zero(call: Call) -> bool:
    """Whether this is a relu, also where it is written as clip or maximum."""
    if call.name == "maximum":
        return any(not hasattr(x, "shape") and x == 0 for x in call.inputs)
    bounds = (call.params.get("low"), call.params.get("high"))
    return call.name in RELUS or (call.name == "clip" and bounds == (0, None))


class TrainingWhileEvaluating(Rule):
    """Dropout or batch statistics are on while nothing is recorded."""

    name = "training mode while evaluating"

    def begin(self) -> None:
        """Whether there is anything to look for."""
        model = self.session.model
        self.normalizes = model is None or any(isinstance(m, BatchNorm1d) for m in model.modules())

    def operation(self, call: Call) -> None:
        """Look at what is run under no_grad."""
        if call.backward or recording() or not (self.normalizes or call.name == "dropout"):
            return
        what = "dropout" if call.name == "dropout" else ""
        if any(isinstance(m, BatchNorm1d) and m.training for m in call.where.modules):
            what = "BatchNorm1d"
        if what and "update_bn" not in call.where.functions:
            self.found(
                f"{what} is in training mode under no_grad().",
                "an evaluation that is noisy, or that changes running statistics",
                "model.eval() before, and model.train() after.",
            )


class RawInput(Rule):
    """The first layer gets numbers that are far from 1."""

    name = "raw input scale"

    def begin(self) -> None:
        """Which weight is the first layer's."""
        self.first = next((p for p in self.session.names if p.ndim == 2), None)

    def operation(self, call: Call) -> None:
        """Look at what it is given."""
        if self.first is None or call.backward or call.name not in LINEARS:
            return
        if call.inputs[1] is self.first._data and call.inputs[0].size:
            largest = float(abs(call.inputs[0]).max())
            if largest > LARGE_INPUT:
                self.found(
                    "The inputs are not scaled.",
                    f"the largest is {largest:.3g}",
                    "standardize them: data.prepare does, and data.Standardize.",
                )
