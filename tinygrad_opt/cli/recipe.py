"""The parts of a training run, from the words of the command line, and the same in Python.

Order: Recipe · what words mean.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

from .. import nn
from ..data import DATASETS, DataLoader, Dataset, load, prepare, read_csv
from ..device import manual_seed
from ..optim import Entry, get_optimizer, lr_scheduler
from ..optim.schedules import SCHEDULES, Schedule, parse

# Good rates for networks of a few thousand weights, found on the digits.
STARTING_RATES = {
    "SGD": 0.1,
    "Adagrad": 0.1,
    "RMSprop": 0.01,
    "Adadelta": 3.0,
    "Adam": 0.02,
    "AdamW": 0.02,
}


class Recipe:
    """Everything that a run is made of; ValueError or TypeError for words that make no sense."""

    def __init__(self, words: argparse.Namespace) -> None:
        self.words = words
        self.epochs = _at_least(1, "--epochs", words.epochs)
        self.batch = _batch(words.batch)
        seed = _at_least(0, "--seed", words.seed)
        _at_least(0, "--l1", words.l1)
        _at_least(0, "--l2", words.l2)
        self.train, self.test = prepare(_dataset(words))
        self.batches = DataLoader(self.train, batch_size=self.batch, seed=seed)
        manual_seed(seed)
        self.sizes = [self.train.n_features, *_hidden(words.hidden), self.train.n_outputs]
        self.model = nn.Sequential(*_layers(self.sizes, words.dropout))
        entry = get_optimizer(words.optimizer)
        self.options = _options(entry, words)
        self.optimizer = entry(self.model.parameters(), **self.options)
        updates = self.epochs * len(self.batches)
        self.schedule = _schedule(words.schedule, _at_least(0, "--warmup", words.warmup), updates)
        self.scheduler = lr_scheduler.ScheduleLR(self.optimizer, self.schedule)

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(p.size for p in self.model.parameters())

    @property
    def rule(self) -> str:
        """The class of the optimizer."""
        return type(self.optimizer).__name__

    def __str__(self) -> str:
        options = ", ".join(f"{name} {value:g}" for name, value in self.options.items())
        return " · ".join(
            [
                f"{self.train.name}: {len(self.train)} examples to train on, {len(self.test)} to "
                "test",
                f"{'-'.join(map(str, self.sizes))}, {self.parameters:,} parameters",
                f"{self.rule} {options}",
                str(self.schedule),
                f"seed {self.words.seed}",
            ]
        )

    def meta(self) -> dict[str, Any]:
        """What the record of the run should say about it."""
        known = ("dropout", "l1", "l2", "device", "seed")
        return {
            "task": self.train.name,
            "sizes": self.sizes,
            "optimizer": self.rule,
            **self.options,
            "schedule": str(self.schedule),
            "epochs": self.epochs,
            "batch": self.batches.batch_size,
            **{name: getattr(self.words, name) for name in known},
        }

    def in_python(self) -> str:
        """The lines that do what this run does."""
        words = self.words
        source = repr(words.dataset)
        if words.csv is not None:
            source = f"tg.data.read_csv({words.csv!r}, {words.target!r})"
        layers = [f"tg.nn.{layer!r}," for layer in self.model]
        for name in ("in_features=", "out_features=", ", bias=True"):
            layers = [layer.replace(name, "") for layer in layers]
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        penalties = "".join(
            f", {name}={getattr(words, name)!r}" for name in ("l1", "l2") if getattr(words, name)
        )
        lines = [
            "import tinygrad_opt as tg",
            "from tinygrad_opt.teach import evaluate, fit",
            "",
            f"train, test = tg.data.prepare({source})",
            f"batches = tg.data.DataLoader(train, batch_size={self.batch}, seed={words.seed})",
            f"tg.manual_seed({words.seed})",
            "model = tg.nn.Sequential(",
            *(f"    {layer}" for layer in layers),
            ")",
            f"optimizer = tg.optim.{self.rule}(model.parameters(){options})",
            f"schedule = tg.optim.parse({str(self.schedule)!r})",
            "scheduler = tg.optim.lr_scheduler.ScheduleLR(optimizer, schedule)",
            f"history = fit(model, batches, optimizer, epochs={self.epochs}, scheduler=scheduler"
            f"{penalties})",
            "print(evaluate(model, tg.data.DataLoader(test, batch_size=None)))",
        ]
        if words.device == "cpu":
            return "\n".join(lines)
        inside = [f"    {line}" if line else line for line in lines[3:]]
        return "\n".join([*lines[:3], f"with tg.use_device({words.device!r}):", *inside])


# ---- what words mean --------------------------------------------------------------------------


def _at_least(least: int, flag: str, value: Any) -> Any:
    if not value >= least:
        raise ValueError(f"train: {flag} is {value}; it has to be at least {least}.")
    return value


def _dataset(words: argparse.Namespace) -> Dataset:
    if (words.dataset is None) == (words.csv is None):
        raise ValueError(
            "train: name a data set or give --csv FILE, one of the two. The data sets are "
            f"{', '.join(DATASETS)}."
        )
    if words.csv is not None:
        return read_csv(words.csv, words.target)
    return load(words.dataset)


def _batch(text: str) -> int | None:
    if text == "full":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"train: --batch is {text!r}; write a number of examples, or full.")
    return int(text)


def _hidden(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip() not in ("", "0")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"train: --hidden is {text!r}; write sizes with commas, as in 64,32, or 0 for none."
        )
    return [int(part) for part in parts]


def _layers(sizes: list[int], dropout: float) -> list[nn.Module]:
    """Linear layers of these sizes, with a ReLU and, if asked for, dropout between them."""
    layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
    for n_in, n_out in pairwise(sizes[1:]):
        layers += [nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(n_in, n_out)]
    return layers


def _options(entry: Entry, words: argparse.Namespace) -> dict[str, Any]:
    """A rate that suits the optimizer, its preset, and what the command line says."""
    flags = {name: getattr(words, name) for name in ("lr", "momentum", "weight_decay")}
    given = {name: value for name, value in flags.items() if value is not None}
    for name in given:
        if name not in entry.defaults:
            raise ValueError(
                f"train: {words.optimizer} has no {name}; its options are "
                f"{', '.join(entry.defaults)}."
            )
    return {"lr": STARTING_RATES[entry.kind.__name__]} | entry.preset | given


def _schedule(text: str, warmup: int, updates: int) -> Schedule:
    """A schedule for a run of so many updates: by name, or as an expression of its own.

    A name fills the updates that the warm-up leaves: cosine is warmup(w) >> cosine(updates − w).
    Stairs fall at the thirds or at half and three quarters; exponential ends at a hundredth.
    """
    if warmup >= updates:
        raise ValueError(
            f"train: --warmup is {warmup} and the whole run has {updates} updates; leave some for "
            "training at the full rate."
        )
    rest = updates - warmup
    half = -(-rest // 2)
    by_name = {
        "constant": "constant()",
        "every": f"every({-(-rest // 3)})",
        "exponential": f"exponential({0.01 ** (1 / rest):.6g})",
        "inverse_sqrt": f"inverse_sqrt({max(1, warmup)})",
        "milestones": f"milestones([{half}, {rest * 3 // 4}])",
        "triangle": f"triangle({half}, {half}, 0.1)",
    }
    if text in SCHEDULES:
        text = by_name.get(text, f"{text}({rest})")
    schedule = parse(text)
    return parse(f"warmup({warmup})") >> schedule if warmup else schedule
