"""`train --penalties`: the same training without a penalty, and with L1, L2 and dropout."""

from __future__ import annotations

import argparse

from ..data import DataLoader
from ..teach import evaluate
from ..teach.export import table
from ..teach.penalties import PENALTIES, Penalties, Trained, compare_penalties
from ..teach.plot.penalties import penalties_figure
from .console import Console
from .files import at_least, write
from .recipe import Recipe, named

SEEDS = 3  # of each, unless told otherwise
NONE = {"l1": 0.0, "l2": 0.0, "dropout": 0.0}


def compare(arguments: argparse.Namespace, console: Console) -> int:
    """Train, print the table and what it says; exit code 1 where a run diverged or met NaN."""
    count = SEEDS if arguments.seeds is None else at_least(1, "--seeds", arguments.seeds)
    penalties = _penalties(arguments)
    seeds = range(arguments.seed, arguments.seed + count)
    recipe = _recipe(arguments, arguments.seed, NONE)
    title = f"{recipe}, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    if not arguments.quiet:
        console.line(f"{title}\n")
    with console.bar(len(penalties) * len(seeds)) as bar:
        done = 0

        def run(seed: int, **settings: float) -> Trained:
            nonlocal done
            done += 1
            trained = _run(arguments, seed, settings)
            if bar is not None:
                bar(done, f"gap {trained.gap:.3g}")
            return trained

        found = compare_penalties(run, penalties, seeds)
    code = _in_python(arguments, penalties, seeds)
    rows = found.rows()
    if console.as_json:
        settings = {name: dict(values) for name, values in penalties.items()}
        words = {"words": found.words(), "python": code}
        console.document({"penalties": settings, "seeds": list(seeds), "rows": rows, **words})
    else:
        console.table(list(rows[0]), [list(row.values()) for row in rows], whole=list(rows[0]))
        console.line(f"\n{found.words()}")
        console.python(code)
    write(
        console,
        arguments,
        csv=lambda: table(rows),
        png=lambda: penalties_figure(found, recipe.train, recipe.test, title),
    )
    return int(any(_failed(found)))


def _penalties(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The usual ones, or as strong as the flags say."""
    named_penalties: dict[str, dict[str, float]] = {}
    for name, settings in PENALTIES.items():
        own = {kind: getattr(arguments, kind) or usual for kind, usual in settings.items()}
        strength = "".join(f" {value:g}" for value in own.values())
        named_penalties[f"{name}{strength}"] = own
    return named_penalties


def _recipe(arguments: argparse.Namespace, seed: int, settings: dict[str, float]) -> Recipe:
    return Recipe(argparse.Namespace(**vars(arguments) | NONE | settings | {"seed": seed}))


def _run(arguments: argparse.Namespace, seed: int, settings: dict[str, float]) -> Trained:
    recipe = _recipe(arguments, seed, settings)
    test = DataLoader(recipe.test, batch_size=None)
    history = recipe.fit(test=test)
    train = DataLoader(recipe.train, batch_size=None)
    return Trained(
        recipe.model, history, evaluate(recipe.model, train), evaluate(recipe.model, test)
    )


def _failed(found: Penalties) -> list[bool]:
    return [
        run.history.status in ("nan", "diverged") for runs in found.runs.values() for run in runs
    ]


def _in_python(
    arguments: argparse.Namespace, penalties: dict[str, dict[str, float]], seeds: range
) -> str:
    """The lines that do the same: those of one training, its seed and penalties left open."""
    open_ = {name: named(float, name, 0.5) for name in NONE}
    seed = named(int, "seed", arguments.seed)
    words = argparse.Namespace(**vars(arguments) | open_ | {"seed": seed, "device": "cpu"})
    lines = Recipe(words).in_python(", test=whole_test").splitlines()
    data = next(line for line in lines if line.startswith("train, test = "))
    first = next(i for i, line in enumerate(lines) if line.startswith("batches = "))
    last = next(i for i, line in enumerate(lines) if line.startswith("history = "))
    body = [
        data,
        "whole_train = tg.data.DataLoader(train, batch_size=None)",
        "whole_test = tg.data.DataLoader(test, batch_size=None)",
        "",
        "def run(seed, l1=0.0, l2=0.0, dropout=0.0):",
        *(f"    {line}" for line in lines[first : last + 1]),
        "    found = evaluate(model, whole_train), evaluate(model, whole_test)",
        "    return Trained(model, history, *found)",
        "",
        f"found = compare_penalties(run, {penalties!r}, seeds={seeds!r})",
        "print(found.words())",
    ]
    if arguments.device != "cpu":
        inside = (f"    {line}" if line else line for line in body)
        body = [f"with tg.use_device({arguments.device!r}):", *inside]
    return "\n".join(
        [
            "import tinygrad_opt as tg",
            "from tinygrad_opt.teach import evaluate, fit",
            "from tinygrad_opt.teach.penalties import Trained, compare_penalties",
            "",
            *body,
        ]
    )
