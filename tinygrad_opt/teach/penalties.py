"""Regularisation side by side: the same network, without a penalty and with three kinds of it.

Order: `compare_penalties` · what came out, in numbers and in words.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..nn import Module
from .history import History

PENALTIES: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "L1": {"l1": 1e-3},
    "L2": {"l2": 3e-3},
    "dropout": {"dropout": 0.5},
}


@dataclass(frozen=True)
class Trained:
    """A run: the model, its record, and what `evaluate` finds on both parts of the data."""

    model: Module
    history: History
    train: dict[str, float]
    test: dict[str, float]

    @property
    def gap(self) -> float:
        """Test loss less training loss: what was learned by heart."""
        return self.test["loss"] - self.train["loss"]


def compare_penalties(
    run: Callable[..., Trained],
    penalties: Mapping[str, Mapping[str, float]] = PENALTIES,
    seeds: Iterable[int] = range(3),
) -> Penalties:
    """Train with each penalty, and with each seed: ``run(seed, l1=…)``, ``run(seed, dropout=…)``.

    L1 adds λ Σ|w| to the loss, L2 adds ½ λ Σw², dropout leaves out a share p of the hidden units.
    All runs with a seed begin at the same weights. ValueError for no seed or no penalty.
    """
    numbers = list(seeds)
    if not numbers or not penalties:
        raise ValueError("compare_penalties: give at least one seed and one penalty.")
    return Penalties(
        {name: [run(seed, **settings) for seed in numbers] for name, settings in penalties.items()}
    )


# ---- what came out ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Penalties:
    """The runs with each penalty, in the order of the seeds."""

    runs: dict[str, list[Trained]]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each penalty: means over the seeds, and the range of the test loss."""
        rows = []
        for name, runs in self.runs.items():
            losses = self.test_losses(name)
            row: dict[str, Any] = {
                "penalty": name,
                "train loss": statistics.fmean(run.train["loss"] for run in runs),
                "test loss": statistics.fmean(losses),
                "from": min(losses),
                "to": max(losses),
                "gap": statistics.fmean(run.gap for run in runs),
            }
            if "accuracy" in runs[0].test:
                row["test accuracy"] = statistics.fmean(run.test["accuracy"] for run in runs)
            rows.append(row)
        return rows

    def test_losses(self, name: str) -> list[float]:
        """The test loss of each seed."""
        return [run.test["loss"] for run in self.runs[name]]

    def words(self) -> str:
        """Which penalty helps on unseen examples, and whether the seeds agree."""
        rows = {row["penalty"]: row for row in self.rows()}
        first, *others = rows.values()
        best = min(others, key=lambda row: row["test loss"], default=first)
        if not best["test loss"] < first["test loss"]:
            return (
                f"No penalty helps on unseen examples: test loss {first['test loss']:.4g} with "
                f"{first['penalty']}. Without a gap worth the name there is nothing to cure."
            )
        text = (
            f"On unseen examples {best['penalty']} is best: test loss {best['test loss']:.4g} "
            f"against {first['test loss']:.4g} with {first['penalty']}. Its gap is "
            f"{best['gap']:.4g} against {first['gap']:.4g}, for a training loss of "
            f"{best['train loss']:.4g} against {first['train loss']:.4g}."
        )
        seeds = len(self.test_losses(best["penalty"]))
        if best["to"] < first["from"]:
            return f"{text} So it is with each of {seeds} seeds." if seeds > 1 else text
        return f"{text} The seeds do not agree: their ranges overlap."
