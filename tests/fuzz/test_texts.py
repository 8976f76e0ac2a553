"""Formulas, schedules and records of strangers: a value or a sentence, and nothing is executed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.strangers import Refused, bounded, damaged, outcome
from tinygrad_opt.optim import parse
from tinygrad_opt.optim.schedules import Schedule
from tinygrad_opt.teach import History, trace
from tinygrad_opt.teach.expression import expression

pytestmark = pytest.mark.host

PIECES = ["x", "y", "w[0]", "w1", "2", "1e3", "**", "*", "/", "+", "-", "(", ")", ",", "sin", "exp"]
PIECES += ["cosine", "warmup", "(10)", ">>", ".repeat", "[1, 2]", "=", "lambda", "__class__", "."]
PIECES += [" ", "\n", "\0", "²", "λ", "'", "#", "if", "for", "9" * 30, "(" * 300, "10**10**10"]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
RECORD = trace("bowl", 3.0, "adam", 3, lr=0.1).to_json().encode()

examples = pytest.mark.parametrize(
    "examples", [150, pytest.param(3000, marks=pytest.mark.slow)], ids=["some", "many"]
)


@examples
def test_any_formula(examples: int) -> None:
    @bounded(examples)
    @given(TEXTS)
    def check(text: str) -> None:
        found = outcome(expression, text)
        assert isinstance(found, Refused) or found.size > 0

    check()


@examples
def test_any_schedule(examples: int) -> None:
    @bounded(examples)
    @given(TEXTS)
    def check(text: str) -> None:
        found = outcome(parse, text)
        assert isinstance(found, Refused | Schedule)

    check()


@examples
def test_accidents_of_records(examples: int) -> None:
    @bounded(examples)
    @given(damaged(RECORD))
    def check(content: bytes) -> None:
        found = outcome(History.from_json, content.decode("utf-8", "replace"))
        assert isinstance(found, Refused | History)

    check()


WILD = {
    "attributes": "x.__class__.__mro__",
    "a call of what is not there": "__import__('os').system('true')",
    "a comprehension": "sum(x for x in range(10**9))",
    "a lambda": "(lambda: x)()",
    "deep parentheses": "(" * 100_000 + "x" + ")" * 100_000,
    "deep signs": "-" * 100_000 + "x",
    "a tower": "x + 9**9**9**9",
    "a long number": "x + " + "9" * 5000,
    "a string that grows": "'a' * 10**12",
    "a long chain": "+".join(["x"] * 100_000),
}


@pytest.mark.parametrize("name", WILD)
def test_wild_formulas_and_schedules_are_refused(name: str) -> None:
    assert isinstance(outcome(expression, WILD[name], memory=2**26), Refused)
    assert isinstance(outcome(parse, WILD[name].replace("x", "cosine(9)"), memory=2**27), Refused)


def test_very_many_restarts_are_counted_at_once() -> None:
    assert parse("cosine(9).repeat(1000000000)").length == 9e9
    found = outcome(parse, "cosine(9).repeat(1000000, 2)")
    assert isinstance(found, Refused) and "never end. Leave n out." in found


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", "1", "null", '"x"', "", "NaN"])
def test_what_is_no_record(text: str) -> None:
    assert isinstance(outcome(History.from_json, text), Refused)
