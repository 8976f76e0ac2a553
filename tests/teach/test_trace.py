"""Walks down surfaces: golden values, what the record holds, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import optim
from tinygrad_opt.optim import OPTIMIZERS
from tinygrad_opt.teach import SURFACES, History, get_surface, trace

WALKERS = [name for name in OPTIMIZERS if name not in ("sparseadam", "sophiag")]

# w after five updates on w² from 3, with PyTorch's defaults except for lr.
GOLDEN: dict[str, tuple[Any, list[float]]] = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), [2.4, 1.92, 1.536, 1.2288, 0.98304]),
    "momentum": (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        [2.4, 1.38, 0.186, -0.9258, -1.74126],
    ),
    "nesterov": (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        [1.86, 0.6672, -0.325056, -0.974469, -1.247153],
    ),
    "adagrad": (
        lambda p: optim.Adagrad(p, lr=0.1),
        [2.9, 2.830498, 2.774359, 2.726151, 2.68334],
    ),
    "rmsprop": (lambda p: optim.RMSprop(p, lr=0.1), [2.0, 1.44337, 1.068995, 0.800555, 0.602513]),
    "adadelta": (
        lambda p: optim.Adadelta(p, lr=1.0),
        [2.996838, 2.993595, 2.990298, 2.98696, 2.983588],
    ),
    "adam": (lambda p: optim.Adam(p, lr=0.1), [2.9, 2.800103, 2.700382, 2.600914, 2.501779]),
    "sgd with decay": (
        lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
        [2.37, 1.8723, 1.479117, 1.168502, 0.923117],
    ),
    "adam with decay": (
        lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
        [2.9, 2.800103, 2.700382, 2.600914, 2.501779],
    ),
    "adamw": (
        lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
        [2.87, 2.74144, 2.614406, 2.488987, 2.365279],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_five_updates_on_the_bowl_are_the_known_ones(name: str) -> None:
    make, expected = GOLDEN[name]
    history = trace("bowl", 3.0, make, steps=5)
    assert history.w is not None and history.final_w is not None
    found = [*history.w[1:, 0], *history.final_w]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5.1e-7)


@pytest.mark.parametrize("name", WALKERS)
def test_every_point_follows_from_the_one_before(name: str) -> None:
    history = trace("rosenbrock", None, name, steps=12)
    w, update, after = history.w, history.update, history.final_w
    assert w is not None and update is not None and after is not None
    ends = np.vstack([w[1:], after]) if "schedulefree" not in name else w[1:]
    np.testing.assert_allclose((w + update)[: len(ends)], ends, rtol=1e-15, atol=1e-15)
    assert (np.diff(history.evaluations) >= 1).all()


@pytest.mark.parametrize("name", WALKERS)
def test_a_record_survives_its_file(name: str) -> None:
    history = trace("ravine", None, name, steps=5)
    assert History.from_json(history.to_json()) == history
    assert trace("ravine", None, name, steps=5) == history


@pytest.mark.parametrize("surface", SURFACES.values(), ids=list(SURFACES))
def test_surfaces_are_lowest_where_they_say(surface: Any) -> None:
    for place in surface.minima:
        around = np.random.default_rng(0).normal(scale=1e-3, size=(len(place), 200))
        here = float(surface.on_grid(*np.array(place)[:, None])[0])
        assert here <= surface.on_grid(*(np.array(place)[:, None] + around)).min() + 1e-10
    if surface.minimum is not None:
        lowest = min(float(surface.on_grid(*np.array(w)[:, None])[0]) for w in surface.minima)
        assert lowest == pytest.approx(surface.minimum, abs=1e-9)


def test_a_walk_beyond_hope_stops_there() -> None:
    history = trace("rosenbrock", None, "sgd", 200, lr=0.1)
    assert (history.status, history.stopped_at, len(history)) == ("diverged", 2, 2)
    assert history.final_loss is not None and history.final_loss > 1e6
    assert trace("bowl", 3.0, "sgd", 20, lr=1e-4).status == "stuck"


def test_a_schedule_multiplies_the_rate_of_each_update() -> None:
    history = trace("bowl", 3.0, "sgd", 4, lr=0.1, schedule=optim.linear(4))
    np.testing.assert_allclose(history.lr, [0.1 * optim.linear(4)(t) for t in range(4)])


def test_the_budget_counts_gradients() -> None:
    assert len(trace("rosenbrock", None, "adam", 500, evaluations=30)) == 30
    history = trace("rosenbrock", None, "newton", 500, evaluations=30)
    assert history.evaluations[-1] <= 30 and len(history) < 30


def test_state_stands_under_the_letters_of_the_paper() -> None:
    history = trace("ravine", None, "adam", 3, lr=0.1)
    assert history.grad is not None
    np.testing.assert_allclose(history.state["m"][0], 0.1 * history.grad[0])
    np.testing.assert_allclose(history.state["v"][0], 0.001 * history.grad[0] ** 2)
    assert history.hyper["beta1"].tolist() == [0.9] * 3


def test_what_cannot_walk_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"there is no surface 'rosenbrok'\. Did you mean 'rosenb"):
        get_surface("rosenbrok")
    with pytest.raises(ValueError, match="SophiaG needs logits"):
        trace("bowl", None, "sophiag")
    with pytest.raises(ValueError, match=r"gave shape \(2,\) instead of one number"):
        trace(lambda w: w * 2, [1.0, 2.0], "sgd")
    with pytest.raises(ValueError, match="only surfaces know where to start"):
        trace(lambda w: w.sum(), None, "sgd")
    with pytest.raises(TypeError, match="lr go with an optimizer by its name"):
        trace("bowl", None, lambda p: optim.SGD(p), lr=0.1)
    for counts in ({"steps": 0}, {"steps": 2.5}, {"steps": "3"}, {"every": 0}, {"evaluations": 0}):
        with pytest.raises(ValueError, match="take whole numbers, 1 or more"):
            trace("bowl", None, "sgd", **counts)


def test_of_a_long_walk_each_kth_update_can_be_kept() -> None:
    whole, kept = (trace("ravine", None, "adam", 25, every=k, lr=0.1) for k in (1, 10))
    assert kept.step.tolist() == [0, 10, 20]
    assert kept.w is not None and whole.w is not None
    assert kept.w.tolist() == whole.w[::10].tolist()
    assert kept.final_w is not None and whole.final_w is not None
    assert kept.final_w.tolist() == whole.final_w.tolist()
    lost = trace("rosenbrock", None, "sgd", 50, every=10, lr=0.1)
    assert (lost.status, lost.stopped_at) == ("diverged", 2)


def test_random_numbers_go_on_as_if_there_had_been_no_walk() -> None:
    drawn = []
    for walks in (False, True):
        tg.manual_seed(7)
        if walks:
            trace("bowl", None, "sgld", 5, seed=1)
        drawn.append((tg.rand(4).tolist(), tg.nn.functional.dropout(tg.ones(40)).tolist()))
    assert drawn[0] == drawn[1]
