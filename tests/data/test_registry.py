"""Data sets by name, and what a data set is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinygrad_opt import data
from tinygrad_opt.data import Dataset

pytestmark = pytest.mark.host

OFFLINE = [name for name in data.DATASETS if "mnist" not in name]


def test_the_table_names_every_set():
    real = {"digits", "iris", "wine", "breast_cancer", "diabetes"}
    toys = {"moons", "circles", "spiral", "xor", "blobs", "sine", "line"}
    assert set(data.DATASETS) == real | toys | {"mnist", "fashion_mnist"}


@pytest.mark.parametrize("name", OFFLINE)
def test_the_table_says_the_size_that_the_set_has(name):
    one, entry = data.load(name), data.DATASETS[name]
    kind = f"{one.n_classes} classes" if one.n_classes else "regression"
    assert entry.size == f"{len(one):,} × {one.n_features}, {kind}"
    assert entry.sentence == one.description
    assert one.name == name


def test_names_may_be_written_with_hyphens_and_capitals():
    assert data.load("Breast-Cancer").name == "breast_cancer"


def test_an_unknown_name_lists_the_valid_ones_and_the_nearest():
    with pytest.raises(
        ValueError, match=r"no data set 'digit'\. Did you mean 'digits'\? There are digits, iris,"
    ):
        data.load("digit")
    with pytest.raises(ValueError, match=r"no data set 'qqq'\. There are digits, "):
        data.load("qqq")


def test_options_go_to_sets_that_have_them():
    assert len(data.load("moons", n=10, noise=0.0, seed=3)) == 10
    with pytest.raises(TypeError, match=r"'iris' has no option 'noise'; it has none"):
        data.load("iris", noise=0.1)
    with pytest.raises(TypeError, match=r"'xor' has no option 'arms'; its options are n, noise, s"):
        data.load("xor", arms=3)


def test_a_part_of_a_data_set_is_a_data_set():
    iris = data.load("iris")
    part = iris.part(np.array([149, 0]))
    assert isinstance(part, Dataset)
    assert part.y.tolist() == [2, 0]
    assert part.class_names == iris.class_names
    assert repr(part) == "Dataset(iris: x (2, 4) float32, 3 classes)"


def test_a_data_set_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.load("iris").x = np.zeros(3)


def _made(x=((1, 1), (2, 2), (3, 3)), y=(0, 1, 1), class_names=("a", "b")):
    return Dataset("mine", np.asarray(x), np.asarray(y), class_names)


def test_a_fingerprint_tells_examples_apart():
    one = _made().fingerprint
    assert _made(np.array([(1, 1), (2, 2), (3, 3)], order="F")).fingerprint == one
    others = [_made(((1, 1), (2, 2), (3, 4))), _made(y=(0, 1, 0)), _made(((1, 1, 2, 2),) * 3)]
    assert one not in {other.fingerprint for other in others}


def test_labels_have_to_be_class_numbers():
    with pytest.raises(TypeError, match=r"mine: labels are float64\. Give class numbers as int"):
        _made(y=[0.0, 1.0, 1.0])
    with pytest.raises(
        ValueError, match=r"mine: label 2 at position 1 is outside 0\.\.1 for 2 classes\. Labels c"
    ):
        _made(y=[0, 2, 1])
    with pytest.raises(
        ValueError, match=r"mine: label -1 at position 2 is negative\. Labels count"
    ):
        _made(y=[0, 1, -1])
    assert _made(y=[0, 1, -100]).n_classes == 2


def test_examples_and_targets_have_to_belong_together():
    with pytest.raises(ValueError, match=r"mine: x of shape \(4, 2\) and y of shape \(3,\) do not"):
        _made(x=np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"mine: x of shape \(0, 2\) holds no examples"):
        _made(x=np.ones((0, 2)), y=np.zeros(0, int))
    with pytest.raises(TypeError, match="mine: x holds <U1, not numbers"):
        _made(x=["a", "b", "c"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gaps_are_named_with_their_place(bad):
    x = np.ones((3, 2))
    x[1, 0] = bad
    with pytest.raises(ValueError, match=rf"mine: x\[1, 0\] is {bad}\. Leave example 1 out"):
        _made(x=x)
    with pytest.raises(ValueError, match=rf"mine: y\[2\] is {bad}\. Leave example 2 out"):
        _made(y=[1.0, 2.0, bad], class_names=())
