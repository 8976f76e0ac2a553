"""The parts of a training run, from the words of the command line, and the same in Python.

Order: the flags · Recipe · what words mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from .. import nn
from ..data import DATASETS, DataLoader, Dataset, load, prepare, read_csv
from ..optim import OPTIMIZERS, AdamW, Entry, Muon, get_optimizer, lr_scheduler, split_matrices
from ..optim.schedules import ALIASES, SCHEDULES, Schedule, parse
from ..random_numbers import manual_seed
from ..teach import History, fit
from .files import add_seed, at_least

# Good rates for networks of a few thousand weights, found on the digits: benchmarks/family.py.
# fmt: off
STARTING_RATES = {
    "sgd": 0.3, "momentum": 0.1, "nesterov": 0.1, "asgd": 0.32, "qhm": 3.2, "aggmo": 0.032,
    "optimisticgd": 0.32, "polyakstep": 10.0, "sgld": 0.32, "rprop": 0.1, "signsgd": 0.01,
    "signum": 0.0032, "tiger": 0.0032, "lion": 0.0032, "adagrad": 0.1, "rmsprop": 0.01,
    "adadelta": 3.0, "ftrl": 0.32, "adam": 0.02, "adamw": 0.02, "cautiousadamw": 0.01,
    "cautiouslion": 0.0032, "adamax": 0.1, "nadam": 0.032, "radam": 0.1, "adabelief": 0.032,
    "yogi": 0.032, "adopt": 0.01, "adan": 0.1, "ademamix": 0.032, "mars": 0.032, "lars": 3.2,
    "lamb": 0.01, "novograd": 0.032, "adafactor": 1.0, "shampoo": 1.0, "soap": 0.032,
    "muon": 0.032, "lbfgs": 1.0, "sophiah": 0.0032, "sophiag": 0.0032, "sgdschedulefree": 3.2,
    "adamwschedulefree": 0.1, "dadaptsgd": 1.0, "dadaptadam": 1.0, "prodigy": 1.0,
    "conjugategradient": 1.0, "newton": 1.0,
}
# fmt: on

MOST_PARAMETERS = 10**8

# Rules that look at the curvature of one loss, or at its sign from step to step.
FULL_BATCH = {"LBFGS", "Rprop", "Newton", "ConjugateGradient"}

# Rules whose weights are a function of the rate, or that need no schedule.
CONSTANT_RATE = {"FTRL", "SGDScheduleFree", "AdamWScheduleFree"}


def add_recipe_arguments(parser: argparse.ArgumentParser, surfaces: bool = False) -> None:
    """What to train on, which network, which rule, how long: the words that a `Recipe` reads."""
    add = parser.add_argument
    names = f"a table of your own, as in flowers.csv, or one of {', '.join(DATASETS)}"
    names += "; or a surface, see: list surfaces" if surfaces else ""
    add("dataset", metavar="DATASET", help=names)
    add("--target", metavar="COLUMN", help="the column of a table to predict (the last)")
    add("--noise", type=float, metavar="S", help="of a toy set, as a standard deviation")
    add("--hidden", default="128", metavar="SIZES", help="hidden units, as in 64,32 (128)")
    add("--optimizer", default="adam", metavar="NAME", help="see: list optimizers (adam)")
    add("--lr", type=float, metavar="RATE", help="learning rate (one that suits the optimizer)")
    add("--momentum", type=float, metavar="M", help="for optimizers that have it")
    add("--weight-decay", type=float, metavar="λ", help="the optimizer's own")
    add("--schedule", metavar="S", help="a name, or an expression (cosine)")
    add("--warmup", type=int, default=0, metavar="STEPS", help="updates that lead up to the rate")
    add("--epochs", type=int, default=30, metavar="N", help="passes over the data (30)")
    add("--batch", metavar="SIZE", help="examples for one update, or full (32)")
    add("--l1", type=float, default=0.0, metavar="λ", help="adds λ Σ|w| to the loss")
    add("--l2", type=float, default=0.0, metavar="λ", help="adds ½ λ Σw² to the loss")
    add("--dropout", type=float, default=0.0, metavar="P", help="share of hidden units left out")
    add("--device", help="cpu, cuda or cuda:1 (what TINYGRAD_OPT_DEVICE says, or cpu)")
    add_seed(parser)


class Recipe:
    """Everything that a run is made of; ValueError or TypeError for words that make no sense."""

    def __init__(self, words: argparse.Namespace) -> None:
        self.words = words
        self.epochs = at_least(1, "--epochs", words.epochs)
        self.entry = get_optimizer(words.optimizer)
        default = "full" if self.entry.kind.__name__ in FULL_BATCH else "32"
        self.batch = _batch(words.batch or default)
        at_least(0, "--l1", words.l1)
        at_least(0, "--l2", words.l2)
        self.data = _dataset(words)
        self.train, self.test = prepare(self.data)
        self.batches = DataLoader(self.train, batch_size=self.batch, seed=words.seed)
        manual_seed(words.seed)
        self.sizes = [self.train.n_features, *_hidden(words.hidden), self.train.n_outputs]
        _check_size(self.sizes)
        self.model = nn.Sequential(*_layers(self.sizes, words.dropout))
        self.options = _options(self.entry, words)
        self.optimizer = self._optimizer()
        updates = self.epochs * len(self.batches)
        shape = "constant" if self.rule in CONSTANT_RATE else "cosine"
        warmup = at_least(0, "--warmup", words.warmup)
        self.schedule = _schedule(words.schedule or shape, warmup, updates)
        self.scheduler = lr_scheduler.ScheduleLR(self.optimizer, self.schedule)

    def _optimizer(self) -> Any:
        """The optimizer, with AdamW beside it for what is no hidden matrix where that is asked."""
        if self.entry.kind is not Muon:
            return self.entry(self.model.parameters(), **self.options)
        rest = {name: self.options[name] for name in ("lr",) if name in self.options}
        return split_matrices(self.model, partial(Muon, **self.options), partial(AdamW, **rest))

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(p.size for p in self.model.parameters())

    @property
    def rule(self) -> str:
        """The class of the optimizer."""
        return self.entry.kind.__name__

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
        known = ("noise", "dropout", "l1", "l2", "device", "seed")
        return {
            "task": self.data.name,
            "target": self.data.target_name,
            "sizes": self.sizes,
            "optimizer": self.rule,
            **self.options,
            "schedule": str(self.schedule),
            "epochs": self.epochs,
            "batch": self.batches.batch_size,
            **{name: getattr(self.words, name) for name in known},
        }

    def fit(self, **options: Any) -> History:
        """Train, with these arguments of `fit` besides."""
        penalties = {"l1": self.words.l1, "l2": self.words.l2}
        options = {"epochs": self.epochs, "scheduler": self.scheduler, **penalties, **options}
        history = fit(self.model, self.batches, self.optimizer, **options)
        history.meta |= self.meta()
        return history

    def in_python(
        self,
        fit_options: str = "",
        within: str = "",
        then: Sequence[str] = (),
        imports: Sequence[str] = ("evaluate", "fit"),
    ) -> str:
        """The lines that do what this run does.

        They can be given more arguments of `fit`, a block in which it runs, lines that follow, and
        the names from `teach` that all of this needs.
        """
        words = self.words
        source = repr(words.dataset)
        if is_table(words.dataset):
            source = f"tg.data.read_csv({words.dataset!r}, {words.target!r})"
        elif words.noise is not None:
            source = f"tg.data.load({words.dataset!r}, noise={words.noise!r})"
        layers = [f"tg.nn.{layer!r}," for layer in self.model]
        for name in ("in_features=", "out_features=", ", bias=True"):
            layers = [layer.replace(name, "") for layer in layers]
        penalties = "".join(
            f", {name}={getattr(words, name)!r}" for name in ("l1", "l2") if getattr(words, name)
        )
        lines = [
            "import tinygrad_opt as tg",
            f"from tinygrad_opt.teach import {', '.join(sorted(imports))}",
            "",
            f"train, test = tg.data.prepare({source})",
            f"batches = tg.data.DataLoader(train, batch_size={self.batch}, seed={words.seed})",
            f"tg.manual_seed({words.seed})",
            "model = tg.nn.Sequential(",
            *(f"    {layer}" for layer in layers),
            ")",
            *self._optimizer_in_python(),
            f"schedule = tg.optim.parse({str(self.schedule)!r})",
            "scheduler = tg.optim.lr_scheduler.ScheduleLR(optimizer, schedule)",
            *([f"with {within}:"] if within else []),
            f"{'    ' if within else ''}history = fit(model, batches, optimizer, "
            f"epochs={self.epochs}, scheduler=scheduler{penalties}{fit_options})",
            "print(evaluate(model, tg.data.DataLoader(test, batch_size=None)))",
            *then,
        ]
        if words.device == "cpu":
            return "\n".join(lines)
        inside = [f"    {line}" if line else line for line in lines[3:]]
        return "\n".join([*lines[:3], f"with tg.use_device({words.device!r}):", *inside])

    def _optimizer_in_python(self) -> list[str]:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        if self.entry.kind is not Muon:
            return [f"optimizer = tg.optim.{self.rule}(model.parameters(){options})"]
        rest = f", lr={self.options['lr']!r}" if "lr" in self.options else ""
        return [
            "optimizer = tg.optim.split_matrices(",
            "    model,",
            f"    lambda params: tg.optim.Muon(params{options}),",
            f"    lambda params: tg.optim.AdamW(params{rest}),",
            ")",
        ]


def named(kind: Callable[..., Any], name: str, value: Any) -> Any:
    """A number that is printed as a name: the variable that will stand there."""
    say = lambda *_: name
    words = {"__repr__": say, "__str__": say, "__format__": say}
    return type(name, (kind,), words)(value)  # type: ignore[arg-type]


# ---- what words mean --------------------------------------------------------------------------


def _dataset(words: argparse.Namespace) -> Dataset:
    noise = {} if words.noise is None else {"noise": words.noise}
    if not is_table(words.dataset):
        if words.target is not None:
            raise ValueError(
                f"--target is {words.target!r}, a column of a table of one's own; {words.dataset} "
                "has its own target. Leave it out."
            )
        return load(words.dataset, **noise)
    if noise:
        raise ValueError("--noise is for toy sets, such as spiral; a table has its own.")
    return read_csv(words.dataset, words.target)


def is_table(name: str) -> bool:
    """Whether a data set is a file of one's own."""
    return name.lower().endswith((".csv", ".tsv", ".txt"))


def _batch(text: str) -> int | None:
    if text == "full":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--batch is {text!r}; write a number of examples, or full.")
    return int(text)


def _hidden(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip() not in ("", "0")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"--hidden is {text!r}; write sizes with commas, as in 64,32, or 0 for none."
        )
    return [int(part) for part in parts]


def _check_size(sizes: list[int]) -> None:
    """ValueError for a network with which nobody would get to the end of an epoch."""
    parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    if parameters > MOST_PARAMETERS:
        raise ValueError(
            f"--hidden makes a network of {parameters:,} parameters; it goes up to "
            f"{MOST_PARAMETERS:,}. Take smaller layers."
        )


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
                f"{words.optimizer} has no {name}; its options are {', '.join(entry.defaults)}."
            )
    name = next(name for name, one in OPTIMIZERS.items() if one is entry)
    rate = {"lr": STARTING_RATES[name]} if name in STARTING_RATES else {}
    return rate | entry.preset | given


def _schedule(text: str, warmup: int, updates: int) -> Schedule:
    """A schedule for a run of so many updates: by name, or as an expression of its own.

    A name fills the updates that the warm-up leaves: cosine is warmup(w) >> cosine(updates − w).
    Stairs fall at the thirds or at half and three quarters; exponential ends at a hundredth;
    noam, restarts and wsd work with fifths.
    """
    if warmup >= updates:
        raise ValueError(
            f"--warmup is {warmup} and the whole run has {updates} updates; leave some for "
            "training at the full rate."
        )
    rest = updates - warmup
    half = -(-rest // 2)
    fifth = -(-rest // 5)
    by_name = {
        "constant": "constant()",
        "exponential": f"exponential({0.01 ** (1 / rest):.6g})",
        "inverse_sqrt": f"inverse_sqrt({max(1, warmup)})",
        "milestones": f"milestones([{half}, {rest * 3 // 4}])",
        "noam": f"noam(1, {fifth})",
        "piecewise": f"piecewise([{half}, {half + fifth}], [1, 0.1, 0.01])",
        "restarts": f"restarts({fifth})",
        "step": f"step({-(-rest // 3)})",
        "triangle": f"triangle({half}, {half}, 0.1)",
        "wsd": f"wsd({fifth}, {max(0, rest - 2 * fifth)}, {fifth})",
    }
    text = ALIASES.get(text, text)
    if text in SCHEDULES:
        text = by_name.get(text, f"{text}({rest})")
    schedule = parse(text)
    return parse(f"warmup({warmup})") >> schedule if warmup else schedule
