"""The record of a run: plain numbers on the host, read by tables, files and tests alike."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

SCHEMA = "tinygrad_opt.history/1"
BEYOND_HOPE = 1e6  # a loss this many times the first one (+ 1) has diverged


@dataclasses.dataclass
class History:
    """What happened in a run, update by update and epoch by epoch.

    ``loss[i]`` is the loss of the batch before update ``step[i]``, ``lr[i]`` the learning rate of
    that update. ``metrics`` maps a name to its pairs (epochs done, value): train_loss, test_loss,
    train_accuracy, test_accuracy. ``seconds`` is wall time, which two equal runs do not share.
    """

    step: list[int] = dataclasses.field(default_factory=list)
    loss: list[float] = dataclasses.field(default_factory=list)
    lr: list[float] = dataclasses.field(default_factory=list)
    metrics: dict[str, list[tuple[int, float]]] = dataclasses.field(default_factory=dict)
    status: str = "ok"
    stopped_at: int | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = dataclasses.field(default=0.0, compare=False)

    def note(self, epoch: int, **values: float | None) -> None:
        """Add one value to each of these metrics; None means that there is none."""
        for name, value in values.items():
            if value is not None:
                self.metrics.setdefault(name, []).append((epoch, float(value)))

    def last(self, name: str) -> float | None:
        """The latest value of a metric, or None."""
        values = self.metrics.get(name)
        return values[-1][1] if values else None

    def judge(self) -> str:
        """The status: "nan", "diverged", "stuck" or "ok".

        With start the first loss and end the mean of the last twentieth: diverged means a loss
        above 10⁶ (start + 1) or end > 1.5 start, stuck means end > 0.98 start.
        """
        if not self.loss:
            return "ok"
        start, tail = self.loss[0], self.loss[-max(1, len(self.loss) // 20) :]
        end = sum(tail) / len(tail)
        self.stopped_at = self.hopeless_from(0)
        if not all(map(math.isfinite, self.loss)):
            self.status = "nan"
        elif self.stopped_at is not None or end > 1.5 * start:
            self.status = "diverged"
        else:
            self.status = "stuck" if end > 0.98 * start else "ok"
        return self.status

    def hopeless_from(self, start: int) -> int | None:
        """The first update, from this place on, whose loss was not finite or beyond hope."""
        limit = BEYOND_HOPE * (self.loss[0] + 1)
        for step, loss in zip(self.step[start:], self.loss[start:], strict=True):
            if not loss <= limit or not math.isfinite(loss):
                return step
        return None

    def to_json(self, **options: Any) -> str:
        """Strict JSON; what is not finite becomes "nan", "inf" or "-inf"."""
        return json.dumps(_spelled({"schema": SCHEMA, **dataclasses.asdict(self)}), **options)

    @classmethod
    def from_json(cls, text: str) -> History:
        """The record that `to_json` wrote; ValueError for anything else."""
        data = json.loads(text)
        if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
            raise ValueError(
                f"History: this JSON is no record of a run; its schema is not {SCHEMA}."
            )
        data["metrics"] = {
            name: [(int(epoch), float(value)) for epoch, value in pairs]
            for name, pairs in data["metrics"].items()
        }
        for name in ("loss", "lr"):
            data[name] = [float(value) for value in data[name]]
        return cls(**data)


def _spelled(value: Any) -> Any:
    """The same data without what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _spelled(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(part) for part in value]
    return value
