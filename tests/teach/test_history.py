"""The record of a run: how it judges, and that files hold all of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tinygrad_opt.teach import History
from tinygrad_opt.teach.history import Recording

pytestmark = pytest.mark.host


def record(*losses: float, **fields: Any) -> History:
    return History(
        step=np.arange(len(losses)), loss=np.array(losses), lr=[0.1] * len(losses), **fields
    )


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


def test_metrics_are_noted_by_update_and_none_is_left_out() -> None:
    recording = Recording(task="digits")
    recording.add(step=0, loss=1.0, lr=0.1)
    recording.note(1, train_loss=0.5, test_accuracy=None)
    recording.add(step=1, loss=0.4, lr=0.1)
    recording.note(2, train_loss=0.25)
    history = recording.history()
    assert history.metrics == {"train_loss": [(1, 0.5), (2, 0.25)]}
    assert history.last("train_loss") == 0.25
    assert history.last("test_accuracy") is None
    assert [row["train_loss"] for row in history.to_rows()] == [0.5, 0.25]


def full() -> History:
    """A record with something in every field, some of it not finite."""
    recording = Recording(optimizer="adam", betas=(0.9, math.inf))
    for step in range(2):
        row = {"step": step, "loss": math.inf, "lr": 0.1, "evaluations": step + 1}
        row |= {"w": [1.0, math.nan], "grad": [0.1, 1 / 3], "update": [-0.1, 0.2]}
        row |= {"hyper.beta1": 0.9, "state.m": [0.5, -math.inf], "norms.0.weight.grad": 2.0}
        recording.add_all(row)
    recording.note(2, train_loss=math.inf)
    recording.snapshots.append((2, np.array([1.0, math.nan])))
    return recording.history(final_w=np.array([1.0, 2.0]), final_loss=math.nan, seconds=1.5)


def test_json_is_strict_and_holds_everything() -> None:
    history = full()
    text = history.to_json()
    assert json.loads(text, parse_constant=pytest.fail)["loss"] == ["inf", "inf"]
    again = History.from_json(text)
    assert again == history and again.status == "nan"
    for name in ("w", "grad", "update", "final_w"):
        np.testing.assert_array_equal(getattr(again, name), getattr(history, name))
    np.testing.assert_array_equal(again.norms["0.weight"]["grad"], [2.0, 2.0])


def test_records_that_differ_in_one_number_are_not_equal() -> None:
    other = full()
    assert other == full()
    other.state["m"][0, 0] += 1e-16 + 1e-9
    assert other != full()


def test_wall_time_is_no_part_of_equality() -> None:
    assert record(1.0, seconds=1.0) == record(1.0, seconds=2.0)


def test_a_table_has_a_column_for_each_number() -> None:
    header, *lines = full().to_csv().splitlines()
    assert header == (
        "step,loss,lr,evaluations,beta1,w[0],w[1],grad[0],grad[1],update[0],update[1],m[0],m[1],"
        "0.weight grad norm,train_loss"
    )
    assert len(lines) == 2 and lines[0].startswith("0,inf,0.1,1,0.9,1.0,nan,0.1,0.333")


def test_other_json_is_refused() -> None:
    for text in ("{}", "[1]", '{"schema": "other/1"}'):
        with pytest.raises(ValueError, match="this is no record of a run"):
            History.from_json(text)


@pytest.mark.parametrize(
    "field, value",
    [
        ("loss", 3),
        ("loss", [1.0]),
        ("step", [[0, 1], [2, 3]]),
        ("lr", "fast"),
        ("evaluations", [1]),
        ("hyper", {"beta1": 0.9}),
        ("w", [[1.0, 2.0]]),
        ("state", {"m": [[0.1]]}),
        ("norms", {"0.weight": {"grad": [1.0]}}),
        ("metrics", {"train_loss": [[1, "low"]]}),
        ("snapshots", [[1]]),
        ("final_loss", [1.0]),
        ("stopped_at", "here"),
        ("status", 3),
        ("seconds", "long"),
        ("meta", [1]),
        ("meta", {"minimum": "low"}),
    ],
)
def test_a_record_that_does_not_fit_together_is_refused(field: str, value: Any) -> None:
    data = json.loads(full().to_json())
    History.from_json(json.dumps(data))
    with pytest.raises(ValueError, match="this is no record of a run"):
        History.from_json(json.dumps(data | {field: value}))


def test_printed_it_is_one_line() -> None:
    history = full()
    assert repr(history) == "History(adam, 2 updates, loss inf → nan, nan)"
    walk = record(2.0, meta={"optimizer": "SGD", "task": "bowl"})
    assert str(walk) == "History(SGD on bowl, 1 update, loss 2 → 2, ok)"
    assert str(History()) == "History(0 updates, ok)"
