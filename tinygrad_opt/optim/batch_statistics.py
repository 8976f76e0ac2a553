"""The running statistics of BatchNorm, made anew for weights that were not trained step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..operation import changed, no_grad
from .places import copied, write


def update_bn(loader: Iterable[Any], model: Any) -> None:
    """Set running statistics to their plain mean over the batches of a loader.

    Averaged weights see other activations than the trained ones, whose statistics they were given.
    The model runs in training mode on each batch, x or (x, …); then every module is in its own mode
    again. ValueError for a loader without batches; after an error the old statistics are back.
    """
    norms = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    starts = {tensor: start for norm in norms for tensor, start in _statistics(norm)}
    before = {tensor: copied(tensor) for tensor in starts}
    batches = 0
    try:
        for tensor, start in starts.items():
            write(tensor, start)
        for norm in norms:
            norm.momentum = None  # a plain mean
        model.train()
        with no_grad():
            for batches, batch in enumerate(loader, 1):  # noqa: B007
                model(batch[0] if isinstance(batch, (tuple, list)) else batch)
        if not batches:
            raise ValueError("update_bn: the loader gave no batches. Was it an iterator, used up?")
    except BaseException:
        for tensor, array in before.items():
            write(tensor, array)
        raise
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
        changed(starts, "update_bn()")


def _statistics(norm: Any) -> list[tuple[Any, int]]:
    """The statistics of a layer, each with its value before any batch."""
    return [(norm.running_mean, 0), (norm.running_var, 1), (norm.num_batches_tracked, 0)]
