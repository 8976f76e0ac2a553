"""Which optimizers a test can drive, and how."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_opt import nn, optim, tensor

ENTRIES = optim.OPTIMIZERS

# Any parameters with any gradients, no closure and no dice will do for these.
EASY = [
    name
    for name, entry in ENTRIES.items()
    if entry.kind.scope not in ("closure", "rows") and name not in ("muon", "sgld")
]
ELEMENTWISE = [name for name in EASY if ENTRIES[name].kind.scope == "elementwise"]
RECORDED = [name for name in EASY if "differentiable" in ENTRIES[name].kind.flags]
PYTORCH = {e.kind for e in ENTRIES.values() if e.matches.startswith("torch.optim.")}


def accepted(name: str, **options: Any) -> dict[str, Any]:
    """Those of the options that this optimizer has."""
    known = inspect.signature(ENTRIES[name].kind).parameters
    return {option: value for option, value in options.items() if option in known}


def training(name: str, dtype: str = "float32") -> tuple[nn.Module, Any, Callable[[], Any]]:
    """A small network, its optimizer, and a closure that does all of a step but the step.

    The closure works wherever the network is.
    """
    rows = ENTRIES[name].kind.scope == "rows"
    hidden = nn.Embedding(6, 8, sparse=True) if rows else nn.Linear(6, 8, bias=name != "muon")
    model = nn.Sequential(hidden, nn.Tanh(), *([] if rows else [nn.Linear(8, 4, bias=False)]))
    optimizer = optim.get_optimizer(name)(model.to(dtype).parameters())
    inputs = np.arange(12) % 6 if rows else np.sin(np.arange(72)).reshape(12, 6).astype(dtype)
    x, y = tensor(inputs), tensor(np.arange(12) % 4)

    def closure() -> Any:
        optimizer.zero_grad()
        place = next(iter(model.parameters())).device
        logits = model(x.to(place))
        loss = nn.functional.cross_entropy(logits, y.to(place))
        loss.backward()
        return (loss, logits) if isinstance(optimizer, optim.SophiaG) else loss

    return model, optimizer, closure
