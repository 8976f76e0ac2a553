"""Which optimizers a test can drive, and how."""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_opt import optim

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
