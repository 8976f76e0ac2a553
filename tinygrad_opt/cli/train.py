"""`train`: a network on a data set, from the first weights to the accuracy on unseen examples.

Order: flags · the run · from words to parts · the report · the same in Python.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from .. import nn
from ..data import DATASETS, DataLoader, Dataset, load, prepare, read_csv
from ..device import manual_seed, use_device
from ..optim import Entry, Optimizer, get_optimizer, lr_scheduler
from ..optim.schedules import SCHEDULES, Schedule, parse
from ..teach import History, evaluate, fit
from .console import Console, number

NAME = "train"
HELP = "train a network on a data set"
EPILOG = """examples:
  tinygrad-opt train digits
  tinygrad-opt train spiral --hidden 32,32 --optimizer momentum --epochs 100
  tinygrad-opt train digits --schedule "warmup(45) >> cosine(1305)" --l2 1e-4 --dropout 0.2
  tinygrad-opt train --csv flowers.csv --target species --json

Every run ends with the Python lines that do the same."""

# Good rates for networks of a few thousand weights, found on the digits.
STARTING_RATES = {
    "SGD": 0.1,
    "Adagrad": 0.03,
    "RMSprop": 0.003,
    "Adadelta": 1.0,
    "Adam": 0.01,
    "AdamW": 0.01,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train on, which network, which rule, how long."""
    add = parser.add_argument
    add("dataset", nargs="?", metavar="DATASET", help=f"one of {', '.join(DATASETS)}")
    add("--csv", metavar="FILE", help="your own table, one example a line")
    add("--target", metavar="COLUMN", help="the column of --csv to predict (the last)")
    add("--hidden", default="64,32", metavar="SIZES", help="units of the hidden layers (64,32)")
    add("--optimizer", default="adam", metavar="NAME", help="see: list optimizers (adam)")
    add("--lr", type=float, metavar="RATE", help="learning rate (one that suits the optimizer)")
    add("--momentum", type=float, metavar="M", help="for optimizers that have it")
    add("--weight-decay", type=float, metavar="λ", help="the optimizer's own")
    add("--schedule", default="cosine", metavar="S", help="a name, or an expression (cosine)")
    add("--warmup", type=int, default=0, metavar="STEPS", help="updates that lead up to the rate")
    add("--epochs", type=int, default=30, metavar="N", help="passes over the data (30)")
    add("--batch", default="32", metavar="SIZE", help="examples for one update, or full (32)")
    add("--l1", type=float, default=0.0, metavar="λ", help="adds λ Σ|w| to the loss")
    add("--l2", type=float, default=0.0, metavar="λ", help="adds ½ λ Σw² to the loss")
    add("--dropout", type=float, default=0.0, metavar="P", help="share of hidden units left out")
    add("--device", default="cpu", help="cpu, cuda or cuda:1 (cpu)")
    add("--seed", type=int, default=0, help="of first weights, order and dropout (0)")
    add("--quiet", action="store_true", help="the final table only")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train and report; exit code 1 where the training diverged or met NaN."""
    with use_device(arguments.device):
        return _run(arguments, console)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    dataset = _dataset(arguments)
    train, test = prepare(dataset)
    batches = DataLoader(train, batch_size=_batch(arguments.batch), seed=arguments.seed)
    everything = DataLoader(train, batch_size=None), DataLoader(test, batch_size=None)
    manual_seed(_at_least(0, "--seed", arguments.seed))
    sizes = [train.n_features, *_hidden(arguments.hidden), train.n_outputs]
    model = network(sizes, arguments.dropout)
    entry = get_optimizer(arguments.optimizer)
    options = _options(entry, arguments)
    optimizer = entry(model.parameters(), **options)
    epochs = _at_least(1, "--epochs", arguments.epochs)
    schedule = schedule_for(arguments.schedule, arguments.warmup, epochs * len(batches))
    scheduler = lr_scheduler.ScheduleLR(optimizer, schedule)

    said = " · ".join([
        f"{train.name}: {len(train)} examples to train on, {len(test)} to test",
        f"{'-'.join(map(str, sizes))}, {_count(model):,} parameters",
        f"{type(optimizer).__name__} {_words(options)}",
        f"{schedule}",
        f"seed {arguments.seed}",
    ])
    if not arguments.quiet:
        console.line(said)
    with console.bar(0 if arguments.quiet else epochs) as bar:

        def show(epoch: int, history: History) -> None:
            if bar is not None:
                bar(epoch, _words_of_epoch(history))
            elif not arguments.quiet:
                console.line(f"epoch {epoch:>{len(str(epochs))}}/{epochs}  {_words_of_epoch(history)}")

        history = fit(
            model,
            batches,
            optimizer,
            epochs=epochs,
            scheduler=scheduler,
            test=everything[1],
            l1=arguments.l1,
            l2=arguments.l2,
            on_epoch=show,
        )
    history.meta = {
        "task": train.name,
        "sizes": sizes,
        "optimizer": type(optimizer).__name__,
        **options,
        "schedule": str(schedule),
        "epochs": epochs,
        "batch": batches.batch_size,
        "dropout": arguments.dropout,
        "l1": arguments.l1,
        "l2": arguments.l2,
        "device": arguments.device,
        "seed": arguments.seed,
    }
    results = {
        part: evaluate(model, loader)
        for part, loader in zip(("train", "test"), everything, strict=True)
    }
    lines = in_python(arguments, optimizer, schedule, sizes, options, epochs)
    return _report(console, history, results, _count(model), lines)


# ---- from words to parts ----------------------------------------------------------------------


def _dataset(arguments: argparse.Namespace) -> Dataset:
    if (arguments.dataset is None) == (arguments.csv is None):
        raise ValueError(
            "train: name a data set or give --csv FILE, one of the two. The data sets are "
            f"{', '.join(DATASETS)}."
        )
    if arguments.csv is not None:
        return read_csv(arguments.csv, arguments.target)
    return load(arguments.dataset)


def _at_least(least: int, flag: str, value: int) -> int:
    if value < least:
        raise ValueError(f"train: {flag} is {value}; it has to be at least {least}.")
    return value


def _batch(text: str) -> int | None:
    if text == "full":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"train: --batch is {text!r}; write a number of examples, or full.")
    return int(text)


def _hidden(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip() not in ("", "0")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(
            f"train: --hidden is {text!r}; write sizes with commas, as in 64,32, or 0 for none."
        )
    return [int(part) for part in parts]


def _options(entry: Entry, arguments: argparse.Namespace) -> dict[str, Any]:
    """The preset of the optimizer, a rate that suits it, and what the command line says."""
    flags = {name: getattr(arguments, name) for name in ("lr", "momentum", "weight_decay")}
    given = {name: value for name, value in flags.items() if value is not None}
    for name in given:
        if name not in entry.defaults:
            raise ValueError(
                f"train: {arguments.optimizer} has no {name}; its options are "
                f"{', '.join(entry.defaults)}."
            )
    return {"lr": STARTING_RATES[entry.kind.__name__]} | entry.preset | given


def network(sizes: list[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of these sizes, with a ReLU and, if asked for, dropout between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def schedule_for(text: str, warmup: int, total: int) -> Schedule:
    """A schedule for a run of so many updates: by name, or as an expression of its own.

    A name fills the updates that the warm-up leaves: `cosine` is warmup(w) >> cosine(total − w).
    Stairs (every) fall at the thirds; exponential ends at a hundredth.
    """
    rest = max(1, total - _at_least(0, "--warmup", warmup))
    by_name = {
        "constant": "constant()",
        "every": f"every({max(1, rest // 3)})",
        "exponential": f"exponential({0.01 ** (1 / rest):.6g})",
        "inverse_sqrt": f"inverse_sqrt({max(1, warmup)})",
        "triangle": f"triangle({rest // 2}, {rest - rest // 2}, 0.1)",
        "warmup": f"warmup({rest})",
        "milestones": f"milestones([{rest // 2}, {rest * 3 // 4}])",
    }
    if text in SCHEDULES:
        text = by_name.get(text, f"{text}({rest})")
    schedule = parse(text)
    return parse(f"warmup({warmup})") >> schedule if warmup else schedule


# ---- the report -------------------------------------------------------------------------------


def _count(model: nn.Module) -> int:
    return sum(p.size for p in model.parameters())


def _words(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in options.items())


def _words_of_epoch(history: History) -> str:
    parts = {"lr": history.lr[-1]}
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        value = history.last(name)
        if value is not None:
            parts[name.replace("_", " ").replace("accuracy", "acc")] = value
    return "  ".join(f"{name} {value:.4f}" for name, value in parts.items())


def _report(
    console: Console,
    history: History,
    results: dict[str, dict[str, float]],
    parameters: int,
    lines: str,
) -> int:
    failed = history.status in ("nan", "diverged")
    if console.as_json:
        record = json.loads(history.to_json())
        finite = {
            part: {k: v if math.isfinite(v) else str(v) for k, v in found.items()}
            for part, found in results.items()
        }
        console.document(
            {**finite, "seconds": history.seconds, "parameters": parameters, "python": lines}
            | {"status": history.status, "history": record}
        )
        return int(failed)
    columns = ["", *results["train"]]
    console.line()
    console.table(columns, [[part, *found.values()] for part, found in results.items()])
    console.line(f"\n{number(history.seconds)} s of training, {parameters:,} parameters")
    if history.status != "ok":
        at = "" if history.stopped_at is None else f" at update {history.stopped_at}"
        advice = "Try a tenth of the learning rate." if failed else "Try another learning rate."
        console.line(f"status: {history.status}{at}. {advice}")
    console.line(f"\nin Python:\n\n{lines}")
    return int(failed)


# ---- the same in Python -----------------------------------------------------------------------


def in_python(
    arguments: argparse.Namespace,
    optimizer: Optimizer,
    schedule: Schedule,
    sizes: list[int],
    options: dict[str, Any],
    epochs: int,
) -> str:
    """The lines that do what this run did."""
    source = repr(arguments.dataset)
    if arguments.csv is not None:
        source = f"tg.data.read_csv({arguments.csv!r}, {arguments.target!r})"
    shape = f"tg.nn.Linear({sizes[-2]}, {sizes[-1]})"
    for n_in, n_out in reversed(list(zip(sizes[:-2], sizes[1:-1], strict=True))):
        drop = f" tg.nn.Dropout({arguments.dropout})," if arguments.dropout else ""
        shape = f"tg.nn.Linear({n_in}, {n_out}), tg.nn.ReLU(),{drop}\n    {shape}"
    chosen = ", ".join(f"{name}={value!r}" for name, value in options.items())
    penalties = "".join(
        f", {name}={getattr(arguments, name)!r}" for name in ("l1", "l2") if getattr(arguments, name)
    )
    place = "" if arguments.device == "cpu" else f"  # inside: with tg.use_device({arguments.device!r})"
    return f"""\
import tinygrad_opt as tg
from tinygrad_opt.teach import evaluate, fit

train, test = tg.data.prepare({source})
batches = tg.data.DataLoader(train, batch_size={_batch(arguments.batch)}, seed={arguments.seed}){place}
tg.manual_seed({arguments.seed})
model = tg.nn.Sequential(
    {shape},
)
optimizer = tg.optim.{type(optimizer).__name__}(model.parameters(), {chosen})
schedule = tg.optim.schedules.parse({str(schedule)!r})
scheduler = tg.optim.lr_scheduler.ScheduleLR(optimizer, schedule)
history = fit(model, batches, optimizer, epochs={epochs}, scheduler=scheduler{penalties})
print(evaluate(model, tg.data.DataLoader(test, batch_size=None)))"""
