"""Classic mistakes, noticed while a loop runs.

with tg.lint(model, optimizer, scheduler) as findings:
    train()
for finding in findings:
    print(finding)
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from ...device import Device, default_device
from ...nn import Module
from ...observer import Observer, seen_on
from ...optim.wrapper import OptimizerLike
from ..finding import Finding
from . import loop, model, numbers
from .watch import Rule, Session, Watcher

RULES: list[type[Rule]] = [
    loop.ForgotZeroGrad,
    loop.StepWithoutGradients,
    loop.SchedulerFirst,
    numbers.SoftmaxTwice,
    numbers.ProbabilitiesIntoNLL,
    numbers.Outer,
    loop.WithoutGradient,
    loop.NotInOptimizer,
    model.PlainList,
    model.DeadRelu,
    loop.GraphGrows,
    loop.LearningRate,
    numbers.NotFinite,
    numbers.Float64,
    model.TrainingWhileEvaluating,
    model.RawInput,
    loop.PythonLoop,
]


@contextlib.contextmanager
def lint(
    model: Module | None = None,
    optimizer: OptimizerLike | None = None,
    scheduler: Any = None,
) -> Iterator[list[Finding]]:
    """Watch a loop for classic mistakes; the list fills while it runs, once for each place.

        with tg.lint(model, optimizer) as findings:
            train()

    Each finding names the line of the program, what is wrong, the numbers that show it, and what to
    write. Rules about parameters and layers need the model and the optimizer. Looking costs time,
    and makes a GPU wait at every operation; outside of the block nothing is looked at. What other
    threads do is not seen, nor the replay of captured steps, nor a device that is first used inside
    the block. RuntimeError where somebody else
    watches already: `profile`, `capture` or another `lint`.
    """
    if not isinstance(model, Module | None) or isinstance(optimizer, Module | str):
        raise TypeError(
            f"lint: the model is a {type(model).__name__} and the optimizer a "
            f"{type(optimizer).__name__}. Write lint(model, optimizer, scheduler), or None."
        )
    default_device()  # known from now on, where the environment names it
    watched = [device for device in Device.known() if isinstance(seen_on(device), Observer)]
    if watched:
        raise RuntimeError(
            f"lint: {watched[0]} is watched already, by profile(), detect_anomaly(), capture or "
            "another lint(). Begin around that, or when it has ended."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the model would warn of is a finding here
        session = Session(model, optimizer, scheduler, RULES)
        session.tell("begin")
    with contextlib.ExitStack() as watching:
        for device in Device.known():
            watching.enter_context(Watcher(device, session).watching())
        yield session.findings
