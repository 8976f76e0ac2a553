"""Schedules of anything else than lr: momentum, weight decay, eps, one of the betas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scheduling import Groups

from tinygrad_opt import Tensor, optim, tensor
from tinygrad_opt.optim import HyperparameterScheduler, constant, cosine, exponential, linear
from tinygrad_opt.optim.lr_scheduler import CosineAnnealingLR

pytestmark = pytest.mark.host


def weight() -> Tensor:
    return tensor([1.0, -2.0], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "key", "start"),
    [
        (lambda: optim.SGD([weight()], lr=0.1, momentum=0.9), "momentum", 0.9),
        (lambda: optim.AdamW([weight()], weight_decay=0.1), "weight_decay", 0.1),
        (lambda: optim.Adam([weight()], eps=1e-4), "eps", 1e-4),
        (lambda: optim.Adam([weight()]), ("betas", 0), 0.9),
        (lambda: optim.Adam([weight()]), ("betas", 1), 0.999),
        (lambda: optim.SGD([weight()], lr=0.1), "lr", 0.1),
    ],
)
def test_a_value_follows_its_schedule(make: Any, key: Any, start: float) -> None:
    optimizer = make()
    schedule = linear(5, 0.5, 1.0)
    scheduler = HyperparameterScheduler(optimizer, key, schedule)
    others = {k: v for k, v in optimizer.param_groups[0].items() if k not in (key, key[0])}
    for t in range(8):
        group = optimizer.param_groups[0]
        found = group[key] if isinstance(key, str) else group[key[0]][key[1]]
        assert found == start * schedule(t) == scheduler.get_last_value()[0]
        optimizer.step()
        scheduler.step()
    assert {k: v for k, v in optimizer.param_groups[0].items() if k in others} == others
    name = key if isinstance(key, str) else f"{key[0]}_{key[1]}"
    assert optimizer.param_groups[0][f"initial_{name}"] == start


def test_the_optimizer_uses_what_is_written() -> None:
    p, q = weight(), weight()
    scheduled = optim.SGD([p], lr=0.1, momentum=0.8)
    scheduler = HyperparameterScheduler(scheduled, "momentum", exponential(0.5))
    by_hand = optim.SGD([q], lr=0.1, momentum=0.8)
    for t in range(5):
        by_hand.param_groups[0]["momentum"] = 0.8 * 0.5**t
        p.grad, q.grad = tensor([0.5, 1.0]), tensor([0.5, 1.0])
        scheduled.step()
        by_hand.step()
        scheduler.step()
    assert p.tolist() == q.tolist()


def test_one_schedule_for_each_group() -> None:
    optimizer = Groups(0.1, 0.2, weight_decay=0.5)
    HyperparameterScheduler(optimizer, "weight_decay", [constant(0.5), constant(2.0)])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.25, 1.0]


def test_rate_and_decay_move_together_and_resume_together() -> None:
    def build() -> tuple[Groups, CosineAnnealingLR, HyperparameterScheduler]:
        o = Groups(0.1, weight_decay=0.5, momentum=0.9)
        return o, CosineAnnealingLR(o, 9), HyperparameterScheduler(o, "weight_decay", cosine(9))

    def play(parts: Any, steps: int) -> list[tuple[float, float]]:
        seen = []
        for _ in range(steps):
            for part in parts:
                part.step()
            seen.append(tuple(parts[0].param_groups[0][k] for k in ("lr", "weight_decay")))
        return seen

    parts = build()
    play(parts, 4)
    states = [part.state_dict() for part in parts]
    expected = play(parts, 5)
    assert all(decay == pytest.approx(5 * lr) for lr, decay in expected)
    again = build()
    for part, state in zip(again, states, strict=True):
        part.load_state_dict(state)
    assert again[2].key == "weight_decay"
    assert play(again, 5) == expected


def test_a_pair_survives_a_checkpoint() -> None:
    optimizer = Groups(0.1, betas=(0.9, 0.999))
    scheduler = HyperparameterScheduler(optimizer, ("betas", 1), linear(4, 1.0, 0.5))
    state = scheduler.state_dict()
    optimizer.step()
    scheduler.step()
    scheduler.load_state_dict(state)
    assert scheduler.key == ("betas", 1)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)


def test_an_array_is_filled_in_place() -> None:
    held = np.array([0.5])
    HyperparameterScheduler(Groups(0.1, momentum=held), "momentum", constant(0.5))
    assert held.tolist() == [0.25]


@pytest.mark.parametrize(
    "key", ["momentun", "nesterov", "betas", ("betas", 5), ("lr", 0), "params"]
)
def test_what_is_no_number_in_the_groups_is_refused(key: Any) -> None:
    optimizer = Groups(0.1, momentum=0.9, betas=(0.9, 0.999), nesterov=False)
    before = optimizer.state_dict()
    with pytest.raises(ValueError) as error:
        HyperparameterScheduler(optimizer, key, cosine(9))
    assert str(error.value) == (
        f"HyperparameterScheduler: param_groups[0] has no number {key!r} to move; among its "
        f"numbers are lr, momentum"
    )
    assert optimizer.state_dict() == before


def test_a_base_of_zero_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="'momentum' is 0 in every group and stays 0, as every"):
        HyperparameterScheduler(Groups(0.1, momentum=0), "momentum", cosine(9))


def test_a_schedule_is_needed() -> None:
    with pytest.raises(TypeError, match=r"HyperparameterScheduler drives a Schedule .* got 0\.5"):
        HyperparameterScheduler(Groups(0.1), "momentum", 0.5)
    with pytest.raises(KeyError, match="resumes from 'initial_momentum', which param_groups"):
        HyperparameterScheduler(Groups(0.1), "momentum", cosine(9), last_epoch=3)
