"""Nothing in a training step waits for a GPU, and nothing but the batch is uploaded.

Every operation, layer and loss runs forward and backward while the stand-in notes what would stall
a GPU. What must wait or upload is listed here, with the reason.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import cotangent
from tests.ops.op_table import TABLE, Case
from tests.oracles import record_nn
from tests.standin.strict_cupy import watch
from tinygrad_opt import Tensor, nn, tensor
from tinygrad_opt.autograd import grad
from tinygrad_opt.device import default_device
from tinygrad_opt.kernels import has_kernels
from tinygrad_opt.optim import Adam
from tinygrad_opt.rows import RowGradient, lookup

pytestmark = pytest.mark.on("standin", "kernels")

# A mask picks as many elements as it has truths, and the host must know the shape.
WAITING_OPERATIONS = {"getitem truths"}
# A list of numbers that the caller wrote is uploaded, once.
LISTS = {
    "getitem repeated": 1,
    "getitem pairs": 2,
    "getitem mixed": 1,
    "take": 1,
    "take axis": 1,
}
# Without a number of classes it looks for the largest label.
WAITING_LAYERS = {"one_hot() 2x3"}
MASKING_LAYERS = {"Dropout(1.0) 5x4"}


def mask_from_host(create_graph: bool = False) -> bool:
    """Whether dropout takes its mask from the host: without its kernel, and in its composition."""
    return create_graph or not has_kernels(default_device().xp)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_an_operation_and_its_derivatives(case: Case, create_graph: bool) -> None:
    xs = case.tensors(case.arrays())
    floats = [x for x in xs if x.requires_grad]
    y = case.call(*xs)
    g = cotangent(y)
    with watch() as traffic:
        y = case.call(*xs)
        if case.gradient:
            grad(y, floats, g, create_graph)
    assert bool(traffic.syncs) == (case.name in WAITING_OPERATIONS), traffic.syncs
    if case.name == "dropout":
        assert bool(traffic.uploads) == mask_from_host(create_graph)
    else:
        assert len(traffic.uploads) == LISTS.get(case.name, 0), traffic.uploads


@pytest.mark.parametrize("name", record_nn.CASES)
def test_a_layer_or_loss_in_training(name: str) -> None:
    numbers = record_nn.Numbers(tensor, np.float32)
    call, module, inputs = record_nn.prepare(nn, numbers, record_nn.CASES[name])
    y = call(*inputs)
    g = cotangent(y)
    with watch() as traffic:
        y = call(*inputs)
        if y.requires_grad:
            y.backward(g)
        if module is not None:
            module.zero_grad()
    assert bool(traffic.syncs) == (name in WAITING_LAYERS), traffic.syncs
    assert bool(traffic.uploads) == (name in MASKING_LAYERS and mask_from_host()), traffic.uploads


def test_a_step_of_a_network() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(),
        nn.Linear(8, 3),
    )  # fmt: skip
    optimizer, loss_of = Adam(model.parameters()), nn.CrossEntropyLoss()
    x, labels = tensor(np.ones((5, 4), np.float32)), tensor([0, 1, 2, 0, -100])

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):  # in the first two the optimizer sends the numbers of many steps ahead
        step()
    with watch() as traffic:
        loss = step()
    assert (traffic.syncs, traffic.uploads) == ([], [])
    with watch() as traffic:
        assert np.isfinite(loss.item())
    assert len(traffic.syncs) == 1


# What a training step does better without: here the host must learn something from the GPU.
WAITING = {
    "how many truths a mask has": lambda x: x[x > 1],
    "where to write": lambda x: x.__setitem__(x > 1, 0.0),
    "how often to repeat": lambda x: x.repeat(tensor([1, 2])),
    "how many rows are not the padding": lambda x: row_gradient(x, padding_idx=0),
    "how many different rows there are": lambda x: row_gradient(x).coalesce(),
    "a number": lambda x: float(x.sum()),
    "a truth": lambda x: bool((x > 1).any()),
    "the numbers": lambda x: x.tolist(),
    "the text": repr,
}


def row_gradient(x: Tensor, padding_idx: int | None = None) -> RowGradient:
    table = x.detach().expand_dims(1).requires_grad_()
    lookup(table, x.long(), padding_idx, sparse=True).sum().backward()
    return table.grad


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_and_cannot_help_it(name: str) -> None:
    x = tensor([1.0, 0.0])
    with watch() as traffic:
        WAITING[name](x)
    assert traffic.syncs


def test_the_exceptions_are_there() -> None:
    assert {case.name for case in TABLE} >= WAITING_OPERATIONS | LISTS.keys()
    assert record_nn.CASES.keys() >= WAITING_LAYERS | MASKING_LAYERS
