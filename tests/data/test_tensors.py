"""Where data become Tensors, and where Tensors become data."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_opt import Device, data, ones, tensor


def test_a_part_of_a_data_set_lands_on_the_default_device(on_device: Device) -> None:
    iris = data.load("iris")
    x, y = iris[:32]
    assert x.device is y.device is on_device
    assert x.shape == (32, 4) and y.tolist() == [0] * 32
    x[:] = 0
    assert iris.x[:32].min() > 0, "what was handed out is a copy"


def test_prepared_parts_are_ready_to_multiply() -> None:
    train, _ = data.prepare("iris")
    x, y = train[:]
    assert (x @ ones(4, 3)).shape == (120, 3)
    assert y.dtype == np.int64


def test_tensors_of_any_device_are_split_on_the_host() -> None:
    x, y = tensor(np.arange(20.0).reshape(10, 2)), tensor([0, 1] * 5)
    (x_train, y_train), (x_test, y_test) = data.split((x, y))
    assert all(type(part) is np.ndarray for part in (x_train, y_train, x_test, y_test))
    assert len(x_train) == 8 and sorted(y_test.tolist()) == [0, 1]


def test_a_scale_is_learned_from_host_arrays() -> None:
    with pytest.raises(TypeError, match="numpy"):
        data.Standardize().fit(ones(4, 2))
