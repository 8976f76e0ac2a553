"""Chains, lists and dictionaries of modules."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt.autograd import grad
from tinygrad_opt.creation import randn
from tinygrad_opt.nn import Linear, ModuleDict, ModuleList, ReLU, Sequential, Tanh
from tinygrad_opt.nn import functional as F
from tinygrad_opt.tensor import Tensor


def names(module: Any) -> list[str]:
    return [name for name, _ in module.named_children()]


def test_a_chain_applies_its_layers_in_order() -> None:
    a, b = Linear(3, 4), Linear(4, 2)
    chain = Sequential(a, ReLU(), b)
    x = randn(5, 3)
    np.testing.assert_array_equal(host(chain(x)), host(b(a(x).relu())))
    assert chain.eval()(x).shape == (5, 2)  # the attribute `training` is no layer
    assert Sequential()(x) is x


def test_a_linear_and_its_relu_in_one_pass_are_what_they_are_one_by_one() -> None:
    a, b = Linear(3, 4, dtype="float64"), Linear(4, 4, bias=False, dtype="float64")
    chain = Sequential(a, ReLU(), b, ReLU(), ReLU())
    x = randn(5, 3, dtype="float64", requires_grad=True)
    g = randn(5, 4, dtype="float64")
    params = [x, *chain.parameters()]
    for create_graph in (False, True):
        fused = grad(chain(x), params, g, create_graph=create_graph)
        plain = grad(b(a(x).relu()).relu().relu(), params, g)
        for one, other in zip(fused, plain, strict=True):
            np.testing.assert_allclose(host(one), host(other), rtol=1e-14, atol=0)
    assert repr(chain(x)) == repr(b(a(x).relu()).relu().relu()).replace("linear_relu", "relu")
    with pytest.raises(ValueError, match=r"^Linear\(3 -> 4\): the input has 2 features"):
        chain(randn(5, 2, dtype="float64"))


def test_a_hook_on_a_linear_sees_what_comes_before_the_relu() -> None:
    chain = Sequential(Linear(3, 4), ReLU())
    seen: list[Tensor] = []
    remove = chain[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    y = chain(randn(50, 3))
    remove()
    assert (seen[0] < 0).any() and not (y < 0).any()
    chain(randn(2, 3))
    assert len(seen) == 1


def one_pass(chain: Sequential) -> bool:
    """Whether a Linear and the ReLU after it run as one operation."""
    return "made by linear_relu" in repr(chain(randn(2, 3)))


def test_only_the_layers_with_a_hook_leave_the_one_pass() -> None:
    chain, other = Sequential(Linear(3, 4), ReLU()), Sequential(Linear(3, 4), ReLU())
    assert one_pass(chain)
    for layer in chain:
        remove = layer.register_forward_hook(lambda *_: None)
        copied = copy.deepcopy(chain)
        assert not one_pass(chain) and not one_pass(copied) and one_pass(other)
        remove()
        assert one_pass(chain) and not one_pass(copied)


def test_a_forward_of_its_own_leaves_the_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, x = Sequential(Linear(3, 4), ReLU()), randn(5, 3)
    before = chain(x).tolist()
    linear, relu = chain
    linear.forward = lambda x: F.linear(x, linear.weight, linear.bias) * 2
    assert not one_pass(chain)
    np.testing.assert_allclose(chain(x).tolist(), 2 * np.array(before), rtol=1e-6)
    del linear.forward
    relu.forward = lambda x: -x
    np.testing.assert_allclose(chain(x).tolist(), (-linear(x)).tolist())
    del relu.forward
    monkeypatch.setattr(Linear, "forward", lambda self, x: x @ self.weight.T)
    np.testing.assert_allclose(chain(x).tolist(), (x @ linear.weight.T).relu().tolist())


def test_a_subclass_of_a_linear_runs_its_own_forward_in_a_chain() -> None:
    class Doubled(Linear):
        def forward(self, x: Tensor, *_: Any) -> Tensor:
            return super().forward(x) * 2

    class Named(Linear):
        pass

    layer = Doubled(3, 4)
    x = randn(5, 3)
    assert not one_pass(Sequential(layer, ReLU())) and one_pass(Sequential(Named(3, 4), ReLU()))
    assert Sequential(layer, ReLU())(x).tolist() == layer(x).relu().tolist()


def test_a_chain_has_names_from_a_dictionary() -> None:
    chain = Sequential(OrderedDict([("hidden", Linear(3, 4)), ("out", Linear(4, 2))]))
    assert names(chain) == ["hidden", "out"]
    assert chain.hidden is chain[0]
    assert list(chain.state_dict())[:2] == ["hidden.weight", "hidden.bias"]
    chain.append(ReLU())
    assert names(chain) == ["hidden", "out", "2"]


@pytest.mark.parametrize("kind", [Sequential, lambda *layers: ModuleList(layers)])
def test_chains_and_lists_are_sequences(kind: Any) -> None:
    layers = [Linear(1, 1), ReLU(), Tanh(), Linear(1, 1)]
    chain = kind(*layers)
    assert len(chain) == 4 and list(chain) == layers
    assert chain[1] is layers[1] and chain[-1] is layers[-1]
    part = chain[1:3]
    assert type(part) is type(chain) and list(part) == layers[1:3] and names(part) == ["0", "1"]
    chain[1] = new = Tanh()
    assert list(chain) == [layers[0], new, *layers[2:]]
    del chain[-2]
    assert list(chain) == [layers[0], new, layers[3]] and names(chain) == ["0", "1", "2"]
    first, last = ReLU(), ReLU()
    chain.insert(0, first)
    assert chain.append(last) is chain
    assert list(chain) == [first, layers[0], new, layers[3], last]
    assert names(chain) == ["0", "1", "2", "3", "4"]
    chain.extend([ReLU(), ReLU()])
    assert len(chain) == 7
    with pytest.raises(IndexError):
        chain[7]
    with pytest.raises(IndexError, match=r"there is no layer 7 among 7"):
        chain[7] = ReLU()


def test_appending_never_overwrites_a_layer_named_by_a_number() -> None:
    one, other = ReLU(), Tanh()
    chain = Sequential({"1": one})
    assert list(chain.append(other)) == [one, other]


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Sequential: '1' is the class ReLU. Write ReLU\(\).$"):
        Sequential(Linear(1, 1), ReLU)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Sequential: '0' is a function, and only Modules have"):
        Sequential(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^ModuleList: '0' is a list"):
        ModuleList([[ReLU()]])  # type: ignore[list-item]


def test_a_dictionary_of_modules() -> None:
    modules = ModuleDict({"relu": ReLU(), "tanh": Tanh()})
    modules["linear"] = linear = Linear(2, 2)
    assert len(modules) == 3 and list(modules) == list(modules.keys()) == names(modules)
    assert "tanh" in modules and "gelu" not in modules
    assert modules["linear"] is linear and list(modules.values())[-1] is linear
    assert [name for name, _ in modules.items()] == ["relu", "tanh", "linear"]
    assert list(modules.state_dict()) == ["linear.weight", "linear.bias"]
    assert modules.pop("linear") is linear
    del modules["relu"]
    assert list(modules) == ["tanh"]
    modules.update([("a", ReLU())])
    assert list(modules) == ["tanh", "a"]
    with pytest.raises(KeyError):
        modules["b"]


@pytest.mark.parametrize("key", ["keys", "forward", "training", "a.b", ""])
def test_a_key_that_would_hide_a_method_is_refused(key: str) -> None:
    with pytest.raises(ValueError) as error:
        ModuleDict({key: ReLU()})
    assert str(error.value) == (
        f"ModuleDict: {key!r} cannot be a name here: it is empty, dotted or a method's."
    )


def test_a_subclass_of_a_chain_keeps_its_own_attributes_out_of_it() -> None:
    class Scaled(Sequential):
        factor = 2.0

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.factor

    layer = Linear(2, 2)
    x = randn(1, 2)
    np.testing.assert_allclose(host(Scaled(layer)(x)), 2 * host(layer(x)), rtol=1e-6)
