"""Which learning rates are too low, good or too high: short real runs, one after the other.

Order: `lr_sweep` · Sweep · its judgement · its words · files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..random_numbers import undisturbed
from .export import strict_json, table
from .history import RISEN, STUCK, Array, History
from .sparklines import sparklines
from .surfaces import SURFACES

RATES = (1e-4, 10.0, 11)  # from, to, how many, evenly spaced in their logarithms
ARRIVED = 1e-4  # of the first gap to a known minimum: what is lower is as good
GOOD, GOOD_IN_DECADES = 0.8, 0.6  # parts of the best rate's way that a good one comes at least

Run = Callable[[float, int], History]


def lr_sweep(
    run: Run,
    rates: Iterable[float] | None = None,
    seeds: int | Sequence[int] = 3,
    *,
    on_rate: Callable[[Sweep], None] | None = None,
) -> Sweep:
    """Try each rate in short real runs and say which are too low, good and too high.

        lr_sweep(lambda lr, seed: trace("ravine", None, "sgd", 60, lr=lr, seed=seed))

    ``run(lr, seed)`` trains from the start and gives the record, of `fit` or of `trace`. The rates
    are 10⁻⁴ … 10 in eleven steps unless given; a number of seeds means 0, 1, 2 …. After every rate
    ``on_rate`` gets what is known so far. The random numbers that follow are those that would have
    come without it. ValueError for rates that are not positive, and for no seeds.
    """
    low, high, count = RATES
    tried = sorted(map(float, np.geomspace(low, high, count) if rates is None else rates))
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    if not tried or not all(0 < lr < math.inf for lr in tried) or not len(seeds):
        raise ValueError(
            f"lr_sweep: rates {', '.join(f'{lr:g}' for lr in tried)} with {len(seeds)} "
            f"seed{'s' * (len(seeds) != 1)}. Give "
            "positive rates, as in [0.01, 0.1, 1], and at least one seed."
        )
    sweep = Sweep()
    for lr in tried:
        with undisturbed():
            runs = [run(lr, seed) for seed in seeds]
        sweep.lr = np.append(sweep.lr, lr)
        sweep.runs.append(runs)
        if on_rate is not None:
            on_rate(sweep)
    return sweep


@dataclass(eq=False, repr=False)
class Sweep:
    """Short runs at R learning rates, and what they say.

    ``lr`` (R,), rising; ``runs``: for each of them the records, one for each seed.
    """

    lr: Array = field(default_factory=lambda: np.zeros(0))
    runs: list[list[History]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lr)

    @property
    def start(self) -> float:
        """The loss before the first update, the mean over all runs."""
        return float(np.mean([history.gap[0] for runs in self.runs for history in runs]))

    @property
    def loss(self) -> Array:
        """(R,): the loss at the end, the mean over seeds; inf where a run diverged or met NaN.

        Of networks the mean over the last epoch, of surfaces how far it lies above the minimum.
        """
        return np.array([np.mean([end_of(history) for history in runs]) for runs in self.runs])

    @property
    def accuracy(self) -> Array | None:
        """(R,): on the test data or else on the training data; None where there are no classes."""
        for name in ("test_accuracy", "train_accuracy"):
            if all(history.metrics.get(name) for runs in self.runs for history in runs):
                values = [[history.metrics[name][-1][1] for history in runs] for runs in self.runs]
                means: Array = np.array(values).mean(axis=1)
                return means
        return None

    # ---- its judgement ------------------------------------------------------------------------

    @property
    def in_decades(self) -> bool:
        """Whether ways down are measured in decades of the gap: they are many, to a known minimum.

        What comes below 10⁻⁴ of the start has arrived.
        """
        records = [history for runs in self.runs for history in runs]
        known = all(history.meta.get("minimum") is not None for history in records)
        return bool(known and len(self) and self.start > 10 * self.loss.min())

    @property
    def progress(self) -> Array:
        """(R,): how far the loss came down, as a part of what the best rate achieved."""
        falls: Array = self.start - self.loss
        if self.in_decades:
            falls = np.log(self.start) - np.log(np.maximum(self.loss, ARRIVED * self.start))
        parts: Array = falls / np.max(falls, initial=1e-300)
        return parts

    @property
    def works(self) -> bool:
        """Whether any rate brought the loss down at all."""
        return bool(len(self)) and self._came_down(float(self.loss.min()))

    def _came_down(self, loss: float) -> bool:
        return self.start - loss >= (1 - STUCK) * abs(self.start)

    @property
    def verdicts(self) -> list[str]:
        """ "too low", "good" or "too high" for each rate.

        Good rates come down at least 0.8 of the way of the best one, or 0.6 of it `in_decades`.
        The others lie below or above it; one at which a run diverged is too high wherever it lies.
        """
        if not self.works:
            return ["too high" if self._rose(i) else "too low" for i in range(len(self))]
        loss, progress, best = self.loss, self.progress, int(np.argmin(self.loss))
        enough = GOOD_IN_DECADES if self.in_decades else GOOD
        return [
            "good"
            if progress[i] >= enough
            else "too low"
            if i < best and math.isfinite(loss[i])
            else "too high"
            for i in range(len(self))
        ]

    def _rose(self, i: int) -> bool:
        """Whether a run at this rate went up by half on its way, or away."""
        if not math.isfinite(self.loss[i]):
            return True
        return any(float(h.gap.max()) > RISEN * h.gap[0] for h in self.runs[i])

    @property
    def suggestion(self) -> float | None:
        """The best rate of those tried; None where none works."""
        return float(self.lr[np.argmin(self.loss)]) if self.works else None

    @property
    def good(self) -> tuple[float, float] | None:
        """The lowest and the highest rate of the good range, in which the best one lies."""
        if not self.works:
            return None
        verdicts, low = self.verdicts, int(np.argmin(self.loss))
        high = low
        while low > 0 and verdicts[low - 1] == "good":
            low -= 1
        while high + 1 < len(self) and verdicts[high + 1] == "good":
            high += 1
        return float(self.lr[low]), float(self.lr[high])

    # ---- its words ----------------------------------------------------------------------------

    def words(self, i: int) -> str:
        """What happened at this rate."""
        failed = sum(not math.isfinite(end_of(history)) for history in self.runs[i])
        if failed:
            count = len(self.runs[i])
            return "diverged" if count == 1 else f"{failed} of {count} runs diverged"
        if self.lr[i] == self.suggestion:
            return "the best of these"
        if not self._came_down(float(self.loss[i])):
            rises = self.verdicts[i] == "too high"
            return "ended no lower than it began" if rises else "hardly moved"
        unit = "as many decades" if self.in_decades else "as far"
        return f"came down {100 * self.progress[i]:.0f} % {unit} as the best"

    @property
    def _is_bottomless(self) -> bool:
        """Whether these were walks on a surface that goes down without end."""
        tasks = {history.meta.get("task") for runs in self.runs for history in runs}
        return any(task in SURFACES and SURFACES[task].minimum is None for task in tasks)

    @property
    def sentence(self) -> str:
        """The good range in words, and what to try next where it may go on."""
        if self._is_bottomless:
            return "This surface has no lowest point: the higher the rate, the faster the fall."
        if self.good is None:
            way = "lower" if "too high" in self.verdicts else "higher"
            return f"No rate brought the loss down. Try {way} ones."
        (low, high), best = self.good, self.suggestion
        text = f"The good range spans {low:.4g} … {high:.4g}; the best of it is {best:.4g}."
        if low == high:
            text = f"Of these rates {best:.4g} alone is good."
        if len(self) > 1 and best in (self.lr[0], self.lr[-1]):
            edge, way = ("lowest", "lower") if best == self.lr[0] else ("highest", "higher")
            text += f" It is the {edge} one tried: {way} ones may be better."
        return text

    @property
    def sparklines(self) -> list[str]:
        """The course of the loss at each rate, all on one scale up to 1.5 times the start.

        Where losses lie below 0 the scale begins at the lowest.
        """
        curves = []
        for runs in self.runs:
            shortest = min(len(history) for history in runs)
            curves.append(np.mean([history.gap[:shortest] for history in runs], axis=0))
        low = min((float(c[np.isfinite(c)].min(initial=0.0)) for c in curves), default=0.0)
        return sparklines([curve - low for curve in curves], RISEN * (self.start - low))

    def __str__(self) -> str:
        """The rates, what they are, and the sentence."""
        columns = zip(self.lr, self.verdicts, self.loss, self.sparklines, strict=True)
        rows = [
            f"{lr:10.4g}  {verdict:8}  {loss:10.4g}  {course}  {self.words(i)}"
            for i, (lr, verdict, loss, course) in enumerate(columns)
        ]
        return "\n".join([f"{'lr':>10}  {'verdict':8}  {'loss':>10}", *rows, self.sentence])

    def __repr__(self) -> str:
        return f"Sweep({len(self)} rates: {self.sentence})"

    # ---- files --------------------------------------------------------------------------------

    def to_rows(self) -> list[dict[str, Any]]:
        """A dict for each rate."""
        accuracy = self.accuracy
        return [
            {
                "lr": float(self.lr[i]),
                "verdict": self.verdicts[i],
                "loss": float(self.loss[i]),
                **({} if accuracy is None else {"accuracy": float(accuracy[i])}),
                "course": self.sparklines[i],
                "words": self.words(i),
            }
            for i in range(len(self))
        ]

    def to_csv(self) -> str:
        """A line for each run: rate, verdict on the rate, number of the run, end, status."""
        columns = ["lr", "verdict", "run", "loss", "status"]
        rows = [
            (lr, verdict, number, end_of(history), history.status)
            for lr, verdict, runs in zip(self.lr, self.verdicts, self.runs, strict=True)
            for number, history in enumerate(runs)
        ]
        return table([dict(zip(columns, row, strict=True)) for row in rows], columns)

    def to_json(self, **options: Any) -> str:
        """Strict JSON: what the sweep says, and its rows."""
        good = None if self.good is None else list(self.good)
        content = {"sentence": self.sentence, "suggestion": self.suggestion, "good": good}
        return strict_json(content | {"rates": self.to_rows()}, **options)


def end_of(history: History) -> float:
    """The loss at the end of a run, over the least one possible; inf where it was lost."""
    if history.status in ("nan", "diverged"):
        return math.inf
    trained = history.last("train_loss")
    end = history.final_gap if trained is None else trained
    return end if math.isfinite(end) else math.inf
