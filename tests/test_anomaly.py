"""Anomaly mode: every birth of NaN or infinity is named, and what is healthy is left in peace.

Order: forward · backward · what meets, what comes in · steps · what is meant · health · the block.
"""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import training
from tinygrad_opt import default_device, nn, optim, places
from tinygrad_opt.nn import functional as F
from tinygrad_opt.teach import fit

THIS = "test_anomaly.py"


def leaf(values: Any, dtype: str = "float32", name: str | None = None) -> tg.Tensor:
    x = tg.tensor(values, dtype=dtype, requires_grad=True)
    x.name = name
    return x


def caught(act: Callable[[], Any]) -> str:
    """What anomaly mode says of this."""
    with pytest.raises(tg.AnomalyError) as error, tg.detect_anomaly():
        act()
    return str(error.value)


def line(act: Any, after: int = 0) -> str:
    """So many lines after the first one of a function."""
    return f"{THIS}:{act.__code__.co_firstlineno + after}"


# ---- forward ----------------------------------------------------------------------------------


@tg.op(lambda xp, g, y, x: 2 * x * g)
def inverse_square(xp, x):
    return 1 / (x * x)


@tg.op(lambda xp, g, y, x: g[0] * xp.cos(x) + g[1] / x)
def sine_and_logarithm(xp, x):
    return xp.sin(x), xp.log(x)


BIG = 3e38
FORWARD: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "log of 0": (
        lambda: tg.log(tg.tensor([[1.0, 2.0], [0.0, 4.0]])),
        [
            "log makes −infinity in 1 of 4 values, of finite numbers",
            "x (2, 2) goes from 0 to 4",
            "x[1, 0] is 0",
            "log_softmax",
        ],
    ),
    "log of less": (
        lambda: tg.log(tg.tensor([1.0, -2.0])),
        ["log makes NaN in 1 of 2 values", "x[1] is -2"],
    ),
    "log2": (lambda: tg.log2(tg.tensor(0.0)), ["log2 makes −infinity, of finite", "x () is 0"]),
    "log1p": (lambda: tg.log1p(tg.tensor([-1.0])), ["log1p makes −infinity", "above −1"]),
    "sqrt": (
        lambda: tg.sqrt(tg.tensor([4.0, -1.0])),
        ["sqrt makes NaN", "x[1] is -1", "clip(x, 0)"],
    ),
    "divide": (
        lambda: tg.ones(2, 3) / tg.tensor([1.0, 0.0, 2.0]),
        [
            "divide makes +infinity in 2 of 6 values",
            "a (2, 3) is 1 everywhere",
            "b (3,) goes from 0 to 2",
            "b[1] is 0",
            "add a small ε",
        ],
    ),
    "0 / 0": (lambda: tg.zeros(1) / 0.0, ["divide makes NaN in 1 of 1 value,", "b is 0"]),
    "integers over 0": (
        lambda: tg.tensor([0, 1, 2]) / 0,
        ["divide makes NaN in 1 and +infinity in 2", "a (3,) goes from 0 to 2; b is 0; a[0] is 0"],
    ),
    "over integers": (
        lambda: 1.0 / tg.tensor([[2, 0]]),
        ["a is 1; b (1, 2) goes from 0 to 2; b[0, 1] is 0"],
    ),
    "over truths": (
        lambda: tg.tensor([3.0, 4.0]) / tg.tensor([True, False]),
        ["b (2,) goes from 0 to 1; a[1] is 4; b[1] is 0"],
    ),
    "integers without a logarithm": (
        lambda: tg.log(tg.tensor([1, -2])),
        ["log makes NaN in 1 of 2", "x (2,) goes from -2 to 1; x[1] is -2"],
    ),
    "a number over 0": (lambda: 1 / tg.zeros(2), ["divide makes +infinity in 2 of 2", "a is 1"]),
    "reciprocal": (lambda: tg.reciprocal(tg.zeros(2)), ["reciprocal makes +infinity"]),
    "exp": (
        lambda: tg.exp(tg.tensor([1.0, 100.0])),
        ["exp makes +infinity in 1 of 2", "x[1] is 100", "leaves float32 above 88.72"],
    ),
    "exp in float64": (
        lambda: tg.exp(tg.tensor([800.0], dtype="float64")),
        ["exp makes +infinity", "leaves float64 above 709.8"],
    ),
    "expm1": (lambda: tg.expm1(tg.tensor([100.0])), ["expm1 makes +infinity"]),
    "sinh": (lambda: tg.sinh(tg.tensor([-100.0])), ["sinh makes −infinity"]),
    "power of less": (
        lambda: tg.tensor([-8.0]) ** 0.5,
        ["power makes NaN", "a[0] is -8", "b is 0.5"],
    ),
    "power of 0": (lambda: tg.tensor([0.0]) ** -1.0, ["power makes +infinity", "clip the base"]),
    "arcsin": (lambda: tg.arcsin(tg.tensor([2.0])), ["arcsin makes NaN", "clip(x, -1, 1)"]),
    "arccos": (lambda: tg.arccos(tg.tensor([-2.0])), ["arccos makes NaN", "clip(x, -1, 1)"]),
    "square": (
        lambda: tg.square(tg.tensor([1e30])),
        ["square makes +infinity", "±3.4e+38", "float64"],
    ),
    "multiply": (
        lambda: tg.tensor([1e30, 1.0]) * 1e30,
        ["multiply makes +infinity in 1 of 2", "a[0] is 1e+30", "b is 1e+30"],
    ),
    "add": (lambda: tg.tensor([BIG]) + tg.tensor([BIG]), ["add makes +infinity", "a[0] is 3e+38"]),
    "sum": (
        lambda: tg.tensor([[1.0, 2.0], [BIG, BIG]]).sum(axis=1),
        [
            "sum makes +infinity in 1 of 2",
            "x (2, 2) goes from 1 to 3e+38",
            "first such value is at [1]",
        ],
    ),
    "matmul": (
        lambda: tg.tensor([[1e30, 0.0]]) @ tg.tensor([[1e30], [0.0]]),
        ["matmul makes +infinity in 1 of 1", "(1, 2) goes from 0 to 1e+30"],
    ),
    "linear": (
        lambda: F.linear(tg.tensor([[1e30]]), leaf([[1.0], [1e30]], name="w")),
        ["linear makes +infinity in 1 of 2", "w (2, 1) goes from 1 to 1e+30", "at [0, 1]"],
    ),
    "mse_loss": (
        lambda: F.mse_loss(tg.tensor([1e30]), tg.tensor([0.0])),
        ["mse_loss makes +infinity, of", "prediction (1,) is 1e+30"],
    ),
    "mean of nothing": (lambda: tg.ones(0).mean(), ["mean makes NaN", "x (0,) is empty"]),
    "labels that are ignored": (
        lambda: F.cross_entropy(tg.ones(2, 3), tg.tensor([-100, -100])),
        ["cross_entropy makes NaN", "every label is ignored"],
    ),
    "a variance of one value": (
        lambda: tg.ones(1).var(correction=1),
        [": var makes NaN, by divide. One value has no spread: give several, or correction=0."],
    ),
    "weights that are all 0": (
        lambda: F.cross_entropy(tg.ones(1, 2), tg.tensor([0]), weight=tg.zeros(2)),
        [": cross_entropy makes NaN, by where. There is no mean where every label is ignored, has"],
    ),
    "a layer's function with a number that is NaN": (
        lambda: nn.CrossEntropyLoss(weight=tg.zeros(2))(tg.ones(1, 2), tg.tensor([0])),
        [": cross_entropy makes NaN, by where."],
    ),
    "a number that is NaN": (
        lambda: nan * tg.ones(2),
        ["NaN comes into multiply with a, its argument 0: NaN. No", "computes that number."],
    ),
    "a spread of one value": (lambda: tg.ones(1).std(correction=1), ["std makes NaN", "no spread"]),
    "a row that is masked": (
        lambda: F.softmax(tg.tensor([[0.0, 1.0], [-inf, -inf]]), dim=-1),
        [
            "softmax makes NaN in 2 of 4 values, of inputs that hold infinities",
            "from −infinity to 1",
            "as a whole",
        ],
    ),
    "infinity minus infinity": (
        lambda: tg.tensor([inf, 1.0]) - tg.tensor([inf, 1.0]),
        [
            "subtract makes NaN in 1 of 2 values, of inputs that hold infinities",
            "a[0] is +infinity",
            "choose with where",
        ],
    ),
    "0 times infinity": (
        lambda: tg.tensor([1.0, 0.0]) * -inf,
        ["multiply makes NaN in 1 of 2 values", "b is −infinity; a[1] is 0"],
    ),
    "float16": (
        lambda: tg.tensor([1e6]).astype("float16"),
        [
            "makes +infinity in 1 of 1 value,",
            "±6.6e+04 there are no numbers in float16",
            "take float32",
        ],
    ),
    "an operation of one's own": (
        lambda: inverse_square(tg.tensor([0.0, 2.0])),
        [
            "inverse_square makes +infinity in 1 of 2",
            "x[0] is 0. It divides by 0, takes the logarithm of 0, or leaves float32 above "
            "3.4e+38: keep the first two away from 0, by a small ε, and scale large inputs, or "
            "take float64.",
        ],
    ),
    "one of several results": (
        lambda: sine_and_logarithm(tg.tensor([0.0, 2.0])),
        ["sine_and_logarithm makes −infinity in 1 of 2", "x[0] is 0"],
    ),
    "inside of a function of the package": (
        lambda: F.l1_loss(tg.tensor([BIG]), tg.tensor([-BIG])),
        ["subtract makes +infinity in 1 of 1 value, of", "a[0] is 3e+38; b[0] is -3e+38"],
    ),
}


@pytest.mark.parametrize("birth", FORWARD)
def test_a_birth_in_the_forward_pass(birth: str) -> None:
    act, parts = FORWARD[birth]
    text = caught(act)
    assert text.startswith(f"{line(act)}: "), text
    for part in parts:
        assert part in text


def test_the_whole_sentence_of_a_birth() -> None:
    def act() -> None:
        x = tg.tensor([[1.0, 2.0, 3.0], [0.0, 0.5, 4.0]])
        tg.log(x)

    assert caught(act) == (
        f"{line(act, 2)}: log makes −infinity in 1 of 6 values, of finite numbers. "
        "Inputs: x (2, 3) goes from 0 to 4; x[1, 0] is 0. "
        "The logarithm of 0 is −infinity, of less NaN: log(clip(x, 1e-6)), or log_softmax for the "
        "logarithm of a softmax."
    )


def test_a_layer_is_named_by_its_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    model[2].weight.data = model[2].weight.data * 0 + BIG
    model[0].bias.data = model[0].bias.data + 9
    list(model.parameters())  # what an optimizer does names them
    text = caught(lambda: model(tg.ones(4, 2)))
    assert "linear makes +infinity in 4 of 4 values" in text
    assert "2.weight (1, 3) is 3e+38 everywhere" in text


# ---- backward ---------------------------------------------------------------------------------


BACKWARD: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "sqrt": (
        lambda: tg.sqrt(leaf([0.0, 1.0, 4.0])).sum(),
        [
            "the gradient of sqrt for x has +infinity in 1 of 3 values, of finite numbers",
            "g (3,) is 1 everywhere",
            "y (3,) goes from 0 to 2",
            "y[0] is 0",
            "1/(2√x)",
        ],
    ),
    "power": (
        lambda: (leaf([0.0, 1.0]) ** 0.5).sum(),
        ["the gradient of power for a has +infinity", "a[0] is 0", "b is 0.5", "b·aᵇ⁻¹"],
    ),
    "divide": (
        lambda: (leaf([1.0]) / leaf([1e-30], name="scale")).sum(),
        [
            "the gradient of divide for scale has −infinity",
            "scale[0] is 1e-30",
            "keep b away from 0",
        ],
    ),
    "reciprocal": (
        lambda: tg.reciprocal(leaf([1e-30])).sum(),
        ["the gradient of reciprocal for x has −infinity", "y[0] is 1e+30"],
    ),
    "log": (lambda: tg.log(leaf([1e-40])).sum(), ["gradient of log for x has +infinity", "1/x"]),
    "arcsin": (lambda: tg.arcsin(leaf([1.0])).sum(), ["of arcsin for x has +infinity", "at ±1"]),
    "arccos": (lambda: tg.arccos(leaf([1.0])).sum(), ["of arccos for x has −infinity", "at ±1"]),
    "exp": (
        lambda: ((y := tg.exp(leaf([80.0]))) - y.detach()).sum() * 1e10,
        ["the gradient of exp for x has +infinity", "y[0] is 5.54062e+34"],
    ),
    "the branch that is not taken": (
        lambda: tg.where(x := leaf([0.0, 4.0]), tg.sqrt(x), 0.0).sum(),
        [
            "the gradient of sqrt for x has NaN in 1 of 2",
            "g[0] is 0; y[0] is 0",
            "by a second where",
        ],
    ),
    "linear": (
        lambda: (F.linear(tg.tensor([[1e20]]), leaf([[1e-20]], name="w")) * 1e30).sum(),
        ["the gradient of linear for w has +infinity in 1 of 1", "x (1, 1) is 1e+20"],
    ),
    "mse_loss": (
        lambda: F.mse_loss(leaf([0.9], name="p"), tg.tensor([0.0])) * 3e38,
        ["the gradient of mse_loss for p has +infinity in 1 of 1", "p (1,) is 0.9"],
    ),
    "times an infinity": (
        lambda: tg.where(tg.tensor([True]), 0.0, leaf([1.0]) * inf).sum(),
        [
            "the gradient of multiply for a has NaN",
            "of inputs that hold infinities",
            "b is +infinity",
        ],
    ),
    "an operation of one's own": (
        lambda: (inverse_square(leaf([1e10])) * 1e35).sum(),
        [
            "the gradient of inverse_square for x has +infinity",
            "x[0] is 1e+10. It divides by 0, takes",
        ],
    ),
    "one of several results": (
        lambda: sine_and_logarithm(leaf([1e-40, 1.0]))[1].sum(),
        ["the gradient of sine_and_logarithm for x has +infinity in 1 of 2"],
    ),
}


@pytest.mark.parametrize("birth", BACKWARD)
def test_a_birth_in_the_backward_pass(birth: str) -> None:
    act, parts = BACKWARD[birth]
    text = caught(lambda: act().backward())
    assert text.startswith(f"{line(act)}: the gradient of "), text
    for part in (*parts, "The line is that of the forward call; the backward pass began at"):
        assert part in text


def test_the_whole_sentence_of_a_birth_in_the_backward_pass() -> None:
    def act() -> None:
        x = leaf([0.0, 1.0, 4.0])
        y = tg.sqrt(x)
        loss = y.sum()
        loss.backward()

    assert caught(act) == (
        f"{line(act, 2)}: the gradient of sqrt for x has +infinity in 1 of 3 values, of finite "
        "numbers. The line is that of the forward call; the backward pass began at "
        f"{line(act, 4)}. Inputs: the gradient that arrives, g (3,) is 1 everywhere; "
        "the result, y (3,) goes from 0 to 2; g[0] is 1; y[0] is 0. "
        "The derivative is 1/(2√x), infinite at 0: sqrt(x + 1e-12)."
    )


def test_gradients_of_gradients() -> None:
    def act() -> None:
        x = leaf([0.0, 1.0])
        y = tg.sqrt(x).sum()
        tg.grad(y, x, create_graph=True)

    text = caught(act)
    assert text.startswith(
        f"{line(act, 2)}: divide, in the gradient of sqrt, makes +infinity in 1 of 2 values, of "
        "finite numbers. The line is that of the forward call; the backward pass began at "
        f"{line(act, 3)}."
    )


def test_gradients_of_gradients_of_several_results() -> None:
    x = leaf([0.5, 1.0])
    with tg.detect_anomaly():
        a, b = sine_and_logarithm(x)
        tg.grad((a + b).sum(), x, create_graph=True).sum().backward()

    def act() -> None:
        y = sine_and_logarithm(leaf([1e-3]))[0]
        loss = (y * 2e38).sum() + (y * 2e38).sum()
        loss.backward(create_graph=True)

    text = caught(act)
    assert text.startswith(f"{line(act, 2)}: add, in the gradient of multiply, makes +infinity")


def test_a_graph_from_before_the_block_and_gradients_by_grad() -> None:
    x = leaf([0.0, 1.0])
    y = tg.sqrt(x).sum()
    text = caught(lambda: tg.grad(y, x))
    assert text.startswith("the gradient of sqrt for x has +infinity in 1 of 2 values")
    assert f"The forward call was not seen; the backward pass began at {THIS}:" in text


def test_nan_from_a_forward_pass_that_was_not_seen() -> None:
    x = leaf([1.0, 2.0])
    y = x * tg.tensor([nan, 1.0])
    text = caught(lambda: y.backward(tg.ones(2)))
    assert "NaN comes into the gradient of multiply with b (2,), its argument 1" in text
    assert "begin detect_anomaly() before it" in text


# ---- what meets, what comes in ----------------------------------------------------------------


def test_gradients_that_meet_at_a_result() -> None:
    def meet() -> None:
        y = leaf([1e-3, 1e-3]) * 1.0
        loss = (y * 2e38).sum() + (y * 2e38).sum()
        loss.backward()

    text = caught(meet)
    assert text.startswith(
        f"{line(meet, 1)}: the gradients that meet at the result of multiply add up to +infinity "
        "in 2 of 2 values, each of them finite. The line is that of the forward call; the backward "
        f"pass began at {line(meet, 3)}."
    )


def test_gradients_that_meet_at_a_leaf() -> None:
    def act() -> None:
        w = leaf([1e-3, 1e-3], name="w")
        ((w * 2e38).sum() + (w * 2e38).sum()).backward()

    assert caught(act).startswith(
        f"{line(act, 2)}: backward: the gradients of w (2,) add up to +infinity in 2 of 2 values, "
        "each of them finite. A gradient is the sum over all uses of a tensor,"
    )


def test_gradients_of_what_was_broadcast() -> None:
    b = leaf([0.0], name="b")
    text = caught(lambda: ((tg.zeros(4, 1) + b) * 1e38).sum().backward())
    assert "the gradients of b (1,) add up to +infinity in 1 of 1 value, each of them" in text


def test_gradients_that_add_up_over_backward_passes() -> None:
    w = leaf([1e-3], name="w")

    def act() -> None:
        (w * 2e38).sum().backward()
        (w * 2e38).sum().backward()

    text = caught(act)
    assert text.startswith(f"{line(act, 2)}: backward: the gradients of w (1,), of this pass and ")
    assert "those before, add up to +infinity in 1 of 1 value" in text


def test_a_gradient_that_was_not_finite_before_the_pass() -> None:
    w = leaf([1.0], name="w")
    w.grad = tg.tensor([nan])
    text = caught(lambda: (w * 2).sum().backward())
    assert "the gradient of w (1,) had NaN in 1 of 1 value before this pass" in text
    assert "zero_grad()" in text


def test_gradients_of_rows() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    list(table.parameters())
    with tg.detect_anomaly():
        table(tg.tensor([1, 1])).sum().backward()
    table.weight.grad.values = table.weight.grad.values * inf  # which nobody has seen
    text = caught(lambda: table(tg.tensor([3])).sum().backward())
    assert "the gradient of weight (5, 2) had +infinity in 4 of 4 values before this pass" in text


def test_a_gradient_that_is_given() -> None:
    x = leaf([1.0, 2.0])
    given = tg.tensor([1.0, nan])
    sentence = "backward: the gradient that was given has NaN in 1 of 2 values. Give finite"
    assert sentence in caught(lambda: (x * 2).backward(given))
    assert sentence in caught(lambda: tg.grad(x * 2, x, given))


def test_what_hooks_return() -> None:
    def spoil(g: tg.Tensor) -> tg.Tensor:
        return tg.tensor(np.full(g.shape, np.nan, np.float32))

    x = leaf([1.0, 2.0], name="x")
    y = x * 2
    y.register_hook(spoil)
    text = caught(lambda: y.sum().backward())
    assert "a hook of the result of multiply gives a gradient that has NaN in 2 of 2" in text
    x.register_hook(spoil)
    text = caught(lambda: (x * 2).sum().backward())
    assert "the gradient of x (2,) has NaN in 2 of 2 values after its hooks" in text


def test_a_birth_in_a_hook_is_that_of_its_line() -> None:
    def hook(g: tg.Tensor) -> tg.Tensor:
        return g / 0.0

    x = leaf([1.0])
    y = x * 2
    y.register_hook(hook)
    text = caught(lambda: y.sum().backward())
    assert text.startswith(f"{line(hook, 1)}: divide makes +infinity in 1 of 1 value")


def test_nan_in_data_and_in_a_parameter() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    data = tg.tensor([[1.0, nan], [0.0, 1.0]])

    def act() -> None:
        x = data[:, :]
        model(x)

    assert caught(act) == (
        f"{line(act, 2)}: NaN comes into linear_relu with x (2, 2), its argument 0: NaN in 1 of 4 "
        "values, the first at [0, 1]. No operation seen here made it. It was in the data, or was "
        "written there without an operation, or before the block: isfinite() shows where, and "
        "where(isnan(x), 0, x) fills gaps."
    )
    model[2].bias.data = model[2].bias.data * nan
    list(model.parameters())
    text = caught(lambda: model(tg.ones(1, 2)))
    assert "NaN comes into linear with 2.bias (1,), its argument 2: NaN in 1 of 1 value" in text


def test_gaps_in_data_may_be_filled() -> None:
    x = tg.tensor([[1.0, nan], [0.0, 1.0]])
    with tg.detect_anomaly():
        filled = tg.where(tg.isnan(x.T), 0.0, x.T)
        assert float(filled.sum().item()) == 2.0


def test_an_infinite_loss() -> None:
    x = tg.tensor([inf, 1.0])
    w = leaf([1.0, 1.0])

    def act() -> None:
        y = w * x
        loss = y.sum()
        loss.backward()

    assert caught(act).startswith(
        f"{line(act, 3)}: backward: the loss is +infinity, and no operation seen here made it of "
        f"finite numbers. An infinity came into multiply at {line(act, 1)}."
    )


# ---- steps ------------------------------------------------------------------------------------


def test_a_step_that_is_too_large() -> None:
    w = leaf([[1.0, -2.0], [3.0, 0.0]], name="w")
    optimizer = optim.SGD([w], lr=1e30)
    w.grad = tg.tensor([[1e20, 0.0], [0.0, 0.0]])

    def act() -> None:
        optimizer.step()

    assert caught(act) == (
        f"{line(act, 1)}: SGD.step() makes −infinity in 1 of 4 values of w (2, 2), of a finite "
        "parameter and gradient. Before the step w went from -2 to 3; ‖g‖ is 1e+20; lr is 1e+30. "
        "Lower the learning rate, or clip gradients before the step: "
        "clip_grad_norm_(params, 1.0)."
    )


def test_a_state_that_is_too_large() -> None:
    w = leaf([1.0, 2.0])
    optimizer = optim.Adam([w], lr=0.1)
    w.grad = tg.tensor([1e25, 1.0])
    text = caught(optimizer.step)
    assert "Adam.step() makes +infinity in 1 of 2 values of v, the state of parameter 0" in text


def test_a_parameter_and_its_state_that_are_too_large() -> None:
    w = leaf([1.0])
    optimizer = optim.SGD([w], lr=1e38, momentum=0.9)
    w.grad = tg.tensor([BIG])
    text = caught(lambda: [optimizer.step() for _ in range(3)])
    assert "SGD.step() makes −infinity in 1 of 1 value of parameter 0 (1,)" in text


def test_gradients_and_parameters_that_were_written() -> None:
    w = leaf([1.0, 2.0], name="w")
    optimizer = optim.SGD([w], lr=0.1)
    w.grad = tg.tensor([nan, 1.0])
    text = caught(optimizer.step)
    assert "SGD.step(): the gradient of w (2,) has NaN in 1 of 2 values, and no operation" in text
    assert "clipping, accumulation, p.grad = …" in text
    w.data, w.grad = tg.tensor([nan, 1.0]).data, tg.ones(2)
    text = caught(optimizer.step)
    assert "SGD.step(): w (2,) has NaN in 1 of 2 values, and was not finite before the" in text


def test_a_step_with_a_closure() -> None:
    w = leaf([1.0], name="w")
    optimizer = optim.SGD([w], lr=1e38)

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = (w * 30.0).sum()
        loss.backward()
        return loss

    assert "SGD.step() makes −infinity" in caught(lambda: optimizer.step(closure))
    w.data = tg.ones(1).data

    def broken() -> tg.Tensor:
        return tg.log(w * 0.0).sum()

    assert caught(lambda: optimizer.step(broken)).startswith(f"{line(broken, 1)}: log makes")


def test_a_step_that_moves_before_its_closure() -> None:
    w = leaf([3e38], name="w")
    optimizer = optim.SAM(optim.SGD([w], lr=0.1), rho=1e38)

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = (w * 1e-38).sum()
        loss.backward()
        return loss

    text = caught(lambda: optimizer.step(closure))
    assert "infinity" in text


# ---- what is meant ----------------------------------------------------------------------------


def test_an_infinity_on_purpose_is_no_anomaly() -> None:
    scores = leaf([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    allowed = tg.tensor([[True, False, True], [True, True, False]])
    mask = tg.tensor([[0.0, -inf, 0.0], [0.0, 0.0, -inf]])
    with tg.detect_anomaly():
        (tg.where(allowed, scores, -inf).softmax() ** 2).sum().backward()
        (F.softmax(scores + mask, dim=-1) ** 2).sum().backward()
        log_p = F.log_softmax(scores + mask, dim=-1)
        (-log_p[:, 0]).sum().backward()
        tg.logsumexp(scores + mask, axis=1).sum().backward()
        (scores + mask).max(axis=1).sum().backward()
        tg.exp(mask)
        tg.minimum(scores, inf).sum().backward()
        tg.isfinite(mask), tg.isnan(tg.tensor([nan])), tg.tensor([nan, 1.0]).argmax()
    assert np.isfinite(host(scores.grad)).all()


def test_integers_and_truths_are_left_in_peace() -> None:
    with tg.detect_anomaly():
        assert host(tg.arange(3) * 2).tolist() == [0, 2, 4]
        assert host(tg.tensor([1.0, nan]) > 0).tolist() == [True, False]


def test_what_a_fused_operation_keeps_may_be_infinite() -> None:
    @tg.fused(lambda x: x * 2.0, lambda xp, g, saved, x: g * xp.where(saved > 0, 2, 2))
    def twice(xp, x):
        return x * 2, xp.full_like(x, inf)

    x = leaf([1.0])
    with tg.detect_anomaly():
        twice(x).sum().backward()
    assert host(x.grad).tolist() == [2.0]


# ---- health -----------------------------------------------------------------------------------


class Attention(nn.Module):
    """A head that may not look ahead."""

    def __init__(self) -> None:
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        scores = self.q(x) @ self.k(x).T
        ahead = tg.tensor(np.triu(np.ones(scores.shape, bool), 1), device=x.device)
        return tg.where(ahead, -inf, scores).softmax(axis=-1) @ self.v(x)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "layers": lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3)),
    "attention": Attention,
}


def trained(make: Callable[[], nn.Module], dtype: str, wrap: Any = lambda x: x) -> list[Any]:
    """The weights after some steps."""
    tg.manual_seed(0)
    model = make().to(dtype)
    optimizer = wrap(optim.Adam(model.parameters(), lr=0.05))
    rng = np.random.default_rng(0)
    x, y = tg.tensor(rng.normal(size=(12, 4)).astype(dtype)), tg.tensor(rng.integers(0, 3, 12))
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return [host(p).copy() for p in model.parameters()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", MODELS)
def test_healthy_training_gives_the_same_weights(model: str, dtype: str) -> None:
    free = trained(MODELS[model], dtype)
    with tg.detect_anomaly():
        watched = trained(MODELS[model], dtype)
    for a, b in zip(free, watched, strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrap", [optim.SkipNonFinite, lambda x: optim.Accumulate(x, k=2)])
def test_healthy_training_in_a_wrapper(wrap: Any) -> None:
    free = trained(MODELS["layers"], "float32", wrap)
    with tg.detect_anomaly():
        watched = trained(MODELS["layers"], "float32", wrap)
    for a, b in zip(free, watched, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimizer_may_step(name: str) -> None:
    _, optimizer, closure = training(name)
    with tg.detect_anomaly():
        for _ in range(3):
            optimizer.step(closure)


def test_every_loss_at_its_limits() -> None:
    sure, right = leaf([[-90.0, 90.0], [90.0, -90.0]]), tg.tensor([[0.0, 1.0], [1.0, 0.0]])
    with tg.detect_anomaly():
        for p in (leaf([0.0, 1.0]), leaf([1.0, 0.0])):
            F.binary_cross_entropy(p, tg.tensor([0.0, 1.0])).backward()
        for loss in (F.binary_cross_entropy_with_logits, F.mse_loss, F.l1_loss, F.huber_loss):
            loss(sure, right).backward()
        F.cross_entropy(sure, tg.tensor([0, -100])).backward()
        F.nll_loss(F.log_softmax(sure, dim=-1), tg.tensor([0, 1])).backward()
        F.kl_div(F.log_softmax(sure, dim=-1), right, reduction="sum").backward()
        tg.logsumexp(sure).backward()
        tg.norm(leaf([0.0, 0.0])).backward()
        leaf([2.0, 2.0]).std().backward()


def test_gradients_of_gradients_in_health() -> None:
    x = leaf([0.5, 2.0])
    with tg.detect_anomaly():
        loss = F.mse_loss(nn.Linear(2, 1)(tg.tanh(x)), tg.ones(1))
        g = tg.grad(loss, x, create_graph=True)
        (g * g).sum().backward()
        tg.hessian(lambda v: (v**3 + tg.exp(v)).sum(), x)


# ---- the block --------------------------------------------------------------------------------


def test_nothing_is_left_behind_and_nothing_is_loaded_before() -> None:
    device = default_device()
    module, state, filters = device.xp, np.geterr(), list(warnings.filters)
    for _ in range(2):
        with pytest.raises(tg.AnomalyError), tg.detect_anomaly():
            tg.log(tg.zeros(1))
        with pytest.raises(KeyError), tg.detect_anomaly():
            raise KeyError
        assert device.xp is module
        assert np.geterr() == state
        assert warnings.filters == filters
    program = "import sys, tinygrad_opt; print('tinygrad_opt.anomaly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_it_is_a_floating_point_error_and_may_decorate() -> None:
    @tg.detect_anomaly()
    def step() -> None:
        tg.log(tg.zeros(1))

    for _ in range(2):
        with pytest.raises(FloatingPointError, match="log makes"):
            step()


def test_no_tensor_outlives_an_error() -> None:
    x = leaf([0.0, 1.0])
    alive = weakref.ref(x)
    gc.disable()
    try:
        with contextlib.suppress(tg.AnomalyError), tg.detect_anomaly():
            tg.sqrt(x).sum().backward()
        del x
        assert alive() is None
    finally:
        gc.enable()


def test_blocks_in_blocks() -> None:
    with tg.detect_anomaly():
        with tg.detect_anomaly():
            tg.ones(2) * 2
        with pytest.raises(tg.AnomalyError, match="log makes"):
            tg.log(tg.zeros(1))


def test_other_threads_are_left_in_peace() -> None:
    found: list[Any] = []

    def work() -> None:
        with np.errstate(all="ignore"):
            found.append(float(tg.log(tg.zeros(1)).item()))

    with tg.detect_anomaly():
        other = threading.Thread(target=work)
        other.start()
        other.join()
    assert found == [-inf]


def test_lines_are_those_of_the_user_behind_decorators() -> None:
    @tg.no_grad()
    def act() -> None:
        x = tg.zeros(1)
        tg.log(x)

    assert caught(act).startswith(f"{THIS}:{act.__wrapped__.__code__.co_firstlineno + 3}: log")


def test_fit_is_watched() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e25)
    pairs = [(tg.ones(3, 2), tg.zeros(3, 1))]

    def act() -> None:
        fit(model, pairs, optimizer, epochs=9)

    text = caught(act)
    assert text.startswith(f"{line(act, 1)}: ")
    assert "+infinity" in text or "−infinity" in text
    free, watched = (nn.Linear(2, 1) for _ in range(2))
    watched.load_state_dict(free.state_dict())
    fit(free, pairs, optim.Adam(free.parameters()), epochs=3)
    with tg.detect_anomaly():
        fit(watched, pairs, optim.Adam(watched.parameters()), epochs=3)
    for a, b in zip(free.parameters(), watched.parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b))


def test_it_stands_inside_profile_and_lint_and_around_narrate() -> None:
    w = leaf([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        tg.exp(w).sum().backward()
        optimizer.step()

    with tg.profile(show=False) as p, tg.detect_anomaly():
        step()
        optimizer.step(lambda: tg.exp(w).sum())
    assert [(r.name, r.calls) for r in p.rows if r.name == "SGD.step()"] == [("SGD.step()", 2)]
    assert {r.name: (r.calls, r.backward_calls) for r in p.rows}["exp"] == (2, 1)
    with tg.profile(show=False), pytest.raises(tg.AnomalyError), tg.detect_anomaly():
        tg.log(w * 0.0)
    with tg.lint(None, optimizer) as findings, tg.detect_anomaly():
        step()
    assert findings == []
    with tg.detect_anomaly():
        tg.teach.narrate(lambda: tg.exp(w).sum(), show=False)
    x = leaf([0.0])
    with pytest.raises(tg.AnomalyError, match="the gradient of sqrt"), tg.detect_anomaly():
        tg.teach.narrate(lambda: tg.sqrt(x).sum(), show=False)
    for block in (tg.profile, tg.lint):
        refused = pytest.raises(RuntimeError, match=r"watched already, .* detect_anomaly\(\)")
        with tg.detect_anomaly(), refused, block():
            pass


@pytest.mark.on("cpu")
def test_captured_steps_run_as_they_are() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    @tg.capture
    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x, y, gap = tg.ones(3, 2), tg.zeros(3, 1), tg.tensor([[1.0, nan]] * 3)
    with tg.detect_anomaly():
        step(x, y)
    assert step.calls == 0  # nothing was recorded
    for _ in range(3):
        step(x, y)
    assert step.calls > 0
    with pytest.raises(tg.AnomalyError, match="NaN comes into linear with x"), tg.detect_anomaly():
        step(gap, y)
    with tg.detect_anomaly():
        step(x, y)
    for _ in range(3):
        last = step(x, y)
    assert np.isfinite(last.item())
    with tg.profile(show=False) as p:
        step(x, y)
    assert [row.name for row in p.rows] == ["SGD.step()", "everything else"]


@pytest.mark.on("cpu")
def test_a_block_in_a_captured_step_is_refused() -> None:
    @tg.capture
    def step(x: tg.Tensor) -> tg.Tensor:
        with tg.detect_anomaly():
            return tg.exp(x)

    with pytest.raises(RuntimeError, match="detect_anomaly: a step is being captured, whose"):
        step(tg.ones(2))


def test_what_another_thread_has_recorded_has_no_line() -> None:
    x, found = leaf([0.0, 1.0]), []

    def work() -> None:
        found.append(tg.sqrt(x))

    def act() -> None:
        loss = (x * 2).sum()
        other = threading.Thread(target=work)
        other.start()
        other.join()
        (loss + found[0].sum()).backward()

    text = caught(act)
    assert text.startswith("the gradient of sqrt for x has +infinity in 1 of 2 values"), text
    assert f"The forward call was not seen; the backward pass began at {line(act, 5)}." in text


def test_a_program_whose_folder_is_named_like_the_package() -> None:
    path = places.PACKAGE.rstrip("/\\") + "_mine/train.py"
    scope = {"tg": tg}
    exec(compile("def act():\n    tg.log(tg.zeros(1))", path, "exec"), scope)
    assert caught(scope["act"]).startswith("train.py:2: log makes")


def test_lines_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "KEPT", 4)
    x, nodes = leaf([1.0]), []
    with places.Places() as known:
        for _ in range(6):
            nodes.append((x * 1)._node)
            nodes.append((x * 2)._node)
    lines = [known.of(node) for node in nodes]
    assert lines[0] is None
    assert lines[-2:] == [line(test_lines_are_forgotten_after_a_while, n) for n in (5, 6)]
    assert len(known.lines) <= 4


@pytest.mark.on("standin")
def test_a_look_on_another_device() -> None:
    here = tg.zeros(1, device="cpu")
    assert "log makes −infinity" in caught(lambda: tg.log(here))
    assert "log makes −infinity" in caught(lambda: tg.log(here.to(default_device())))
