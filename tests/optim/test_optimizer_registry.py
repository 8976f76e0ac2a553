"""The table of optimizers: complete, and true."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import pytest

from tinygrad_opt import optim, tensor
from tinygrad_opt.optim import (
    OPTIMIZERS,
    SCHEDULES,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    get_optimizer,
)

pytestmark = pytest.mark.host


def test_every_public_class_is_in_the_table() -> None:
    public = {
        one
        for name in optim.__all__
        if inspect.isclass(one := getattr(optim, name)) and issubclass(one, Optimizer)
    }
    assert public - {Optimizer} == {entry.kind for entry in OPTIMIZERS.values()}


def test_every_public_name_exists_and_every_schedule_is_public() -> None:
    assert all(hasattr(optim, name) for name in optim.__all__)
    assert SCHEDULES.keys() <= set(optim.__all__)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_entry_says_what_a_reader_wants_to_know(name: str) -> None:
    entry = OPTIMIZERS[name]
    assert "p ← " in entry.equation and "\n\n" not in entry.equation
    assert 1900 < entry.year < 2100 and entry.paper
    assert entry.fixes and not entry.fixes.endswith(".")
    assert entry.matches and not entry.matches.endswith(".")
    assert entry.defaults_text.startswith("lr=")
    assert entry.state.keys() <= entry.kind.state.keys()
    made = entry([tensor([[1.0]], requires_grad=True)])
    assert type(made) is entry.kind
    options = {k: value for k, value in entry.defaults.items() if value not in (None, False)}
    assert options.items() <= made.param_groups[0].items()


def test_forms_of_one_class_show_their_own_line() -> None:
    assert OPTIMIZERS["sgd"].equation == "p ← p − η g"
    assert OPTIMIZERS["nesterov"].equation == "b ← μ b + (1 − τ) g,    p ← p − η (g + μ b)"
    assert OPTIMIZERS["sgd"].state == {}
    assert OPTIMIZERS["momentum"].state == {"b": "momentum_buffer"}
    assert OPTIMIZERS["adam"].state == {"m": "exp_avg", "v": "exp_avg_sq"}
    assert OPTIMIZERS["momentum"].defaults["momentum"] == 0.9


def test_preset_options_may_be_overridden() -> None:
    made = get_optimizer("momentum")([tensor([1.0], requires_grad=True)], momentum=0.5)
    assert made.param_groups[0]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Adam", "adam"),
        ("AdamW", "adamw"),
        ("GD", "sgd"),
        ("gradient descent", "sgd"),
        ("SGD + momentum", "momentum"),
        ("sgd-momentum", "momentum"),
        ("NAG", "nesterov"),
        ("RMS_Prop", "rmsprop"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert get_optimizer(spelling) is OPTIMIZERS[name]


def test_an_unknown_name_is_told_the_nearest() -> None:
    text = "there is no optimizer 'adm'. Did you mean 'adam'? There are sgd, momentum, nesterov,"
    with pytest.raises(ValueError, match=re.escape(text)):
        get_optimizer("adm")
    with pytest.raises(ValueError, match=r"there is no optimizer 'xyz'\. There are sgd,"):
        get_optimizer("xyz")


@pytest.mark.parametrize("kind", list({entry.kind: 0 for entry in OPTIMIZERS.values()}))
def test_rules_are_short(kind: type[Optimizer]) -> None:
    body = inspect.getsource(kind.rule).partition("):\n")[2]
    basic = {SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta}
    assert len([line for line in body.splitlines() if line.strip()]) <= (
        12 if kind in basic else 25
    )


def lines_of(rule: Any) -> int:
    """The lines of a rule's body, without its docstring."""
    text = textwrap.dedent(inspect.getsource(rule))
    body = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)).body
    body = body[1:] if ast.get_docstring(ast.parse(text).body[0]) else body  # type: ignore[arg-type]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rule_is_as_short_as_its_paper(name: str) -> None:
    classics = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")
    assert lines_of(OPTIMIZERS[name].kind.rule) <= (12 if name in classics else 25)
