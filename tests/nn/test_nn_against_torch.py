"""Every layer, loss and function gives PyTorch's values and gradients, in float64 to 1e-12."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tests.oracles import record_nn
from tinygrad_opt import nn
from tinygrad_opt.creation import tensor
from tinygrad_opt.tensor import Tensor

RECORD = json.loads(record_nn.RECORD.read_text())["cases"]
each_case = pytest.mark.parametrize("name", record_nn.CASES)

# Public modules that PyTorch cannot check, and the file that does.
ELSEWHERE = {
    "Module": "test_module.py",
    "Sequential": "test_container.py",
    "ModuleList": "test_container.py",
    "ModuleDict": "test_container.py",
    "HingeLoss": "test_loss.py",
    "hinge_loss": "test_loss.py",
    "linear_relu": "test_container.py",
}


class Doubles:
    """`nn`, whose modules start in float64."""

    functional = nn.functional

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: getattr(nn, name)(*args, **options).to("float64")


def ours(name: str, phase: float = 0.0) -> dict[str, Tensor]:
    numbers = record_nn.Numbers(tensor, np.float64)
    return record_nn.trace(Doubles(), numbers, record_nn.CASES[name], phase)


def close(name: str, key: str, found: Tensor, expected: Any) -> None:
    tolerance = record_nn.CASES[name].tolerance
    np.testing.assert_allclose(host(found), expected, rtol=tolerance, atol=tolerance, err_msg=key)


@each_case
def test_values_gradients_and_buffers_equal_the_recorded_ones(name: str) -> None:
    found, expected = ours(name), RECORD[name]
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].shape == np.shape(value)
        close(name, key, found[key], value)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@each_case
def test_values_and_gradients_equal_those_of_pytorch_here(name: str) -> None:
    import torch

    torch.set_default_dtype(torch.float64)
    try:
        theirs = record_nn.Numbers(torch.tensor, np.float64)
        expected = record_nn.trace(torch.nn, theirs, record_nn.CASES[name], phase=0.3)
    finally:
        torch.set_default_dtype(torch.float32)
    found = ours(name, phase=0.3)
    for key, value in expected.items():
        close(name, key, found[key], value.detach())


@each_case
def test_float32_stays_float32_forward_and_backward(name: str) -> None:
    arrived = []
    numbers = record_nn.Numbers(tensor, np.float32)
    make = numbers.tensor

    def watched(value: Any, requires_grad: bool = False) -> Any:
        made = make(value, requires_grad)
        if requires_grad:
            made.register_hook(lambda g: arrived.append(g.dtype))
        return made

    numbers.tensor = watched
    found = record_nn.trace(nn, numbers, record_nn.CASES[name])
    counts = {key for key in found if "num_batches" in key} | (
        {"y"} if "one_hot" in name else set()
    )
    assert {found[key].dtype for key in found if key not in counts} <= {np.dtype(np.float32)}
    assert all(dtype == np.float32 for dtype in arrived)


@pytest.mark.host
def test_every_public_layer_loss_and_function_is_in_a_table() -> None:
    modules = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    tried = {case.name for case in record_nn.CASES.values()}
    assert modules | set(nn.functional.__all__) == tried | set(ELSEWHERE)
    assert all((pathlib.Path(__file__).parent / file).exists() for file in ELSEWHERE.values())


@pytest.mark.host
def test_functional_all_names_every_public_function() -> None:
    public = {
        name for name, value in vars(nn.functional).items() if callable(value) and name[0].islower()
    }
    borrowed = {"arange", "changed", "stream", "there"}
    borrowed |= {name for name in public if name.startswith("check_")}
    assert public - borrowed == set(nn.functional.__all__)


@pytest.mark.host
def test_the_record_is_of_these_cases() -> None:
    assert list(RECORD) == list(record_nn.CASES)
