"""A narrated backward pass is a backward pass, and what it says is what happens."""

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import Tensor, ops
from tinygrad_opt.teach.examples import EXAMPLES
from tinygrad_opt.teach.narrate import derivative_text, narrate
from tinygrad_opt.teach.places import Places

pytestmark = pytest.mark.on("cpu")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_gradients_are_those_of_backward_to_the_bit(name):
    gradients = []
    for told in (False, True):
        tg.manual_seed(0)
        loss, leaves = EXAMPLES[name].build()
        if told:
            narrate(loss, show=False)
        else:
            loss.backward()
        gradients.append([x.grad.data for x in leaves.values() if x.requires_grad])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_node_says_what_came_and_what_it_sends(capsys):
    def loss():
        x = Tensor(np.array(3.0), requires_grad=True)
        x.name = "x"
        return x * x + ops.sin(x)

    narrate(loss)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "loss = 9.14112, backwards:"
    first, second, third = (line for line in lines if line[:3].strip().isdigit())
    assert first.startswith("  1  add       test_narrate.py:")
    assert first.endswith("g () of norm 1   (here it begins: the gradient is 1)")
    assert second.endswith("g () of norm 1   (newest of 2 waiting; its user has sent)")
    assert third.endswith("(alone; its user has sent)")
    assert "       d/dx = g·cos(x)  → x: () of norm 0.99" in lines
    assert "       d/da = g·b  → x: () of norm 3" in lines
    assert lines[-1] == "x.grad () has norm 5.01"


def test_a_node_waits_until_all_its_users_have_sent():
    x = Tensor([3.0], requires_grad=True)
    b = x + x
    c = b + b
    told = narrate((c * b).sum(), show=False)
    assert [visit.name for visit in told.visits] == ["sum", "multiply", "add", "add"]
    assert told.visits[-1].why == "alone; all its 3 users have sent"
    assert told.visits[-1].arrived == 24.0  # d(2 b b)/db
    numbers = [visit.node[0] for visit in told.visits]
    assert numbers == sorted(numbers)  # newest first


def test_norms_are_those_of_the_gradients():
    w = Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    told = narrate(ops.exp(w).sum(), show=False)
    (sent,) = told.visits[-1].sent
    assert sent.norm == pytest.approx(np.linalg.norm(np.exp(w.data)), rel=1e-15)
    assert sent.shape == (2, 2) and sent.formula == "g·y"


def test_several_outputs_and_hooks_of_others():
    seen = []
    w = Tensor(np.arange(4.0), requires_grad=True)
    y = ops.exp(w)
    y.register_hook(lambda g: seen.append(1))
    a, b = ops.split(y, 2)
    told = narrate((a * b).sum(), show=False)
    np.testing.assert_allclose(w.grad.data, np.exp([2, 4, 2, 4]))
    assert seen == [1] and told.visits[-1].name == "exp"
    assert all(len(visit.node[6]) == (visit.name == "exp") for visit in told.visits)


def test_errors_are_those_of_backward():
    with pytest.raises(RuntimeError, match="nothing here requires a gradient"):
        narrate(Tensor(1.0))
    with pytest.raises(RuntimeError, match=r"the result has shape \(2,\)"):
        narrate(Tensor([1.0, 2.0], requires_grad=True) * 2)
    with pytest.raises(TypeError, match="the function returned a int"):
        narrate(lambda: 3)


def test_the_text_of_a_derivative_is_that_of_the_table():
    assert [derivative_text(d) for d in ops.multiply.op.derivatives] == ["g·b", "g·a"]
    assert derivative_text(ops.tanh.op.derivatives[0]) == "g·(1 − y²)"


def test_every_derivative_has_a_text():
    every = [one.op for one in vars(ops).values() if hasattr(one, "op")]
    every = [op for op in every if hasattr(op, "derivatives")]
    texts = [derivative_text(d) for op in every for d in op.derivatives if d]
    assert len(texts) > 80
    assert "…" not in texts


def test_places_know_the_line_of_every_operation_and_cost_nothing_when_closed():
    before = Tensor([1.0], requires_grad=True) * 2
    with Places() as places:
        x = Tensor([1.0], requires_grad=True)
        y = x * 3
        z = ops.exp(
            y,
        )
    after = z * 2
    this = "test_narrate.py:"
    line = int(places.of(y._node).removeprefix(this))
    assert places.of(z._node) == f"{this}{line + 1}"
    assert places.of(before._node) is None
    count = len(places.lines)
    after.sum().backward()
    assert len(places.lines) == count
    assert type(x.device.xp).__name__ == "module"
