"""A race in words: who wins each column, why the columns differ, and what to be careful about."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np

from .outcome import COLUMNS, Column, Race, above_rounding, left

MANY = 7  # of more than these, a sentence names the extremes


def verdict(race: Race) -> str:
    """A sentence a line."""
    lines = [
        *_missing(race),
        *_columns(race),
        *_difference(race),
        *_accuracies(race),
        *_cautions(race),
    ]
    return "\n".join(lines)


def _missing(race: Race) -> Iterator[str]:
    if race.missing:
        has = "have" if len(race.missing) > 1 else "has"
        yield f"This race is not over: {_list(race.missing)} {has} not finished."


def _columns(race: Race) -> Iterator[str]:
    if not race.ranked:
        yield "one seed: no ranking. Another seed may turn the order round; take five."
        return
    for column in COLUMNS:
        yield f"{_setting(race, column)}, {_winner(race, column)}{_fallen(race, column)}"


def _setting(race: Race, column: Column) -> str:
    if column == "common":
        return f"With one rate for all, {race.lr:g}"
    return f"With its own rate each, the best of {len(race.rates)}"


def _winner(race: Race, column: Column) -> str:
    ranks = race.ranks(column)
    first = [name for name, rank in ranks.items() if rank == 1]
    verb = "lead" if race.missing else "win"
    if not first:
        return f"nobody {verb}s"
    standing = race.standing(first[0], column)
    how = f"{race.task.unit} {left(standing.final)} at the end"
    if not math.isinf(standing.arrival):
        how = f"{race.task.goal} after {standing.arrival:g} gradients, {how}"
    lowest = min(ranks, key=lambda name: race.standing(name, column).order[1])
    if ranks[lowest] > 1:
        how += f" ({lowest} ends lower: {left(race.standing(lowest, column).final)})"
    close = race.too_close(column)
    if close:
        best = _list(first)
        return f"{_list(close)} are too close to call: their ranges overlap. {best}: {how}"
    if len(race.racers) == 1:
        return f"{first[0]} runs alone: {how}"
    return f"{_list(first)} {_verb(first, verb)}: {how}"


def _fallen(race: Race, column: Column) -> str:
    names = [name for name in race.racers if race.standing(name, column).diverged]
    names = [name for name in names if race.racers[name].runs(column)]
    return f"; {_list(names)} {_verb(names, 'diverge')}." if names else "."


def _difference(race: Race) -> Iterator[str]:
    """A rate means something else to each rule: the numbers that show it."""
    own = {name: racer.lr for name, racer in race.racers.items() if racer.lr is not None}
    if len(own) < 2 or len(race.rates) < 2:
        return
    starts = {name: start for name in own if (start := _first_step(race, name))}
    if len({f"{step:.4g}" for _, step in starts.values()}) > 1:
        slope = next(iter(starts.values()))[0]
        steps = _telling({name: step for name, (_, step) in starts.items()})
        each = _list([f"{step:.4g} by {name}" for name, step in steps.items()])
        yield (
            f"Why the columns differ: from the start, where the slope is {slope:.4g}, a rate of "
            f"{race.lr:g} makes a first step of {each}."
        )
    sure = {n: rate for n, rate in own.items() if race.gains(n) and not race.racers[n].at_edge}
    if sure and race.ranked:
        told = _telling(sure)
        each = _list([f"{_beside(race.lr / rate)} for {name}" for name, rate in told.items()])
        suit = "rates that suit them" if len(sure) > 1 else "rate that suits it"
        yield f"Beside the {suit}, {race.lr:g} is {each}."


def _telling(values: dict[str, float]) -> dict[str, float]:
    """All, or of many the largest and the smallest."""
    if len(values) <= MANY:
        return values
    ends = (max(values, key=lambda name: values[name]), min(values, key=lambda name: values[name]))
    return {name: values[name] for name in ends}


def _beside(factor: float) -> str:
    large, times = ("large", factor) if factor > 1 else ("small", 1 / factor)
    return f"{times:,.0f} times too {large}" if times >= 1000 else f"{times:.3g} times too {large}"


def _first_step(race: Race, name: str) -> tuple[float, float] | None:
    """The slope at the start and the length of the first step there, at the common rate."""
    runs = race.racers[name].common
    if not runs or runs[0].grad is None or runs[0].update is None or not len(runs[0]):
        return None
    if runs[0].evaluations[0] > 1:  # a search of its own, and no step of one gradient
        return None
    return float(np.linalg.norm(runs[0].grad[0])), float(np.linalg.norm(runs[0].update[0]))


def _accuracies(race: Race) -> Iterator[str]:
    found = {}
    for name, racer in race.racers.items():
        values = [v for h in racer.tuned if (v := h.last("test_accuracy")) is not None]
        if values:
            found[name] = statistics.median(values)
    if found:
        each = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        yield f"Test accuracy at its own rate: {each}."


def _cautions(race: Race) -> Iterator[str]:
    for worse, words in ((False, "differences are within the seeds"), (True, "it is worse")):
        names = [name for name in race.racers if race.unsure(name) and _beyond(race, name) == worse]
        if names:
            told = f"the tuning found no rate that is surely better than {race.lr:g}; {words}."
            yield f"{_list(names)}: {told}"
    edge = [name for name, racer in race.racers.items() if racer.at_edge]
    if edge:
        yield (f"{_list(edge)}: edge of the grid. A better rate may lie beyond it: widen the grid.")
    for name, racer in race.racers.items():
        if racer.sentence:
            how = "fails at some rates" if racer.runs_at_all else "cannot run"
            yield f"{name} {how}: {racer.sentence}"
        elif racer.lr is None:
            yield f"{name} diverges at every rate that was tried."


def _beyond(race: Race, name: str) -> bool:
    """Whether its own rate is worse, beyond the ranges over the seeds."""
    common, own = (race.standing(name, column) for column in COLUMNS)
    return above_rounding(min(own.finals)) > above_rounding(max(common.finals))


def _list(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _verb(names: list[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}s"
