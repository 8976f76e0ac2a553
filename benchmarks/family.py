"""The whole optimizer family on one task, each at its own best rate: python -m benchmarks.family

Digits, 64-32-10, batch 32, five epochs at a constant rate. Every optimizer is tried at the same
rates, 10⁻⁴ to 10 in steps of √10, on seed 100; the rate with the lowest training loss is taken, and
five other seeds are reported: the mean test accuracy, its range, how many rates diverged. Best
rates at an end of the grid are marked with *. Rules for full batches get fifty updates on the whole
data instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings

from tinygrad_opt.cli import parser as command_line
from tinygrad_opt.cli.recipe import FULL_BATCH, Recipe
from tinygrad_opt.data import DataLoader
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.teach import evaluate, fit

RATES = [10 ** (k / 2) for k in range(-8, 3)]
SEEDS = range(5)
LEFT_OUT = {"sparseadam": "needs the gradients of Embedding(…, sparse=True)"}


def run(name: str, rate: float, seed: int) -> tuple[float, float]:
    """The last training loss (infinite where it diverged) and the test accuracy."""
    words = ["train", "digits", "--optimizer", name, "--lr", str(rate), "--seed", str(seed)]
    words += ["--hidden", "32", "--epochs", "5", "--schedule", "constant"]
    if OPTIMIZERS[name].kind.__name__ in FULL_BATCH:
        words += ["--epochs", "50"]  # one update an epoch
    recipe = Recipe(command_line().parse_args(words))
    history = fit(recipe.model, recipe.batches, recipe.optimizer, epochs=recipe.epochs)
    found = evaluate(recipe.model, DataLoader(recipe.test, batch_size=None))
    failed = history.status in ("nan", "diverged")
    return float("inf") if failed else history.metrics["train_loss"][-1][1], found["accuracy"]


def tuned(name: str) -> dict[str, object]:
    """The best rate of an optimizer, and what it reaches there."""
    losses = [run(name, rate, 100)[0] for rate in RATES]
    best = min(range(len(RATES)), key=losses.__getitem__)
    accuracies = [run(name, RATES[best], seed)[1] for seed in SEEDS]
    return {
        "optimizer": name,
        "lr": RATES[best],
        "edge": best in (0, len(RATES) - 1),
        "accuracy": statistics.mean(accuracies),
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "diverged": sum(loss == float("inf") for loss in losses),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table in Markdown, or with --json one document."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.family", description=__doc__)
    arguments.add_argument("names", nargs="*", help="which optimizers (all)")
    arguments.add_argument("--json", action="store_true", help="one JSON document on stdout")
    chosen = arguments.parse_args(argv)
    rows = []
    if not chosen.json:
        print("| optimizer | best lr | test accuracy | of 11 rates diverged |\n|---|---|---|---|")
    for name in chosen.names or OPTIMIZERS:
        if name in LEFT_OUT:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = tuned(name)
        rows.append(row)
        if not chosen.json:
            mark = " *" if row["edge"] else ""
            spread = f"{row['accuracy']:.3f} ({row['lowest']:.3f} … {row['highest']:.3f})"
            print(
                f"| `{name}` | {row['lr']:.2g}{mark} | {spread} | {row['diverged']} |", flush=True
            )
    if chosen.json:
        print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
