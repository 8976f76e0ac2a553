"""The table of a model."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_opt import nn
from tinygrad_opt.creation import manual_seed, randn
from tinygrad_opt.random_numbers import generator
from tinygrad_opt.tensor import Tensor


def test_the_table_tells_layers_shapes_and_parameters() -> None:
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Sequential(nn.Linear(32, 10)))
    assert str(nn.summary(net, randn(5, 64))) == (
        "layer           output   parameters\n"
        "-----------------------------------\n"
        "Sequential      (5, 10)            \n"
        "  0 Linear      (5, 32)       2,080\n"
        "  1 ReLU        (5, 32)            \n"
        "  2 Sequential  (5, 10)            \n"
        "    0 Linear    (5, 10)         330\n"
        "-----------------------------------\n"
        "total                         2,410"
    )


def test_tied_parameters_count_once_and_frozen_ones_are_told() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    model = Tied()
    model.a.bias.requires_grad_(False)
    table = nn.summary(model, randn(2, 3))
    assert (table.total, table.trainable) == (15, 12)
    assert [row.parameters for row in table.rows] == [0, 12, 3]
    assert repr(table).endswith("learned                     12")


def test_a_summary_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net[2].eval()
    before = net.state_dict()
    manual_seed(1)
    nn.summary(net, randn(1, 4))
    after = generator().random()
    manual_seed(1)
    randn(1, 4)
    assert generator().random() == after
    for key, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    assert [module.training for module in net.modules()] == [True, True, True, False]
    assert all(module.__call__ == module.forward for module in net.modules())


def test_hooks_go_even_if_the_model_fails() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(ValueError, match=r"Linear"):
        nn.summary(net, randn(1, 5))
    assert net[0].__call__ == net[0].forward and net.training


def test_layers_that_were_not_called_have_no_shape() -> None:
    class Picks(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)])

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.layers[1](x + y)

    rows = nn.summary(Picks(), randn(1, 2), randn(1, 2)).rows
    assert [row.output_shape for row in rows] == [(1, 3), None, None, (1, 3)]
