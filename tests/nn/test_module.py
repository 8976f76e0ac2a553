"""Module: what it finds and in which order, modes, state, hooks, copies, printing."""

from __future__ import annotations

import copy
import inspect
import os
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import nn
from tinygrad_opt.creation import ones, randn, tensor, zeros
from tinygrad_opt.device import Device, DeviceError, default_device
from tinygrad_opt.nn import Linear, Module, Parameter, ReLU, Sequential
from tinygrad_opt.operation import no_grad
from tinygrad_opt.tensor import Tensor

ROOT = pathlib.Path(__file__).parents[2]


class Block(Module):
    """A scale of its own, two layers of which the second is optional, a buffer."""

    def __init__(self, second: bool = True) -> None:
        super().__init__()
        self.scale = Parameter([2.0, 3.0])
        self.first = Linear(2, 2)
        self.second = Linear(2, 2, bias=False) if second else None
        self.register_buffer("seen", zeros(2))
        self.register_buffer("scratch", zeros(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) * self.scale


class Net(Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.norm = nn.BatchNorm1d(2)
        self.head = Sequential(ReLU(), Linear(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.block(x)))


NAMES = [
    "block.scale",
    "block.first.weight",
    "block.first.bias",
    "block.second.weight",
    "norm.weight",
    "norm.bias",
    "head.1.weight",
    "head.1.bias",
]


# ---- parameters ---------------------------------------------------------------------------------


def test_a_parameter_tracks_even_under_no_grad_and_shares_the_array() -> None:
    array = np.ones(3, np.float32)
    with no_grad():
        p = Parameter(array)
    assert p.requires_grad and p.is_leaf and p.data is array
    assert not Parameter([1.0], requires_grad=False).requires_grad
    assert Parameter(tensor([1.0, 2.0])).dtype == np.float32
    assert type(p * 2) is Tensor
    assert repr(p) == "Parameter containing:\ntensor([1., 1., 1.], requires_grad=True)"


def test_a_parameter_of_a_list_is_float32_and_of_an_array_of_integers_refused() -> None:
    p = Parameter([[1, 2], [3, 4]])
    assert p.dtype == np.float32 and p.tolist() == [[1, 2], [3, 4]] and p.requires_grad
    assert Parameter(3).dtype == Parameter([0.5], requires_grad=False).dtype == np.float32
    assert Parameter(np.float64(3)).dtype == np.float64
    for integers in (np.array([1, 2]), tensor([1, 2])):
        with pytest.raises(TypeError, match=r"int64 data has no gradient"):
            Parameter(integers)


# ---- finding ------------------------------------------------------------------------------------


def test_parameters_come_in_order_of_definition() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert all(a is b for a, (_, b) in zip(net.parameters(), net.named_parameters(), strict=True))
    assert [name for name, _ in net.named_parameters(recurse=False)] == []
    assert [name for name, _ in net.block.named_parameters("p", recurse=False)] == ["p.scale"]


@pytest.mark.host
def test_order_does_not_follow_the_hash_seed() -> None:  # museum 32
    program = (
        "from tinygrad_opt import nn\n"
        "m = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))\n"
        "print([name for name, _ in m.named_parameters()], list(m.state_dict()))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1, 4)
    }
    assert len(told) == 1
    assert told.pop().startswith("['0.weight', '0.bias', '1.weight', '1.bias', '2.weight'")


def test_modules_children_and_buffers_have_paths() -> None:
    net = Net()
    assert [name for name, _ in net.named_modules()] == [
        "",
        "block",
        "block.first",
        "block.second",
        "norm",
        "head",
        "head.0",
        "head.1",
    ]
    assert [name for name, _ in net.named_children()] == ["block", "norm", "head"]
    assert list(net.children()) == [net.block, net.norm, net.head]
    assert [name for name, _ in net.named_buffers()] == [
        "block.seen",
        "block.scratch",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert next(net.block.buffers()) is net.block.seen


def test_a_tied_parameter_is_listed_once_and_learned_once() -> None:  # museum 33
    class Tied(Module):
        def __init__(self) -> None:
            self.a, self.b = Linear(1, 1, bias=False), Linear(1, 1, bias=False)
            self.b.weight = self.a.weight
            nn.init.ones_(self.a.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["a.weight"]
    both = [name for name, _ in tied.named_parameters(remove_duplicate=False)]
    assert both == list(tied.state_dict()) == ["a.weight", "b.weight"]
    tied(ones(1, 1)).sum().backward()
    for p in tied.parameters():
        p.data = p.data - 0.1 * p.grad.data
    assert tied.b.weight.item() == pytest.approx(0.8)


def test_a_module_used_twice_is_listed_once() -> None:
    layer = Linear(2, 2)
    chain = Sequential(layer, ReLU(), layer)
    assert [name for name, _ in chain.named_modules()] == ["", "0", "1"]
    assert len(list(chain.named_modules(remove_duplicate=False))) == 4
    assert len(list(chain.parameters())) == 2


def test_a_module_that_knows_its_parent_is_walked_once() -> None:
    net = Net()
    net.block.parent = net
    assert len(list(net.modules())) == 8
    assert not net.eval().block.training


def test_parameters_learn_their_longest_name_for_error_messages() -> None:
    net = Net()
    list(net.head.parameters())
    assert net.head[1].weight.name == "1.weight"
    list(net.parameters())
    list(net.head.parameters())
    assert net.head[1].weight.name == "head.1.weight"
    loss = (net.block.scale * net.block.scale).sum()
    net.block.scale.data = net.block.scale.data * 2
    with pytest.raises(RuntimeError, match=r"multiply needs the value that block.scale \(2,\) had"):
        loss.backward()


def test_attributes_come_and_go() -> None:
    net = Net()
    net.block.second = None
    del net.norm
    assert [name for name, _ in net.named_parameters()] == [*NAMES[:3], *NAMES[-2:]]
    net.register_parameter("late", Parameter([1.0]))
    assert next(net.named_parameters())[0] == "late"  # its own before those below


def test_a_forgotten_super_init_does_no_harm() -> None:
    class Forgetful(Module):
        def __init__(self) -> None:
            self.layer = Linear(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    model = Forgetful()
    assert model(randn(4, 2)).shape == (4, 3)
    assert len(model.state_dict()) == 2 and model.training


def test_a_missing_attribute_points_to_the_base_class() -> None:
    class Half(Linear):
        def __init__(self) -> None:
            self.extra = 1

    with pytest.raises(AttributeError) as error:
        Half()(randn(1, 2))
    assert str(error.value) == (
        "Half has no attribute 'weight'. If a base class sets it, call super().__init__(...) first."
    )


def test_a_plain_list_of_modules_or_parameters_is_warned_about() -> None:
    class Lists(Module):
        def __init__(self, value: Any) -> None:
            self.inner = Module()
            self.inner.layers = value

    with pytest.warns(UserWarning) as caught:
        assert list(Lists([Linear(1, 1)]).parameters()) == []
    assert str(caught[0].message) == (
        "Module.layers is a plain list, and what is in it will not be learned, moved or saved. "
        "Use ModuleList."
    )
    with pytest.warns(UserWarning, match=r"plain dict.*Use ModuleDict"):
        list(Lists({"a": ReLU()}).parameters())
    with pytest.warns(UserWarning, match=r"plain tuple.*Make it attributes"):
        list(Lists((Parameter([1.0]),)).parameters())
    late = Lists([])
    assert list(late.parameters()) == []
    late.inner.layers.append(ReLU())
    with pytest.warns(UserWarning, match=r"plain list"):
        list(late.parameters())


def test_a_list_of_modules_that_are_attributes_too_is_no_mistake() -> None:
    net = Net()
    net.order = [net.block, net.norm]
    net.sizes, net.nothing = [1, 2, 3], {}
    assert len(list(net.parameters())) == len(NAMES)
    net.hidden = [ReLU()]
    assert list(net.parameters(recurse=False)) == []


def test_a_plain_tensor_does_not_take_the_place_of_a_parameter() -> None:
    layer = Linear(2, 2)
    with pytest.raises(TypeError) as error:
        layer.weight = layer.weight - 0.1
    assert str(error.value) == (
        "Linear.weight is a Parameter, and a plain Tensor in its place would not be learned. Set "
        "its values, layer.weight.data = ..., or give a new Parameter."
    )
    layer.weight = new = Parameter(zeros(2, 2))
    assert next(layer.parameters()) is new


def test_buffers_are_tensors() -> None:
    with pytest.raises(TypeError, match=r"register_buffer: 'mean' is a ndarray. Wrap it: tensor"):
        Module().register_buffer("mean", np.zeros(2))  # type: ignore[arg-type]
    module = Module()
    module.register_buffer("mean", None)
    assert list(module.buffers()) == [] and module.mean is None
    module.mean = ones(2)
    assert list(module.state_dict()) == ["mean"]


# ---- changing all -------------------------------------------------------------------------------


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.head.train()
    assert net.head[0].training and not net.block.training


def test_freezing_and_forgetting_gradients() -> None:
    net = Net()
    net(randn(3, 2)).sum().backward()
    assert net.block.scale.grad is not None
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.block.requires_grad_(False)
    net(randn(3, 2)).sum().backward()
    assert net.block.scale.grad is None and net.head[1].bias.grad is not None


def test_to_a_dtype_keeps_the_parameters_and_their_gradients() -> None:
    net = Net()
    before = list(net.parameters())
    net(randn(3, 2)).sum().backward()
    assert net.to("float64") is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert {p.grad.dtype for p in before if p.grad is not None} == {np.dtype("float64")}
    assert net.norm.running_mean.dtype == np.float64
    assert net.norm.num_batches_tracked.dtype == np.int64
    assert net(tensor(np.ones((2, 2)))).dtype == np.float64
    data = before[0].data
    assert net.to(default_device(), np.float64).block.scale.data is data
    with pytest.raises(TypeError, match=r"to: a module cannot become int64; it needs floats"):
        net.to("int64")


@pytest.mark.on("standin", "kernels", "cuda")
def test_a_model_moves_with_its_gradients_and_keeps_its_parameters() -> None:
    net, x = Net(), randn(3, 2)
    before = list(net.parameters())
    expected = net.eval()(x).tolist()
    net(x).sum().backward()
    assert net.cpu() is net and net.block.seen.device is Device("cpu")
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    on_cpu = [p.device is Device("cpu") for p in before]
    on_cpu += [p.grad.device is Device("cpu") for p in before if p.grad is not None]
    assert all(on_cpu) and len(on_cpu) > len(before)
    np.testing.assert_allclose(host(net(x.cpu())), expected, rtol=1e-6)
    with pytest.raises(DeviceError, match=r"linear: x is on cuda:0, "):
        net(x)
    assert net.cuda()(x).tolist() == expected


def test_a_conversion_between_forward_and_backward_is_noticed() -> None:
    layer = Linear(2, 2)
    loss = (layer.weight * layer.weight).sum()
    layer.to("float64")
    with pytest.raises(RuntimeError, match=r"has been changed since, by Module.to\(\)"):
        loss.backward()


def test_apply_visits_inner_modules_first() -> None:
    seen: list[str] = []
    net = Sequential(Linear(1, 1), Sequential(ReLU()))
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


# ---- state --------------------------------------------------------------------------------------


def test_state_is_copies_on_the_host_in_pytorchs_order() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state) == [
        "block.scale",
        "block.seen",
        "block.first.weight",
        "block.first.bias",
        "block.second.weight",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
        "head.1.weight",
        "head.1.bias",
    ]
    assert all(type(array) is np.ndarray for array in state.values())
    state["block.scale"][:] = 7
    assert net.block.scale.tolist() == [2.0, 3.0]


def test_saving_leaves_the_model_as_it_is() -> None:  # museum 34
    net = Net()
    before = [(p, p.data, p.device, p.dtype, p._change) for p in net.parameters()]
    net.state_dict()
    assert all(
        (p.data is data, p.device, p.dtype, p._change) == (True, device, dtype, change)
        for p, data, device, dtype, change in before
    )


def test_a_round_trip_gives_the_same_outputs() -> None:
    one, other = Net(), Net()
    one(randn(5, 2))
    x = randn(4, 2)
    result = other.load_state_dict(one.state_dict())
    assert result.missing_keys == result.unexpected_keys == []
    np.testing.assert_array_equal(host(one.eval()(x)), host(other.eval()(x)))
    assert other.norm.num_batches_tracked.item() == 1


def test_loading_writes_into_the_parameters_own_arrays_and_is_noticed() -> None:
    layer = Linear(2, 2)
    array = layer.weight.data
    loss = (layer.weight * layer.weight).sum()
    layer.load_state_dict({"weight": tensor([[1.0, 2], [3, 4]]), "bias": np.array([5, 6])})
    assert layer.weight.data is array and array.tolist() == [[1, 2], [3, 4]]
    assert layer.bias.tolist() == [5, 6] and layer.bias.dtype == np.float32
    with pytest.raises(RuntimeError, match=r"changed since, by load_state_dict\(\)"):
        loss.backward()


def test_a_load_that_does_not_fit_says_all_and_changes_nothing() -> None:
    model = Sequential(Linear(64, 32), Linear(32, 10), Linear(10, 2))
    before = model.state_dict()
    state = {key: array + 1 for key, array in before.items()}
    state["1.weight"] = np.zeros((10, 64))
    del state["2.bias"]
    state["3.weight"] = np.zeros(1)
    with pytest.raises(ValueError) as error:
        model.load_state_dict(state)
    assert str(error.value) == (
        'load_state_dict: "1.weight" is (10, 64) in the file and (10, 32) here. Missing: 2.bias. '
        "Not expected: 3.weight."
    )
    with pytest.raises(ValueError, match=r'^load_state_dict: "1.weight" is .* here.$'):
        model.load_state_dict(state, strict=False)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_a_load_that_is_not_strict_tells_what_it_passed_over() -> None:
    layer = Linear(2, 2)
    result = layer.load_state_dict({"weight": np.eye(2), "scale": np.ones(1)}, strict=False)
    assert result == (["bias"], ["scale"])
    assert layer.weight.tolist() == [[1, 0], [0, 1]]


def test_a_load_of_what_is_no_number_changes_nothing() -> None:
    layer = Linear(2, 2)
    before = layer.state_dict()
    with pytest.raises(ValueError):
        layer.load_state_dict({"weight": np.eye(2), "bias": np.array(["a", "b"])})
    np.testing.assert_array_equal(host(layer.weight), before["weight"])


@pytest.mark.oracle
def test_state_crosses_to_pytorch_and_back() -> None:
    import torch

    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    theirs(torch.randn(8, 3))
    model = Sequential(Linear(3, 4), nn.BatchNorm1d(4), ReLU(), Linear(4, 2))
    model.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = theirs.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model.eval()(tensor(x)).detach().numpy(), expected, atol=1e-6)
    back = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    state = {key: torch.from_numpy(array) for key, array in model.state_dict().items()}
    back.load_state_dict(state)
    np.testing.assert_array_equal(back.eval()(torch.tensor(x)).detach().numpy(), expected)


# ---- calling and hooks --------------------------------------------------------------------------


class Plain(Module):
    def forward(self, x: float) -> float:
        return x


@pytest.mark.host
def test_without_hooks_a_call_is_forward_itself() -> None:
    class Child(Plain):
        pass

    one, other, child = Plain(), Plain(), Child()
    assert one.__call__ == one.forward and child.__call__ == child.forward
    assert inspect.signature(one) == inspect.signature(one.forward)
    remove = one.register_forward_hook(lambda module, inputs, output: output + 1)
    assert one(1) == 2 and other(1) == 1 and child(1) == 1
    remove()
    assert one(1) == 1 and one.__call__ == one.forward


@pytest.mark.host
def test_an_attribute_called_hooks_is_ones_own() -> None:
    one = Plain()
    one._hooks = [one.register_forward_hook(doubled)]
    assert one(2) == 4
    one._hooks.pop()()
    assert one(2) == 2


@pytest.mark.host
def test_a_forward_that_is_set_later_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Child(Plain):
        pass

    one, child = Plain(), Child()
    monkeypatch.setattr(Plain, "forward", lambda self, x: 10 * x)
    assert one(2) == child(2) == 20
    one.forward = lambda x: -x
    assert one(2) == -2 and child(2) == 20
    one.register_forward_hook(doubled)
    assert one(2) == -4
    del one.forward
    assert one(2) == 40


@pytest.mark.host
def test_hooks_see_and_replace_inputs_and_outputs_in_order() -> None:
    class Add(Module):
        def forward(self, x: int, y: int = 0) -> int:
            return x + y

    add, seen = Add(), []
    add.register_forward_pre_hook(lambda module, inputs: seen.append((module is add, inputs)))
    add.register_forward_pre_hook(lambda module, inputs: inputs[0] * 10)
    add.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    add.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)))
    remove = add.register_forward_hook(lambda module, inputs, output: -output)
    assert add(1, y=5) == -16
    assert seen == [(True, (1,)), ((11,), 16)]
    for _ in range(2):
        remove()  # a second time does nothing
    assert add(1, y=5) == 16


@pytest.mark.host
def test_a_hook_that_is_there_twice_is_removed_once() -> None:
    plain = Plain()
    remove = plain.register_forward_hook(doubled)
    remove_other = plain.register_forward_hook(doubled)
    assert plain(1) == 4
    remove()
    remove()
    assert plain(1) == 2
    remove_other()
    assert plain(1) == 1


def doubled(module: Module, inputs: Any, output: Any) -> Any:
    return output * 2


@pytest.mark.host
def test_copies_and_pickles_bring_their_hooks_along() -> None:
    model = Plain()
    remove = model.register_forward_hook(doubled)
    shallow, deep, stored = copy.copy(model), copy.deepcopy(model), pickle.dumps(model)
    remove()
    assert (model(3), shallow(3), deep(3), pickle.loads(stored)(3)) == (3, 6, 6, 6)
    shallow.register_forward_hook(doubled)
    assert (model(3), shallow(3), deep(3)) == (3, 12, 6)
    assert model.__call__ == model.forward


@pytest.mark.host
def test_call_is_not_to_be_defined_and_forward_is() -> None:
    with pytest.raises(TypeError, match=r"Wrong: define forward, not __call__"):
        type("Wrong", (Module,), {"__call__": lambda self, x: x})
    with pytest.raises(NotImplementedError) as error:
        nn.ModuleList([ReLU()])(1)
    assert str(error.value) == ("ModuleList: there is no forward(self, x), so it cannot be called.")


# ---- copies and printing ------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_apart_and_keep_ties(copied: Any) -> None:
    net = Net()
    net.block.second.weight = net.block.first.weight
    twin = copied(net.eval())
    assert twin.block.second.weight is twin.block.first.weight
    assert not twin.training and twin.block.scale.requires_grad
    twin.block.scale.data[:] = 0
    assert net.block.scale.tolist() == [2, 3]
    assert list(twin.state_dict()) == list(net.state_dict())


def test_repr_is_a_tree_as_in_pytorch() -> None:
    class Named(Module):
        def __init__(self) -> None:
            self.net = Sequential(Linear(4, 3, bias=False), nn.Dropout(0.2))
            self.norm = nn.LayerNorm(3)

        def extra_repr(self) -> str:
            return "version=2"

    assert repr(Named()) == (
        "Named(\n"
        "  version=2\n"
        "  (net): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=3, bias=False)\n"
        "    (1): Dropout(p=0.2)\n"
        "  )\n"
        "  (norm): LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        ")"
    )
    assert repr(ReLU()) == "ReLU()"
