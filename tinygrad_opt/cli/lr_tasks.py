"""What `lr` tries its rates on: walks on a surface, or trainings of a network."""

from __future__ import annotations

import argparse
from typing import Any

from ..data import DataLoader
from ..optim import get_optimizer
from ..teach import History, RangeTest, lr_range_test, trace
from .recipe import Recipe, named


class Walks:
    """Runs on a surface, which know no chance."""

    def __init__(self, words: argparse.Namespace, name: str) -> None:
        self.words, self.name, self.seeds = words, name, 1
        self.entry = get_optimizer(words.optimizer)
        flags = {name: getattr(words, name) for name in ("momentum", "weight_decay")}
        self.options = {name: value for name, value in flags.items() if value is not None}
        self.title = f"{name}: {_count(words.steps, 'step')} of {words.optimizer}"

    def run(self, lr: float, seed: int) -> History:
        """A walk from the start of the surface."""
        return trace(
            self.name, None, self.entry, self.words.steps, seed=seed, lr=lr, **self.options
        )

    def range_test(self) -> None:
        """There is none: the loss of a walk tells no more than the sweep has told."""

    def in_python(self) -> str:
        """The lines that do the same."""
        words = self.words
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return "\n".join(
            [
                "import numpy as np",
                "from tinygrad_opt.teach import lr_sweep, trace",
                "",
                "def run(lr, seed):",
                f"    return trace({self.name!r}, None, {words.optimizer!r}, {words.steps}, "
                f"seed=seed, lr=lr{options})",
                "",
                f"sweep = lr_sweep(run, {_rates_in_python(words.rates)}, seeds=[{words.seed}])",
                "print(sweep.sentence)",
            ]
        )


class Training:
    """Runs of a network on data."""

    def __init__(self, words: argparse.Namespace, lr: float) -> None:
        self.words, self.seeds = words, words.seeds
        recipe = self.recipe(lr, words.seed)
        sizes = "-".join(map(str, recipe.sizes))
        self.title = (
            f"{recipe.train.name}: {sizes}, {recipe.rule}, "
            f"{_count(recipe.epochs, 'epoch')}, {recipe.schedule}, "
            f"{_count(words.seeds, 'seed')} from {words.seed}"
        )

    def recipe(self, lr: Any, seed: Any, **other: Any) -> Recipe:
        """The parts of one run."""
        own = {"lr": lr, "seed": seed, **other}
        return Recipe(argparse.Namespace(**vars(self.words) | own))

    def run(self, lr: float, seed: int) -> History:
        """A training from new weights."""
        recipe = self.recipe(lr, seed)
        return recipe.fit(test=DataLoader(recipe.test, batch_size=None))

    def range_test(self) -> RangeTest:
        """The test, on new weights."""
        parts = self.recipe(1.0, self.words.seed)
        return lr_range_test(parts.model, parts.batches, parts.optimizer)

    def in_python(self) -> str:
        """The lines that do the same: those of one training, its rate and its seed left open."""
        lr, seed = named(float, "lr", 1.0), named(int, "seed", self.words.seed)
        recipe = self.recipe(lr, seed, device="cpu")
        lines = recipe.in_python().splitlines()
        data = next(line for line in lines if line.startswith("train, test = "))
        first = next(i for i, line in enumerate(lines) if line.startswith("batches = "))
        last = next(i for i, line in enumerate(lines) if line.startswith("history = "))
        fitted = lines[last].removeprefix("history = ").removesuffix(")")
        seeds = f"range({self.words.seed}, {self.words.seed + self.seeds})"
        body = [
            data,
            "",
            "def parts(lr, seed):",
            *(f"    {line}" for line in lines[first:last]),
            "    return model, batches, optimizer, scheduler",
            "",
            "def run(lr, seed):",
            "    model, batches, optimizer, scheduler = parts(lr, seed)",
            "    whole_test = tg.data.DataLoader(test, batch_size=None)",
            f"    return {fitted}, test=whole_test)",
            "",
            f"sweep = lr_sweep(run, {_rates_in_python(self.words.rates)}, seeds={seeds})",
            "print(sweep.sentence)",
            f"found = lr_range_test(*parts(1.0, {self.words.seed})[:3])",
            "print(found.sentence)",
        ]
        if self.words.device != "cpu":
            inside = (f"    {line}" if line else line for line in body)
            body = [f"with tg.use_device({self.words.device!r}):", *inside]
        return "\n".join(
            [
                "import numpy as np",
                "import tinygrad_opt as tg",
                "from tinygrad_opt.teach import fit, lr_range_test, lr_sweep",
                "",
                *body,
            ]
        )


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _rates_in_python(text: str) -> str:
    if ":" not in text:
        return f"[{text}]"
    return f"np.geomspace({', '.join(text.split(':'))})"
