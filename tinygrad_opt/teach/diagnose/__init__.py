"""Is my optimizer working? What a record, a model and its data say, in words.

    history = fit(model, batches, optimizer, norms=True, test=others)
    print(report(diagnose(history, model, batches)))

Order: the rules · `diagnose` · `report`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...nn import Module
from ...tensor import Tensor
from ..finding import LEVELS, Finding
from ..fit import Batches, Loss
from ..history import History
from . import passes, record
from .evidence import Evidence

Rule = Callable[[Evidence], Finding | None]

RULES: dict[str, Rule] = {
    "not finite": record.not_finite,
    "input scale": passes.input_scale,
    "initial loss": record.initial_loss,
    "forgot zero_grad": record.forgot_zero_grad,
    "learning rate too high": record.too_high,
    "learning rate too low": record.too_low,
    "vanishing or exploding": passes.uneven_activations,
    "dead relus": passes.dead_relus,
    "one class": passes.one_class,
    "cannot overfit one batch": passes.one_batch,
    "labels do not belong": passes.unrelated_labels,
    "stalled early": record.stalled,
    "overfitting": record.overfitting,
    "noise floor": record.noise_floor,
}


def diagnose(
    history: History,
    model: Module | None = None,
    data: Batches | None = None,
    *,
    test: Batches | None = None,
    loss: Loss | None = None,
    optimizer: Callable[[list[Tensor]], Any] | None = None,
    detail: bool = False,
) -> list[Finding]:
    """What the rules notice about a run, errors first; one finding a rule, and none is no proof.

    A record with norms (``fit(…, norms=True)``) and a test loss tells most. With model and data
    there are forward passes too, over the first examples of the data, and a copy of the model tries
    to learn a few of them by heart, with ``optimizer``, a function of the parameters, or Adam.
    ``loss`` is the one that was trained with, as in `fit`. Whatever is looked at stays as it is, to
    the bit: weights, modes, buffers, loaders and random numbers. With ``detail`` there is also what
    is no fault: the size of the updates.
    """
    if optimizer is not None and not callable(optimizer):
        given = type(optimizer).__name__
        raise TypeError(
            f"diagnose: the optimizer is a {given}. Give a function that makes one for the copy of "
            "the model, as in optimizer=lambda params: SGD(params, lr=0.1)."
        )
    run = Evidence(history, model, data, test, loss, optimizer)
    found = [finding for rule in RULES.values() if (finding := run.ask(rule))]
    found.sort(key=lambda finding: -LEVELS.index(finding.level))  # stable: causes before effects
    if short := record.too_short(run):
        found.append(short)
    if detail and (ratio := record.ratio(run)):
        found.append(ratio)
    return found


def report(findings: list[Finding]) -> str:
    """The findings as text; where there are none, it says so."""
    if not findings:
        return f"Nothing was noticed: none of {len(RULES)} rules fired, which is no proof."
    return "\n".join(map(str, findings))
