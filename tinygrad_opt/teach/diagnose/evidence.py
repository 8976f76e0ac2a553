"""What the rules of a diagnosis read: the record in a few numbers, and one look at model and data.

Order: the evidence · the record · the look · helpers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...nn import Module
from ...observer import Observer
from ...operation import no_grad
from ...ops import concatenate
from ...random_numbers import undisturbed
from ...tensor import Tensor
from ..finding import Finding
from ..fit import Batches, Loss, default_loss, evaluate, evaluating
from ..history import Array, History

EARLY = 45  # updates: the first epoch of the digits
SEEN = 2000  # examples that are looked at
CLASSIFYING = (None, "cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss")
RELUS = ("relu", "linear_relu")
ACTIVATIONS = (
    *RELUS, "leaky_relu", "relu6", "hardtanh", "elu", "selu", "gelu", "silu", "sigmoid",
    "log_sigmoid", "tanh", "softplus", "hardsigmoid", "hardswish",
)  # fmt: skip


class Layer(NamedTuple):
    """What one activation gave out: its kind, after which layer, values (N, …) on the host."""

    kind: str
    after: str
    values: Array

    def __str__(self) -> str:
        return f"the {self.kind.removeprefix('linear_')} after {self.after}"


class Look(NamedTuple):
    """A forward pass over data: inputs, targets, predictions, activations, first bad operation."""

    x: Array
    y: Array
    prediction: Array | None  # None where the model gives several things
    layers: list[Layer]
    broken: str


class Evidence:
    """A run as the rules see it; what needs a model or data is None without."""

    def __init__(
        self,
        history: History,
        model: Module | None,
        data: Batches | None,
        test: Batches | None,
        loss: Loss | None,
        optimizer: Callable[[list[Tensor]], Any] | None,
    ) -> None:
        self.history, self.model, self.data, self.test = history, model, data, test
        self.loss, self.optimizer = loss, optimizer
        self.answers: dict[Any, Finding | None] = {}

    def ask(self, rule: Callable[[Evidence], Finding | None]) -> Finding | None:
        """What a rule says; each is worked out once."""
        if rule not in self.answers:
            self.answers[rule] = rule(self)
        return self.answers[rule]

    # ---- the record ---------------------------------------------------------------------------

    @cached_property
    def losses(self) -> Array:
        """Those that are numbers."""
        return self.history.loss[np.isfinite(self.history.loss)]

    @cached_property
    def start(self) -> float:
        """The first loss."""
        return float(self.losses[0]) if len(self.losses) else float("nan")

    @cached_property
    def end(self) -> float:
        """The mean loss of the last twentieth."""
        return _mean(self.losses[-_part(self.losses) :])

    @cached_property
    def fell(self) -> float:
        """By which share the loss fell, from the mean of the first twentieth."""
        means = self.smoothed
        if not len(means) or not means[0]:
            return float("nan")
        return float((means[0] - means[-1]) / abs(means[0]))

    @cached_property
    def smoothed(self) -> Array:
        """Running means of the losses, over a twentieth of them."""
        part = _part(self.losses)
        if not len(self.losses):
            return self.losses
        means: Array = np.convolve(self.losses, np.full(part, 1 / part), mode="valid")
        return means

    @cached_property
    def finite(self) -> bool:
        """Whether no loss and no weight became NaN or infinite."""
        return self.history.status != "nan" and len(self.losses) == len(self.history.loss)

    @cached_property
    def classes(self) -> int | None:
        """How many classes a cross-entropy chose from; None for other losses."""
        outputs = list(self.history.meta.get("outputs") or ())
        known = "train_accuracy" in self.history.metrics and len(outputs) == 1
        named = self.history.meta.get("loss") in CLASSIFYING
        return int(outputs[0]) if known and named and outputs[0] > 1 else None

    @cached_property
    def matrices(self) -> dict[str, dict[str, Array]]:
        """The norms of weights, without biases."""
        return {name: n for name, n in self.history.norms.items() if not name.endswith("bias")}

    @cached_property
    def ratio(self) -> float | None:
        """‖update‖ / ‖weight‖ in the first epoch: the median of its medians in the matrices.

        Matrices that begin as zeros do not count.
        """
        matrices = [n for n in self.matrices.values() if n["weight"][:1].any()]
        with np.errstate(all="ignore"):
            ratios = [(n["update"] / n["weight"])[:EARLY] for n in matrices]
        medians = [float(np.median(r[np.isfinite(r)])) for r in ratios if np.isfinite(r).any()]
        return float(np.median(medians)) if medians else None

    @cached_property
    def pace(self) -> float | None:
        """`ratio`, or on a surface the median of ‖update‖ / ‖w‖."""
        w, update = self.history.w, self.history.update
        if self.ratio is not None or w is None or update is None or not len(w):
            return self.ratio
        sizes = np.linalg.norm(w, axis=1)
        ratios = np.linalg.norm(update, axis=1)[sizes > 0] / sizes[sizes > 0]
        return float(np.median(ratios)) if len(ratios) else None

    @cached_property
    def growth(self) -> float | None:
        """‖weight‖ after the first epoch over that before, of the matrix that grew most."""
        matrices = [n["weight"][: EARLY + 1] for n in self.matrices.values()]
        grown = [float(w[-1] / w[0]) for w in matrices if w[:1].any() and np.isfinite(w[-1])]
        return max(grown, default=None)

    @cached_property
    def gradients(self) -> dict[str, float]:
        """The median norm of the gradients of each matrix in the first epoch."""
        return {name: float(np.median(n["grad"][:EARLY])) for name, n in self.matrices.items()}

    @cached_property
    def whole_gradient(self) -> Array:
        """The norm of the whole gradient (T,), update by update."""
        squares = [n["grad"] ** 2 for n in self.history.norms.values()]
        norms: Array = np.sqrt(np.sum(squares, axis=0)) if squares else np.zeros(0)
        return norms

    def metric(self, name: str) -> Array:
        """The values of a metric, epoch by epoch; of a test set that came later, the last one."""
        values = [value for _, value in self.history.metrics.get(name, [])]
        if not values and name.startswith("test_") and name in self.tested:
            values = [self.tested[name]]
        return np.array(values)

    @cached_property
    def tested(self) -> dict[str, float]:
        """Loss and accuracy of the test set."""
        if self.model is None or self.test is None:
            return {}
        with undisturbed():
            found = evaluate(self.model, copy.copy(self.test), self.loss)
        return {f"test_{name}": value for name, value in found.items()}

    # ---- the look -----------------------------------------------------------------------------

    @cached_property
    def sample(self) -> tuple[Tensor, Tensor] | None:
        """The first examples of the data; a copy of the loader gives them, so that it stays."""
        if self.data is None:
            return None
        pairs, count = [], 0
        with undisturbed():
            for x, y in copy.copy(self.data):
                pairs.append((x, y))
                count += len(x)
                if count >= SEEN:
                    break
        xs, ys = zip(*pairs)
        return concatenate(xs)[:SEEN], concatenate(ys)[:SEEN]

    @cached_property
    def look(self) -> Look | None:
        """A forward pass over the sample in evaluation mode; changes nothing."""
        if self.model is None or self.sample is None:
            return None
        x, y = self.sample
        watch = Watch(x.device, self.model)
        quiet = x.device.errstate(all="ignore")
        with undisturbed(), evaluating(self.model), quiet, no_grad(), watch.watching():
            prediction = self.model(x)
        several = not isinstance(prediction, Tensor)
        outputs = None if several else x.device.to_host(prediction._data)
        inputs, targets = (t.device.to_host(t._data) for t in (x, y))
        return Look(inputs, targets, outputs, watch.layers, watch.broken)

    @property
    def criterion(self) -> Loss:
        """The loss that was trained with."""
        assert self.sample is not None
        return self.loss or default_loss(self.sample[1])


# ---- helpers ----------------------------------------------------------------------------------


class Watch(Observer):
    """Notes what activations give out, and which operation first made what is not finite."""

    def __init__(self, device: Any, model: Module) -> None:
        super().__init__(device)
        self.names = {id(p._data): name for name, p in model.named_parameters()}
        self.layers: list[Layer] = []
        self.after, self.broken = "the input", ""

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run it, and look at what it made."""
        result = super().operation(kernel, *inputs, **params)
        value = result[0] if type(result) is tuple else result
        names = [self.names[id(a)] for a in inputs if id(a) in self.names]
        if names:
            self.after = names[0].removesuffix(".weight")
        if kernel.name in ACTIVATIONS:
            self.layers.append(Layer(kernel.name, self.after, self.device.to_host(value)))
        if not self.broken and value.dtype.kind == "f" and not self.xp.isfinite(value).all():
            self.broken = kernel.name
        return result


def _part(losses: Array) -> int:
    """A twentieth, or five where that is more: one loss alone is noise."""
    return max(1, min(5, len(losses) // 2), len(losses) // 20)


def _mean(values: Array) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
