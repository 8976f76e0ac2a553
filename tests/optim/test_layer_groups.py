"""layer_groups: rates that fall towards the input, and no decay for biases."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tinygrad_opt import nn, optim
from tinygrad_opt.optim import layer_groups
from tinygrad_opt.optim.lr_scheduler import CosineAnnealingLR


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))


def layer_of(name: str) -> int | None:
    return {"0": 0, "2": 1}.get(name[0])  # the head belongs to no layer: it counts as last


def test_rates_fall_towards_the_input_and_biases_do_not_decay() -> None:
    groups = layer_groups(network().named_parameters(), layer_of, 3, 0.5, lr=0.8, weight_decay=0.1)
    assert [[name for name, _ in group["params"]] for group in groups] == [
        ["0.bias"],
        ["0.weight"],
        ["2.bias"],
        ["2.weight"],
        ["4.bias"],
        ["4.weight"],
    ]
    assert [group["lr"] for group in groups] == [0.2, 0.2, 0.4, 0.4, 0.8, 0.8]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.1] * 3


def test_a_schedule_acts_on_every_group_in_its_proportion() -> None:
    groups = layer_groups(network().named_parameters(), layer_of, 3, lr=1.0)
    optimizer = optim.AdamW(groups, lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, 8)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.5 * 0.75**2] * 2 + [0.5 * 0.75] * 2 + [0.5] * 2)
    assert optimizer.param_groups[1]["param_names"] == ["0.weight"]


def test_layers_without_decay_share_a_group_and_frozen_parameters_are_left_out() -> None:
    model = network()
    for name, p in model.named_parameters():
        p.requires_grad = not name.startswith("0")
    groups = layer_groups(model.named_parameters(), lambda name: None, 4, lr=0.1)
    assert [[name for name, _ in group["params"]] for group in groups] == [
        ["2.bias", "4.bias"],
        ["2.weight", "4.weight"],
    ]
    assert {group["lr"] for group in groups} == {0.1}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"layer_of": lambda name: 3},
            "layer_groups: 0.weight lies in layer 3, and there are 3, 0",
        ),
        (
            {"layer_of": lambda name: -1},
            "layer_groups: the layer of 0.weight must be a whole number ≥ 0, got -1",
        ),
        ({"layer_of": lambda name: "0"}, "layer_groups: the layer of 0.weight must be a whole num"),
        ({"n_layers": 0}, "layer_groups: n_layers must be a whole number ≥ 1, got 0"),
        ({"decay": 0}, "layer_groups: decay must be a finite number above 0, got 0"),
        ({"lr": math.nan}, "layer_groups: lr must be a finite number ≥ 0, got nan"),
        ({"weight_decay": -1}, "layer_groups: weight_decay must be a finite number ≥ 0, got -1"),
    ],
)
def test_wrong_use_is_a_sentence(options: dict[str, Any], sentence: str) -> None:
    given = {"layer_of": layer_of, "n_layers": 3, "lr": 0.1} | options
    with pytest.raises(ValueError) as error:
        layer_groups(network().named_parameters(), **given)
    assert str(error.value).startswith(sentence)
