"""Transforms of gradients, between `backward()` and `step()`.

Each is a function of parameters, and with `before_step` a hook that is called by itself:

    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))

A gradient that is changed becomes a new array: whoever shares the old one keeps it as it was.

Order: the hook · clipping · shaping · what they share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ..device import generator
from ..operation import wrap
from ..tensor import Tensor
from .hooks import Hook
from .options import AT_LEAST_0, demand

Parameters = Tensor | Iterable[Tensor]


def before_step(transform: Callable[..., Any], *args: Any, **options: Any) -> Hook:
    """A step pre-hook that applies a transform to the parameters of its optimizer.

    A transform that asks for `t` is told how many steps were made. As in PyTorch the hook runs
    before a closure: with `step(closure)` transform the gradients inside the closure instead.
    """
    asks = "t" in inspect.signature(transform).parameters and "t" not in options

    def hook(optimizer: Any, _args: Any, _kwargs: Any) -> None:
        time = {"t": optimizer.step_count} if asks else {}
        transform(optimizer.parameters(), *args, **options, **time)

    return hook


# ---- clipping ---------------------------------------------------------------------------------


def clip_grad_norm_(
    parameters: Parameters,
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
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm is {max_norm}; it has to be at least 0.")
    pairs = gradients(parameters)
    if not pairs:
        return Tensor(0.0)
    device = pairs[0][0].device
    xp = device.xp
    total = total_norm(xp, [g for _, g in pairs], norm_type)
    if error_if_nonfinite and not xp.isfinite(total):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}, so they cannot be "
            "clipped; they were left as they are. Look for NaN or infinity in the loss."
        )
    with device.errstate(invalid="ignore"):  # infinity · 0
        factor = xp.minimum(max_norm / (total + 1e-6), 1.0)
        for p, g in pairs:
            set_gradient(p, g * factor.astype(g.dtype))
    norm: Tensor = wrap(total, device)
    return norm


def clip_each_grad_norm_(parameters: Parameters, max_norm: float, norm_type: float = 2.0) -> None:
    """`clip_grad_norm_` for one parameter after the other: Keras's `clipnorm`."""
    for p, _ in gradients(parameters):
        clip_grad_norm_(p, max_norm, norm_type)


def clip_grad_value_(parameters: Parameters, clip_value: float) -> None:
    """Bring every number of every gradient into [−clip_value, clip_value]."""
    for p, g in gradients(parameters):
        set_gradient(p, p.device.xp.clip(g, -clip_value, clip_value))


def adaptive_clip_(parameters: Parameters, clip: float = 0.01, eps: float = 1e-3) -> None:
    """Adaptive gradient clipping, unit by unit (Brock et al. 2021, arXiv:2102.06171).

        b = c · max(‖p‖, ε),    g ← g · b / ‖g‖  where ‖g‖ > b

    The norms are those of the rows of weights (out, in, …) and of whole vectors. Optax takes
    columns, for weights (in, out). The paper leaves the last layer out. ValueError for c or ε < 0.
    """
    demand("adaptive_clip_", "clip", clip, AT_LEAST_0)
    demand("adaptive_clip_", "eps", eps, AT_LEAST_0)
    for p, g in gradients(parameters):
        xp = p.device.xp
        bound = clip * xp.maximum(unit_norms(xp, p._data), eps)
        norms = unit_norms(xp, g)
        set_gradient(p, xp.where(norms > bound, g * (bound / xp.maximum(norms, 1e-6)), g))


# ---- shaping ----------------------------------------------------------------------------------


def centralize_(parameters: Parameters) -> None:
    """Take the mean off each row of a weight's gradient (Yong et al. 2020, arXiv:2004.01461).

    g ← g − mean g      over all axes but the first; vectors stay as they are
    """
    for p, g in gradients(parameters):
        if g.ndim > 1 and g.size:
            set_gradient(p, g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True))


def normalize_(parameters: Parameters) -> None:
    """Bring all gradients together to length 1, so that only their direction counts.

    g ← g / ‖g‖         ‖·‖ over all of them; zero stays zero
    """
    pairs = gradients(parameters)
    if pairs:
        xp = pairs[0][0].device.xp
        total = total_norm(xp, [g for _, g in pairs])
        total = xp.where(total > 0, total, 1.0)
        for p, g in pairs:
            set_gradient(p, g / total)


def add_noise_(parameters: Parameters, eta: float = 0.01, gamma: float = 0.55, t: int = 0) -> None:
    """Noise that fades, to leave poor places early on (Neelakantan et al. 2015, arXiv:1511.06807).

        g ← g + ξ,    ξ ~ N(0, η / (1 + t)ᵞ)      η / … is the variance

    The numbers come from the generator of `manual_seed`. ValueError for η < 0.
    """
    demand("add_noise_", "eta", eta, AT_LEAST_0)
    deviation = (eta / (1 + t) ** gamma) ** 0.5
    for p, g in gradients(parameters):
        noise = deviation * generator().standard_normal(g.shape)
        set_gradient(p, g + p.device.from_host(noise, g.dtype))


def zero_nans_(parameters: Parameters) -> None:
    """Put 0 in the place of NaN, so that one broken number does not spoil the rest."""
    for p, g in gradients(parameters):
        xp = p.device.xp
        set_gradient(p, xp.where(xp.isnan(g), xp.zeros_like(g), g))


# ---- what they share --------------------------------------------------------------------------


def total_norm(xp: Any, arrays: Iterable[Any], norm_type: float = 2.0) -> Any:
    """‖(‖a₁‖, ‖a₂‖, …)‖ as an array, in float32 or wider; what is empty has no length."""
    flat = [a.reshape(-1) for a in arrays if a.size]
    if not flat:
        return xp.zeros((), "float32")
    wide = [a.astype(xp.promote_types(a.dtype, "float32"), copy=False) for a in flat]
    norms = [xp.linalg.norm(a, norm_type) for a in wide]
    return xp.asarray(xp.linalg.norm(xp.stack(norms), norm_type))


def unit_norms(xp: Any, array: Any) -> Any:
    """The length of each row, over all axes but the first, ready to multiply; else of the whole."""
    axes = tuple(range(1, array.ndim)) if array.ndim > 1 else None
    return xp.sqrt(xp.sum(array * array, axis=axes, keepdims=True))


def tensors(parameters: Parameters) -> list[Tensor]:
    """One parameter or many as a list; an iterator is read once."""
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def gradients(parameters: Parameters) -> list[tuple[Tensor, Any]]:
    """The parameters that have a gradient, each with its array."""
    return [(p, p.grad._data) for p in tensors(parameters) if p.grad is not None]


def set_gradient(p: Tensor, array: Any) -> None:
    """A new gradient, in the dtype of the old one."""
    p.grad = wrap(p.device.xp.asarray(array, p.grad.dtype), p.device)
