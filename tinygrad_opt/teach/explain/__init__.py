"""One update of an optimizer with its numbers, from the very source that takes it.

    loss.backward()
    print(explain(optimizer, w))            # and nothing has changed
    optimizer.step()

Order: `explain` · Explanation · which functions, and whose call of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from ...optim.by_rows import ByRows
from ...optim.lbfgs import Memory
from ...optim.optimizer import Optimizer
from ...optim.parameter_free import Distance
from ...optim.rule import Rule, prelude
from ...optim.schedule_free import between
from ...optim.wrappers import Accumulate, Lookahead, SkipNonFinite
from ...tensor import Tensor
from .executed import Watch
from .letters import MEANINGS, array, letter, number
from .lines import Line, lines_of
from .unchanged import Hooked, layers, rehearsal

__all__ = ["Explanation", "Line", "explain"]

DECODED = ("momentum", "dampening", "weight_decay", "temperature")  # options by other letters
LONGEST, ENDING = 60, 20  # lines that are printed, so many of them the last ones
STEPS = (
    "rate",
    "measure",
    "estimate",
    "_begin",
    "_count",
    "_descend",
    "_advance",
    "_step",
    "_search",
)


def explain(
    optimizer: Any,
    parameter: Tensor,
    index: int | tuple[int, ...] | None = None,
    closure: Callable[[], Any] | None = None,
) -> Explanation:
    """What the next step does to a parameter, line by line: formula, numbers, result.

    Call it between ``backward()`` and ``step()``; the step is taken on copies, by the rule as it
    stands, and nothing changes. Of rules that treat every number alike one is shown, at ``index``,
    or the one with the largest gradient; of others, whole arrays by shape and norm. What needs a
    closure to step gets it here too; it is called, as are hooks before the step, so what these
    change besides gradients is changed. Hooks after the step are left out, which is said. Around an
    optimizer, as SAM is, the optimizer's own lines are shown. TypeError for what is no parameter;
    ValueError for a parameter that is not the optimizer's, or has no number at that place;
    RuntimeError for one without a gradient.
    """
    if not isinstance(parameter, Tensor):
        raise TypeError(
            f"explain: the parameter is a {type(parameter).__name__}. Pass one of "
            "optimizer.parameters(), a Tensor: model.weight, not its name."
        )
    owner = next(
        (one for one in layers(optimizer) if isinstance(one, Optimizer) and _has(one, parameter)),
        None,
    )
    if owner is None:
        raise ValueError(
            f"explain: the tensor of shape {parameter.shape} is no parameter of this "
            f"{type(optimizer).__name__}. Pass one of optimizer.parameters()."
        )
    if parameter.grad is None and closure is None:
        raise RuntimeError(
            f"explain: {_called(parameter)} has no gradient, so a step leaves it where it is. Call "
            "loss.backward() first."
        )
    old = _host(parameter)
    with rehearsal(optimizer) as hooked:
        calls = _Calls(owner, parameter, _place(parameter, index))
        with Watch(_functions(type(owner)), calls.enter) as watch:
            optimizer.step() if closure is None else optimizer.step(closure)
        new, t = _host(parameter), owner.step_count
        if not isinstance(owner, Distance) and "t" in (kept := owner.state_of(parameter)):
            t = kept["t"] or t
        letters = tuple(type(owner).state)
        lines = [line for statement in watch.statements for line in lines_of(statement, letters)]
        moved = not np.array_equal(old, new, equal_nan=True)
        notes = _notes(optimizer, owner, watch, lines, hooked, moved)
    lines = [line for line in lines if line.target or line.function == "measure"]
    around = [
        type(one).__name__
        for one in layers(optimizer)
        if one is not owner and any(inner is owner for inner in layers(one))
    ]
    shown = calls.index if calls.index is not None and not calls.whole else None
    return Explanation(
        type(owner).__name__,
        around,
        t,
        _called(parameter),
        shown,
        old,
        new,
        lines,
        _meanings(owner),
        letters,
        notes,
        [name for name in DECODED if name in owner.defaults],
    )


# ---- what it gives ----------------------------------------------------------------------------


@dataclass
class Explanation:
    """An update of a parameter: its ``lines``, ``old`` and ``new``; print it.

    ``index`` is the number that is shown, None where the rule sees whole arrays.
    """

    optimizer: str
    around: list[str]
    t: int
    parameter: str
    index: tuple[int, ...] | None
    old: np.ndarray[Any, Any]
    new: np.ndarray[Any, Any]
    lines: list[Line]
    meanings: dict[str, str]
    letters: tuple[str, ...]
    notes: list[str]
    options: list[str]

    def __str__(self) -> str:
        inside = f", inside {' around '.join(self.around)}" if self.around else ""
        place = self.parameter
        if self.index is not None and self.old.size > 1:
            place += str(list(self.index))
        text = [f"{self.optimizer}, update {self.t} of {place}{inside}"]
        targets = {line.name for line in self.lines}
        told = [f"{letter(s)}: {words}" for s, words in self.meanings.items() if s in targets]
        used = {name for line in self.lines for name in line.values}
        told += [f"{letter(s)}: {s.replace('_', ' ')}" for s in self.options if s in used]
        text += ["   ".join(told)] if told else []
        several = len({line.function for line in self.lines}) > 1
        where = None
        left_out, last = 0, len(self.lines) - 1
        for i, line in enumerate(self.lines):
            if LONGEST - ENDING <= i < last - ENDING and line.name != "p":
                left_out += 1
                continue
            if left_out:
                text.append(f"… {left_out} lines more, in .lines")
                left_out, where = 0, None
            if several and line.function != where:
                where = line.function
                text.append(f"in {where}:")
            text.append(("  " if several else "") + str(line).replace("\n", "\n  "))
        if not self.lines and not self.notes:
            text.append("nothing moves")
        text += self.notes
        text.append(f"{place}: {self._shown(self.old)} → {self._shown(self.new)}")
        return "\n".join(text)

    __repr__ = __str__

    def intermediates(self) -> dict[str, Any]:
        """What the rule computes on its way and does not keep: m_hat, by its name, and so on."""
        kept = {"p", "g", *self.letters}
        return {
            line.name: line.value
            for line in self.lines
            if line.function in ("rule", "between")
            and line.name.isidentifier()
            and line.name not in kept
            and not isinstance(line.value, (list, tuple))
        }

    def _shown(self, p: np.ndarray[Any, Any]) -> str:
        if self.index is not None:
            return number(p[self.index])
        return number(p.item()) if p.size == 1 else array(p)


def _notes(
    optimizer: Any, owner: Optimizer, watch: Watch, lines: list[Line], hooked: Hooked, moved: bool
) -> list[str]:
    """What else a reader has to know: what moves besides the rule, and why nothing does."""
    notes = [*hooked.notes]
    if watch.unread:
        notes.append(
            f"the source of {' and '.join(dict.fromkeys(watch.unread))} cannot be read, so there "
            "are no lines to show; write it into a file"
        )
    for one in layers(optimizer):
        if isinstance(one, Lookahead) and one.steps == 0 and moved:
            notes.append(
                f"then Lookahead goes back, after every {one.k} steps: p ← p − (1 − α)·(p − s), "
                f"s ← p, α = {number(one.alpha)}"
            )
        if isinstance(one, Accumulate) and one.count:
            notes.append(
                f"Accumulate collects gradients: {one.count} of {one.k} are in, so nothing moves"
            )
        if isinstance(one, SkipNonFinite) and one.in_a_row:
            notes.append("SkipNonFinite leaves the step out: a gradient is not finite")
    return notes


def _meanings(owner: Optimizer) -> dict[str, str]:
    kinds = type(owner).state
    return {s: MEANINGS[key] for s, key in kinds.items() if key in MEANINGS}


def _called(p: Tensor) -> str:
    return p.name or "p"


def _host(p: Tensor) -> np.ndarray[Any, Any]:
    return np.array(p.device.to_host(p._data))


def _has(optimizer: Optimizer, p: Tensor) -> bool:
    return any(p is q for q in optimizer.parameters())


def _place(p: Tensor, index: int | tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The index as a tuple; ValueError where there is no such number."""
    if index is None:
        return None
    try:
        place = tuple(map(operator.index, index if isinstance(index, tuple) else (index,)))
    except TypeError:
        raise TypeError(
            f"explain: the index is {index!r}. Give one whole number for each axis, as in (0, 2)."
        ) from None
    if len(place) != p.ndim or any(not -n <= i < n for i, n in zip(place, p.shape, strict=True)):
        raise ValueError(
            f"explain: {_called(p)} of shape {p.shape} has no number at {index}. Give one index "
            "for each axis."
        )
    return tuple(i % n for i, n in zip(place, p.shape, strict=True))


# ---- which functions, and whose call of them --------------------------------------------------


def _functions(kind: type[Optimizer]) -> dict[CodeType, str]:
    """What a class computes with, by its code; those that only tell whose turn it is, too."""
    own: list[Any] = [prelude, between, kind.rule, Memory.direction, Memory.learn]
    for name in STEPS:
        for one in kind.__mro__[: kind.__mro__.index(Optimizer)]:
            if name in vars(one):
                own.append(getattr(vars(one)[name], "__func__", vars(one)[name]))
                break
    own += [cell.cell_contents for cell in kind.rule.__closure__ or ()]
    gates = [Rule.__call__, ByRows.move, Distance._measured]
    named = {f.__code__: f.__name__ for f in (*gates, *own) if isinstance(f, FunctionType)}
    return named | {kind.rule.__code__: "rule"}


class _Calls:
    """Says which calls are about the parameter, and what is shown of arrays there."""

    def __init__(self, owner: Optimizer, parameter: Tensor, index: tuple[int, ...] | None) -> None:
        self.owner, self.parameter, self.index = owner, parameter, index
        self.whole = owner._rule.whole
        self.known: dict[FrameType, Callable[[Any], Any] | None] = {}

    def enter(self, frame: FrameType) -> Callable[[Any], Any] | None:
        """None for a call that is about something else."""
        names, code = frame.f_locals, frame.f_code
        if code is ByRows.move.__code__:
            self.known[frame] = self._rows() if names["p"] is self.parameter else None
            return None
        if code in (Rule.__call__.__code__, Distance._measured.__code__):
            if frame.f_back not in self.known:
                p = names["arrays"]["p"] if "arrays" in names else names["p"]
                self.known[frame] = self._part(p)
            else:
                self.known[frame] = self.known[frame.f_back]
            return None
        caller = frame.f_back
        if caller in self.known:
            self.known[frame] = self.known[caller]
            return self.known[frame]
        group = names.get("group")
        if group is not None and not any(self.parameter is p for p in group["params"]):
            return None
        return lambda value: value

    def _part(self, p: Any) -> Callable[[Any], Any] | None:
        """What is shown where the rule gets p, an array that may be longer than the parameter."""
        mine = self.parameter._data
        raw = p._data if isinstance(p, Tensor) else p
        if isinstance(p, Tensor):
            offset = 0 if p is self.parameter else -1
        else:
            offset, rest = divmod(_address(mine) - _address(raw), mine.dtype.itemsize)
            offset = -1 if rest else offset
        if not 0 <= offset < max(raw.size, 1) or offset + mine.size > raw.size:
            return None
        if raw.dtype != mine.dtype:
            return None
        return self._pick(
            raw.size, lambda index: offset + int(np.ravel_multi_index(index, mine.shape))
        )

    def _rows(self) -> Callable[[Any], Any]:
        g = self.parameter.grad.coalesce()
        rows = [int(i) for i in self.parameter.device.to_host(g.indices)]
        if self.index is None:
            values = np.abs(self.parameter.device.to_host(g.values))
            row, *rest = np.unravel_index(int(values.argmax()), values.shape)
            self.index = (rows[int(row)], *map(int, rest))
        if self.index[0] not in rows:
            raise RuntimeError(
                f"explain: row {self.index[0]} has no gradient, so a step leaves it where it is."
            )
        shape = g.values.shape
        return self._pick(
            int(np.prod(shape)),
            lambda index: int(np.ravel_multi_index((rows.index(index[0]), *index[1:]), shape)),
        )

    def _pick(self, size: int, where: Callable[[tuple[int, ...]], int]) -> Callable[[Any], Any]:
        """The one number of every array that is as long as p; whole arrays for whole rules."""
        if self.whole or not size:
            return lambda value: value
        if self.index is None:
            g = np.abs(self.parameter.device.to_host(self.parameter.grad._data))
            self.index = tuple(map(int, np.unravel_index(int(g.argmax()), g.shape)))
        place, device = where(self.index), self.parameter.device

        def pick(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(map(pick, value)) if type(value) in (list, tuple) else value
            if not hasattr(type(value), "dtype") or getattr(value, "size", 0) != size:
                return value
            if isinstance(value, np.generic):
                return value
            return np.asarray(device.to_host(value)).reshape(-1)[place]

        return pick


def _address(array: Any) -> int:
    """Where an array begins."""
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)
