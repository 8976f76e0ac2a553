"""Pictures of learning rates: not blank, with names, and with what the results say."""

from __future__ import annotations

import pytest

import tinygrad_opt as tg
from tests.teach.pictures import pixels
from tinygrad_opt import nn, optim
from tinygrad_opt.teach import RangeTest, Sweep, lr_range_test, lr_sweep, trace
from tinygrad_opt.teach.plot.lr import lr_figure

pytestmark = [pytest.mark.viz, pytest.mark.on("cpu")]


def results() -> tuple[Sweep, RangeTest]:
    rates = [1e-4, 0.1, 0.4, 1.0]
    sweep = lr_sweep(lambda lr, seed: trace("ravine", None, "sgd", 30, lr=lr), rates, seeds=2)
    model = nn.Linear(3, 2)
    batches = [(tg.randn(8, 3), tg.randint(0, 2, (8,)))]
    return sweep, lr_range_test(model, batches, optim.SGD(model.parameters(), lr=0.1))


def test_the_sweep_shades_the_good_range_and_the_test_marks_its_suggestion() -> None:
    sweep, found = results()
    drawn = lr_figure(sweep, found, "ravine")
    left, right = drawn.axes
    assert drawn.get_suptitle() == "ravine"
    for axes in (left, right):
        assert axes.get_xscale() == "log" and axes.get_xlabel() == "learning rate"
        assert "loss" in axes.get_ylabel()
    assert left.get_xlim() == right.get_xlim(), "the same rates stand at the same place"
    words = [text.get_text() for text in left.get_legend().get_texts()]
    assert words == ["too low", "good", "too high", "good range", "before training"]
    words = [text.get_text() for text in right.get_legend().get_texts()]
    assert words[-1] == f"a starting point: {found.suggestion:.4g}"
    assert pixels(drawn).std() > 10


def test_one_result_alone_has_the_picture_to_itself() -> None:
    sweep, _ = results()
    drawn = lr_figure(sweep)
    (axes,) = drawn.axes
    lost = axes.texts
    assert [text.get_text() for text in lost] == ["diverged"]
