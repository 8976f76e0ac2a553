"""Toy sets: seeded, balanced, and of the shape that their name promises."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_opt import data

pytestmark = pytest.mark.host

CLASSES = {data.moons: 2, data.circles: 2, data.xor: 2, data.spiral: 3, data.blobs: 3}
CURVES = [data.sine, data.line]
ALL = [*CLASSES, *CURVES]


@pytest.mark.parametrize("make", ALL)
def test_the_seed_alone_decides(make):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    x, y = make(50, seed=7)
    again_x, again_y = make(50, seed=7)
    other_x, _ = make(50, seed=8)
    np.testing.assert_array_equal(x, again_x)
    np.testing.assert_array_equal(y, again_y)
    assert not np.array_equal(x, other_x)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("make", ALL)
def test_float32_and_n_examples(make):
    x, y = make(31)
    assert x.dtype == np.float32
    assert x.shape == (31, 1 if make in CURVES else 2)
    assert y.shape == (31,)
    assert y.dtype == (np.float32 if make in CURVES else np.int64)


@pytest.mark.parametrize("make", CLASSES)
def test_classes_are_equal_in_size_and_come_mixed(make):
    _, y = make(100)
    counts = np.bincount(y)
    assert len(counts) == CLASSES[make]
    assert counts.max() - counts.min() <= 1
    assert len(set(y[:20])) == CLASSES[make]


def test_without_noise_the_moons_are_half_circles():
    x, y = data.moons(200, noise=0)
    upper, lower = x[y == 0], x[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1, atol=1e-6)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5


def test_without_noise_the_circles_have_two_radii():
    x, y = data.circles(200, noise=0)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.5), atol=1e-6)


def test_without_noise_xor_is_the_sign_of_a_product():
    x, y = data.xor(200, noise=0)
    np.testing.assert_array_equal(x[:, 0] * x[:, 1] < 0, y == 1)
    quadrants = {tuple(row) for row in np.sign(x).astype(int).tolist()}
    assert len(quadrants) == 4


def test_without_noise_an_arm_of_the_spiral_is_another_one_turned():
    x, y = data.spiral(300, noise=0)
    radius = np.hypot(*x.T)
    angle = np.arctan2(x[:, 1], x[:, 0]) - 4 * radius - 2 * np.pi / 3 * y
    np.testing.assert_allclose(np.cos(angle), 1, atol=1e-5)


def test_noise_is_the_spread_of_the_blobs():
    x, y = data.blobs(3000, noise=0.25)
    for label in range(3):
        np.testing.assert_allclose(x[y == label].std(axis=0), 0.25, rtol=0.1)
        np.testing.assert_allclose(np.hypot(*x[y == label].mean(axis=0)), 1.5, atol=0.05)


def test_without_noise_the_curves_are_their_formulas():
    x, y = data.sine(100, noise=0)
    np.testing.assert_allclose(y, np.sin(x[:, 0]), atol=1e-6)
    assert x.min() < -2.5
    assert x.max() > 2.5
    x, y = data.line(100, noise=0)
    np.testing.assert_allclose(y, 2 * x[:, 0] + 1, atol=1e-6)


def test_noise_blurs_the_targets_of_curves_and_the_points_of_classes():
    clean, noisy = data.line(2000, noise=0), data.line(2000, noise=0.3)
    np.testing.assert_array_equal(clean[0], noisy[0])
    assert 0.27 < (noisy[1] - clean[1]).std() < 0.33
    clean, noisy = data.moons(2000, noise=0), data.moons(2000, noise=0.3)
    assert 0.27 < (noisy[0] - clean[0]).std() < 0.33


@pytest.mark.parametrize("make", ALL)
def test_impossible_requests_are_sentences(make):
    with pytest.raises(ValueError, match=r"n is 0; a toy set needs at least \d examples?\."):
        make(0)
    with pytest.raises(ValueError, match=r"noise is -0\.1; it is a standard deviation, 0 or more"):
        make(10, noise=-0.1)
    with pytest.raises(ValueError, match="noise is nan"):
        make(10, noise=float("nan"))
