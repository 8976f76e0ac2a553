"""`train`: a network on a data set, from the first weights to the accuracy on unseen examples."""

from __future__ import annotations

import argparse
import contextlib
import json
import math

from ..data import DATASETS, DataLoader
from ..device import default_device, use_device
from ..profile import Profile, profile
from ..teach import History, evaluate, fit
from .console import Console, number
from .files import add_files, add_seed, write
from .recipe import Recipe

NAME = "train"
HELP = "train a network on a data set"
EPILOG = """examples:
  tinygrad-opt train digits
  tinygrad-opt train spiral --hidden 32,32 --optimizer momentum --epochs 100
  tinygrad-opt train digits --schedule "warmup(45) >> cosine(1305)" --l2 1e-4 --dropout 0.2
  tinygrad-opt train flowers.csv --target species --json
  tinygrad-opt train digits --profile --epochs 5

Every run ends with the Python lines that do the same."""

Results = dict[str, dict[str, float]]  # loss and accuracy of each part of the data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train on, which network, which rule, how long."""
    add = parser.add_argument
    names = f"a table of your own, as in flowers.csv, or one of {', '.join(DATASETS)}"
    add("dataset", metavar="DATASET", help=names)
    add("--target", metavar="COLUMN", help="the column of a table to predict (the last)")
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
    add("--profile", action="store_true", help="where the time of the training goes, as a table")
    add("--quiet", action="store_true", help="the final table only")
    add_seed(parser)
    add_files(parser, "csv")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train and report; exit code 1 where the training diverged or met NaN."""
    arguments.device = arguments.device or repr(default_device())
    with use_device(arguments.device):
        return _run(arguments, console)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    recipe = Recipe(arguments)
    whole = {
        "train": DataLoader(recipe.train, batch_size=None),
        "test": DataLoader(recipe.test, batch_size=None),
    }
    if not arguments.quiet:
        console.line(str(recipe))
    watch: contextlib.AbstractContextManager[Profile | None] = contextlib.nullcontext()
    if arguments.profile:
        watch = profile(show=False)
    with console.bar(0 if arguments.quiet else recipe.epochs) as bar, watch as measured:

        def show(epoch: int, history: History) -> None:
            if bar is not None:
                bar(epoch, _short(history))
            elif not arguments.quiet:
                count = f"{epoch:>{len(str(recipe.epochs))}}/{recipe.epochs}"
                console.line(f"epoch {count}  {_words(history)}")

        history = fit(
            recipe.model,
            recipe.batches,
            recipe.optimizer,
            epochs=recipe.epochs,
            scheduler=recipe.scheduler,
            test=whole["test"],
            l1=arguments.l1,
            l2=arguments.l2,
            on_epoch=show,
        )
    history.meta |= recipe.meta()
    results = {part: evaluate(recipe.model, data) for part, data in whole.items()}
    if console.as_json:
        console.document(_document(recipe, history, results, measured))
    else:
        _report(console, recipe, history, results, measured)
    write(console, arguments, csv=history.to_csv)
    return int(history.status in ("nan", "diverged"))


def _words(history: History) -> str:
    """The last epoch in a line."""
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    shown = {
        name.replace("accuracy", "acc").replace("_", " "): history.last(name) for name in names
    }
    words = [f"{name} {value:.4f}" for name, value in shown.items() if value is not None]
    return "  ".join([*words, f"lr {history.lr[-1]:.3g}"])


def _short(history: History) -> str:
    """The same for a bar, which has 78 columns in all."""
    loss, accuracy = history.metrics["train_loss"][-1][1], history.last("test_accuracy")
    words = [f"loss {loss:.4f}", f"test loss {history.last('test_loss'):.4f}"]
    words += [] if accuracy is None else [f"test acc {accuracy:.3f}"]
    return "  ".join([*words, f"lr {history.lr[-1]:.2g}"])


def _document(
    recipe: Recipe, history: History, results: Results, measured: Profile | None
) -> dict[str, object]:
    strict = {
        part: {name: v if math.isfinite(v) else str(v) for name, v in found.items()}
        for part, found in results.items()
    }
    return {
        "status": history.status,
        **strict,
        "seconds": history.seconds,
        "parameters": recipe.parameters,
        "python": recipe.in_python(),
        "history": json.loads(history.to_json()),
        **({} if measured is None else {"profile": json.loads(measured.to_json())}),
    }


def _report(
    console: Console,
    recipe: Recipe,
    history: History,
    results: Results,
    measured: Profile | None,
) -> None:
    rows = [[part, *found.values()] for part, found in results.items()]
    console.line()
    console.table(["", *results["train"]], rows)
    console.line()
    console.line(f"{number(history.seconds)} s of training, {recipe.parameters:,} parameters")
    if history.status != "ok":
        at = "" if history.stopped_at is None else f" at update {history.stopped_at}"
        advice = "another" if history.status == "stuck" else "a tenth of the"
        console.line(f"status: {history.status}{at}. Try {advice} learning rate.")
    if measured is not None:
        console.line(f"\n{measured}")
    console.python(recipe.in_python())
