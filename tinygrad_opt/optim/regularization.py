"""Small weights, few weights, bounded weights.

Penalties are added to gradients before a step, which is what their place in the loss would do:

    optimizer.register_step_pre_hook(before_step(l1_, 1e-4))

Constraints act on weights after a step:

    optimizer.register_step_post_hook(after_step(proximal_l1_, 1e-4))

Decoupled weight decay, p ← p (1 − η λ), is an option of the optimizers; `decay_groups` says whose.

Order: penalties · constraints · which weights decay.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..operation import changed, there
from ..tensor import Tensor
from .clip import Parameters, tensors, transform, unit_norms
from .hooks import Hook
from .options import AT_LEAST_0, demand, plain
from .places import write

# ---- penalties --------------------------------------------------------------------------------


def elastic_net_(parameters: Parameters, l1: float = 0.0, l2: float = 0.0) -> None:
    """Pull weights to zero by both penalties (Zou & Hastie 2005).

        g ← g + λ₁ sign p + λ₂ p        the gradient of λ₁ Σ |p| + ½ λ₂ Σ p²

    ValueError for λ < 0.
    """
    demand("elastic_net_", "l1", l1, AT_LEAST_0)
    demand("elastic_net_", "l2", l2, AT_LEAST_0)

    def pulled(xp: Any, p: Any, g: Any) -> Any:
        g = g + l1 * xp.sign(p) if l1 else g
        return g + l2 * p if l2 else g

    transform(parameters, pulled)


def l1_(parameters: Parameters, weight: float) -> None:
    """g ← g + λ sign p: small weights shrink as fast as large ones, and dither around zero.

    `proximal_l1_` makes exact zeros.
    """
    elastic_net_(parameters, l1=weight)


def l2_(parameters: Parameters, weight: float) -> None:
    """g ← g + λ p, the gradient of ½ λ Σ p², which is `weight_decay` of SGD and Adam.

    Keras's l2(λ) is λ Σ p², twice as much.
    """
    elastic_net_(parameters, l2=weight)


# ---- constraints ------------------------------------------------------------------------------


def after_step(constraint: Callable[..., Any], *args: Any, **options: Any) -> Hook:
    """A step post-hook that applies a constraint to the parameters that have moved.

    They come group by group; a constraint that asks for `lr` is told the group's.
    """
    asks = "lr" in inspect.signature(constraint).parameters and "lr" not in options

    def hook(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        for group in optimizer.param_groups:
            rate = {"lr": plain(group["lr"])} if asks else {}
            moved = [p for p in group["params"] if p.grad is not None]
            constraint(moved, *args, **options, **rate)

    return hook


def proximal_l1_(parameters: Parameters, weight: float, lr: float = 1.0) -> None:
    """Take lr · λ off the size of every weight; what is smaller becomes exactly 0.

        p ← sign(p) · max(|p| − η λ, 0)

    The proximal step of λ Σ |p| after a gradient step with rate η (ISTA: Daubechies, Defrise & De
    Mol 2004). ValueError for λ < 0 or η < 0.
    """
    demand("proximal_l1_", "weight", weight, AT_LEAST_0)
    demand("proximal_l1_", "lr", lr, AT_LEAST_0)
    constrain(
        tensors(parameters),
        lambda xp, p: xp.sign(p) * xp.maximum(xp.abs(p) - lr * weight, 0),
        "proximal_l1_()",
    )


def max_norm_(parameters: Parameters, max_norm: float) -> None:
    """Shrink the rows of weights (out, in, …) that are longer (Srivastava et al. 2014).

        row ← row · min(1, c / ‖row‖)

    A row holds what goes into one unit; vectors, such as biases, stay as they are. Keras takes
    columns, for weights (in, out). ValueError for c < 0.
    """
    demand("max_norm_", "max_norm", max_norm, AT_LEAST_0)

    def bounded(xp: Any, p: Any) -> Any:
        norms = unit_norms(xp, p)
        return xp.where(norms > max_norm, p * (max_norm / xp.where(norms > 0, norms, 1)), p)

    constrain([p for p in tensors(parameters) if p.ndim > 1], bounded, "max_norm_()")


def constrain(moved: list[Tensor], function: Callable[[Any, Any], Any], cause: str) -> None:
    """p ← function(xp, p) for each parameter, into its own array."""
    for p in moved:
        write(p, there(p.device, function, p.device.xp, p._data))
    changed(moved, cause)


# ---- which weights decay ----------------------------------------------------------------------


class HasNamedParameters(Protocol):
    """What is needed of a model."""

    def named_parameters(self) -> Iterable[tuple[str, Any]]:
        """Its parameters with their names."""


def vectors_and_biases(name: str, p: Tensor) -> bool:
    """What usually does not decay: biases, and the scales and shifts of normalization."""
    return p.ndim <= 1 or name.endswith("bias")


def decay_groups(
    model: HasNamedParameters,
    weight_decay: float,
    skip: Callable[[str, Tensor], bool] = vectors_and_biases,
) -> list[dict[str, Any]]:
    """Two groups for an optimizer: weights that decay, and those for which `skip(name, p)` is true.

        AdamW(decay_groups(model, 0.01), lr=1e-3)

    Parameters that require no gradient are in neither. ValueError for weight_decay < 0.
    """
    demand("decay_groups", "weight_decay", weight_decay, AT_LEAST_0)
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    kept = [pair for pair in learned if skip(*pair)]
    decaying = [pair for pair in learned if not skip(*pair)]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
