"""Starting values: distributions, fans, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt.creation import empty, manual_seed, ones
from tinygrad_opt.nn import Linear, init
from tinygrad_opt.tensor import Tensor

SHAPE = (40, 60)
SHAPES = {"dirac_": (40, 60, 3)}  # where it is another one
BIG = 3 / math.sqrt(40 * 60)  # three standard deviations of a mean of so many draws


def fresh(*shape: int, dtype: Any = np.float32) -> Tensor:
    return empty(shape or SHAPE, dtype=dtype)


def uniform_within(bound: float) -> Callable[[Any], None]:
    def check(values: Any) -> None:
        assert 0.98 * bound < abs(values).max() <= bound * (1 + 1e-6)
        assert abs(values.mean()) < BIG * bound
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)

    return check


def normal_with(std: float) -> Callable[[Any], None]:
    def check(values: Any) -> None:
        assert abs(values.mean()) < BIG * std
        assert values.std() == pytest.approx(std, rel=0.05)
        assert 2.5 * std < abs(values).max() < 6 * std

    return check


def dirac(values: Any) -> None:
    assert (values[:, :, 1] == np.eye(40, 60)).all() and values.sum() == 40


def equal_to(expected: Any) -> Callable[[Any], None]:
    return lambda values: np.testing.assert_allclose(values, expected, atol=1e-7)


def orthogonal(values: Any) -> None:
    np.testing.assert_allclose(values @ values.T, 4 * np.eye(40), atol=1e-5)


def sparse(values: Any) -> None:
    assert ((values == 0).sum(axis=0) == 8).all()
    assert values[values != 0].std() == pytest.approx(0.01, rel=0.06)


def truncated(values: Any) -> None:
    assert values.min() >= -1 and values.max() <= 2
    assert values.mean() == pytest.approx(0.2296, abs=0.05)  # (φ(-1) − φ(2)) / (Φ(2) − Φ(-1))


INITIALIZERS: dict[str, list[tuple[dict[str, Any], Callable[[Any], None]]]] = {
    "zeros_": [({}, equal_to(0))],
    "ones_": [({}, equal_to(1))],
    "constant_": [({"val": 0.3}, equal_to(0.3))],
    "eye_": [({}, equal_to(np.eye(*SHAPE)))],
    "dirac_": [({}, dirac)],
    "uniform_": [
        ({"a": -0.5, "b": 0.5}, uniform_within(0.5)),
        ({}, lambda values: equal_to(0.5)(round(float(values.mean()), 1))),
    ],
    "normal_": [
        ({}, normal_with(1)),
        ({"mean": 5.0, "std": 0.1}, lambda values: normal_with(0.1)(values - 5)),
    ],
    "trunc_normal_": [({"a": -1.0}, truncated)],
    "xavier_uniform_": [
        ({}, uniform_within(math.sqrt(6 / 100))),
        ({"gain": 2.0}, uniform_within(2 * math.sqrt(6 / 100))),
    ],
    "xavier_normal_": [({}, normal_with(math.sqrt(2 / 100)))],
    "kaiming_uniform_": [
        ({}, uniform_within(math.sqrt(6 / 60))),
        ({"a": math.sqrt(5)}, uniform_within(1 / math.sqrt(60))),
        ({"mode": "fan_out", "nonlinearity": "tanh"}, uniform_within(5 / 3 * math.sqrt(3 / 40))),
    ],
    "kaiming_normal_": [({"nonlinearity": "relu"}, normal_with(math.sqrt(2 / 60)))],
    "orthogonal_": [({"gain": 2.0}, orthogonal)],
    "sparse_": [({"sparsity": 0.2}, sparse)],
}
CASES = [(name, *case) for name, cases in INITIALIZERS.items() for case in cases]


@pytest.mark.parametrize(("name", "options", "check"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_follow_the_formula(
    name: str, options: dict[str, Any], check: Callable[[Any], None], dtype: Any
) -> None:
    t = fresh(*SHAPES.get(name, SHAPE), dtype=dtype)
    array = t.data
    assert getattr(init, name)(t, **options) is t
    assert t.data is array and t.dtype == dtype
    check(host(t).astype(np.float64))


@pytest.mark.parametrize(("name", "options", "check"), CASES)
def test_a_seed_gives_the_same_values(
    name: str, options: dict[str, Any], check: Callable[[Any], None]
) -> None:
    manual_seed(5)
    shape = SHAPES.get(name, SHAPE)
    one = getattr(init, name)(fresh(*shape), **options).tolist()
    manual_seed(5)
    assert getattr(init, name)(fresh(*shape), **options).tolist() == one


@pytest.mark.host
def test_every_initializer_is_in_the_table() -> None:
    assert {*INITIALIZERS, "calculate_gain"} == set(init.__all__)
    public = {name for name in vars(init) if name.endswith("_") and not name.startswith("_")}
    assert public == set(INITIALIZERS)


@pytest.mark.host
@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.2, math.sqrt(2 / 1.04)),
        ("leaky_relu", 0, math.sqrt(2)),
        ("selu", None, 0.75),
    ],
)
def test_gains(nonlinearity: str, param: float | None, gain: float) -> None:
    assert init.calculate_gain(nonlinearity, param) == gain


@pytest.mark.oracle
def test_gains_are_pytorchs() -> None:
    import torch

    for name, param in [("tanh", None), ("selu", None), ("leaky_relu", 0.3), ("relu", None)]:
        assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


@pytest.mark.oracle
def test_the_names_are_pytorchs() -> None:
    import torch

    theirs = {name for name in vars(torch.nn.init) if name.endswith("_") and name[0] != "_"}
    assert {*theirs, "calculate_gain"} == set(init.__all__)


def test_a_dirac_kernel_hands_on_each_group_of_channels() -> None:
    values = host(init.dirac_(fresh(4, 3, 3), groups=2))
    expected = np.zeros((4, 3, 3))
    for channel, source in [(0, 0), (1, 1), (2, 0), (3, 1)]:
        expected[channel, source, 1] = 1
    np.testing.assert_array_equal(values, expected)


@pytest.mark.oracle
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 2, 5), (6, 9, 4), (6, 3, 3, 2), (6, 1, 3, 4, 5)])
def test_dirac_kernels_are_pytorchs(shape: tuple[int, ...], groups: int) -> None:
    import torch

    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(host(init.dirac_(fresh(*shape), groups)), expected)


def test_the_fans_of_a_convolution_count_its_window() -> None:
    values = host(init.xavier_uniform_(fresh(16, 8, 3, 3)))
    bound = math.sqrt(6 / (8 * 9 + 16 * 9))
    assert 0.97 * bound < abs(values).max() <= bound


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)])
def test_rows_or_columns_are_at_right_angles(shape: tuple[int, ...]) -> None:
    w = host(init.orthogonal_(fresh(*shape, dtype=np.float64))).reshape(shape[0], -1)
    n = min(w.shape)
    square = w @ w.T if w.shape[0] == n else w.T @ w
    np.testing.assert_allclose(square, np.eye(n), atol=1e-12)


def test_truncated_normals_are_quick_in_narrow_and_far_places() -> None:
    narrow = host(init.trunc_normal_(fresh(), a=1.0, b=1.0 + 1e-6))
    assert ((narrow >= 1) & (narrow <= 1.0001)).all()
    tail = host(init.trunc_normal_(fresh(dtype=np.float64), a=5.0, b=100.0))
    assert tail.min() >= 5 and tail.mean() == pytest.approx(5.187, abs=0.02)
    with pytest.raises(ValueError, match=r"nothing of a normal distribution with mean 0.0 and std"):
        init.trunc_normal_(fresh(), a=9.0, b=10.0)


def test_filling_between_forward_and_backward_is_noticed() -> None:
    layer = Linear(2, 2)
    loss = (layer.weight * layer.weight).sum()
    init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match=r"has been changed since, by init.zeros_\(\)"):
        loss.backward()


def test_what_has_no_fans_or_is_no_leaf_is_refused() -> None:
    with pytest.raises(ValueError) as error:
        init.xavier_uniform_(fresh(3))
    assert str(error.value) == ("xavier_uniform_: a weight is (out, in) or (out, in, …), not (3,).")
    with pytest.raises(ValueError, match=r"kaiming_normal_: mode is 'fan'; it is 'fan_in' or"):
        init.kaiming_normal_(fresh(), mode="fan")
    with pytest.raises(
        ValueError, match=r"calculate_gain: 'swish' is unknown. It is one of linear"
    ):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match=r"eye_: the tensor must be a matrix, and its shape is"):
        init.eye_(fresh(2, 3, 4))
    with pytest.raises(
        ValueError, match=r"dirac_: a convolution's weight has 3 to 5 axes, not \(3, 2\)"
    ):
        init.dirac_(fresh(3, 2))
    for groups in (2, 0):
        with pytest.raises(ValueError) as uneven:
            init.dirac_(fresh(3, 2, 3), groups)
        assert str(uneven.value) == f"dirac_: 3 outputs do not fall into {groups} equal groups."
    with pytest.raises(RuntimeError, match=r"normal_: the tensor was made by an operation"):
        init.normal_(ones(2, requires_grad=True) * 2)
