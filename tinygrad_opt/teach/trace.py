"""Walking down a surface step by step, with a record of every number.

Order: `trace` · one step · what stands in the record.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import __version__
from ..device import default_device
from ..operation import no_grad
from ..optim import Entry, Schedule, SophiaG, SparseAdam, get_optimizer, lr_scheduler
from ..random_numbers import manual_seed, undisturbed
from ..tensor import Tensor
from .explain import Explanation, explain
from .history import Array, History, Recording, hopeless
from .surfaces import Surface, get_surface

Make = Callable[[list[Tensor]], Any]


def trace(
    f: Callable[[Tensor], Any] | str,
    w0: Any,
    optimizer: Make | Entry | str,
    steps: int = 100,
    *,
    schedule: Schedule | None = None,
    evaluations: int | None = None,
    every: int = 1,
    seed: int = 0,
    intermediates: bool = False,
    explanations: list[Explanation] | None = None,
    **options: Any,
) -> History:
    """Walk from w0 down f by some updates of an optimizer, in float64, and return the record.

        trace(bowl, 3.0, lambda p: SGD(p, lr=0.1), steps=3)
        trace("rosenbrock", None, "adam", 200, lr=0.1)

    f is a function of a Tensor w (D,), or a surface by its name, whose start is taken for w0 None.
    The optimizer is a function of a list of parameters, or a name with its ``options``. The
    schedule multiplies lr. The walk ends after ``steps`` updates, before it has computed more than
    ``evaluations`` gradients (rules with a closure take several for an update), or where it is
    beyond hope; ``history.status`` says how it went. ``final_w`` is the optimizer's answer: of
    schedule-free rules that is the mean of the path, of the others the last point. Of long walks
    ``every=k`` keeps update 0, k, 2k … alone; then ``step`` says which, and ``w[t] + update[t]``
    is the point after that update, not the next one kept.

    With ``intermediates`` ``history.state`` also has what the rule computes on its way, such as
    ``m_hat``. A list given as ``explanations`` gets an `Explanation` of every update that is kept.
    The random numbers begin at the seed, and those that follow are as if there had been no walk.
    ValueError for an unknown name, for f that gives no single number, and for an optimizer that
    needs more than a function: SophiaG and SparseAdam.
    """
    f = get_surface(f) if isinstance(f, str) else f
    counts = (steps, every, 1 if evaluations is None else evaluations)
    if not all(isinstance(n, (int, np.integer)) and n >= 1 for n in counts):
        raise ValueError(
            f"trace: steps {steps!r}, evaluations {evaluations!r}, every {every!r} make no walk; "
            "take whole numbers, 1 or more."
        )
    if w0 is None:
        if not isinstance(f, Surface):
            raise ValueError("trace: w0 is None, and only surfaces know where to start. Give w0.")
        w0 = f.start
    quiet = default_device().errstate(all="ignore")  # the status says it better than a warning
    with undisturbed(), quiet:
        manual_seed(seed)
        walk = _Walk(f, np.atleast_1d(np.array(w0, np.float64)), optimizer, options, schedule)
        walk.recording.meta["seed"] = seed
        walk.intermediates, walk.explanations = intermediates, explanations
        began = time.perf_counter()
        with contextlib.suppress(_Lost):
            while walk.taken < steps and walk.can_pay(evaluations):
                walk.step(kept=walk.taken % every == 0)
        return walk.history(seconds=time.perf_counter() - began)


class _Lost(Exception):
    """There is no hope for the walk."""


class _Walk:
    """A point on its way."""

    def __init__(
        self,
        f: Callable[[Tensor], Any],
        start: Array,
        optimizer: Make | Entry | str,
        options: dict[str, Any],
        schedule: Schedule | None,
    ) -> None:
        self.f, self.size, self.evaluations, self.taken = f, start.size, 0, 0
        make, shape = _maker(optimizer, options, start.shape)
        self.w = Tensor(start.reshape(shape), requires_grad=True, device=repr(default_device()))
        self.optimizer = make([self.w])
        self.scheduler = lr_scheduler.ScheduleLR(self.optimizer, schedule) if schedule else None
        self.most = 1  # gradients that an update has taken so far
        self.recording = Recording(
            task=getattr(f, "name", None) or getattr(f, "__name__", "f"),
            optimizer=type(self.optimizer).__name__,
            options=_numbers(self.optimizer.param_groups[0]),
            minimum=getattr(f, "minimum", None),
            schedule=str(schedule) if schedule else None,
            dtype="float64",
            device=repr(self.w.device),
            version=__version__,
        )
        self.seen: list[tuple[float, Array, Array]] = []  # loss, point, gradient of this update
        self.intermediates = False
        self.explanations: list[Explanation] | None = None

    def closure(self) -> Any:
        """Loss and gradient where w is."""
        self.optimizer.zero_grad()
        w = self.w if self.w.ndim == 1 else self.w.reshape(self.size)
        loss = self.f(w)
        if not isinstance(loss, Tensor) or loss.size != 1:
            shape = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"trace: the function gave {shape} instead of one number, for w of shape "
                f"({self.size},). Take .sum() or .mean() of it."
            )
        value = loss.item()
        if not self.seen and self.is_lost(value):
            raise _Lost  # before anything is changed
        loss.backward()
        self.evaluations += 1
        grad = np.zeros(self.size) if self.w.grad is None else _row(self.w.grad)
        self.seen.append((value, self.point(), grad))
        return loss

    def is_lost(self, loss: float) -> bool:
        """Whether there is no hope at a point with this loss; the start gets its chance."""
        losses, minimum = self.recording.columns.get("loss"), self.recording.meta["minimum"] or 0.0
        return losses is not None and hopeless(loss - minimum, losses[0] - minimum)

    def can_pay(self, evaluations: int | None) -> bool:
        """Whether an update as dear as the dearest so far is within the budget."""
        return evaluations is None or self.evaluations + self.most <= evaluations

    def step(self, kept: bool) -> None:
        """One update and, where it is kept, its row."""
        self.seen = []
        between = self.explained() if kept else {}
        self.seen = []
        used = _numbers(self.optimizer.param_groups[0])
        before = self.evaluations
        self.optimizer.step(self.closure)
        if self.scheduler is not None:
            self.scheduler.step()
        loss, w, grad = self.seen[0]
        self.most = max(self.most, self.evaluations - before)
        self.taken += 1
        if not kept:
            return
        row: dict[str, Any] = {"step": self.taken - 1, "loss": loss}
        row |= {
            "evaluations": self.evaluations,
            "w": w,
            "grad": grad,
            "update": self.point() - w,
            "lr": used.pop("lr", np.nan),
        }
        row |= {f"hyper.{name}": value for name, value in used.items()}
        row |= {f"state.{name}": value for name, value in {**between, **self.state()}.items()}
        self.recording.add_all(row)

    def explained(self) -> dict[str, Any]:
        """What the rule will compute on its way, by name, where somebody wants to know."""
        if not self.intermediates and self.explanations is None:
            return {}
        evaluations = self.evaluations
        told = explain(self.optimizer, self.w, closure=self.closure)
        if self.explanations is not None:
            self.explanations.append(told)
        found = told.intermediates() if self.intermediates else {}
        if found and told.index is not None and self.size > 1:  # one number was looked at; all
            places = np.ndindex(self.w.shape)
            each = [explain(self.optimizer, self.w, i, self.closure) for i in places]
            found = {n: np.array([one.intermediates()[n] for one in each]) for n in found}
        self.evaluations = evaluations
        return {name: np.array(value).reshape(-1) for name, value in found.items()}

    def state(self) -> dict[str, Any]:
        """What the optimizer keeps, as far as it is numbers of one shape."""
        found = self.optimizer.state_of(self.w)
        found.pop("t", None)
        host = {name: self.w.device.to_host(s) for name, s in found.items() if hasattr(s, "shape")}
        host |= {name: s for name, s in found.items() if isinstance(s, (int, float))}
        return {
            name: np.array(s).reshape(-1 if np.size(s) == self.size else np.shape(s))
            for name, s in host.items()
        }

    def point(self) -> Array:
        """Where w is."""
        return _row(self.w)

    def loss(self) -> float:
        """The loss where w is."""
        with no_grad():
            return float(self.f(self.w.detach().reshape(self.size)).item())

    def history(self, seconds: float) -> History:
        """The record, with the optimizer's answer."""
        getattr(self.optimizer, "eval", lambda: None)()
        self.recording.meta["updates"] = self.taken
        return self.recording.history(final_w=self.point(), final_loss=self.loss(), seconds=seconds)


def _maker(
    optimizer: Make | Entry | str, options: dict[str, Any], shape: tuple[int, ...]
) -> tuple[Make, tuple[int, ...]]:
    """The function that makes the optimizer, and the shape of the parameter that it wants."""
    entry = get_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    if not isinstance(entry, Entry):
        if options:
            raise TypeError(
                f"trace: {', '.join(options)} go with an optimizer by its name; a function of the "
                "parameters says its options itself."
            )
        return entry, shape
    if entry.kind in (SophiaG, SparseAdam):
        needs = "logits to draw labels from" if entry.kind is SophiaG else "gradients of some rows"
        raise ValueError(
            f"trace: {entry.kind.__name__} needs {needs}, which a surface does not have."
        )
    whole = entry.kind.scope == "matrix" and len(shape) < 2
    return lambda params: entry(params, **options), (1, *shape) if whole else shape


def _row(x: Tensor) -> Array:
    """A copy of the numbers of a tensor, in a row."""
    row: Array = x.device.to_host(x._data).reshape(-1).astype(np.float64)
    return row.copy()


def _numbers(group: dict[str, Any]) -> dict[str, float]:
    """The options that are numbers: betas are beta1 and beta2."""
    found: dict[str, float] = {}
    for name, value in group.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, (tuple, list)) and name != "params":
            numbers = [v for v in value if isinstance(v, (int, float))]
            if len(numbers) == len(value):
                single = name.removesuffix("s")
                found |= {f"{single}{i}": float(v) for i, v in enumerate(numbers, start=1)}
    return found
