"""A narrated backward pass is a backward pass, and what it says is what happens."""

import ast

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import Tensor, ops
from tinygrad_opt.places import Places
from tinygrad_opt.teach.examples import EXAMPLES
from tinygrad_opt.teach.explain.formula import Writer
from tinygrad_opt.teach.narrate import derivative_text, narrate

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
    assert first.endswith("g 1   (here it begins: the gradient is 1)")
    assert second.endswith("g 1   (newest of 2 waiting; its user has sent)")
    assert third.endswith("(alone; its user has sent)")
    assert "       d/dx = g·cos(x)  → x: −0.99" in lines
    assert "       d/da = g·b  → x: 3" in lines
    assert lines[-1] == "x.grad: 5.01"


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
    for wrong in ("x", 3):
        with pytest.raises(TypeError, match=r"narrate: the loss is a (str|int)\. Pass a Tensor"):
            narrate(wrong)


@pytest.mark.parametrize("rows", [5, 64, 1000])
def test_a_classifier_is_told_to_the_bit(rows):
    labels = Tensor(np.arange(rows) % 7)
    gradients = []
    for told in (False, True):
        tg.manual_seed(1)
        model = tg.nn.Linear(4, 7)
        loss = tg.nn.functional.cross_entropy(model(tg.randn(rows, 4)), labels)
        if told:
            visits = narrate(loss, show=False).visits
            assert [visit.shape for visit in visits] == [(), (rows, 7)]
            assert visits[0].arrived == 1 and visits[0].sent[0].norm == visits[1].arrived
        else:
            loss.backward()
        gradients.append([p.grad.data for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_named_twice_add_up():
    table = tg.nn.Embedding(5, 2, sparse=True)
    text = str(narrate(table(Tensor(np.array([1, 1, 3]))).sum(), show=False))
    assert text.splitlines()[-1].endswith(".grad: (5, 2) of norm 3.162")  # √(2² + 2² + 1 + 1)
    assert "(5, 2) of norm 2.449" not in text


def test_few_numbers_are_shown_themselves_and_leaves_without_a_name_by_number():
    a, b = (Tensor(np.array(x), requires_grad=True) for x in ([1.0, -2.0], [3.0]))
    told = narrate((ops.concatenate([a, b]) ** 2).sum(), show=False)
    lines = str(told).splitlines()
    assert "       d/dinput[0] = cut(g, …)  → leaf 1: (2,) = [2, −4]" in lines
    assert "       d/dinput[1] = cut(g, …)  → leaf 2: (1,) = [6]" in lines
    assert lines[-2:] == ["leaf 1.grad: (2,) = [2, −4]", "leaf 2.grad: (1,) = [6]"]


def test_a_product_of_matrices_is_no_inner_product():
    scope = {"a": np.eye(2), "b": np.ones(2)}
    product, inner = (ast.parse(text, mode="eval").body for text in ("a.dot(a)", "b.dot(b)"))
    assert Writer(scope).write(product) == "a a"
    assert Writer(scope).write(inner) == "⟨b, b⟩"


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
