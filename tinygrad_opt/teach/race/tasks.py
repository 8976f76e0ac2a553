"""What is raced on: a surface or a network; each runs an optimizer and reads the record.

Order: `SurfaceTask` · `NetworkTask` · by name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn
from ...data import DATASETS, DataLoader, Dataset, prepare, split
from ...names import did_you_mean
from ...optim import AdamW, Entry, Muon, split_matrices
from ...random_numbers import manual_seed
from ..fit import fit
from ..history import Array, History
from ..surfaces import SURFACES, Surface
from ..trace import trace

Make = Callable[..., Any]  # (parameters, lr=rate) -> optimizer


@dataclass(frozen=True)
class SurfaceTask:
    """A walk down a surface; without noise of its own, so that one run is enough."""

    surface: Surface
    evaluations: int  # the budget, in gradients
    target: float | None  # the share of the first gap to get below; None without a known minimum

    @property
    def name(self) -> str:
        """The surface's."""
        return self.surface.name

    @property
    def unit(self) -> str:
        """What `curve` measures."""
        return "loss" if self.surface.minimum is None else "loss − minimum"

    @property
    def goal(self) -> str:
        """The target in words."""
        return "" if self.target is None else f"{self.target:g} of the first gap"

    def run(self, make: Make, lr: float, seed: int, trial: int | None = None) -> History:
        """One walk; trials and reported runs walk alike."""
        f, w0, budget = self.surface, self.surface.start, self.evaluations
        if isinstance(make, Entry):  # it knows what shape of a parameter it wants
            return trace(f, w0, make, budget, evaluations=budget, seed=seed, lr=lr)
        return trace(f, w0, partial(make, lr=lr), budget, evaluations=budget, seed=seed)

    def curve(self, history: History) -> tuple[Array, Array]:
        """Gradients computed, and what is left of the loss then, from the start to the end."""
        done = np.concatenate([[0], history.evaluations])
        gap = np.append(history.gap, history.final_gap)
        return done, gap if self.surface.minimum is None else np.maximum(gap, 0)  # by rounding

    def arrival(self, history: History) -> float:
        """After how many gradients it is below the target for good; inf if never."""
        done, left = self.curve(history)
        reached = left <= (-math.inf if self.target is None else self.target * left[0])
        return _for_good(done, reached)


@dataclass(frozen=True)
class NetworkTask:
    """Training a small network of ReLUs: tuned on validation data, reported on test data."""

    splits: tuple[tuple[Dataset, Dataset], ...]  # training and validation part, one pair a trial
    test: Dataset
    hidden: tuple[int, ...]
    batch: int
    evaluations: int
    target: float | None  # the test accuracy to get above; for a regression the test loss

    unit = "test loss"

    @property
    def train(self) -> Dataset:
        """What reported runs learn from."""
        return self.splits[0][0]

    @property
    def name(self) -> str:
        """The data set's."""
        return self.train.name

    @property
    def goal(self) -> str:
        """The target in words."""
        what = "accuracy" if self.train.n_classes else "loss"
        return "" if self.target is None else f"test {what} {self.target:g}"

    def model(self, seed: int) -> nn.Sequential:
        """The network with the weights of this seed."""
        manual_seed(seed)
        sizes = [self.train.n_features, *self.hidden, self.train.n_outputs]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def run(self, make: Make, lr: float, seed: int, trial: int | None = None) -> History:
        """One training; weights and batches follow from the seed alone.

        The test data of a trial is the validation part of its split.
        """
        train, test = (self.train, self.test) if trial is None else self.splits[trial]
        model = self.model(seed)
        if isinstance(make, Entry) and make.kind is Muon:  # made for hidden matrices
            optimizer: Any = split_matrices(model, partial(make, lr=lr), AdamW)
        else:
            optimizer = make(model.parameters(), lr=lr)
        batches = DataLoader(train, self.batch, seed=seed)
        history = fit(
            model,
            batches,
            optimizer,
            epochs=-(-self.evaluations // len(batches)),
            evaluations=self.evaluations,
            test=DataLoader(test, batch_size=None),
        )
        history.meta |= {"task": self.name, "lr": lr, "seed": seed, "batch": self.batch}
        return history

    def metric(self, history: History, name: str) -> tuple[Array, Array]:
        """Gradients computed, and a metric then, after every pass over the data."""
        pairs = history.metrics.get(name, [])
        done = np.array([history.evaluations[updates - 1] for updates, _ in pairs])
        return done, np.array([value for _, value in pairs], np.float64)

    def curve(self, history: History) -> tuple[Array, Array]:
        """Gradients computed, and the test loss then."""
        return self.metric(history, "test_loss")

    def arrival(self, history: History) -> float:
        """After how many gradients it is beyond the target for good; inf if never."""
        if self.target is None:
            return math.inf
        done, values = self.metric(
            history, "test_accuracy" if self.train.n_classes else "test_loss"
        )
        reached = values >= self.target if self.train.n_classes else values <= self.target
        return _for_good(done, reached)


Task = SurfaceTask | NetworkTask


def _for_good(done: Array, reached: Array) -> float:
    """From where on it stays reached: to pass by is not to arrive."""
    missed = np.nonzero(~reached)[0]
    first = 0 if not len(missed) else int(missed[-1]) + 1
    return float(done[first]) if first < len(done) else math.inf


# ---- by name ----------------------------------------------------------------------------------

SHARE, ACCURACY = 1e-3, 0.9  # targets, unless others are given
BUDGETS = {"surface": 200, "network": 400}
TRIALS = 3  # splits and seeds with which a rate is tried, where luck plays a part
KNOWN = ("start", "minimum", "hidden", "batch")


def get_task(
    task: str | Dataset | Surface | Callable[..., Any],
    *,
    evaluations: int | None = None,
    target: float | None = None,
    **options: Any,
) -> Task:
    """The task of this name, or on this surface, function or data set.

    Surfaces and functions have the options ``start`` and ``minimum``, data sets ``hidden`` (32,)
    and ``batch`` 32. ValueError for an unknown name, with the nearest, for a function without a
    start, and for options of the other kind; TypeError for those that nobody has.
    """
    if isinstance(task, str):
        plain = task.strip().lower().replace("-", "_").replace(" ", "_")
        if plain in SURFACES:
            task = SURFACES[plain]
        elif plain not in DATASETS:
            raise ValueError(
                f"race: there is no task {task!r}.{did_you_mean(plain, [*SURFACES, *DATASETS])} "
                f"The surfaces are {', '.join(SURFACES)}; the data sets {', '.join(DATASETS)}."
            )
    network = isinstance(task, (str, Dataset))
    budget = BUDGETS["network" if network else "surface"] if evaluations is None else evaluations
    if budget < 1:
        raise ValueError(f"race: {budget} evaluations are no budget; give 1 or more.")
    if target is not None and not 0 < target < math.inf:
        raise ValueError(f"race: target is {target}; it is a number above 0.")
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in KNOWN:
            raise TypeError(
                f"race: there is no option {name!r}.{did_you_mean(name, KNOWN)} A task has "
                f"{', '.join(KNOWN)}."
            )
        if network != (name in ("hidden", "batch")):
            mine, other = ("a data set", "surfaces") if network else ("a surface", "data sets")
            raise ValueError(f"race: {name} is an option of {other}; this task is {mine}.")
    if isinstance(task, (str, Dataset)):
        return _network(task, budget, target, **given)
    surface = _surface(task, **given)
    if target is not None and surface.minimum is None:
        raise ValueError(
            f"race: target {target:g} is a share of the way down to the minimum, which is not "
            f"known of {surface.name}. Give minimum=, or no target."
        )
    if target is None and surface.minimum is not None:
        target = SHARE
    return SurfaceTask(surface, budget, target)


def _network(
    task: str | Dataset,
    budget: int,
    target: float | None,
    hidden: Sequence[int] = (32,),
    batch: int = 32,
) -> NetworkTask:
    """A network that learns a data set; each trial leaves out other examples for validation."""
    if batch < 1 or min(hidden, default=1) < 1:
        raise ValueError(f"race: hidden {hidden} and batch {batch} are sizes; give 1 or more.")
    rest, test = prepare(task)
    splits = tuple(split(rest, seed=trial) for trial in range(TRIALS))
    if rest.n_classes and target is not None and target > 1:
        raise ValueError(f"race: target is {target:g}; an accuracy is 1 at most.")
    if target is None and rest.n_classes:
        target = ACCURACY
    return NetworkTask(splits, test, tuple(hidden), batch, budget, target)


def _surface(
    f: Surface | Callable[..., Any], start: Any = None, minimum: float | None = None
) -> Surface:
    """A surface, or a function, that is walked down from this start."""
    if start is None:
        if not isinstance(f, Surface):
            raise ValueError(
                "race: only surfaces know where to start; give start=, a list of numbers."
            )
        return f
    here = tuple(np.atleast_1d(np.array(start, np.float64)).tolist())
    if not np.isfinite(here).all():
        raise ValueError(f"race: start is {start}; a walk begins at numbers that are finite.")
    if isinstance(f, Surface):
        if len(here) != len(f.start) and f.name != "bowl":  # which is a bowl of any size
            raise ValueError(
                f"race: start is {start}; {f.name} takes {len(f.start)} numbers, not {len(here)}."
            )
        return dataclasses.replace(f, start=here)
    x, y = ((v - 2 - abs(v), v + 2 + abs(v)) for v in (here[0], here[-1]))
    return Surface(getattr(f, "__name__", "f"), f, "", here, minimum, (), (x, y), "")
