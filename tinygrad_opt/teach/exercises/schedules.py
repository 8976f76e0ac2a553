"""A schedule to write: warm-up, then half a cosine; truth is ``warmup(W) >> cosine(T − W)``."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np  # noqa: F401    for edits of the formula

from ...optim import cosine, warmup
from .formula import Call, Case, Formula, wrong


def warmup_cosine(t, warmup, total):
    """The factor of the learning rate at update t = 0, 1, 2 …"""
    if t < warmup:
        return (t + 1) / (warmup + 1)
    progress = min((t - warmup) / (total - warmup), 1)
    return (1 + math.cos(math.pi * progress)) / 2


def _calls(up: int, total: int, *ts: int) -> list[Call]:
    schedule = warmup(up) >> cosine(total - up)
    return [Call((t, up, total), (schedule(t),)) for t in ts]


def _cases() -> list[Case]:
    return [
        Case("the warm-up: t = 0 to 3 of 4", _calls(4, 24, 0, 1, 2, 3)),
        Case("the way down: t = 4, 14, 24 of 24", _calls(4, 24, 4, 14, 24)),
        Case("every update of other lengths", [
            *_calls(10, 50, *range(51)), *_calls(0, 7, *range(8))
        ]),
        Case("past the end: it stays at 0", _calls(4, 24, 25, 40, 1000)),
    ]  # fmt: skip


WARMUP_COSINE = Formula(
    name="warmup_cosine",
    title="a schedule: warm-up, then half a cosine",
    file="ex07_warmup_cosine.py",
    arguments=("t", "warmup", "total"),
    gives=("factor",),
    cases=_cases,
    formula=warmup_cosine,
    mistakes=(
        wrong("the first step wasted", "The warm-up starts at 0, so that the first update does "
              "nothing. It starts at 1/(W + 1): (t + 1)/(W + 1).",
              "(t + 1) / (warmup + 1) → t / warmup"),
        wrong("t off by one below", "The warm-up is off by one: t counts from 0, so t + 1 over "
              "W + 1.", "(t + 1) / (warmup + 1) → t / (warmup + 1)"),
        wrong("the warm-up one short", "The warm-up is there one update too early: W + 1 below, so "
              "that the full rate comes at t = W.", "/ (warmup + 1) → / warmup"),
        wrong("no warm-up", "There is no warm-up: below W the factor rises, (t + 1)/(W + 1).",
              "(t + 1) / (warmup + 1) → 1.0"),
        wrong("the cosine starts at 0", "The cosine counts from t = 0, so the factor leaps at the "
              "join. It starts where the warm-up ends: t − W.",
              "(t - warmup) / (total - warmup) → t / total"),
        wrong("the wrong length", "The cosine is as long as the whole run, and does not reach 0 at "
              "its end. It has T − W updates.", "/ (total - warmup) → / total"),
        wrong("shifted, but not shortened", "The cosine is T − W long, but counts from t = 0. It "
              "starts where the warm-up ends: t − W.",
              "(t - warmup) / (total → t / (total"),
        wrong("not halved", "The factor starts at 2: (1 + cos) goes from 2 to 0, so halve it.",
              ")) / 2 → ))"),
        wrong("one not added", "The factor becomes negative, and learning would go uphill: cos "
              "goes from 1 to −1. Take (1 + cos)/2.", "(1 + math.cos(math.pi * progress)) / 2 → "
              "math.cos(math.pi * progress)"),
        wrong("upside down", "The factor rises from 0 to 1: it is 1 + cos, with a plus.",
              "(1 + math.cos → (1 - math.cos"),
        wrong("π forgotten", "π is forgotten: half a wave is from 0 to π.",
              "math.pi * progress → progress"),
        wrong("a whole wave", "This is a whole wave, which comes up again. Half of one: π, not 2π.",
              "math.pi * progress → 2 * math.pi * progress"),
        wrong("a line", "This is a straight line down. Bend it: (1 + cos πp)/2.",
              "(1 + math.cos(math.pi * progress)) / 2 → 1 - progress"),
        wrong("rises again", "Past the end the cosine comes up again. Hold p at 1: min(p, 1).",
              "min((t - warmup) / (total - warmup), 1) → (t - warmup) / (total - warmup)"),
        wrong("1 past the end", "Past the end the factor is back at 1. It stays at 0.",
              "progress = → if t > total: return 1.0\n    progress ="),
    ),
)  # fmt: skip
