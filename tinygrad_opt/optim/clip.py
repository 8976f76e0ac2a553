"""Transforms of gradients, between `backward()` and `step()`.

Each is a function of parameters, and with `before_step` a hook that is called by itself:

    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))

A gradient that is changed becomes a new array: whoever shares the old one keeps it as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..operation import wrap
from ..tensor import Tensor
from .hooks import Hook


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Shrink all gradients together until their norm is at most `max_norm`; gives the norm before.

        N = ‖(‖g₁‖, ‖g₂‖, …)‖,  g ← g · min(1, max_norm / (N + 10⁻⁶))

    Over the gradients that exist; 0 if there are none. `norm_type` may be inf. RuntimeError for a
    norm that is not finite, if asked for; else NaN and infinity spread as in PyTorch. Keras and
    Optax do without the 10⁻⁶.
    """
    tensors = _with_gradients(parameters)
    if not tensors:
        return Tensor(0.0)
    device = tensors[0].device
    xp = device.xp
    norms = [xp.linalg.norm(p.grad._data.reshape(-1), norm_type) for p in tensors]
    total = xp.asarray(xp.linalg.norm(xp.stack(norms), norm_type))
    if error_if_nonfinite and not xp.isfinite(total):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}, so they cannot be "
            "clipped; they were left as they are. Look for NaN or infinity in the loss."
        )
    with device.errstate(invalid="ignore"):  # infinity · 0
        factor = xp.minimum(max_norm / (total + 1e-6), 1.0)
        for p in tensors:
            g = p.grad._data
            p.grad = wrap(xp.multiply(g, factor.astype(g.dtype)), p.device)
    norm: Tensor = wrap(total, device)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every number of every gradient into [−clip_value, clip_value]."""
    for p in _with_gradients(parameters):
        p.grad = wrap(p.device.xp.clip(p.grad._data, -clip_value, clip_value), p.device)


def before_step(transform: Callable[..., Any], *args: Any, **options: Any) -> Hook:
    """A step pre-hook that applies a transform to the parameters of its optimizer."""

    def hook(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        transform(optimizer.parameters(), *args, **options)

    return hook


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    """Those that have a gradient; an iterator is read once."""
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in listed if p.grad is not None]
