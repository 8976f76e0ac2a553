"""L-BFGS: the direction takes the curvature into account, which is learned from gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

from ..device import Device
from ..operation import changed, enable_grad, there
from .flat import Flat
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer
from .options import AT_LEAST_0, COUNT, Allowed, Flags, one_of, plain
from .parameters import Params
from .places import numbers
from .rule import each
from .saving import host_arrays, host_copy

Closure = Callable[[], Any]


@dataclass
class Memory:
    """What L-BFGS keeps between steps; `y` and `s` are the last pairs, oldest first."""

    func_evals: int = 0
    n_iter: int = 0
    d: Any = None
    t: Any = None
    y: list[Any] = field(default_factory=list)
    s: list[Any] = field(default_factory=list)
    rho: list[float] = field(default_factory=list)
    H: float = 1
    g_last: Any = None
    f: float | None = None

    def learn(self, y: Any, s: Any, most: int) -> None:
        """Remember one more pair, if the loss curves upwards along it."""
        ys, yy = numbers(y.dot(s), y.dot(y))
        if ys <= 1e-10:
            return
        for kept, new in ((self.y, y), (self.s, s), (self.rho, 1 / ys)):
            kept.append(new)
            del kept[:-most]
        self.H = ys / yy

    def follow(self, flat: Flat) -> None:
        """Go where the parameters are by now, and be of their dtype."""
        here = flat.device, flat.dtype
        if self.d is not None and (Device.of(self.d), self.d.dtype) != here:
            self.d, self.g_last = flat.taken(self.d), flat.taken(self.g_last)
            self.y, self.s = each(flat.taken, self.y), each(flat.taken, self.s)

    def direction(self, g: Any) -> Any:
        """−H g, without H: two walks through the pairs (Nocedal & Wright 2006, algorithm 7.4)."""
        q, alphas = -g, []
        pairs = list(zip(self.y, self.s, self.rho))
        for y, s, rho in reversed(pairs):
            alphas.append(s.dot(q) * rho)
            q = q - alphas[-1] * y
        r = q * self.H
        for (y, s, rho), alpha in zip(pairs, reversed(alphas)):
            r = r + (alpha - y.dot(r) * rho) * s
        return r


class LBFGS(Optimizer):
    """L-BFGS (Liu & Nocedal 1989; Nocedal & Wright 2006, algorithm 7.5): curvature from gradients.

        s = p − p₋,  y = g − g₋
        d = −H g
        p ← p + t d

    H is the inverse Hessian as far as the last `history_size` pairs (s, y) tell: y ≈ Hessian · s.
    For full batches: `step` runs up to `max_iter` iterations, each with one or more evaluations of
    the loss, and needs a closure (TypeError). t is `lr`, or with "strong_wolfe" what a line search
    finds from there; the first move is no longer than `lr`. Work in float64: in float32 it ends
    early. All parameters are one group, of one dtype, on one device; a GPU is waited for once after
    every evaluation, and twice in every iteration. The iterates are PyTorch's, except that a trial
    whose loss is not finite has gone too far, and is not the end.
    """

    state = {
        "func_evals": "func_evals",
        "n_iter": "n_iter",
        "d": "d",
        "t": "t",
        "y": "old_dirs",
        "s": "old_stps",
        "rho": "ro",
        "H": "H_diag",
        "g_last": "prev_flat_grad",
        "f": "prev_loss",
    }
    scope = "closure"
    flags = ()
    allowed = {
        "max_iter": Allowed("a whole number, at least 0", lambda x, _: x >= 0 and x == int(x)),
        "max_eval": COUNT,
        "history_size": COUNT,
        "tolerance_grad": AT_LEAST_0,
        "tolerance_change": AT_LEAST_0,
        "line_search_fn": one_of(None, "strong_wolfe"),
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max(1, max_iter * 5 // 4) if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self._memory = Memory()
        super().__init__(params, options, flags)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Only once: the history runs through all parameters."""
        if self.param_groups:
            raise ValueError(
                "LBFGS: its history runs through all parameters at once, so they are one group. "
                "Pass a list of parameters."
            )
        super().add_param_group(param_group)

    def _store(self, group: dict[str, Any]) -> Any:
        storage = super()._store(group)
        in_a_row(storage)
        return storage

    @property
    def _flat(self) -> Flat:
        return in_a_row(self._storages[0])

    # ---- the step -----------------------------------------------------------------------------

    def _step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            raise TypeError(
                "LBFGS.step: the loss is evaluated several times. Write step(closure); a closure "
                "clears the gradients, computes the loss, calls backward and returns the loss."
            )
        self._check_groups()
        option = {name: plain(self.param_groups[0][name]) for name in self.defaults}
        loss, here = self._evaluate(closure)
        memory, evaluations = self._memory, 1
        memory.follow(self._flat)
        memory.func_evals += 1
        self.step_count += 1
        if here.steepest <= option["tolerance_grad"]:
            return loss
        for k in range(int(option["max_iter"])):
            memory.n_iter += 1
            if memory.n_iter == 1:
                memory.d = -here.g
            else:
                memory.learn(here.g - memory.g_last, memory.t * memory.d, option["history_size"])
                memory.d = memory.direction(here.g)
            memory.g_last, memory.f, d = here.g, here.f, memory.d
            slope, length, total = numbers(here.g.dot(d), abs(d).max(), abs(here.g).sum())
            memory.t = option["lr"] * (min(1.0, 1 / total) if memory.n_iter == 1 else 1)
            if slope > -option["tolerance_change"]:
                break
            here = here._replace(t=0.0, slope=slope)
            if option["line_search_fn"]:
                here, used = self._search(closure, here, length, option["max_eval"] - evaluations)
            else:
                self._place(self._flat.p + memory.t * d)
                used = int(
                    k + 1 < option["max_iter"]
                )  # nobody asks for the loss after the last move
                here = self._evaluate(closure)[1] if used else here
            evaluations += used
            memory.func_evals += used
            if (
                evaluations >= option["max_eval"]
                or here.steepest <= option["tolerance_grad"]
                or abs(memory.t) * length <= option["tolerance_change"]
                or abs(here.f - memory.f) < option["tolerance_change"]
            ):
                break
        return loss

    def _search(self, closure: Closure, here: Point, length: float, most: int) -> tuple[Point, int]:
        """Go where a line search says; gives the point and how many evaluations it took."""
        memory, flat = self._memory, self._flat
        x, d = flat.p.copy(), memory.d

        def trial(t: float) -> Point:
            self._place(x + t * d)
            with flat.device.errstate(all="ignore"):  # it may go too far
                point = self._evaluate(closure, d)[1]
            return point._replace(t=t, f=point.f if math.isfinite(point.f) else math.inf)

        try:
            point, used = strong_wolfe(trial, here, memory.t, length, most)
        except BaseException:
            self._place(x)  # the closure failed, somewhere on the way
            raise
        memory.t = point.t
        self._place(x + point.t * d)
        return point, used

    def _place(self, x: Any) -> None:
        """Move the parameters there."""
        self._flat.p[...] = x
        changed(self._flat.params, "LBFGS.step()")

    def _evaluate(self, closure: Closure, d: Any = None) -> tuple[Any, Point]:
        """The loss as the closure gives it, and what is known where the parameters are."""
        with enable_grad():
            loss = closure()
        self._storages[0].gather()
        flat = self._flat
        if not all(flat.present):
            flat.vacate()
        for i, present in enumerate(flat.present):
            if not present:
                flat.piece(flat.g, i)[...] = 0
        sign = -1 if self.param_groups[0].get("maximize") else 1
        g = sign * flat.g
        slope = 0.0 if d is None else g.dot(d)
        steepest = abs(g).max() if g.size else 0.0
        f, slope, steepest = numbers(getattr(loss, "_data", loss), slope, steepest)
        return loss, Point(0.0, sign * f, slope, g, steepest)

    # ---- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume; as in PyTorch it stands under the first parameter."""
        saved, memory = super().state_dict(), self._memory
        if memory.func_evals:
            kept = {key: getattr(memory, letter) for letter, key in self.state.items()}
            saved["state"][0] = {
                key: each(lambda x: host_copy(x) if hasattr(x, "dtype") else x, value)
                for key, value in kept.items()
                if value is not None
            }
        return saved

    def load_state_dict(
        self, state_dict: Mapping[str, Any], by_name: bool = False, strict: bool = True
    ) -> None:
        """Resume from ours or PyTorch's `state_dict`; the parameters have to come in its order."""
        if by_name and state_dict["param_groups"][0].get("param_names") != self._names():
            raise ValueError(
                "LBFGS.load_state_dict: the history runs through all parameters in a row, so by "
                "name, too, they have to be the same in the same order."
            )
        entries = {int(number): entry for number, entry in state_dict["state"].items()}
        memory = self._remembered(entries.get(0, {}))
        super().load_state_dict({**state_dict, "state": {}}, by_name, strict)
        self._memory = memory

    def _names(self) -> list[str | None]:
        (group,) = self.param_groups
        return group.get("param_names") or [p.name for p in group["params"]]

    def _remembered(self, saved: Mapping[str, Any]) -> Memory:
        """The memory in a file, if it can be of these parameters."""
        memory, flat = Memory(), self._flat
        letters = {key: letter for letter, key in self.state.items()}
        extra = [key for key in saved if key not in letters and key != "al"]  # al: room to compute
        if extra:
            raise ValueError(
                f"LBFGS.load_state_dict: the state has {', '.join(extra)}, and LBFGS keeps "
                f"{', '.join(letters)}. Was it saved by another optimizer?"
            )

        def vector(value: Any) -> Any:
            found = host_arrays(value, flat.p.shape)
            if found.shape != flat.p.shape:
                raise ValueError(
                    f"LBFGS.load_state_dict: the file has vectors of shape {found.shape}, the "
                    f"parameters here are {flat.p.shape} in a row."
                )
            return there(flat.device, flat.taken, found)

        read = {"d": vector, "g_last": vector, "y": vector, "s": vector}
        for key, letter in letters.items():
            if saved.get(key) is not None:
                value, convert = saved[key], read.get(letter, plain)
                whole = letter not in ("y", "s", "rho")
                setattr(memory, letter, convert(value) if whole else list(map(convert, value)))
        return memory


def in_a_row(storage: Any) -> Flat:
    """All parameters and gradients of a group, side by side."""
    flats: list[Flat] = storage.flats
    if len(flats) != 1:
        kinds = ", ".join(f"{flat.dtype} on {flat.device}" for flat in flats)
        raise ValueError(f"LBFGS: parameters have one dtype and device, these have {kinds}.")
    return flats[0]
