"""Pictures of a training: curves with the gap, and what the network has learned."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.teach.pictures import pixels
from tinygrad_opt import nn
from tinygrad_opt.data import DataLoader, load, prepare
from tinygrad_opt.teach import History, evaluate, fit
from tinygrad_opt.teach.penalties import PENALTIES, Penalties, Trained, compare_penalties
from tinygrad_opt.teach.plot.boundary import boundaries, can_be_drawn
from tinygrad_opt.teach.plot.curves import training_figure
from tinygrad_opt.teach.plot.penalties import penalties_figure


def trained(name: str, epochs: int = 3, dropout: float = 0.0) -> tuple:
    train, test = prepare(load(name))
    layers = [nn.Linear(train.n_features, 8), nn.ReLU(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(8, train.n_outputs))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    batches = DataLoader(train, batch_size=32, seed=0)
    whole = DataLoader(test, batch_size=None)
    history = fit(model, batches, optimizer, epochs=epochs, test=whole)
    return history, model, train, test


# ---- pictures ---------------------------------------------------------------------------------


@pytest.mark.viz
@pytest.mark.parametrize(
    ("name", "panels"),
    [("moons", ["loss", "accuracy", "the trained network"]), ("iris", ["loss", "accuracy"]),
     ("sine", ["loss", "the trained network"]), ("diabetes", ["loss"])],
)  # fmt: skip
def test_a_training_is_drawn_with_named_axes(name: str, panels: list[str]) -> None:
    picture = training_figure(*trained(name))
    assert [axes.get_title() for axes in picture.axes] == panels
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in picture.axes)
    assert picture.get_suptitle() == f"{name}, Adam, lr 0.05"
    assert pixels(picture).std() > 5


@pytest.mark.viz
def test_train_and_test_differ_in_more_than_colour() -> None:
    picture = training_figure(*trained("moons"))
    lines = picture.axes[0].get_lines()
    assert len({line.get_linestyle() for line in lines}) == len(lines) == 2
    assert len({line.get_marker() for line in lines}) == 2


@pytest.mark.viz
def test_models_side_by_side_share_one_scale_and_stay_in_their_modes() -> None:
    _, model, train, test = trained("spiral", dropout=0.5)
    _, other, *_ = trained("spiral")
    model.train()
    picture = boundaries({"a": model, "b": other}, train, test, "two")
    a, b = picture.axes
    assert (a.get_xlim(), a.get_ylim()) == (b.get_xlim(), b.get_ylim())
    points = np.concatenate([train.x, test.x])
    assert a.get_xlim()[0] < points[:, 0].min() and a.get_ylim()[1] > points[:, 1].max()
    assert all(module.training for module in model.modules())
    assert pixels(picture).std() > 5


@pytest.mark.viz
def test_a_model_that_sees_one_class_or_nan_is_drawn_without_a_boundary() -> None:
    history, model, train, test = trained("moons")
    for value in (0.0, np.nan):
        for parameter in model.parameters():
            parameter.data = parameter.data * 0 + value
        assert pixels(boundaries({"flat": model}, train, test)).std() > 5
    history.metrics["train_loss"][-1] = (history.metrics["train_loss"][-1][0], float("nan"))
    assert pixels(training_figure(history)).std() > 5


@pytest.mark.viz
def test_what_fits_no_picture_is_refused() -> None:
    _, model, train, _ = trained("iris")
    with pytest.raises(ValueError, match="draw_model: iris has 4 features; a picture takes two"):
        boundaries({"a": model}, train)
    with pytest.raises(ValueError, match="boundaries: give at least one model"):
        boundaries({}, train)
    with pytest.raises(ValueError, match="training_figure: this record holds no pass"):
        training_figure(History())


@pytest.mark.on("cpu")
def test_what_fits_a_picture() -> None:
    drawn = [n for n in ("moons", "sine", "iris", "digits") if can_be_drawn(prepare(load(n))[0])]
    assert drawn == ["moons", "sine"]


@pytest.mark.viz
@pytest.mark.parametrize(("name", "panels"), [("moons", 6), ("iris", 3)])
def test_penalties_are_drawn_in_columns_on_the_same_scales(name: str, panels: int) -> None:
    def run(seed: int, **settings: float) -> Trained:
        history, model, train, test = trained(name, dropout=settings.get("dropout", 0.0))
        whole = (DataLoader(part, batch_size=None) for part in (train, test))
        return Trained(model, history, *(evaluate(model, part) for part in whole))

    found = compare_penalties(run, {"none": {}, "a": {"l1": 0.1}, "b": {"dropout": 0.5}}, [0])
    train, test = prepare(load(name))
    picture = penalties_figure(found, train, test, "three")
    assert len(picture.axes) == panels
    bottom = picture.axes[-3:]
    assert len({axes.get_ylim() for axes in bottom}) == 1
    assert [axes.get_title().split(":")[0] for axes in bottom] == ["none", "a", "b"]


# ---- penalties in numbers and words -----------------------------------------------------------


def outcome(train: float, test: float) -> Trained:
    return Trained(nn.Linear(1, 1), History(), {"loss": train}, {"loss": test})


@pytest.mark.on("cpu")
def test_every_penalty_is_run_with_every_seed() -> None:
    seen = []

    def run(seed: int, **settings: float) -> Trained:
        seen.append((seed, settings))
        return outcome(1, 2)

    found = compare_penalties(run, seeds=[3, 4])
    assert seen == [(seed, dict(p)) for p in PENALTIES.values() for seed in (3, 4)]
    assert [row["penalty"] for row in found.rows()] == list(PENALTIES)
    for seeds, penalties in (([], PENALTIES), ([1], {})):
        with pytest.raises(ValueError, match="give at least one seed and one penalty"):
            compare_penalties(run, penalties, seeds)


@pytest.mark.on("cpu")
def test_the_words_say_which_helps_and_whether_the_seeds_agree() -> None:
    none = [outcome(0.2, 1.0), outcome(0.2, 1.2)]
    clear = Penalties({"none": none, "L2": [outcome(0.5, 0.7), outcome(0.5, 0.9)]})
    assert clear.words() == (
        "On unseen examples L2 is best: test loss 0.8 against 1.1 with none. Its gap is 0.3 "
        "against 0.9, for a training loss of 0.5 against 0.2. So it is with each of 2 seeds."
    )
    unclear = Penalties({"none": none, "L1": [outcome(0.5, 0.7), outcome(0.5, 1.1)]})
    assert unclear.words().endswith("The seeds do not agree: their ranges overlap.")
    useless = Penalties({"none": none, "L1": [outcome(0.5, 1.3), outcome(0.5, 1.3)]})
    assert useless.words().startswith("No penalty helps on unseen examples: test loss 1.1 with")
