"""Several optimizers side by side: who gets what, one step, all or nothing."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, nn, tensor
from tinygrad_opt.optim import (
    SGD,
    AdamW,
    Lookahead,
    MultiOptimizer,
    before_step,
    clip_grad_norm_,
    lr_scheduler,
    split_matrices,
)


def is_matrix(name: str, p: Tensor) -> bool:
    return p.ndim == 2


def anything(name: str, p: Tensor) -> bool:
    return True


def matrices(params: Any) -> SGD:
    return SGD(params, lr=0.1, momentum=0.9)


def rest(params: Any) -> AdamW:
    return AdamW(params, lr=0.01)


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def give(params: Any, step: int) -> None:
    rng = np.random.default_rng(step)
    for p in params:
        p.grad = tensor(rng.standard_normal(p.shape).astype(np.float32))


def test_it_is_its_parts() -> None:
    together = model()
    apart = copy.deepcopy(together)
    rules = [(is_matrix, matrices), (anything, rest)]
    optimizer = MultiOptimizer(together.named_parameters(), rules)
    parts = [
        matrices([p for p in apart.parameters() if p.ndim == 2]),
        rest([p for p in apart.parameters() if p.ndim < 2]),
    ]
    for step in range(5):
        give(together.parameters(), step)
        give(apart.parameters(), step)
        optimizer.step()
        for part in parts:
            part.step()
    for p, q in zip(together.parameters(), apart.parameters(), strict=True):
        np.testing.assert_array_equal(host(p), host(q))
    assert [type(one) for one in optimizer.optimizers] == [SGD, AdamW]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "2.weight"]
    assert "momentum_buffer" in str(optimizer.state_dict()[0]["state"])
    assert repr(optimizer).startswith("MultiOptimizer(\n  SGD(2 tensors, 20 numbers; lr=0.1")


def test_the_first_rule_that_holds_wins_and_one_that_never_does_makes_nothing() -> None:
    def never(params: Any) -> Any:
        raise AssertionError

    optimizer = MultiOptimizer(
        model().named_parameters(), [(anything, rest), (is_matrix, never), (anything, never)]
    )
    assert len(optimizer.optimizers) == len(optimizer.state_dict()) == 1


def test_a_parameter_without_a_rule_is_named() -> None:
    text = (
        'MultiOptimizer: no rule takes parameter "0.bias" of shape (4,). End with a rule that '
        "takes the rest: (lambda name, p: True, AdamW)."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        MultiOptimizer(model().named_parameters(), [(is_matrix, matrices)])


W = tensor([1.0], requires_grad=True)
BAD: list[tuple[Any, type[Exception], str]] = [
    ([W], ValueError, "MultiOptimizer: parameters come with names, by which the rules choose."),
    ([], ValueError, "MultiOptimizer: parameters come with names"),
    ({("w", W)}, TypeError, "MultiOptimizer: params is a set;"),
    ([("w", 1.0)], TypeError, "MultiOptimizer: parameter 0 is a float, not a Tensor."),
    (
        [("w", tensor([1.0]))],
        ValueError,
        'MultiOptimizer: parameter 0 ("w"), shape (1,), does not require a gradient;',
    ),
]


@pytest.mark.parametrize(("params", "kind", "text"), BAD)
def test_what_cannot_be_sorted_is_told(params: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        MultiOptimizer(params, [(anything, rest)])


def test_new_groups_go_to_one_rule_and_to_the_end() -> None:
    w, m, v = (tensor(np.ones(s), requires_grad=True) for s in [(1,), (2, 2), (3,)])
    optimizer = MultiOptimizer([("w", w)], [(is_matrix, matrices), (anything, rest)])
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": [("m", m)], "lr": 1.0})
    optimizer.add_param_group({"params": [("v", v)], "lr": 2.0})
    assert [type(one) for one in optimizer.optimizers] == [SGD, AdamW]
    give([w, m, v], 0)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.5, 1.0]
    assert optimizer.param_groups[1] is optimizer.optimizers[0].param_groups[0]
    other, matrix = tensor([1.0], requires_grad=True), tensor([[1.0]], requires_grad=True)
    for group, kind, text in (
        ([("x", other), ("y", matrix)], ValueError, "x and y belong to different optimizers. Add"),
        ([("again", m)], ValueError, 'parameter 0 ("again"), shape (2, 2), is in an earlier group'),
        ([other], ValueError, "parameters come with names"),
    ):
        with pytest.raises(kind, match=re.escape(text)):
            optimizer.add_param_group({"params": group})
    with pytest.raises(TypeError, match="a group is a dict with a list"):
        optimizer.add_param_group({"lr": 1.0})
    assert len(optimizer.param_groups) == 3


def test_hooks_see_all_parameters_at_once() -> None:
    w, m = tensor(np.zeros(1), requires_grad=True), tensor(np.zeros((1, 1)), requires_grad=True)
    optimizer = MultiOptimizer(
        [("w", w), ("m", m)],
        [(is_matrix, lambda p: SGD(p, lr=1.0)), (anything, lambda p: SGD(p, lr=1.0))],
    )
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, 1.0))
    w.grad, m.grad = tensor(np.array([3.0])), tensor(np.array([[4.0]]))
    optimizer.step()
    np.testing.assert_allclose([w.item(), m.item()], [-0.6, -0.8], rtol=1e-6)


def test_a_step_that_fails_moves_nobody() -> None:
    w, m = tensor(np.zeros(1), requires_grad=True), tensor(np.zeros((1, 1)), requires_grad=True)
    optimizer = MultiOptimizer([("w", w), ("m", m)], [(is_matrix, matrices), (anything, rest)])
    w.grad, m.grad = tensor(np.array([1.0, 2.0])), tensor(np.array([[4.0]]))
    with pytest.raises(ValueError, match=r"MultiOptimizer: parameter 1 has shape \(1,\), its grad"):
        optimizer.step()
    assert m.item() == 0 and optimizer.step_count == 0


def test_state_that_fits_only_in_part_is_not_loaded_in_part() -> None:
    one = model()
    optimizer = MultiOptimizer(one.named_parameters(), [(is_matrix, matrices), (anything, rest)])
    give(one.parameters(), 0)
    optimizer.step()
    before = optimizer.state_dict()
    give(one.parameters(), 1)
    optimizer.step()
    later = optimizer.state_dict()
    with pytest.raises(ValueError, match="AdamW"):
        optimizer.load_state_dict([before[0], before[0]])
    np.testing.assert_equal(optimizer.state_dict(), later)
    with pytest.raises(ValueError, match="the file has 1 optimizers, and here are 2"):
        optimizer.load_state_dict(before[:1])
    optimizer.load_state_dict(before)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_states_are_found_and_strangers_are_not() -> None:
    one = model()
    optimizer = MultiOptimizer(one.named_parameters(), [(is_matrix, matrices), (anything, rest)])
    give(one.parameters(), 0)
    optimizer.step()
    assert optimizer.state_of(one[0].weight).keys() == {"t", "b"}
    assert optimizer.state_of(one[0].bias).keys() == {"t", "m", "v"}
    with pytest.raises(KeyError, match="MultiOptimizer: parameter 0 is not one of mine"):
        optimizer.state_of(W)


def test_a_wrapper_may_be_inside_or_outside() -> None:
    one = model()
    optimizer = Lookahead(
        MultiOptimizer(
            one.named_parameters(), [(is_matrix, lambda p: Lookahead(SGD(p))), (anything, rest)]
        ),
        k=1,
    )
    for step in range(6):
        give(one.parameters(), step)
        optimizer.step()
    twin = copy.deepcopy(optimizer)
    twin.load_state_dict(optimizer.state_dict())
    np.testing.assert_equal(twin.state_dict(), optimizer.state_dict())


# ---- the usual split --------------------------------------------------------------------------


def test_hidden_matrices_and_the_rest() -> None:
    net = nn.Sequential(
        nn.Embedding(5, 4),
        nn.Linear(4, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 4, bias=False),
        nn.Linear(4, 2),
    )
    net[2].weight.requires_grad_(False)
    optimizer = split_matrices(net, matrices, rest)
    names = [group["param_names"] for group in optimizer.param_groups]
    assert names == [
        ["1.weight", "3.weight"],
        ["0.weight", "1.bias", "2.bias", "4.weight", "4.bias"],
    ]
    assert [type(one) for one in optimizer.optimizers] == [SGD, AdamW]


def test_a_single_layer_has_no_hidden_matrix() -> None:
    assert [type(o) for o in split_matrices(nn.Linear(2, 1), matrices, rest).optimizers] == [AdamW]
