"""Landscapes: known numbers, planes that are what they say, and models that stay as they were."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader, Dataset, prepare
from tinygrad_opt.nn import functional as F
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.teach import (
    History,
    evaluate,
    fit,
    get_surface,
    landscape,
    trace,
)
from tinygrad_opt.teach.landscape.plane import at_random, from_start_to_end, through_path


def small(seed: int = 0) -> tuple[nn.Module, Dataset, History]:
    """A small network that has learned a little."""
    train, _ = prepare("moons")
    tg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))
    batches = DataLoader(train, batch_size=40, seed=seed)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    return model, train, fit(model, batches, optimizer, epochs=4, snapshots=True)


# ---- known numbers ----------------------------------------------------------------------------


@functools.cache
def trained_on_digits(rule: str, lr: float) -> tuple[nn.Module, Dataset, History]:
    train, _ = prepare("digits")
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    batches = DataLoader(train, batch_size=32, seed=0)
    optimizer = OPTIMIZERS[rule](model.parameters(), lr=lr)
    return model, train, fit(model, batches, optimizer, epochs=30, snapshots=True)


@pytest.mark.on("cpu")
def test_on_the_way_from_start_to_end_of_digits_there_is_no_hill() -> None:
    model, train, history = trained_on_digits("sgd", 0.1)
    found = landscape(model, train, history=history, directions="line", grid=25)
    np.testing.assert_allclose(found.axes[0][4:21:4], [0, 0.25, 0.5, 0.75, 1], atol=1e-12)
    known = [2.31, 1.55, 0.76, 0.34, 0.18]  # of a run from other weights
    np.testing.assert_allclose(found.loss[4:21:4], known, atol=0.17)
    assert found.hill == 0.0
    assert found.sentence.endswith("there is no hill.")


@pytest.mark.on("cpu")
@pytest.mark.parametrize(("rule", "lr"), [("sgd", 0.1), ("adam", 3e-3)])
def test_two_principal_directions_hold_nearly_all_of_the_path(rule: str, lr: float) -> None:
    model, train, history = trained_on_digits(rule, lr)
    found = landscape(model, train, history=history, grid=2)
    assert found.share is not None and 0.95 < found.share < 1
    assert f"holds {100 * found.share:.4g} % of the path" in found.sentence


@pytest.mark.on("cpu")
def test_random_directions_lead_up_everywhere() -> None:
    model, train, _ = trained_on_digits("sgd", 0.1)
    for seed in range(20):
        found = landscape(model, train, directions="random", grid=3, seed=seed)
        assert found.loss[1, 1] < 0.1 < 0.8 < found.loss[1, 2]


# ---- planes -----------------------------------------------------------------------------------


@pytest.mark.host
def test_the_plane_through_a_path_holds_most_of_it_and_ends_at_its_end() -> None:
    generator = np.random.default_rng(0)
    path = generator.normal(size=(12, 30)).cumsum(axis=0)
    plane = through_path(path)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(plane.point(0, 0), path[-1])
    places = plane.coordinates(path)
    assert abs(places[-1]).max() < 1e-12 and places[np.argmax(abs(places[:, 0])), 0] < 0
    away = path - path[-1]
    sizes = np.linalg.svd(away, compute_uv=False) ** 2
    assert plane.share(path) == pytest.approx(sizes[:2].sum() / sizes.sum())
    others = at_random(path[-1], [(5, 6)], seed=0)
    assert others.share(path) < plane.share(path)


@pytest.mark.host
def test_a_straight_path_lies_on_the_first_direction() -> None:
    path = np.outer([0.0, 1.0, 4.0], np.ones(7))
    plane = through_path(path)
    np.testing.assert_allclose(plane.coordinates(path)[:, 1], 0, atol=1e-12)
    assert plane.names[0] == "direction 1 (100 % of the path)"
    assert plane.share(path) == pytest.approx(1.0)


@pytest.mark.host
def test_a_random_direction_is_as_long_as_the_weights_filter_by_filter() -> None:
    shapes, centre = [(3, 4), (3,), (2, 3, 2)], np.random.default_rng(1).normal(size=27)
    centre[4:8] = 0  # a unit without weights stays where it is
    plane = at_random(centre, shapes, seed=5)
    for axis in plane.axes:
        for begin, shape in ((0, (3, 4)), (15, (2, 6))):
            part = slice(begin, begin + int(np.prod(shape)))
            np.testing.assert_allclose(
                np.linalg.norm(axis[part].reshape(shape), axis=1),
                np.linalg.norm(centre[part].reshape(shape), axis=1),
            )
        assert not axis[12:15].any(), "biases stay"
    assert (plane.axes[0] != plane.axes[1]).any()
    assert (at_random(centre, shapes, seed=5).axes == plane.axes).all()
    assert (at_random(centre, shapes, seed=6).axes != plane.axes).any()


def test_a_network_with_other_scales_between_its_layers_has_the_same_picture() -> None:
    model, train, _ = small()
    first = landscape(model, train, directions="random", grid=4, seed=3)
    (w1, b1, w2, _), factor = model.parameters(), 8.0
    w1.data, b1.data, w2.data = w1.data * factor, b1.data * factor, w2.data / factor
    second = landscape(model, train, directions="random", grid=4, seed=3)
    np.testing.assert_allclose(second.loss, first.loss, rtol=1e-4)


@pytest.mark.host
def test_the_line_leads_from_the_start_to_the_end() -> None:
    path = np.array([[1.0, 2.0], [9.0, 9.0], [3.0, 6.0]])
    line = from_start_to_end(path)
    np.testing.assert_allclose(line.point(0.5), [2.0, 4.0])
    np.testing.assert_allclose(line.coordinates(path)[[0, -1], 0], [0, 1], atol=1e-12)


# ---- networks ---------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_whole_data_where_the_model_stands() -> None:
    model, train, history = small()
    whole = DataLoader(train, batch_size=None)
    expected = evaluate(model, whole)["loss"]
    found = landscape(model, train, directions="random", grid=3)
    assert found.loss[1, 1] == pytest.approx(expected, rel=1e-6)
    batches = DataLoader(train, batch_size=30)
    found = landscape(model, batches, history=history, grid=3)
    assert found.path_loss is not None and found.path is not None
    assert found.path_loss[-1] == pytest.approx(expected, rel=1e-6)
    assert len(found.path) == len(found.path_loss) == 5


def test_loss_j_i_stands_at_x_i_and_y_j() -> None:
    model, train, history = small()
    found = landscape(model, train, history=history, grid=4)
    w, begin = found.plane.point(found.axes[0][2], found.axes[1][1]), 0
    for p in model.parameters():
        p.data = p.device.from_host(w[begin : begin + p.size].reshape(p.shape).astype(p.dtype))
        begin += p.size
    expected = evaluate(model, DataLoader(train, batch_size=None))["loss"]
    assert found.loss[1, 2] == pytest.approx(expected, rel=1e-6)


def test_the_path_fits_into_the_picture() -> None:
    model, train, history = small()
    found = landscape(model, train, history=history, grid=4)
    assert found.path is not None
    for axis, places in zip(found.axes, found.path.T, strict=True):
        assert axis[0] < places.min() and places.max() < axis[-1]


@pytest.mark.parametrize("interrupted", [False, True])
def test_model_data_and_random_numbers_are_left_alone_to_the_bit(interrupted: bool) -> None:
    train, _ = prepare("moons")
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 2)
    )
    model[1].eval()
    batches = DataLoader(train, batch_size=40)
    x, y = next(iter(batches))
    F.cross_entropy(model(x), y).backward()
    calls = 0

    def loss(prediction: Any, y: Any) -> Any:
        nonlocal calls
        calls += 1
        if interrupted and calls == 10:
            raise KeyboardInterrupt
        return F.cross_entropy(prediction, y)

    def everything() -> list[Any]:
        tensors = [*model.parameters(), *model.buffers()]
        grads = [p.grad.cpu().numpy().tobytes() for p in model.parameters()]
        return [
            [t.detach().cpu().numpy().tobytes() for t in tensors],
            grads,
            [module.training for module in model.modules()],
            batches.state_dict(),
        ]

    def drawn() -> list[Any]:
        return [tg.rand(4).tolist(), F.dropout(tg.ones(40), 0.5).tolist()]

    tg.manual_seed(1)
    before, expected = everything(), drawn()
    tg.manual_seed(1)
    try:
        landscape(model, batches, directions="random", grid=4, loss=loss)
    except KeyboardInterrupt:
        assert interrupted
    assert calls >= 10
    assert everything() == before and drawn() == expected


# ---- functions --------------------------------------------------------------------------------


@pytest.mark.on("cpu")
def test_a_surface_is_seen_along_its_own_axes_with_the_path_on_it() -> None:
    history = trace("rosenbrock", None, "adam", 50, lr=0.1)
    found = landscape("rosenbrock", history=history, grid=7)
    surface = get_surface("rosenbrock")
    np.testing.assert_allclose(found.loss, surface.on_grid(*np.meshgrid(*found.axes)))
    assert [(axis[0], axis[-1]) for axis in found.axes] == list(surface.box)
    assert history.w is not None and found.path is not None and found.path_loss is not None
    np.testing.assert_allclose(found.path[:-1], history.w)
    np.testing.assert_allclose(found.path_loss[:-1], history.loss)
    assert found.plane.names == ("x", "y") and found.spans_decades


@pytest.mark.on("cpu")
def test_between_the_wells_there_is_a_hill() -> None:
    history = trace("double_well", 2.0, lambda p: optim.SGD(p, lr=0.01, momentum=0.9), 200)
    found = landscape("double_well", history=history, directions="line", grid=101)
    assert found.hill == pytest.approx(0.7138, abs=2e-3)  # from 0.960150 up to the hump at 0.0754
    assert "there is a hill: the loss rises by 0.71" in found.sentence
    assert landscape("double_well", grid=9).is_line


@pytest.mark.on("cpu")
def test_any_function_of_more_numbers_has_a_plane_through_its_path() -> None:
    def f(w: Any) -> Any:
        return (w * w).sum()

    history = trace(f, [3.0, 1.0, -2.0], lambda p: optim.SGD(p, lr=0.1, momentum=0.9), 30)
    found = landscape(f, history=history, directions="pca", grid=5)
    x, y = np.meshgrid(*found.axes)
    points = np.array([found.plane.point(a, b) for a, b in zip(x.ravel(), y.ravel(), strict=True)])
    np.testing.assert_allclose(found.loss.ravel(), (points**2).sum(axis=1))
    with pytest.raises(ValueError, match="axes are for functions of one number or two"):
        landscape(f, history=history)


@pytest.mark.on("cpu")
def test_a_walk_that_was_lost_is_drawn_as_far_as_it_can_be() -> None:
    history = trace("rosenbrock", None, "sgd", 50, lr=1.0)
    assert history.status in ("nan", "diverged")
    found = landscape("rosenbrock", history=history, grid=5)
    assert found.path is not None and np.isfinite(found.path).all()


# ---- words and files --------------------------------------------------------------------------


@pytest.mark.on("cpu")
def test_it_can_be_written() -> None:
    found = landscape("ravine", history=trace("ravine", None, "sgd", 5, lr=0.1), grid=3)
    report = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert report["loss"] == found.loss.tolist() and report["directions"] == "axes"
    assert report["names"] == ["x", "y"] and len(report["path"]) == 6
    lines = found.to_csv().splitlines()
    assert lines[0] == "x,y,loss" and len(lines) == 10
    assert lines[2].startswith("0.0,-1.5,4.5")


@pytest.mark.on("cpu")
def test_the_map_of_characters_is_dark_where_the_loss_is_high() -> None:
    found = landscape("plateau", grid=9)
    lines = found.to_text().splitlines()
    assert len(lines) == 9 and lines[0].startswith("@@") and lines == lines[::-1]
    assert lines[4][8:10] == "  "
    history = trace("ravine", None, "sgd", 100, lr=0.1)
    text = landscape("ravine", history=history, grid=25).to_text(most=9)
    assert len(text.splitlines()) == 9
    assert text.splitlines()[1].startswith("s ") and text.count("e ") == 1
    assert text.count("·") > 2, "the path between"


@pytest.mark.on("cpu")
def test_printed_it_is_its_map_and_its_sentence() -> None:
    found = landscape("plateau", grid=9)
    assert str(found) == f"{found.to_text()}\n{found.sentence}"
    assert repr(found) == f"Landscape(axes, 9 × 9 points: {found.sentence})"


@pytest.mark.on("cpu")
def test_what_makes_no_landscape_is_refused() -> None:
    model, train, history = small()
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("Did you mean 'random'?", (model, train), {"directions": "rndom"}),
        ("makes 250,000 points", (model, train), {"grid": 500}),
        ("makes 1 points", (model, train), {"grid": 1}),
        ("a radius over 0", (model, train), {"radius": 0.0}),
        ("pca needs the path", (model, train), {"directions": "pca"}),
        ("line needs the path", (model, train), {"directions": "line"}),
        ("Give data=", (model,), {}),
        ("there are 27 here", (model, train), {"directions": "axes"}),
        ("a function has axes of its own", ("bowl",), {"directions": "random"}),
        ("there is no surface 'bowel'. Did you mean 'bowl'?", ("bowel",), {}),
        ("known from its path", (lambda w: w.sum(),), {}),
        ("a whole number, as in grid=25", (model, train), {"grid": 5.5}),
        ("cannot be read again", (model, "digits"), {}),
        ("cannot be read again", (model, iter([])), {}),
    ]
    for words, parts, options in cases:
        with pytest.raises(ValueError) as error:
            landscape(*parts, **options)
        assert words in str(error.value)
    with pytest.raises(ValueError, match="hold 27 numbers and the model has 6"):
        landscape(nn.Linear(2, 2), train, history=history)
    lost = nn.Linear(2, 2)
    lost.weight.data = lost.weight.data * np.nan
    with pytest.raises(ValueError, match="weights of the model are not finite"):
        landscape(lost, train)
    history.snapshots = [history.snapshots[0]] * 2
    with pytest.raises(ValueError, match="two numbers or more that have moved"):
        landscape(model, train, history=history)
    with pytest.raises(ValueError, match="the path ends where it began"):
        landscape(model, train, history=history, directions="line")
