"""The record of a run: plain numbers on the host, read by tables, files, pictures and tests alike.

Order: History · its judgement · files · Recording.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .export import plain, strict_json, table

Array = np.ndarray[Any, Any]

SCHEMA = "tinygrad_opt.history/1"
BEYOND_HOPE = 1e6  # a gap this many times the first one (+ 1) has diverged
RISEN, STUCK = 1.5, 0.98  # the gap at the end over that at the start


def _none() -> Array:
    return np.zeros(0)


@dataclasses.dataclass(eq=False, repr=False)
class History:
    """What happened in a run, update by update; T updates were recorded, of D numbers.

    - ``step`` (T,): the number of the update, from 0; `trace` can keep each k-th alone. ``loss``
      (T,): before that update, of the batch when training. ``lr`` (T,) and ``hyper``, name ->
      (T,): what the update used, schedules evaluated. ``evaluations`` (T,): gradients so far.
    - ``w``, ``grad``, ``update`` (T, D), of surfaces: the point before, the gradient there, new
      minus old. ``final_w`` (D,), ``final_loss``: after the last update.
    - ``state``: the paper's letter -> (T, …), after the update.
    - ``norms``: name of a parameter -> {"weight", "grad", "update"} -> (T,), of networks.
    - ``metrics``: name -> pairs (updates done, value), one an epoch: train_loss, test_loss,
      train_accuracy, test_accuracy. ``snapshots``: pairs (updates done, all weights in a row).
    - ``status``: "ok", "nan", "diverged" or "stuck"; ``stopped_at`` the update at which the run
      was given up. ``meta``: what the run was. ``seconds``: wall time, which equal runs do not
      share.
    """

    step: Array = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    loss: Array = dataclasses.field(default_factory=_none)
    lr: Array = dataclasses.field(default_factory=_none)
    evaluations: Array = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    hyper: dict[str, Array] = dataclasses.field(default_factory=dict)
    w: Array | None = None
    grad: Array | None = None
    update: Array | None = None
    final_w: Array | None = None
    final_loss: float | None = None
    state: dict[str, Array] = dataclasses.field(default_factory=dict)
    norms: dict[str, dict[str, Array]] = dataclasses.field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = dataclasses.field(default_factory=dict)
    snapshots: list[tuple[int, Array]] = dataclasses.field(default_factory=list)
    status: str = "ok"
    stopped_at: int | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("step", "evaluations"):
            setattr(self, name, np.asarray(getattr(self, name), np.int64))
        for name in ("loss", "lr"):
            setattr(self, name, np.asarray(getattr(self, name), np.float64))
        self.meta = plain(self.meta)

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        """One line: what ran, how long, how the loss went; numbers stand in the fields."""
        what = " on ".join(str(self.meta[key]) for key in ("optimizer", "task") if key in self.meta)
        end = self.loss[-1:] if self.final_loss is None else [self.final_loss]
        losses = " → ".join(f"{loss:.4g}" for loss in (*self.loss[:1], *end))
        parts = (what, f"{len(self)} update{'s' * (len(self) != 1)}", f"loss {losses}", self.status)
        return f"History({', '.join(part for part in parts if part and part != 'loss ')})"

    def __eq__(self, other: object) -> bool:
        """The same run: all but the wall time, and NaN is NaN."""
        if not isinstance(other, History):
            return NotImplemented
        mine, theirs = (plain({**vars(h), "seconds": 0.0}) for h in (self, other))
        return bool(mine == theirs)

    __hash__ = None  # type: ignore[assignment]

    def last(self, name: str) -> float | None:
        """The latest value of a metric, or None."""
        values = self.metrics.get(name)
        return values[-1][1] if values else None

    # ---- its judgement ------------------------------------------------------------------------

    @property
    def gap(self) -> Array:
        """The loss over the least one possible, `meta["minimum"]`, or 0 where that is unknown."""
        gap: Array = self.loss - (self.meta.get("minimum") or 0.0)
        return gap

    @property
    def final_gap(self) -> float:
        """The gap after the last update or, where that was not computed, before it."""
        if self.final_loss is not None:
            return self.final_loss - float(self.meta.get("minimum") or 0.0)
        return float(self.gap[-1]) if len(self) else math.nan

    def judge(self) -> str:
        """The status: "nan", "diverged", "stuck" or "ok".

        With start the first gap and end the mean of the last twentieth: diverged means a gap above
        10⁶ (start + 1) or end > 1.5 start, stuck means end > 0.98 start.
        """
        gaps = self.gap if self.final_loss is None else np.append(self.gap, self.final_gap)
        points = [] if self.final_w is None else [*(self.w if self.w is not None else ())]
        points += [] if self.final_w is None else [self.final_w]
        self.stopped_at = self.hopeless_from(0)
        if not len(gaps):
            return self.status
        start, end = gaps[0], float(np.mean(gaps[-max(1, len(gaps) // 20) :]))
        if not np.isfinite(gaps).all() or not all(np.isfinite(w).all() for w in points):
            self.status = "nan"
        elif self.stopped_at is not None or end > RISEN * abs(start):
            self.status = "diverged"
        else:
            self.status = "stuck" if end > STUCK * start else "ok"
        return self.status

    def hopeless_from(self, start: int) -> int | None:
        """The first update, from this place on, before which all was lost."""
        gaps = list(zip(self.step, self.gap, strict=True))[start:]
        if self.final_loss is not None:
            gaps.append((self.meta.get("updates", len(self)), self.final_gap))
        first = self.gap[0] if len(self) else 0.0
        return next((int(step) for step, gap in gaps if hopeless(gap, first)), None)

    # ---- files --------------------------------------------------------------------------------

    def to_json(self, **options: Any) -> str:
        """Strict JSON; what is not finite becomes "nan", "inf" or "-inf"."""
        return strict_json({"schema": SCHEMA, **vars(self)}, **options)

    @classmethod
    def from_json(cls, text: str) -> History:
        """The record that `to_json` wrote; ValueError for anything else."""
        try:
            data = json.loads(text)
            if data.pop("schema") != SCHEMA:
                raise KeyError
            for name in ("w", "grad", "update", "final_w"):
                data[name] = None if data[name] is None else _floats(data[name])
            for name in ("loss", "lr"):
                data[name] = _floats(data[name])
            for name in ("hyper", "state"):
                data[name] = {key: _floats(values) for key, values in data[name].items()}
            data["norms"] = {
                name: {kind: _floats(values) for kind, values in norms.items()}
                for name, norms in data["norms"].items()
            }
            data["metrics"] = {
                name: [(int(step), float(value)) for step, value in pairs]
                for name, pairs in data["metrics"].items()
            }
            data["snapshots"] = [(int(step), _floats(w)) for step, w in data["snapshots"]]
            if data["final_loss"] is not None:
                data["final_loss"] = float(data["final_loss"])
            made = cls(**data)
            if not made._is_whole():
                raise ValueError
            return made
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError, OverflowError):
            raise ValueError(
                f"History: this is no record of a run; it is not JSON of the schema {SCHEMA}."
            ) from None

    def _is_whole(self) -> bool:
        """Whether all columns have a number for each update, and the rest can be read."""
        least, end = self.meta.get("minimum"), self.final_loss
        numbers = (least or 0.0, end or 0.0, self.seconds, self.stopped_at or 0)
        return (
            all(column.shape == self.step.shape[:1] for column in self._columns().values())
            and all(isinstance(number, int | float) for number in numbers)
            and isinstance(self.status, str)
        )

    def _columns(self) -> dict[str, Array]:
        """What a table shows of the updates, by name."""
        columns: dict[str, Array] = {"step": self.step, "loss": self.loss, "lr": self.lr}
        if len(self.evaluations):
            columns["evaluations"] = self.evaluations
        columns |= {name: values for name, values in self.hyper.items() if name != "lr"}
        parts = {"w": self.w, "grad": self.grad, "update": self.update, **self.state}
        for name, values in parts.items():
            if values is not None:
                columns |= _columns(name, values)
        for name, norms in self.norms.items():
            columns |= {f"{name} {kind} norm": values for kind, values in norms.items()}
        return columns

    def to_rows(self) -> list[dict[str, Any]]:
        """A dict for each update: its numbers, and metrics where an epoch ended with it."""
        columns = self._columns()
        rows = [
            dict(zip(columns, map(_number, row), strict=True))
            for row in zip(*columns.values(), strict=True)
        ]
        by_step = {row["step"]: row for row in rows}
        for name, pairs in self.metrics.items():
            for row in rows:
                row[name] = None
            for done, value in pairs:
                if done - 1 in by_step:
                    by_step[done - 1][name] = value
        return rows

    def to_csv(self) -> str:
        """`to_rows` as a table with a header."""
        rows = self.to_rows()
        return table(rows, () if rows else ["step"])


def hopeless(gap: float, first: float) -> bool:
    """Whether a run with this gap need not go on."""
    return not math.isfinite(gap) or gap > BEYOND_HOPE * (abs(first) + 1)


def _columns(name: str, values: Array) -> dict[str, Array]:
    """A column for each number: v, or v[0], v[1] … where there are several."""
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == 1:
        return {name: flat[:, 0]}
    return {f"{name}[{i}]": flat[:, i] for i in range(flat.shape[1])}


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _floats(values: Any) -> Array:
    """An array from a file, where "nan" and "inf" are words."""
    return np.array(values, np.float64)


# ---- while a run goes on ----------------------------------------------------------------------


class Recording:
    """A record that grows; `history()` is what there is so far.

    `add` appends one value to the columns that it names: fields of `History`, and with a dot what
    stands in its dicts, as in {"loss": 2.3, "hyper.momentum": 0.9, "state.m": [0.1]}.
    """

    def __init__(self, **meta: Any) -> None:
        self.meta = meta
        self.columns: dict[str, list[Any]] = {}
        self.metrics: dict[str, list[tuple[int, float]]] = {}
        self.snapshots: list[tuple[int, Array]] = []

    def __len__(self) -> int:
        return len(self.columns.get("step", ()))

    def add(self, **values: Any) -> None:
        """One more row."""
        self.add_all(values)

    def add_all(self, values: Mapping[str, Any]) -> None:
        """One more row, with names that are no identifiers."""
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)

    def note(self, done: int, **values: float | None) -> None:
        """One value of each of these metrics, after so many updates; None means: there is none."""
        for name, value in values.items():
            if value is not None:
                self.metrics.setdefault(name, []).append((done, float(value)))

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain data."""
        columns = {name: np.array(values) for name, values in self.columns.items()}
        metrics = {name: np.array(pairs, np.float64) for name, pairs in self.metrics.items()}
        snapshots = [list(pair) for pair in self.snapshots]
        return {"columns": columns, "metrics": metrics, "snapshots": snapshots}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a record that was saved."""
        self.columns = {name: list(values) for name, values in state["columns"].items()}
        self.metrics = {
            name: [(int(done), float(value)) for done, value in pairs]
            for name, pairs in state["metrics"].items()
        }
        self.snapshots = [(done, weights) for done, weights in state["snapshots"]]

    def history(self, **fields: Any) -> History:
        """The record so far, judged."""
        whole: dict[str, Any] = {"hyper": {}, "state": {}, "norms": {}}
        for name, values in self.columns.items():
            where, *path = name.split(".", 1)
            if not path:
                whole[where] = np.array(values)
            elif where == "norms":
                parameter, kind = path[0].rsplit(".", 1)
                whole[where].setdefault(parameter, {})[kind] = np.array(values)
            else:
                whole[where][path[0]] = np.array(values)
        metrics = {name: list(pairs) for name, pairs in self.metrics.items()}
        snapshots = list(self.snapshots)
        made = History(**whole, metrics=metrics, snapshots=snapshots, meta=self.meta, **fields)
        made.judge()
        return made
