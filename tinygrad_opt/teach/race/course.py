"""Running a race.

Order: `race` · one racer · its own rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, isclose, isfinite, nan
from statistics import mean
from typing import Any, TypeVar

import numpy as np

from ...data import Dataset
from ...optim import OPTIMIZERS, Entry, get_optimizer
from ...random_numbers import undisturbed
from ..history import History
from ..surfaces import Surface
from .outcome import Race, Racer, above_rounding, fell
from .tasks import TRIALS, Make, NetworkTask, SurfaceTask, get_task

GRID = (1e-5, 10.0)  # the rates to try

Result = TypeVar("Result")


def race(
    task: str | Surface | Dataset | Callable[..., Any],
    optimizers: str | Sequence[str] | Mapping[str, str | Make],
    *,
    lr: float = 0.1,
    tune: int = 12,
    seeds: int = 5,
    evaluations: int | None = None,
    target: float | None = None,
    grid: tuple[float, float] = GRID,
    seed: int = 0,
    on_racer: Callable[[int, Race], None] | None = None,
    **task_options: Any,
) -> Race:
    """Race optimizers twice: all at one learning rate, and each at its own, found for it.

        race("rosenbrock", ["sgd", "momentum", "adam"])
        race("digits", ["sgd", "adam"], hidden=(64,))
        race(f, {"mine": lambda params, lr: Mine(params, lr=lr), "adam": "adam"}, start=[3.0, 1.0])

    The task is a surface, a function with ``start`` and, if known, ``minimum``, or a data set that
    a network with ``hidden`` layers learns in batches of ``batch``. The budget is counted in
    gradients: ``evaluations`` 200 on surfaces, 400 for networks; rules with a closure take
    several for a step. The own rate is the best of ``lr`` and ``tune`` rates on a log ``grid`` (1:
    no others), the same for all: by what is left of the loss. Where luck plays a part it is the
    mean of three trials with seeds that are not reported, for networks of three splits and of the
    validation loss, half at the end and half on the way. Of neighbours that are as good, within the
    standard error, the middle one is taken, and none at which a trial diverges. Networks are
    reported on test data by the median over ``seeds``; per seed all begin with the same weights and
    see the same batches.

    The ranking is by the gradients after which a run is below the ``target`` for good (surfaces: a
    share of the first gap, 1e-3; networks: a test accuracy, 0.9, or the test loss of a
    regression), then by what is left, above 1e-12. ``on_racer(done, race)`` is called after every
    racer. One that diverges or cannot run is shown as such, and the others go on. Random numbers
    drawn later are as they would be without the race.
    ValueError for no or unknown optimizers, an unknown task, numbers that make no race, and options
    that the task does not have.
    """
    makes = _named(optimizers)
    rising = 0 < grid[0] < grid[1] < inf
    if not (0 < lr < inf and tune >= 1 and seeds >= 1 and rising and seed >= 0):
        raise ValueError(
            f"race: lr {lr}, tune {tune}, seeds {seeds}, grid {grid}, seed {seed} make no race: "
            "rates above 0, the grid rising, at least one trial and one seed, seeds from 0."
        )
    course = get_task(task, evaluations=evaluations, target=target, **task_options)
    rates = [float(rate) for rate in np.geomspace(*grid, tune)] if tune > 1 else []
    rates = sorted({lr, *(rate for rate in rates if not isclose(rate, lr))})
    found = Race(course, lr, rates, seeds, seed, list(makes))
    for done, (name, make) in enumerate(makes.items(), start=1):
        with undisturbed():
            found.racers[name] = _run(found, name, make)
        if on_racer is not None:
            on_racer(done, found)
    return found


def _named(optimizers: str | Sequence[str] | Mapping[str, str | Make]) -> dict[str, Make]:
    """Each once, under its registered name or the one that it was given."""
    if isinstance(optimizers, Mapping):
        makes = {n: get_optimizer(m) if isinstance(m, str) else m for n, m in optimizers.items()}
    else:
        names = optimizers.split(",") if isinstance(optimizers, str) else optimizers
        entries = [get_optimizer(name) for name in names if name.strip()]
        makes = {_name(entry): entry for entry in entries}
    if not makes:
        raise ValueError("race: there are no optimizers; name some, as in ['sgd', 'adam'].")
    return makes


def _name(entry: Entry) -> str:
    return next(name for name, one in OPTIMIZERS.items() if one is entry)


def _run(found: Race, name: str, make: Make) -> Racer:
    """Everything that one optimizer runs."""
    racer = Racer(name)
    racer.common = _try(racer, lambda: _reported(found, racer, make, found.lr)) or []
    racer.lr = _own_rate(found, racer, make)
    if racer.lr is not None:
        rate = racer.lr
        racer.tuned = _try(racer, lambda: _reported(found, racer, make, rate)) or []
    return racer


def _try(racer: Racer, run: Callable[[], Result]) -> Result | None:
    """What the run gives; where it cannot run, the racer gets the sentence, and others go on."""
    try:
        return run()
    except Exception as error:  # of whatever kind
        racer.sentence = " ".join(str(error).split()) or type(error).__name__
        return None


def _reported(found: Race, racer: Racer, make: Make, lr: float) -> list[History]:
    """A run for each seed; one, where another seed makes the same run."""
    runs = [found.task.run(make, lr, found.seed)]
    if isinstance(found.task, SurfaceTask) and not racer.random:
        again = found.task.run(make, lr, found.seed + 1)
        racer.random = not np.array_equal(runs[0].loss, again.loss, equal_nan=True)
    racer.random = racer.random or isinstance(found.task, NetworkTask)
    if racer.random:
        others = range(found.seed + 1, found.seed + found.seeds)
        runs += [found.task.run(make, lr, seed) for seed in others]
    return runs


NEAR = 0.02  # of the first loss: what is below is as good, of the few examples of a trial
Score = list[tuple[float, float]]  # of each trial: what is left, and the way to the target


def _own_rate(found: Race, racer: Racer, make: Make) -> float | None:
    """The best of the rates on average, or the middle of its neighbours that are as good."""
    scores = {rate: _trials(found, racer, make, rate) for rate in found.rates}
    racer.trials = [(rate, _mean(score)[0]) for rate, score in scores.items()]
    kept = [rate for rate, score in racer.trials if isfinite(score)]
    if not kept:
        return None
    best = min(kept, key=lambda rate: _mean(scores[rate]))
    alike = [rate for rate in kept if _as_good(scores[rate], scores[best])]
    first = last = at = found.rates.index(best)
    while first > 0 and found.rates[first - 1] in alike:
        first -= 1
    while last + 1 < len(found.rates) and found.rates[last + 1] in alike:
        last += 1
    return found.rates[(first + last + (first + last < 2 * at)) // 2]  # nearer to the best


def _trials(found: Race, racer: Racer, make: Make, rate: float) -> Score:
    """A rate, tried with seeds that are not reported: inf where it diverges, nan where it fails."""
    score: Score = []
    for trial in range(TRIALS if racer.random else 1):
        unseen = found.seed + found.seeds + trial
        history = _try(racer, lambda: found.task.run(make, rate, unseen, trial))  # noqa: B023
        if history is None:
            return [(nan, nan)]
        if fell(history):
            return [(inf, inf)]
        _, left = found.task.curve(history)
        end = left[-1]
        if isinstance(found.task, NetworkTask):  # a few examples can be fitted by chance
            end = (max(left[-1], NEAR * left[0]) + left.mean()) / 2
        score.append((above_rounding(float(end)), found.task.arrival(history)))
    return score


def _mean(score: Score) -> tuple[float, float]:
    """The average trial."""
    lefts, ways = zip(*score, strict=True)
    return mean(lefts), mean(ways)


def _as_good(score: Score, best: Score) -> bool:
    """Whether it is worse by no more than the standard error of the difference."""
    if len(best) == 1:
        return score == best
    differences = np.array([mine[0] - its[0] for mine, its in zip(score, best, strict=True)])
    return bool(differences.mean() <= differences.std(ddof=1) / len(best) ** 0.5)
