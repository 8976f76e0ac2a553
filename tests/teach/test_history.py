"""The record of a run: how it judges, and that files hold all of it."""

from __future__ import annotations

import json
import math

import pytest

from tinygrad_opt.teach import History

pytestmark = pytest.mark.host


def record(*losses: float) -> History:
    return History(step=list(range(len(losses))), loss=list(losses), lr=[0.1] * len(losses))


@pytest.mark.parametrize(
    ("losses", "status", "stopped_at"),
    [
        ([2.3, 1.0, 0.5], "ok", None),
        ([2.3, 2.29, 2.3], "stuck", None),
        ([2.3, 3.0, 4.0], "diverged", None),
        ([2.3, 1e9, 1.0], "diverged", 1),
        ([2.3, 1.0, math.nan], "nan", 2),
        ([2.3, math.inf, 1.0], "nan", 1),
        ([], "ok", None),
    ],
)
def test_a_run_is_judged_by_its_losses(
    losses: list[float], status: str, stopped_at: int | None
) -> None:
    history = record(*losses)
    assert history.judge() == history.status == status
    assert history.stopped_at == stopped_at


def test_only_the_last_twentieth_counts_as_the_end() -> None:
    assert record(*[1.0] * 95, *[0.5] * 5).judge() == "ok"
    assert record(*[0.5] * 95, *[1.0] * 5).judge() == "diverged"


def test_metrics_are_noted_by_epoch_and_none_is_left_out() -> None:
    history = record(1.0)
    history.note(1, train_loss=0.5, test_accuracy=None)
    history.note(2, train_loss=0.25)
    assert history.metrics == {"train_loss": [(1, 0.5), (2, 0.25)]}
    assert history.last("train_loss") == 0.25
    assert history.last("test_accuracy") is None


def test_json_is_strict_and_holds_everything() -> None:
    history = record(2.3, math.inf, -math.inf)
    history.note(1, train_loss=math.inf)
    history.judge()
    history.meta = {"optimizer": "adam", "seed": 3}
    text = history.to_json()
    assert json.loads(text, parse_constant=pytest.fail)["loss"] == [2.3, "inf", "-inf"]
    assert History.from_json(text) == history


def test_other_json_is_refused() -> None:
    for text in ("{}", "[1]", '{"schema": "other/1"}'):
        with pytest.raises(ValueError, match="is no record of a run"):
            History.from_json(text)
