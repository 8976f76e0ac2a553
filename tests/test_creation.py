"""Making tensors: constants, ranges, random numbers."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import is_array
from tinygrad_opt.device import default_device
from tinygrad_opt.random_numbers import generator


@pytest.mark.parametrize(
    ("made", "shape", "dtype"),
    [
        (lambda: tg.zeros(2, 3), (2, 3), "float32"),
        (lambda: tg.ones((2, 3)), (2, 3), "float32"),
        (lambda: tg.empty([2, 3]), (2, 3), "float32"),
        (lambda: tg.zeros(), (), "float32"),
        (lambda: tg.ones(np.int64(4)), (4,), "float32"),
        (lambda: tg.zeros(2, dtype="int64"), (2,), "int64"),
        (lambda: tg.full((2, 2), 1.5), (2, 2), "float32"),
        (lambda: tg.full(3, 7), (3,), "int64"),
        (lambda: tg.full((2,), True), (2,), "bool"),
        (lambda: tg.eye(3), (3, 3), "float32"),
        (lambda: tg.eye(2, 3, dtype="float64"), (2, 3), "float64"),
        (lambda: tg.arange(5), (5,), "int64"),
        (lambda: tg.arange(0, 1, 0.25), (4,), "float32"),
        (lambda: tg.linspace(0, 1, 5), (5,), "float32"),
        (lambda: tg.rand(2, 3), (2, 3), "float32"),
        (lambda: tg.randn(2, 3, dtype="float64"), (2, 3), "float64"),
        (lambda: tg.randn(2, dtype="float16"), (2,), "float16"),
        (lambda: tg.randint(5, shape=(2, 2)), (2, 2), "int64"),
        (lambda: tg.randint(2, 5), (), "int64"),
    ],
)
def test_shape_and_dtype(made, shape, dtype) -> None:
    x = made()
    assert is_array(x)
    assert x.device is default_device()
    assert (x.shape, x.dtype, x.requires_grad) == (shape, np.dtype(dtype), False)


def test_values() -> None:
    assert tg.full((2,), 1.5).tolist() == [1.5, 1.5]
    assert tg.eye(2).tolist() == [[1, 0], [0, 1]]
    assert tg.arange(2, 8, 2).tolist() == [2, 4, 6]
    assert tg.arange(3, 0, -1).tolist() == [3, 2, 1]
    assert tg.linspace(0, 1, 3).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_like(name: str) -> None:
    x = tg.tensor(np.ones((2, 3), np.float64))
    like = getattr(tg, f"{name}_like")
    assert (like(x).shape, like(x).dtype) == ((2, 3), np.float64)
    assert like(x, requires_grad=True).requires_grad


def test_like_in_another_dtype() -> None:
    x = tg.ones(2)
    assert tg.zeros_like(x, dtype="int32").dtype == np.int32
    assert tg.ones_like(x, dtype=np.float64).dtype == np.float64
    assert tg.full_like(x, 3).tolist() == [3, 3]
    assert tg.full_like(x, 3).dtype == np.float32


@pytest.mark.parametrize("made", [tg.zeros, tg.ones, tg.rand, tg.randn])
def test_parameters_can_be_made_at_once(made) -> None:
    assert made(2, requires_grad=True).requires_grad


def test_from_numpy_wants_an_array() -> None:
    with pytest.raises(TypeError, match=r"from_numpy: a list is no NumPy array. Use tensor\(...\)"):
        tg.from_numpy([1.0])


# ---- random numbers ---------------------------------------------------------------------------


def test_a_seed_repeats_everything() -> None:
    def draws() -> list:
        return [tg.rand(3).tolist(), tg.randn(3).tolist(), tg.randint(0, 100, (3,)).tolist()]

    tg.manual_seed(5)
    first = draws()
    assert draws() != first
    tg.manual_seed(5)
    assert draws() == first


def test_numpys_own_generator_is_left_alone() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    tg.randn(10)
    tg.manual_seed(1)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_manual_seed_gives_the_generator() -> None:
    assert tg.manual_seed(3) is generator()


def test_distributions() -> None:
    n = 20_000
    u, z, k = tg.rand(n), tg.randn(n), tg.randint(2, 5, (n,))
    assert u.min().item() >= 0
    assert u.max().item() < 1
    assert u.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / n) ** 0.5)
    assert z.mean().item() == pytest.approx(0, abs=4 / n**0.5)
    assert z.std().item() == pytest.approx(1, abs=4 / (2 * n) ** 0.5)
    assert sorted(set(k.tolist())) == [2, 3, 4]
