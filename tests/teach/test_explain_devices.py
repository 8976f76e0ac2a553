"""Steps are explained wherever arrays live, and by whatever storage holds them."""

import numpy as np
import pytest

from tinygrad_opt import Tensor, grad, nn, tensor
from tinygrad_opt.optim import SGD, AdamW, MultiOptimizer, get_optimizer
from tinygrad_opt.teach.explain import explain
from tinygrad_opt.teach.narrate import narrate


def host(x):
    return x.device.to_host(x.data)


@pytest.mark.parametrize("name", ["adam", "momentum", "lamb", "muon", "prodigy", "lbfgs", "newton"])
def test_a_step_is_explained_where_its_arrays_live(name):
    w = tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    optimizer = get_optimizer(name)([w])

    def closure():
        optimizer.zero_grad()
        loss = (w**4).sum()
        loss.backward()
        return loss

    for _ in range(2):
        closure()
        before, place = host(w).copy(), w.data
        needs = closure if type(optimizer).scope == "closure" else None
        explanation = explain(optimizer, w, closure=needs)
        assert w.data is place
        np.testing.assert_array_equal(host(w), before)
        optimizer.step(needs)
        np.testing.assert_allclose(explanation.new, host(w), rtol=1e-6)
        assert "p ←" in str(explanation)


def test_narration_hears_every_device():
    w = tensor([1.0, 2.0], requires_grad=True)
    told = narrate((w * w).sum(), show=False)
    assert [visit.name for visit in told.visits] == ["sum", "multiply"]
    assert told.visits[1].sent[0].norm == pytest.approx(5**0.5, rel=1e-6)


@pytest.mark.on("cpu")
def test_steps_that_are_recorded():
    w = Tensor(np.array([3.0]), requires_grad=True)
    lr = Tensor(np.array(0.1), requires_grad=True)
    optimizer = SGD([w], lr=lr, momentum=0.9, differentiable=True)
    for _ in range(2):
        w.grad = grad((w * w).sum(), w, create_graph=True)
        node, data = w._node, w.data
        explanation = explain(optimizer, w)
        assert w._node is node and w.data is data
        optimizer.step()
        np.testing.assert_array_equal(explanation.new, w.data)
        assert explanation.lines[-1].value == w.data[0]
    assert grad((w * w).sum(), lr).item() != 0


@pytest.mark.on("cpu")
def test_one_of_several_optimizers_side_by_side():
    model = nn.Linear(3, 2)
    optimizer = MultiOptimizer(
        model.named_parameters(),
        [
            (lambda name, p: p.ndim == 2, lambda pairs: SGD(pairs, lr=0.1)),
            (lambda name, p: True, lambda pairs: AdamW(pairs, lr=0.1)),
        ],
    )
    (model(Tensor(np.ones((4, 3), np.float32))) ** 2).mean().backward()
    told = [explain(optimizer, p) for p in (model.weight, model.bias)]
    assert [one.optimizer for one in told] == ["SGD", "AdamW"]
    assert [one.around for one in told] == [["MultiOptimizer"]] * 2
    optimizer.step()
    for one, p in zip(told, (model.weight, model.bias), strict=True):
        np.testing.assert_allclose(one.new, p.data, rtol=1e-6)


@pytest.mark.on("cpu")
def test_every_parameter_of_a_group_has_its_own_numbers():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (model(Tensor(np.ones((4, 3), np.float32))) ** 2).mean().backward()
        told = [(p, explain(optimizer, p)) for p in model.parameters()]
        optimizer.step()
    for p, one in told:
        np.testing.assert_allclose(one.new, p.data, rtol=1e-6)  # float32, by other engines
        assert one.lines[-1].value == one.new[one.index]
    assert str(told[0][1]).startswith(f"AdamW, update 2 of 0.weight{list(told[0][1].index)}\n")
