"""Rules that estimate how far it is, instead of being told a rate."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, tensor
from tinygrad_opt.optim import DAdaptAdam, DAdaptSGD, Prodigy

EVERY = pytest.mark.parametrize("kind", [DAdaptSGD, DAdaptAdam, Prodigy])
PLACE = np.array([30.0, -20.0, 10.0])


def give(*params: Tensor) -> None:
    """The gradient of ½ ‖p − PLACE‖²."""
    for p in params:
        p.grad = tensor(host(p) - PLACE[: p.size])


@EVERY
def test_the_distance_is_found_without_a_rate(kind: Any) -> None:
    w = tensor(np.zeros(3), requires_grad=True)
    optimizer = kind([w])
    for _ in range(400):
        give(w)
        optimizer.step()
    d = optimizer.param_groups[0]["d"]
    assert np.linalg.norm(host(w) - PLACE) < 0.1 * np.linalg.norm(PLACE)
    assert 0.1 * abs(PLACE).max() < d < 10 * np.linalg.norm(PLACE), "it was 1e-6 at first"


@EVERY
def test_the_scale_of_the_loss_does_not_matter(kind: Any) -> None:
    paths = []
    for scale in (1.0, 1000.0):
        w = tensor(np.zeros(3), requires_grad=True)
        options = {} if kind is DAdaptSGD else {"eps": 1e-30}
        optimizer = kind([w], **options)
        for _ in range(30):
            w.grad = tensor(scale * (host(w) - PLACE))
            optimizer.step()
        paths.append(host(w).copy())
    np.testing.assert_allclose(*paths, rtol=1e-6)


@EVERY
def test_one_distance_is_for_all_groups_together(kind: Any) -> None:
    whole = tensor(np.zeros(3), requires_grad=True)
    parts = [tensor(np.zeros(n), requires_grad=True) for n in (1, 2)]
    one, two = kind([whole]), kind([{"params": [p]} for p in parts])
    for _ in range(12):
        give(whole)
        one.step()
        parts[0].grad = tensor(host(parts[0]) - PLACE[:1])
        parts[1].grad = tensor(host(parts[1]) - PLACE[1:])
        two.step()
    np.testing.assert_allclose(np.concatenate([host(p) for p in parts]), host(whole), rtol=1e-10)
    assert two.param_groups[0]["d"] == two.param_groups[1]["d"] > 1e-6


@EVERY
def test_a_group_with_rate_0_is_frozen_and_other_rates_are_refused(kind: Any) -> None:
    a, b = (tensor(np.zeros(3), requires_grad=True) for _ in range(2))
    optimizer = kind([{"params": [a], "lr": 0.0}, {"params": [b]}], weight_decay=0.1)
    for _ in range(3):
        give(a, b)
        optimizer.step()
    assert not host(a).any() and optimizer.state_of(a) == {"t": 0}
    assert host(b).any()
    optimizer.param_groups[0]["lr"] = 0.5
    before = optimizer.state_dict()
    text = (
        f"{kind.__name__}: the groups have lr 0.5, 1.0, and one distance has to do for all. Give "
        "all the same lr, or 0 to those that stay."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        optimizer.step()
    assert str(optimizer.state_dict()) == str(before)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    moved = b.tolist()
    optimizer.step()
    assert b.tolist() == moved


@EVERY
def test_a_first_gradient_of_zero_waits(kind: Any) -> None:
    w = tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = kind([w])
    w.grad = tensor(np.zeros(2))
    optimizer.step()
    assert w.tolist() == [1.0, 2.0] and optimizer.param_groups[0]["k"] == 0
    w.grad = tensor(np.array([1.0, -1.0]))
    optimizer.step()
    assert np.isfinite(host(w)).all() and host(w)[0] < 1 and host(w)[1] > 2


@EVERY
def test_the_distance_grows_no_faster_than_it_may(kind: Any) -> None:
    w = tensor(np.zeros(3), requires_grad=True)
    optimizer = kind([w], growth_rate=1.25)
    seen = []
    for _ in range(30):
        give(w)
        optimizer.step()
        seen.append(optimizer.param_groups[0]["d"])
    seen = [d for d in seen if d > optimizer.defaults["d0"]]  # Prodigy may leap from there
    ratios = np.array(seen[1:]) / seen[:-1]
    assert ratios.max() == pytest.approx(1.25) and ratios.min() >= 1


@EVERY
def test_a_file_with_arrays_in_a_row_is_taken_too(kind: Any) -> None:
    w = tensor(np.zeros((3, 1)), requires_grad=True)
    optimizer = kind([w])
    for _ in range(5):
        w.grad = tensor(host(w) - PLACE[:, None])
        optimizer.step()
    saved = optimizer.state_dict()
    entry = saved["state"][0]
    entry["s"] = entry["s"].ravel()
    if kind is Prodigy:
        entry["p0"] = np.array(0.0)  # all are 0
    if kind is DAdaptSGD:
        entry["z"] = entry["x0"] - entry["s"][:, None]
    v = tensor(w, requires_grad=True)
    other = kind([v])
    other.load_state_dict(saved)
    for _ in range(5):
        for p, one in ((w, optimizer), (v, other)):
            p.grad = tensor(host(p) - PLACE[:, None])
            one.step()
    assert v.tolist() == w.tolist()


def test_a_rate_that_a_scheduler_moves_scales_the_distance() -> None:
    w = tensor(np.zeros(3), requires_grad=True)
    optimizer = Prodigy([w])
    for lr in (1.0, 0.5):
        optimizer.param_groups[0]["lr"] = lr
        give(w)
        d = optimizer.param_groups[0]["d"]
        optimizer.step()
        assert optimizer.param_groups[0]["dlr"] == d * lr


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (DAdaptSGD, {"d0": 0.0}, "DAdaptSGD: d0 is 0.0; it has to be above 0."),
        (DAdaptAdam, {"eps": 0.0}, "DAdaptAdam: eps is 0.0; it has to be above 0."),
        (Prodigy, {"beta3": 1.0}, "Prodigy: beta3 is 1.0; it has to be at least 0 and below 1."),
    ],
)
def test_options_out_of_range_are_told(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        kind([tensor([1.0], requires_grad=True)], **options)
