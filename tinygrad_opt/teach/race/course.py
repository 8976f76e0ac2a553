"""Running a race.

Order: `race` · one racer · its own rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, isclose
from typing import Any, TypeVar

import numpy as np

from ...data import Dataset
from ...optim import OPTIMIZERS, Entry, get_optimizer
from ...random_numbers import generator
from ..history import History
from ..surfaces import Surface
from .outcome import Race, Racer, above_rounding, fell
from .tasks import Make, NetworkTask, get_task

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
    no others), the same for all: by what is left of the loss, for networks of the validation loss,
    with a seed that is not reported. Networks are reported on test data by the median over
    ``seeds``; per seed all begin with the same weights and see the same batches.

    The ranking is by the gradients after which a run is below the ``target`` for good (surfaces: a
    share of the first gap, 1e-3; networks: a test accuracy, 0.9, or the test loss of a
    regression), then by what is left, above 1e-12. ``on_racer(done, race)`` is called after every
    racer. One that diverges or cannot run is shown as such, and the others go on.
    ValueError for no or unknown optimizers, an unknown task, and numbers that make no race.
    """
    makes = _named(optimizers)
    if not (lr > 0 and tune >= 1 and seeds >= 1 and 0 < grid[0] < grid[1] and seed >= 0):
        raise ValueError(
            f"race: lr {lr}, tune {tune}, seeds {seeds}, grid {grid}, seed {seed} make no race: "
            "rates above 0, the grid rising, at least one trial and one seed, seeds from 0."
        )
    course = get_task(task, evaluations=evaluations, target=target, **task_options)
    rates = [float(rate) for rate in np.geomspace(*grid, tune)] if tune > 1 else []
    rates = sorted({lr, *(rate for rate in rates if not isclose(rate, lr))})
    found = Race(course, lr, rates, seeds, seed)
    for done, (name, make) in enumerate(makes.items(), start=1):
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
    """A run for each seed; one, where no random number was drawn and all would be the same."""
    runs = [found.task.run(make, lr, found.seed)]
    drawn = generator().bit_generator.state != np.random.default_rng(found.seed).bit_generator.state
    racer.random = racer.random or drawn or isinstance(found.task, NetworkTask)
    if racer.random:
        others = range(found.seed + 1, found.seed + found.seeds)
        runs += [found.task.run(make, lr, seed) for seed in others]
    return runs


def _own_rate(found: Race, racer: Racer, make: Make) -> float | None:
    """The best of the rates: by what is left, above rounding, then by the way to the target."""
    scores = {rate: _trial(found, racer, make, rate) for rate in found.rates}
    racer.trials = [(rate, left) for rate, (left, _) in scores.items()]
    kept = {rate: (above_rounding(left), way) for rate, (left, way) in scores.items() if left < inf}
    return min(kept, key=lambda rate: kept[rate]) if kept else None


def _trial(found: Race, racer: Racer, make: Make, rate: float) -> tuple[float, float]:
    """What is left at a rate, and the way to the target; inf where it diverges or fails."""
    unseen = found.seed + found.seeds
    history = _try(racer, lambda: found.task.run(make, rate, unseen, tuning=True))
    if history is None or fell(history):
        return inf, inf
    return float(found.task.curve(history)[1][-1]), found.task.arrival(history)
