"""Layer-wise decay: lower layers of a pretrained network move less than those above them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..tensor import Tensor
from .schedules.demands import finite, whole


def layer_groups(
    named_parameters: Iterable[tuple[str, Tensor]],
    layer_of: Callable[[str], int | None],
    n_layers: int,
    decay: float = 0.75,
    *,
    lr: float,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameter groups, one or two for each layer, with rates that fall towards the input.

        lr of layer ℓ = lr decay^(L − 1 − ℓ),    ℓ = 0 … L − 1

    `layer_of(name)` says in which layer a parameter lies; None counts as the last, which has the
    full rate. Parameters with at most one axis, biases and scales, get no weight decay; frozen ones
    are left out. Schedules act on every group in its proportion.

        layer_groups(model.named_parameters(), lambda name: int(name[0]) // 2, 3, lr=1e-3)

    As in BEiT (Bao et al. 2021, arXiv:2106.08254). ValueError for a layer outside 0 … L − 1.
    """
    L = whole("layer_groups: n_layers", n_layers, 1)
    finite("layer_groups: decay", decay, 0, above=True)
    finite("layer_groups: lr", lr, 0)
    finite("layer_groups: weight_decay", weight_decay, 0)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, p in named_parameters:
        if not p.requires_grad:
            continue
        found = layer_of(name)
        layer = L - 1 if found is None else whole(f"layer_groups: the layer of {name}", found, 0)
        if layer >= L:
            raise ValueError(
                f"layer_groups: {name} lies in layer {layer}, and there are {L}, 0 … {L - 1}"
            )
        decays = p.ndim > 1
        fresh = {
            "params": [],
            "lr": lr * decay ** (L - 1 - layer),
            "weight_decay": weight_decay if decays else 0.0,
        }
        groups.setdefault((layer, decays), fresh)["params"].append((name, p))
    return [groups[key] for key in sorted(groups)]
