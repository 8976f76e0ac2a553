"""`train`: a network on a data set, from the first weights to the accuracy on unseen examples."""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import asdict, dataclass

from ..checkpoint import Checkpoints
from ..data import DataLoader
from ..device import default_device, use_device
from ..nn.summary import summary
from ..profile import Profile, profile
from ..teach import Finding, History, diagnose, evaluate, report
from ..teach.lint import lint
from ..teach.plot.curves import training_figure
from . import penalties
from .console import Console, number
from .files import add_files, write
from .interrupt import ctrl_c
from .recipe import Recipe, add_recipe_arguments

NAME = "train"
HELP = "train a network on a data set"
EPILOG = """examples:
  tinygrad-opt train digits
  tinygrad-opt train spiral --hidden 32,32 --optimizer momentum --epochs 100 --png spiral.png
  tinygrad-opt train digits --schedule "warmup(45) >> cosine(1305)" --l2 1e-4 --dropout 0.2
  tinygrad-opt train digits --optimizer sgd --lr 5 --diagnose
  tinygrad-opt train spiral --noise 0.3 --hidden 64,64 --epochs 100 --penalties --png four.png
  tinygrad-opt train flowers.csv --target species --json
  tinygrad-opt train digits --profile --epochs 5
  tinygrad-opt train digits --checkpoint run --every 100 --resume

Every run ends with the Python lines that do the same."""


@dataclass
class Outcome:
    """What a run leaves behind: its record, loss and accuracy of each part, what was noticed."""

    history: History
    results: dict[str, dict[str, float]]
    diagnosis: list[Finding] | None = None
    lint: list[Finding] | None = None
    profile: Profile | None = None
    interrupted: bool = False

    @property
    def gap(self) -> dict[str, float]:
        """Test less train, for loss and accuracy."""
        test, train = self.results["test"], self.results["train"]
        return {name: test[name] - train[name] for name in train}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train on, which network, which rule, how long; what to look at, what to keep."""
    add_recipe_arguments(parser)
    add = parser.add_argument
    add("--diagnose", action="store_true", help="say what the record of the run tells")
    add("--lint", action="store_true", help="watch the loop for classic mistakes")
    add("--penalties", action="store_true", help="compare none, L1, L2 and dropout")
    add("--seeds", type=int, metavar="N", help="of --penalties (3)")
    add("--profile", action="store_true", help="where the time of the training goes, as a table")
    add("--checkpoint", metavar="DIR", help="save all of the run there, to go on after Ctrl-C")
    add("--every", type=int, metavar="N", help="updates between checkpoints (a pass)")
    add("--keep", type=int, metavar="K", help="checkpoints to keep, the newest (3)")
    longer = "more --epochs need a --schedule that does not end with them, such as constant"
    resume = f"go on from the newest checkpoint, to the bit; {longer}"
    add("--resume", action="store_true", help=resume)
    add_files(parser, "csv", "png", "html")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train and report; exit code 1 where the training diverged or met NaN."""
    arguments.device = arguments.device or repr(default_device())
    if arguments.profile and arguments.lint:
        raise ValueError("--profile and --lint watch the same operations; give one of them.")
    if arguments.penalties and (arguments.diagnose or arguments.lint or arguments.profile):
        raise ValueError(
            "--penalties trains many times; --diagnose, --lint, --profile look at one."
        )
    if arguments.checkpoint == "":
        raise ValueError("--checkpoint is ''; name a folder to save in.")
    if arguments.checkpoint is None:
        for flag in ("every", "keep", "resume"):
            value = getattr(arguments, flag)
            if value is not None and value is not False:
                raise ValueError(f"--{flag} goes with --checkpoint DIR, the folder to save in.")
    elif arguments.penalties:
        raise ValueError("--penalties trains many times; --checkpoint saves one training.")
    if arguments.seeds is not None and not arguments.penalties:
        raise ValueError("--seeds goes with --penalties; one training has one --seed.")
    with use_device(arguments.device):
        if arguments.penalties:
            return penalties.compare(arguments, console)
        return _run(arguments, console)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    recipe = Recipe(arguments)
    checkpoints = _checkpoints(recipe, arguments)
    if not arguments.quiet:
        x, _ = recipe.train[: recipe.batches.batch_size]
        console.line(f"{recipe}\n\n{summary(recipe.model, x)}\n")
    outcome = _train(recipe, arguments, console, checkpoints)
    code = _in_python(recipe, arguments)
    if console.as_json:
        console.document(_document(recipe, outcome, code))
    else:
        _print(console, recipe, outcome)
        console.python(code)
    write(
        console,
        arguments,
        csv=outcome.history.to_csv,
        png=lambda: training_figure(outcome.history, recipe.model, recipe.train, recipe.test),
    )
    if outcome.interrupted:
        console.note("Interrupted.")
        return 130
    return int(outcome.history.status in ("nan", "diverged"))


def _train(
    recipe: Recipe,
    arguments: argparse.Namespace,
    console: Console,
    checkpoints: Checkpoints | None,
) -> Outcome:
    """Train, and look at what came of it; what there is, where somebody interrupts."""
    train, test = (DataLoader(part, batch_size=None) for part in (recipe.train, recipe.test))
    with contextlib.ExitStack() as around:
        bar = around.enter_context(console.bar(recipe.epochs))
        watch = around.enter_context(profile(show=False)) if arguments.profile else None
        noticed = None
        if arguments.lint:
            watched = lint(recipe.model, recipe.optimizer, recipe.scheduler)
            noticed = around.enter_context(watched)

        def show(epoch: int, history: History) -> None:
            if bar is not None:
                bar(epoch, _short(history))
            elif not arguments.quiet:
                count = f"{epoch:>{len(str(recipe.epochs))}}/{recipe.epochs}"
                console.line(f"epoch {count}  {_words(history)}")

        stop = around.enter_context(ctrl_c())
        history = recipe.fit(
            test=test,
            norms=arguments.diagnose,
            on_epoch=show,
            stop=stop,
            checkpoints=checkpoints,
            resume=arguments.resume,
        )
    interrupted = "stopped" in history.meta
    results = {"train": evaluate(recipe.model, train), "test": evaluate(recipe.model, test)}
    outcome = Outcome(history, results, lint=noticed, profile=watch, interrupted=interrupted)
    if arguments.diagnose:
        outcome.diagnosis = diagnose(history, recipe.model, recipe.batches, test=test)
    return outcome


def _checkpoints(recipe: Recipe, arguments: argparse.Namespace) -> Checkpoints | None:
    """The folder for this run, which may become longer.

    Where the schedule ends with the epochs, as cosine does, another number of them is another run.
    """
    if arguments.checkpoint is None:
        return None
    about = {key: value for key, value in recipe.meta().items() if key not in ("epochs", "device")}
    about["data"] = f"sha256 {recipe.data.fingerprint}"
    keep = 3 if arguments.keep is None else arguments.keep
    return Checkpoints(arguments.checkpoint, arguments.every, keep, about)


# ---- in words ---------------------------------------------------------------------------------


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


def _print(console: Console, recipe: Recipe, outcome: Outcome) -> None:
    history, results = outcome.history, outcome.results
    rows = [[part, *found.values()] for part, found in results.items()]
    console.line()
    console.table(["", *results["train"]], [*rows, ["gap", *outcome.gap.values()]])
    console.line()
    console.line(f"{number(history.seconds)} s of training, {recipe.parameters:,} parameters")
    if history.status != "ok":
        at = "" if history.stopped_at is None else f" at update {history.stopped_at}"
        advice = "another" if history.status == "stuck" else "a tenth of the"
        console.line(f"status: {history.status}{at}. Try {advice} learning rate.")
    if outcome.diagnosis is not None:
        console.line(f"\ndiagnosis\n{report(outcome.diagnosis)}")
    if outcome.lint is not None:
        text = "\n".join(map(str, outcome.lint)) or "No mistake of the known kinds was noticed."
        console.line(f"\nlint\n{text}")
    if outcome.profile is not None:
        console.line(f"\n{outcome.profile}")


def _document(recipe: Recipe, outcome: Outcome, code: str) -> dict[str, object]:
    document: dict[str, object] = {
        "status": outcome.history.status,
        **outcome.results,
        "gap": outcome.gap,
        "seconds": outcome.history.seconds,
        "parameters": recipe.parameters,
        "python": code,
        "history": json.loads(outcome.history.to_json()),
    }
    for name in ("diagnosis", "lint"):
        if (findings := getattr(outcome, name)) is not None:
            document[name] = [asdict(finding) for finding in findings]
    if outcome.profile is not None:
        document["profile"] = json.loads(outcome.profile.to_json())
    return document


def _in_python(recipe: Recipe, arguments: argparse.Namespace) -> str:
    """The lines that do the same, as far as flags ask for it."""
    imports, within, options = ["evaluate", "fit"], "", ""
    then: list[str] = []
    test = "tg.data.DataLoader(test, batch_size=None)"
    if arguments.diagnose or arguments.png is not None:
        options = f", test={test}"
    if arguments.diagnose:
        imports += ["diagnose", "report"]
        options += ", norms=True"
        then += [f"print(report(diagnose(history, model, batches, test={test})))"]
    if arguments.checkpoint is not None:
        kept = {"every": arguments.every, "keep": arguments.keep}
        said = "".join(f", {name}={value!r}" for name, value in kept.items() if value is not None)
        options += f", checkpoints=tg.Checkpoints({arguments.checkpoint!r}{said})"
        options += ", resume=True" if arguments.resume else ""
    if arguments.lint:
        within = "tg.lint(model, optimizer, scheduler) as findings"
        then += ["print(*findings, sep='\\n')"]
    if arguments.png is not None:
        then += [
            "from tinygrad_opt.teach.plot.curves import training_figure",
            f"training_figure(history, model, train, test).savefig({arguments.png!r}, dpi=144)",
        ]
    return recipe.in_python(options, within, then, imports)
