"""Flat minima: the gradient is taken where the loss is worst nearby.

optimizer = SAM(SGD(model.parameters(), lr=0.1), buffers=model.buffers())

def closure():
    loss = cross_entropy(model(x), y)
    loss.backward()
    return loss

optimizer.step(closure)     # calls it twice
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..live import live
from ..operation import changed, there
from ..tensor import Tensor
from .clip import total_norm
from .options import AT_LEAST_0, demand
from .places import copied, one_device, write
from .wrapper import Closure, OptimizerLike, Wrapper, evaluate, with_gradients


class SAM(Wrapper):
    """Sharpness-aware minimization (Foret et al. 2020, arXiv:2010.01412).

        e = ρ g / (‖g‖ + 10⁻¹²)        ‖·‖ over all parameters
        g ← the gradient at p + e,      then the step of the optimizer, from p

    The closure is called twice, each time with gradients cleared. What the second pass must leave
    as it is, the running statistics of BatchNorm, is passed as `buffers`. ρ = 0 is the optimizer
    itself. TypeError without a closure, DeviceError for parameters on several devices.
    """

    options = ("rho",)

    def __init__(
        self, optimizer: OptimizerLike, rho: float = 0.05, buffers: Iterable[Tensor] = ()
    ) -> None:
        demand(type(self).__name__, "rho", rho, AT_LEAST_0)
        super().__init__(optimizer)
        self.rho, self.buffers = rho, list(buffers)

    @staticmethod
    def scale(xp: Any, p: Any) -> Any:
        """What a step of size ρ is measured in, number by number."""
        return 1.0

    @live
    def step(self, closure: Closure | None = None) -> Any:
        """Climb to where the loss is worst, take the gradient there, come back, and step with it.

        The loss at p is returned. An error in the closure leaves every parameter as it was.
        """
        name = type(self).__name__
        if closure is None:
            raise TypeError(
                f"{name}.step: a closure is needed, for the gradient is computed twice. Pass a "
                "function that computes the loss, calls backward and returns the loss."
            )
        self.zero_grad()
        loss = evaluate(closure)
        moved = [p for _, p in with_gradients(self)]
        before = {tensor: copied(tensor) for tensor in (*moved, *self.buffers)}
        try:
            if moved:
                there(one_device(name, moved), self._climb)
            changed(moved, f"{name}.step()")
            self.zero_grad()
            evaluate(closure)
        finally:
            for tensor, array in before.items():
                write(tensor, array)
            changed(before, f"{name}.step()")
        self.optimizer.step()
        return loss

    def _climb(self) -> None:
        """p ← p + e with e = ρ s² g / (‖s g‖ + 10⁻¹²), against the way of the optimizer."""
        steps = []
        for group in self.param_groups:
            up = -1.0 if group.get("maximize") else 1.0
            for p in group["params"]:
                if p.grad is not None:
                    s = self.scale(p.device.xp, p._data)
                    steps.append((p, s, up * s * p.grad._data))
        length = total_norm(steps[0][0].device.xp, [sg for _, _, sg in steps]) + 1e-12
        for p, s, sg in steps:
            p._data[...] += s * sg * (self.rho / length)


class ASAM(SAM):
    """SAM for steps relative to the size of each weight (Kwon et al. 2021, arXiv:2102.11600).

        e = ρ p² g / (‖|p| g‖ + 10⁻¹²)

    Rescaling weights that a network does not feel, as before BatchNorm, does not change it. The
    paper adds a small number to |p|.
    """

    def __init__(
        self, optimizer: OptimizerLike, rho: float = 0.5, buffers: Iterable[Tensor] = ()
    ) -> None:
        super().__init__(optimizer, rho, buffers)

    @staticmethod
    def scale(xp: Any, p: Any) -> Any:
        """|p|."""
        return xp.abs(p)
