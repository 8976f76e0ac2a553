"""Splits are fixed and stratified; scales are learned from the training part alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinygrad_opt import data
from tinygrad_opt.data import Dataset, Standardize, prepare, split

pytestmark = pytest.mark.host


def _rows(x):
    return {row.tobytes() for row in x}


def test_digits_split_into_1437_and_360_with_every_class_in_its_share():
    digits = data.load("digits")
    train, test = split(digits)
    assert (len(train), len(test)) == (1437, 360)
    share = np.bincount(digits.y) * 360 / 1797
    assert abs(np.bincount(test.y) - share).max() < 1
    np.testing.assert_array_equal(np.bincount(train.y) + np.bincount(test.y), np.bincount(digits.y))


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes", "xor"])
@pytest.mark.parametrize("test", [0.05, 0.2, 0.5])
def test_the_parts_are_the_whole(name, test):
    numbered = data.load(name)
    numbered = dataclasses.replace(numbered, x=np.arange(len(numbered))[:, None])
    train, rest = split(numbered, test, seed=3)
    together = np.concatenate([train.x, rest.x])[:, 0]
    assert sorted(together) == list(range(len(numbered)))
    assert len(rest) == np.ceil(len(numbered) * test)
    for part in (train, rest):
        np.testing.assert_array_equal(part.x[:, 0], np.sort(part.x[:, 0]))
        np.testing.assert_array_equal(part.y, numbered.y[part.x[:, 0]])
        assert part.class_names == numbered.class_names


def test_the_seed_decides_the_split():
    iris = data.load("iris")
    assert np.array_equal(split(iris, seed=1)[1].x, split(iris, seed=1)[1].x)
    assert not np.array_equal(split(iris, seed=1)[1].x, split(iris, seed=2)[1].x)


def test_arrays_split_like_a_data_set():
    wine = data.load("wine")
    (x, y), (test_x, test_y) = split((wine.x, wine.y), test=0.25, seed=5)
    train, test = split(wine, 0.25, 5)
    np.testing.assert_array_equal(x, train.x)
    np.testing.assert_array_equal(y, train.y)
    np.testing.assert_array_equal(test_x, test.x)
    np.testing.assert_array_equal(test_y, test.y)


def test_a_regression_is_split_at_random():
    x = np.arange(1000.0)[:, None]
    _, (test_x, test_y) = split((x, x[:, 0]))
    assert len(test_x) == 200
    np.testing.assert_array_equal(test_x[:, 0], test_y)
    assert 420 < test_x.mean() < 580


def test_a_published_test_part_is_used_unless_a_share_is_asked_for():
    x = np.arange(10.0)[:, None]
    one = Dataset("mine", x, np.arange(10) % 2, ("a", "b"), divide_by=1.0, published_test=3)
    train, test = split(one)
    assert train.x[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert test.x[:, 0].tolist() == [7, 8, 9]
    assert len(split(one, test=0.4)[1]) == 4
    assert len(prepare(one)[1]) == 3
    assert train.published_test == 0


@pytest.mark.parametrize("test", [0, 1, -0.2, 1.5, 30, float("nan"), 0.99])
def test_a_split_without_two_parts_is_refused(test):
    with pytest.raises(ValueError, match=r"split: test=.* of 10 examples leaves one part empty"):
        split((np.ones((10, 2)), np.ones(10)), test)


def test_a_split_of_something_else_is_refused():
    with pytest.raises(TypeError, match=r"split: give a Dataset or a pair \(x, y\), not a ndarray"):
        split(np.ones((2, 2)))


def test_standardize_learns_mean_and_deviation_and_finds_the_way_back():
    x = np.random.default_rng(0).normal(5, 3, (200, 4)).astype(np.float32)
    scale = Standardize().fit(x)
    z = scale(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(scale.inverse(z), x, rtol=1e-5)
    np.testing.assert_array_equal(scale.transform(x), z)
    np.testing.assert_allclose(scale(x[:1]), (x[:1] - x.mean(axis=0)) / x.std(axis=0), atol=1e-5)


def test_a_constant_feature_keeps_scale_1_and_becomes_0():
    x = np.stack([np.full(100, 0.1), np.arange(100.0)], axis=1)
    scale = Standardize().fit(x)
    assert scale.scale[0] == 1
    np.testing.assert_allclose(scale(x)[:, 0], 0, atol=1e-7)
    np.testing.assert_allclose(scale.inverse(scale(x)), x, atol=1e-5)


def test_integers_can_be_standardized():
    z = Standardize().fit(np.array([[-2], [0], [2]]))(np.array([[2], [0]]))
    np.testing.assert_allclose(z, [[np.sqrt(1.5)], [0]], rtol=1e-6)


def test_a_fixed_scale_needs_no_fit():
    scale = Standardize(0, 16)
    np.testing.assert_array_equal(scale(np.array([[0, 8, 16]], np.uint8)), [[0, 0.5, 1]])
    assert scale(np.array([[3]], np.uint8)).dtype == np.float32


def test_misuse_of_standardize_is_a_sentence():
    with pytest.raises(RuntimeError, match=r"nothing was learned yet\. Call fit\(x_train\) first"):
        Standardize()(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"learned from examples of shape \(3,\), and these are"):
        Standardize().fit(np.ones((5, 3)))(np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"Standardize: x\[0, 1\] is nan"):
        Standardize().fit(np.array([[1, np.nan]]))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_prepare_standardizes_by_the_training_part_alone(name):
    raw_train, raw_test = split(data.load(name), seed=2)
    train, test = prepare(name, seed=2)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-5)
    mean, std = raw_train.x.mean(axis=0, dtype=float), raw_train.x.std(axis=0, dtype=float)
    np.testing.assert_allclose(test.x, (raw_test.x - mean) / std, atol=1e-5)
    assert abs(test.x.mean(axis=0)).max() > 1e-3
    assert train.y.dtype == np.int64


def test_prepare_divides_digits_by_16():
    train, test = prepare("digits")
    assert train.x.shape == (1437, 64)
    assert test.x.dtype == np.float32
    assert set(np.unique(train.x * 16)) == set(range(17))
    assert train.image_shape == (8, 8)
    np.testing.assert_array_equal(train.x[0], data.load("digits").x[0].ravel() / 16)


def test_prepare_makes_a_column_of_standardized_targets_for_a_regression():
    train, test = prepare("diabetes")
    assert train.y.shape == (353, 1)
    assert train.y.dtype == test.y.dtype == np.float32
    assert abs(train.y.mean()) < 1e-6
    assert abs(train.y.std() - 1) < 1e-6
    raw = split(data.load("diabetes"))
    back = Standardize().fit(raw[0].y[:, None]).inverse(test.y)
    np.testing.assert_allclose(back[:, 0], raw[1].y, rtol=1e-5)


@pytest.mark.parametrize("name", ["moons", "sine", "line"])
def test_prepare_leaves_toy_sets_as_they_are(name):
    raw = data.load(name)
    train, test = prepare(raw)
    assert _rows(train.x) | _rows(test.x) == _rows(raw.x)
    assert _rows(train.y) | _rows(test.y) == _rows(raw.y)
    assert train.y.ndim == (1 if name == "moons" else 2)


def test_what_is_prepared_stays_as_it_is_when_prepared_again():
    train, _ = prepare("diabetes")
    once, _ = prepare(train)
    assert _rows(once.x) <= _rows(train.x)
    assert _rows(once.y) <= _rows(train.y)
