"""On a second GPU: what its tensors take part in happens there, though the first is current.

CuPy allocates on the current device and computes there; the stand-in refuses arrays of another.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest

from tests.helpers import cotangent, host
from tests.ops.op_table import TABLE, Case
from tests.oracles import record_nn
from tinygrad_opt import Tensor, nn, no_grad, tensor
from tinygrad_opt.autograd import grad
from tinygrad_opt.device import Device, use_device
from tinygrad_opt.gradcheck import gradcheck
from tinygrad_opt.rows import lookup

pytestmark = pytest.mark.on("standin", "kernels")


@pytest.fixture(autouse=True)
def second() -> Iterator[Device]:
    """New tensors land on it; CuPy's current device stays the first."""
    with use_device("cuda:1") as device:
        yield device


def lives_on(t: Tensor, device: Device) -> bool:
    return t.device is device and t.data.device.id == device.index


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_an_operation_and_its_derivatives(case: Case, second: Device) -> None:
    xs = case.tensors(case.arrays())
    y = case.call(*xs)
    assert lives_on(y, second)
    for create_graph in (False, True) if case.gradient else ():
        floats = [x for x in xs if x.requires_grad]
        found = grad(y, floats, cotangent(y), create_graph)
        assert all(lives_on(g, second) for g in found)


@pytest.mark.parametrize("name", record_nn.CASES)
def test_a_layer_or_loss_in_training(name: str, second: Device) -> None:
    found = record_nn.trace(nn, record_nn.Numbers(tensor, np.float32), record_nn.CASES[name])
    assert all(lives_on(t, second) for t in found.values())


def test_what_is_no_operation(second: Device) -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    x += 1
    x[[0], [1]] = 7.0
    x[x > 4] = tensor([8.0, 9.0])
    assert x.tolist() == [[2, 8], [4, 9]]
    w = copy.deepcopy(x).requires_grad_()
    for sparse in (False, True, True):
        lookup(w, tensor([0, 0]), sparse=sparse).sum().backward()
    assert w.grad.tolist() == [[6, 6], [0, 0]]
    w.grad = None
    for _ in range(2):
        lookup(w, tensor([1]), padding_idx=0, sparse=True).sum().backward()
    assert w.grad.coalesce().values.tolist() == [[2, 2]]
    assert lives_on(w.grad.coalesce(), second)
    gradcheck(lambda x: x.exp().std(), tensor([1.0, 2.0], "float64"), order=2)
    with no_grad():
        layer = nn.init.orthogonal_(nn.Linear(2, 2).weight)
    assert lives_on(layer, second)
    np.testing.assert_allclose(host(layer @ layer.T), np.eye(2), atol=1e-6)
