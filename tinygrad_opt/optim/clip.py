"""Transforms of gradients, between `backward()` and `step()`.

Each is a function of parameters, and with `before_step` a hook that is called by itself:

    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))

A gradient that is changed becomes a new array: whoever shares the old one keeps it as it was.

Order: the hook · clipping · shaping · what they share.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from ..device import Device
from ..operation import there, wrap
from ..random_numbers import generator
from ..tensor import Tensor
from .hooks import Hook
from .options import AT_LEAST_0, demand
from .places import numbers, one_device

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
    norm that is not finite, if asked for, which waits for a GPU; else NaN and infinity spread as in
    PyTorch. Keras and Optax do without the 10⁻⁶. DeviceError for gradients on several devices.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm is {max_norm}; it has to be at least 0.")
    pairs = gradients(parameters)
    if not pairs:
        return Tensor(0.0)
    moved = [p for p, _ in pairs]
    device = one_device("clip_grad_norm_", moved)
    total = there(device, total_norm, device.xp, [g for _, g in pairs], norm_type)
    if error_if_nonfinite and not math.isfinite(value := numbers(total)[0]):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {value}, so they cannot be clipped; "
            "they were left as they are. Look for NaN or infinity in the loss."
        )
    factor = there(device, lambda: device.xp.minimum(max_norm / (total + 1e-6), 1.0))
    with device.errstate(invalid="ignore"):  # infinity · 0
        transform(moved, lambda xp, p, g: g * factor.astype(g.dtype))
    norm: Tensor = wrap(total, device)
    return norm


def clip_each_grad_norm_(parameters: Parameters, max_norm: float, norm_type: float = 2.0) -> None:
    """`clip_grad_norm_` for one parameter after the other: Keras's `clipnorm`."""
    for p, _ in gradients(parameters):
        clip_grad_norm_(p, max_norm, norm_type)


def clip_grad_value_(parameters: Parameters, clip_value: float) -> None:
    """Bring every number of every gradient into [−clip_value, clip_value]."""
    transform(parameters, lambda xp, p, g: xp.clip(g, -clip_value, clip_value))


def adaptive_clip_(parameters: Parameters, clip: float = 0.01, eps: float = 1e-3) -> None:
    """Adaptive gradient clipping, unit by unit (Brock et al. 2021, arXiv:2102.06171).

        b = c · max(‖p‖, ε),    g ← g · b / ‖g‖  where ‖g‖ > b

    The norms are those of the rows of weights (out, in, …) and of whole vectors. Optax takes
    columns, for weights (in, out). The paper leaves the last layer out. ValueError for c or ε < 0.
    """
    demand("adaptive_clip_", "clip", clip, AT_LEAST_0)
    demand("adaptive_clip_", "eps", eps, AT_LEAST_0)

    def clipped(xp: Any, p: Any, g: Any) -> Any:
        bound, norms = clip * xp.maximum(unit_norms(xp, p), eps), unit_norms(xp, g)
        return xp.where(norms > bound, g * (bound / xp.maximum(norms, 1e-6)), g)

    transform(parameters, clipped)


# ---- shaping ----------------------------------------------------------------------------------


def centralize_(parameters: Parameters) -> None:
    """Take the mean off each row of a weight's gradient (Yong et al. 2020, arXiv:2004.01461).

    g ← g − mean g      over all axes but the first; vectors stay as they are
    """

    def centered(xp: Any, p: Any, g: Any) -> Any:
        if g.ndim < 2 or not g.size:
            return g
        return g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True)

    transform(parameters, centered)


def normalize_(parameters: Parameters) -> None:
    """Bring all gradients together to length 1, so that only their direction counts.

    g ← g / ‖g‖         ‖·‖ over all of them; zero stays zero

    DeviceError for gradients on several devices.
    """
    pairs = gradients(parameters)
    if pairs:
        moved = [p for p, _ in pairs]
        device = one_device("normalize_", moved)
        total = there(device, total_norm, device.xp, [g for _, g in pairs])
        transform(moved, lambda xp, p, g: g / xp.where(total > 0, total, 1.0))


def add_noise_(parameters: Parameters, eta: float = 0.01, gamma: float = 0.55, t: int = 0) -> None:
    """Noise that fades, to leave poor places early on (Neelakantan et al. 2015, arXiv:1511.06807).

        g ← g + ξ,    ξ ~ N(0, η / (1 + t)ᵞ)      η / … is the variance

    The numbers come from the generator of `manual_seed`, on the host; a GPU is sent them at every
    step. ValueError for η < 0.
    """
    demand("add_noise_", "eta", eta, AT_LEAST_0)
    deviation = (eta / (1 + t) ** gamma) ** 0.5

    def noisy(xp: Any, p: Any, g: Any) -> Any:
        noise = deviation * generator().standard_normal(g.shape)
        return g + Device.of(g).from_host(noise, g.dtype)

    transform(parameters, noisy)


def zero_nans_(parameters: Parameters) -> None:
    """Put 0 in the place of NaN, so that one broken number does not spoil the rest."""
    transform(parameters, lambda xp, p, g: xp.where(xp.isnan(g), 0, g))


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


def transform(parameters: Parameters, function: Callable[[Any, Any, Any], Any]) -> None:
    """g ← function(xp, p, g) for each gradient, where it is and in its dtype."""
    for p, g in gradients(parameters):
        new = there(p.device, function, p.device.xp, p._data, g)
        if new is not g:
            p.grad = wrap(there(p.device, p.device.xp.asarray, new, g.dtype), p.device)
