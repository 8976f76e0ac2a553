"""Are the derivatives right? Held against differences of the values, which cannot be wrong.

For outputs y = f(x) and random numbers c, F(x) = Σ c·y is one number, and its slope along x is

    (F(x + h) − F(x − h)) / 2h    up to h² F‴ / 6 from the curve and ε |F| / h from rounding:

ten right digits in float64 at h = 1e-5, three in float32. The c are random because ones are
blind: the outputs of a softmax add up to 1, so with c = 1 any multiple of its gradient passes.

Order: `gradcheck` · one comparison: its values, its slopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .derivatives import vjp
from .gradcheck_report import STEPS, Array, Report, Slope, agreement, describe
from .tensor import Tensor

EVERY_ELEMENT = 1000  # of an input up to this size; above it this many random directions:
DIRECTIONS = 10


class GradcheckError(AssertionError):
    """The derivatives of a function do not agree with its values; the text is the report."""


def gradcheck(
    f: Callable[..., Any],
    *inputs: Tensor,
    order: int = 1,
    h: float = 1e-5,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
    raise_exception: bool = True,
) -> Report:
    """Compare the gradient of f with central differences; with ``order=2`` its gradient's, too.

    Checked are the inputs that require a gradient, or all of floats where none does. Raises
    GradcheckError with the report as text unless ``raise_exception=False``, and TypeError for
    inputs that are not float64. At a kink every slope between those of its two sides is right.
    """
    places = [i for i, x in enumerate(inputs) if x.requires_grad]
    places = places or [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    if not places:
        raise TypeError("gradcheck: no input is a tensor of floats, so there is nothing to check.")
    for i in places:
        if inputs[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {inputs[i].dtype}. Differences need float64: in float32 "
                "their noise, about 1e-3, hides the errors that it looks for."
            )

    def of_checked(*xs: Tensor) -> Any:
        given = [x.detach() for x in inputs]
        for i, x in zip(places, xs, strict=True):
            given[i] = x
        return f(*given)

    names = [f"input {i}" for i in places]
    name = getattr(f, "__name__", "f")
    check = _Comparison(of_checked, [inputs[i] for i in places], name, names, h, rtol, atol, seed)
    with np.errstate(all="ignore"):  # a step may leave the domain, and the report says so
        report = check.report(order)
    if raise_exception and not report.ok:
        raise GradcheckError(report.text)
    return report


def gradgradcheck(f: Callable[..., Any], *inputs: Tensor, **options: Any) -> Report:
    """`gradcheck` of f and of its gradient, ``order=2``."""
    return gradcheck(f, *inputs, order=2, **options)


# ---- one comparison ---------------------------------------------------------------------------


class _Comparison:
    """A function at a point: its values, its gradients, and the slopes along its inputs."""

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: list[Tensor],
        name: str,
        names: list[str],
        h: float,
        rtol: float,
        atol: float,
        seed: int,
    ) -> None:
        self.f, self.inputs, self.name, self.names = f, inputs, name, names
        self.h, self.rtol, self.atol, self.seed = h, rtol, atol, seed
        self.random = np.random.default_rng(seed)
        self.point = [x.device.to_host(x._data).copy() for x in inputs]
        self.here = self.values(self.point)
        self.cotangents = [np.asarray(self.random.standard_normal(y.shape)) for y in self.here]

    def report(self, order: int) -> Report:
        """This order of derivatives, then the ones above it."""
        trouble = self.trouble()
        if trouble:
            return Report(False, f"gradcheck: {trouble}")
        gradients = self.gradients()
        slopes = [self.slope(*place, gradients) for place in self.directions()]
        worst = max(slopes, key=lambda slope: slope.excess, default=None)
        if worst and worst.excess > 1:
            return self.describe(worst, slopes)
        if order > 1:
            return self.of_gradient(gradients, order - 1)
        return agreement(self.name, slopes)

    def of_gradient(self, gradients: list[Array], order: int) -> Report:
        """The same for the gradient as a function of inputs and cotangents."""
        n = len(self.inputs)
        cotangents = [Tensor(c, device=self.inputs[0].device) for c in self.cotangents]

        def gradient(*args: Tensor) -> Any:
            return vjp(self.floats, *args[:n], create_graph=True)[1](*args[n:])

        names = [*self.names, *(f"cotangent {k}" for k in range(len(cotangents)))]
        name, limits = f"the gradient of {self.name}", (self.h, self.rtol, self.atol, self.seed + 1)
        above = _Comparison(gradient, [*self.inputs, *cotangents], name, names, *limits)
        for a, b, which in zip(gradients, above.here, names, strict=False):
            if not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True):
                text = f"{name} for {which} is another with create_graph: a derivative treats "
                text += "Tensors unlike arrays, or a fused operation is not its composition."
                return Report(False, f"gradcheck: {text}", which)
        return above.report(order)

    # -- values

    def floats(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of f that have a gradient."""
        ys = self.f(*xs)
        return tuple(y for y in ([ys] if isinstance(ys, Tensor) else ys) if y.dtype.kind == "f")

    def tensors(self, arrays: list[Array]) -> list[Tensor]:
        return [Tensor(a.copy(), device=x.device) for a, x in zip(arrays, self.inputs, strict=True)]

    def values(self, arrays: list[Array]) -> list[Array]:
        return [y.device.to_host(y._data) for y in self.floats(*self.tensors(arrays))]

    def trouble(self) -> str | None:
        """What makes a comparison of numbers pointless."""
        if not self.here:
            return f"{self.name} gives no floats, and nothing else has a gradient."
        xs = self.tensors(self.point)
        again = [y.device.to_host(y._data) for y in self.floats(*xs)]
        for i, (y, first) in enumerate(zip(again, self.here, strict=True)):
            if y.dtype != np.float64:
                return f"output {i} of {self.name} is {y.dtype}, though its inputs are float64."
            if not np.array_equal(y, first, equal_nan=True):
                return (
                    f"{self.name} is random: it gave two answers. Dropout? Set a seed in it, or "
                    "call eval()."
                )
        for x, a, which in zip(xs, self.point, self.names, strict=True):
            if not np.array_equal(x.device.to_host(x._data), a, equal_nan=True):
                return f"{self.name} changes its {which}; it must leave its inputs as they are."
        return None

    # -- slopes

    def gradients(self) -> list[Array]:
        """What backward() leaves in .grad."""
        xs = [x.requires_grad_() for x in self.tensors(self.point)]
        for y, c in zip(self.floats(*xs), self.cotangents, strict=True):
            if y.requires_grad:
                y.backward(Tensor(c, device=y.device))
        return [np.zeros(x.shape) if x.grad is None else x.device.to_host(x.grad._data) for x in xs]

    def directions(self) -> Iterator[tuple[int, tuple[int, ...] | None, Array]]:
        """Every element of a small input; of a large one some random directions."""
        for i, a in enumerate(self.point):
            if a.size > EVERY_ELEMENT:
                for _ in range(DIRECTIONS):
                    yield i, None, self.random.choice([-1.0, 1.0], a.shape)
            for index in np.ndindex(a.shape) if a.size <= EVERY_ELEMENT else ():
                unit = np.zeros(a.shape)
                unit[index] = 1
                yield i, index, unit

    def slope(
        self, i: int, index: tuple[int, ...] | None, along: Array, gradients: list[Array]
    ) -> Slope:
        """Both answers and their disagreement; where it is too large, a closer look."""
        g = gradients[i]
        analytic = float(np.sum(g * along) if index is None else g[index])
        before, behind, _ = sides = self.sides(i, along, self.h)
        excess, kink = self.excess(analytic, *sides), False
        if excess > 1:  # where f is curved sharply, a smaller step and where both steps lead to
            closer = self.sides(i, along, self.h / 10)
            limit = [(10 * b - a) / 9 for a, b in zip(sides, closer, strict=True)]
            excess = min(self.excess(analytic, *closer), self.excess(analytic, *limit))
        if excess > 1 and self.has_kink(i, along):
            kink = True
            slack = self.atol + 1e-3 * abs(behind - before)
            if min(before, behind) - slack <= analytic <= max(before, behind) + slack:
                excess = 0.0
        return Slope(i, index, along, analytic, before, behind, excess, kink)

    def excess(self, analytic: float, before: float, behind: float, rounding: float) -> float:
        """The disagreement over what is allowed."""
        numeric = (before + behind) / 2
        allowed = self.atol + self.rtol * max(abs(analytic), abs(numeric)) + rounding
        excess = abs(analytic - numeric) / allowed
        return math.inf if math.isnan(excess) else excess

    def sides(self, i: int, along: Array, h: float) -> tuple[float, float, float]:
        """The slopes of F before and behind the point, and how far rounding may turn them."""
        low, high = (
            self.values([a + t * along if j == i else a for j, a in enumerate(self.point)])
            for t in (-h, h)
        )
        before = behind = size = 0.0
        for c, a, y, b in zip(self.cotangents, low, self.here, high, strict=True):
            before += float(np.sum(c * (y - a))) / h
            behind += float(np.sum(c * (b - y))) / h
            size += float(np.sum(np.abs(c) * (np.abs(a) + np.abs(b))))
        return before, behind, float(np.finfo(np.float64).eps) * size / h

    def has_kink(self, i: int, along: Array) -> bool:
        """Whether the two sides stay apart as h shrinks: on a smooth curve they meet like h."""
        for h in (1e-4, 1e-5):
            (a, b, _), (c, d, rounding) = (self.sides(i, along, t) for t in (h, h / 10))
            if not abs(d - c) > 10 * rounding or abs(b - a) > 5 * abs(d - c):
                return False
            if abs(b - a) < 2 * abs(d - c):
                return True
        return False

    def describe(self, worst: Slope, slopes: list[Slope]) -> Report:
        i = worst.input
        its = [slope for slope in slopes if slope.input == i]
        slope_at = [sum(self.sides(i, worst.along, h)[:2]) / 2 for h in STEPS]
        curve = tuple(abs(worst.analytic - numeric) for numeric in slope_at)
        found = describe(self.name, self.names[i], self.point[i].shape, its, curve)
        cs = "; ".join(np.array2string(c, precision=4, threshold=8) for c in self.cotangents)
        cs = " ".join(cs.split())
        text = f"{found.text}\n    cotangent, from seed {self.seed}: {cs}"
        return replace(found, text=text, slopes=tuple(slopes))
