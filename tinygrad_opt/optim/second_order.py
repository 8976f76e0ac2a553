"""Second derivatives: the Hessian H, which is too large to be made, by its products H v.

A product is the derivative of the gradient along v, so it comes from the graph of the loss: `step`
takes a closure, which clears the gradients, computes the loss, calls backward and returns the loss.

Order: what is shared · conjugate gradients · Newton's method · derivatives of the gradient.
"""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from ..autograd import grad
from ..operation import changed, enable_grad, wrap
from ..tensor import Tensor
from .optimizer import Optimizer
from .options import AT_LEAST_0, COUNT, Flags, plain
from .parameters import Params
from .places import numbers, one_device
from .storage import Storage

Closure = Callable[[], Any]


class SecondOrder(Optimizer):
    """What rules share that look at second derivatives.

    TypeError for a step without a closure, DeviceError for parameters on several devices. What α is
    made of are numbers of the host.
    """

    scope = "closure"
    flags = ("maximize", "foreach")

    def _evaluate(self, closure: Closure | None) -> Any:
        """What the closure returns."""
        if closure is None:
            raise TypeError(
                f"{type(self).__name__}.step: second derivatives need the graph of the loss. Write "
                "step(closure); a closure clears the gradients, computes the loss, calls backward "
                "and returns the loss."
            )
        with enable_grad():
            return closure()

    @property
    def _sign(self) -> int:
        """What turns the loss into something to go down."""
        return -1 if self.param_groups[0]["maximize"] else 1

    def _step(self, closure: Closure | None = None) -> Any:
        loss = self._evaluate(closure)
        for storage in self._storages:
            storage.gather()
        moving = [p for p in self.parameters() if p.grad is not None]
        if moving:
            one_device(type(self).__name__, moving)
            self._descend(closure, loss, moving)
            self._advance()
        self.step_count += 1
        return loss

    def _descend(self, closure: Any, loss: Any, moving: list[Tensor]) -> None:
        """Find what the rule needs to know, and put it into the groups."""
        raise NotImplementedError

    def _halve(
        self, closure: Closure, loss: Any, moving: list[Tensor], d: list[Any], alpha: float
    ) -> float:
        """The first of α, α/2, α/4, … for which the loss falls along d as its slope promises.

        f(p + α d) ≤ f(p) + 10⁻⁴ α f′(p)         Armijo's condition; 0 where none is found
        """
        start, name = [p._data.copy() for p in moving], type(self).__name__
        slope = self._sign * dot([p.grad._data for p in moving], d)
        f = self._sign * loss.item()
        try:
            for _ in range(40):
                for p, x, one in zip(moving, start, d):
                    p._data[...] = x + alpha * one
                changed(moving, f"{name}.step()")
                if self._sign * self._evaluate(closure).item() <= f + 1e-4 * alpha * slope:
                    return alpha
                alpha /= 2
            return 0.0
        finally:
            for p, x in zip(moving, start):
                p._data[...] = x
            changed(moving, f"{name}.step()")

    def _hand_over(self, moving: list[Tensor], vectors: list[Any]) -> None:
        """Write what the rule gets for g; the gradients of trials may stand there by now."""
        for storage in self._storages:
            assert isinstance(storage, Storage)
            storage.vacate()
            for p, vector in zip(moving, vectors):
                if p in storage.place:
                    storage.view(p, "g")[...] = vector


class ConjugateGradient(SecondOrder):
    """Conjugate gradients (Hestenes & Stiefel 1952; Polak & Ribière 1969): curvature remembered.

        β = max(0, ⟨g, g − g₋⟩ / ‖g₋‖²),    g₋ ← g
        d ← β d − g
        α = η |⟨g, d⟩| / |⟨d, H d⟩|          halved until the loss falls
        p ← p + α d

    Every direction leaves alone what the ones before have settled, so a parabola of n numbers is
    solved in n steps. H d is a derivative along d: the matrix H never exists, and a step costs a
    few gradients. Where d does not lead down, it begins again from −g. A step waits for a GPU at
    every inner product, and at every halving.
    """

    state = {"d": "direction", "g_last": "prev_grad"}

    def __init__(self, params: Params, lr: float = 1.0, **flags: Unpack[Flags]) -> None:
        super().__init__(params, {"lr": lr, "alpha": 0.0, "beta": 0.0}, flags)

    def _descend(self, closure: Any, loss: Any, moving: list[Tensor]) -> None:
        lr = plain(self.param_groups[0]["lr"])
        g = [self._sign * p.grad._data for p in moving]
        d, beta = [-one for one in g], 0.0
        kept = [self.state_of(p) for p in moving]
        if all("d" in one for one in kept):
            last = [one["g_last"] for one in kept]
            change = dot(g, [now - before for now, before in zip(g, last)])
            size = dot(last, last)
            beta = max(0.0, change / size) if size else 0.0
            onward = [beta * one["d"] - now for now, one in zip(g, kept)]
            if dot(g, onward) < 0:
                d = onward
            else:
                beta = 0.0
        curvature = abs(dot(d, product(gradient(loss, moving), moving, d)))
        alpha = lr * abs(dot(g, d)) / curvature if curvature else lr
        alpha = self._halve(closure, loss, moving, d, alpha)
        self._hand_over(moving, [self._sign * one for one in g])
        for group in self.param_groups:
            group.update(alpha=alpha, beta=beta)

    @staticmethod
    def rule(xp, p, g, d, g_last, *, alpha, beta):
        d = beta * d - g
        return p + alpha * d, d, g


class Newton(SecondOrder):
    """Newton's method without the matrix (Dembo & Steihaug 1983; Martens 2010, "Hessian-free").

        n = (H + δ I)⁻¹ g
        p ← p − α n                α = η, halved until the loss falls

    H⁻¹ undoes what stretches the gradient: a parabola of any shape is solved in one step. n is what
    conjugate gradients find in at most `max_iter` products with H, each a derivative along one
    direction, or when the equation holds up to `tolerance`. A direction along which the loss curves
    downwards ends the search, so n never leads up, as plain Newton's may. δ is `damping`. A step
    waits for a GPU at every inner product, two for each product with H, and at every halving.
    """

    saves_step = False
    allowed = {"damping": AT_LEAST_0, "tolerance": AT_LEAST_0, "max_iter": COUNT}

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        damping: float = 1e-3,
        tolerance: float = 1e-6,
        max_iter: int = 100,
        **flags: Unpack[Flags],
    ) -> None:
        options = {"lr": lr, "damping": damping, "tolerance": tolerance, "max_iter": max_iter}
        super().__init__(params, options | {"alpha": 0.0}, flags)

    def _descend(self, closure: Any, loss: Any, moving: list[Tensor]) -> None:
        o = {name: plain(self.param_groups[0][name]) for name in self.defaults}
        g = gradient(loss, moving)

        def multiply(v: list[Any]) -> list[Any]:
            curved = product(g, moving, v)
            return [self._sign * Hv + o["damping"] * x for Hv, x in zip(curved, v)]

        down = [-self._sign * p.grad._data for p in moving]
        d = solved(multiply, down, o["tolerance"], o["max_iter"])
        alpha = self._halve(closure, loss, moving, d, o["lr"])
        self._hand_over(moving, [-self._sign * one for one in d])  # the rule gets n in place of g
        for group in self.param_groups:
            group["alpha"] = alpha

    @staticmethod
    def rule(xp, p, n, *, alpha):
        return p - alpha * n


# ---- derivatives of the gradient, for lists of parameters -------------------------------------


def gradient(loss: Tensor, params: Sequence[Tensor]) -> Sequence[Any]:
    """The gradient, in the graph; None for a parameter that the loss does not depend on."""
    found: Sequence[Any] = grad(loss, params, create_graph=True, allow_unused=True)
    return found


def product(g: Sequence[Any], params: Sequence[Tensor], v: Sequence[Any]) -> list[Any]:
    """H v, from the gradient g and an array of v for each parameter."""
    pairs = [
        (one, wrap(x, one.device)) for one, x in zip(g, v) if one is not None and one.requires_grad
    ]
    found: Sequence[Any] = [None] * len(params)
    if pairs:
        outputs, directions = zip(*pairs)
        found = grad(outputs, params, directions, allow_unused=True)
    zeros = [p.device.xp.zeros_like(p._data) for p in params]
    return [zero if h is None else h._data for zero, h in zip(zeros, found)]


def dot(a: list[Any], b: list[Any]) -> float:
    """⟨a, b⟩ of two lists of arrays."""
    return sum(numbers(*[(x * y).sum() for x, y in zip(a, b)]))


def solved(
    multiply: Callable[[list[Any]], list[Any]], b: list[Any], tolerance: float, most: int
) -> list[Any]:
    """x with A x = b, by conjugate gradients; or x so far, where A is not positive along them."""
    x, r, d = [0 * one for one in b], b, b
    size = start = dot(b, b)
    for k in range(most):
        if size <= tolerance**2 * start:
            break
        Ad = multiply(d)
        curvature = dot(d, Ad)
        if curvature <= 0:
            return x if k else b
        alpha = size / curvature
        x = [one + alpha * along for one, along in zip(x, d)]
        r = [one - alpha * along for one, along in zip(r, Ad)]
        size, before = dot(r, r), size
        d = [one + size / before * along for one, along in zip(r, d)]
    return x
