"""Every rule against PyTorch's recorded runs, and against numbers to check by hand."""

from __future__ import annotations

import inspect
import json
import pathlib
import runpy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tests.optim.family import EASY, ELEMENTWISE, PYTORCH, accepted
from tinygrad_opt import Tensor, optim, tensor
from tinygrad_opt.optim.options import FLAGS

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_optimizers.py")))
RECORD = json.loads(ORACLE.CASES.read_text())
CASES = RECORD["cases"]
ARRAYS = dict(np.load(ORACLE.ARRAYS))
CLASSES = PYTORCH - {optim.LBFGS, optim.SparseAdam}  # which have files of their own


def apart(row: Any) -> list[Any]:
    """The numbers of all parameters in a row, as arrays of their shapes."""
    bounds = np.cumsum([np.prod(shape, dtype=int) for shape in ORACLE.SHAPES])[:-1]
    pieces = np.split(row, bounds)
    return [piece.reshape(shape) for piece, shape in zip(pieces, ORACLE.SHAPES, strict=True)]


START = apart(ARRAYS["start"])
GRADIENTS = [apart(row) for row in ARRAYS["gradients"]]


class Ours:
    """This library in the oracle's loop."""

    optim = optim

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = dtype

    def parameter(self, array: Any) -> Tensor:
        return tensor(array.astype(self.dtype), requires_grad=True)

    def give(self, p: Tensor, gradient: Any) -> None:
        p.grad = None if gradient is None else tensor(gradient.astype(self.dtype))

    def value(self, p: Tensor) -> Any:
        return host(p).copy()


def recorded_state(index: int) -> Any:
    """The numbers of the final state of a case, under the names in its "state"."""
    first = sum(case["numbers"] for case in CASES[:index])
    return ARRAYS["states"][first : first + CASES[index]["numbers"]]


every_case = pytest.mark.parametrize("index", range(len(CASES)), ids=[c["id"] for c in CASES])


# ---- PyTorch ----------------------------------------------------------------------------------


@every_case
def test_parameters_and_state_are_those_of_pytorch(index: int, engine: str) -> None:
    case = CASES[index]
    rows, optimizer = ORACLE.trace(Ours(), case, START, GRADIENTS, engine=engine)
    np.testing.assert_allclose(rows, ARRAYS["params"][index], rtol=0, atol=1e-12)
    state = optimizer.state_dict()["state"]
    assert ORACLE.state_keys(optimizer) == case["state"]
    assert [int(entry["step"]) for entry in state.values() if "step" in entry] == case["step"]
    found = ORACLE.flat_state(optimizer)
    np.testing.assert_allclose(found, recorded_state(index), rtol=1e-12, atol=1e-12)


@pytest.mark.on("cpu", "kernels", "cuda")  # the stand-in computes with the CPU's arithmetic
@every_case
def test_single_precision_follows_and_stays_single(index: int) -> None:
    rows, optimizer = ORACLE.trace(Ours("float32"), CASES[index], START, GRADIENTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, ARRAYS["params"][index], rtol=1e-5, atol=1e-6)
    scalars = {optimizer.state[letter] for letter in optimizer.scalars}
    for entry in optimizer.state_dict()["state"].values():
        kinds = {array.dtype for key, array in entry.items() if key not in scalars}
        assert kinds == {np.dtype("float32")}


def test_every_class_and_every_option_has_a_case() -> None:
    assert {case["class"] for case in CASES} == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        mine = [case for case in CASES if case["class"] == kind.__name__]
        seen = {name for case in mine for name in case["options"]}
        own = set(inspect.signature(kind).parameters) - {"params", "flags", "lr", "flatten"}
        assert own <= seen, kind


@pytest.fixture
def double() -> Iterator[None]:
    """PyTorch's default dtype, in which it counts steps, is float64 for a while."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.oracle
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("foreach", [False, True])
def test_pytorch_as_installed_agrees(foreach: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    library = ORACLE.torch_library()
    start, gradients = ORACLE.inputs()
    for case in ORACLE.cases():
        theirs, optimizer = ORACLE.trace(library, case, start, gradients, foreach=foreach)
        ours, twin = ORACLE.trace(Ours(), case, start, gradients)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, err_msg=case["id"])
        states = map(ORACLE.flat_state, (twin, optimizer))
        np.testing.assert_allclose(*states, rtol=1e-12, atol=1e-12, err_msg=case["id"])


@pytest.mark.oracle
def test_signatures_and_group_keys_are_those_of_pytorch() -> None:
    import torch

    for kind in PYTORCH:
        theirs = inspect.signature(getattr(torch.optim, kind.__name__)).parameters
        ours = inspect.signature(kind).parameters
        positional = [n for n in theirs if n not in FLAGS and n != "decoupled_weight_decay"]
        extra = ("flags", "flatten", "decoupled_weight_decay")
        assert [n for n in ours if n not in extra] == positional
        for name in positional[1:]:
            assert ours[name].default == theirs[name].default, (kind, name)
        w = torch.zeros(1, 1, requires_grad=True)
        group = getattr(torch.optim, kind.__name__)([w]).param_groups[0]
        mine = kind([tensor([[0.0]], requires_grad=True)]).param_groups[0]
        assert {k: v for k, v in mine.items() if k != "params"} == {
            k: v for k, v in group.items() if k != "params"
        }


# ---- by hand ----------------------------------------------------------------------------------

GOLDEN = [  # f(w) = w² from 3
    ("sgd", {"lr": 0.1}, [2.4, 1.92, 1.536, 1.2288, 0.98304]),
    ("momentum", {"lr": 0.1}, [2.4, 1.38, 0.186, -0.9258, -1.74126]),
    ("nesterov", {"lr": 0.1}, [1.86, 0.6672, -0.325056, -0.974469, -1.247153]),
    ("adagrad", {"lr": 0.1}, [2.9, 2.830498, 2.774359, 2.726151, 2.68334]),
    ("rmsprop", {"lr": 0.1}, [2.0, 1.44337, 1.068995, 0.800555, 0.602513]),
    ("adadelta", {}, [2.996838, 2.993595, 2.990298, 2.98696, 2.983588]),
    ("adam", {"lr": 0.1}, [2.9, 2.800103, 2.700382, 2.600914, 2.501779]),
    ("asgd", {"lr": 0.1}, [2.39997, 1.919956, 1.535951, 1.228752, 0.982997]),
    ("rprop", {"lr": 0.1}, [2.9, 2.78, 2.636, 2.4632, 2.25584]),
    ("adamax", {"lr": 0.1}, [2.9, 2.801656, 2.70501, 2.6101, 2.516964]),
    ("nadam", {"lr": 0.1}, [2.894355, 2.817243, 2.745876, 2.675238, 2.603799]),
    ("radam", {"lr": 0.1}, [2.4, 1.863158, 1.38691, 0.968489, 0.604944]),
    ("adafactor", {"lr": 0.1}, [2.7, 2.442547, 2.219677, 2.025335, 1.854798]),
    ("sgd", {"lr": 0.1, "weight_decay": 0.1}, [2.37, 1.8723, 1.479117, 1.168502, 0.923117]),
    ("adam", {"lr": 0.1, "weight_decay": 0.1}, [2.9, 2.800103, 2.700382, 2.600914, 2.501779]),
    ("adamw", {"lr": 0.1, "weight_decay": 0.1}, [2.87, 2.74144, 2.614406, 2.488987, 2.365279]),
]


@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN)
def test_five_steps_down_a_parabola(
    name: str, options: dict[str, Any], expected: list[float], engine: str
) -> None:
    w = tensor(np.array(3.0), requires_grad=True)
    optimizer = optim.get_optimizer(name)([w], engine=engine, **options)
    path = []
    for _ in expected:
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
        path.append(w.item())
    np.testing.assert_allclose(path, expected, rtol=0, atol=6e-7)


@pytest.mark.parametrize("name", EASY)
def test_maximizing_f_is_minimizing_minus_f(name: str) -> None:
    make = optim.get_optimizer(name)
    paths = []
    for sign in (1, -1):
        w = tensor(np.array([0.3, -2.0]), requires_grad=True)
        options = accepted(name, lr=0.05, weight_decay=0.1)
        optimizer = make([w], maximize=sign == 1, **options)
        for _ in range(6):
            optimizer.zero_grad()
            (sign * (w * w * w).sum()).backward()
            optimizer.step()
        paths.append(w.tolist())
    np.testing.assert_allclose(*paths, rtol=1e-13)


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if n not in ("rprop", "ftrl")])
def test_a_rate_of_zero_still_moves_the_state(name: str, engine: str) -> None:
    w = tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.get_optimizer(name)([w], lr=0.0, engine=engine)
    w.grad = tensor([0.5, 0.25])
    optimizer.step()
    assert w.tolist() == [1.0, -2.0]
    scalars = {"t", *optimizer.scalars}
    kept = [array for letter, array in optimizer.state_of(w).items() if letter not in scalars]
    assert not kept or any(array.any() for array in kept)


def test_a_gradient_of_zero_is_not_skipped() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.5)
    w.grad = tensor([1.0])
    optimizer.step()
    w.grad = tensor([0.0])
    before = w.item()
    optimizer.step()
    assert w.item() == pytest.approx(before - 0.1 * (0.9 * 1.5 + 0.5 * before))


def test_momentum_begins_when_it_is_turned_on_and_begins_with_the_gradient() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, dampening=0.5)
    w.grad = tensor([2.0])
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
    optimizer.param_groups[0]["momentum"] = 0.9
    optimizer.step()
    assert optimizer.state_of(w)["b"].tolist() == [2.0]
    optimizer.step()
    assert optimizer.state_of(w)["b"].tolist() == pytest.approx([0.9 * 2 + 0.5 * 2])


def test_centered_rmsprop_stays_finite_under_a_constant_gradient() -> None:
    w = tensor(np.linspace(0.1, 3, 100, dtype=np.float32), requires_grad=True)
    optimizer = optim.RMSprop([w], lr=1e-7, centered=True)
    w.grad = tensor(np.linspace(0.1, 3, 100, dtype=np.float32))
    for _ in range(2500):
        optimizer.step()
    assert np.isfinite(host(w)).all()


def test_adam_honours_decoupled_decay_and_adamw_is_that() -> None:
    a, b = (tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
    adam = optim.Adam([a], lr=0.1, weight_decay=0.3, decoupled_weight_decay=True)
    adamw = optim.AdamW([b], lr=0.1, weight_decay=0.3)
    for _ in range(3):
        a.grad, b.grad = tensor([0.5, 0.1]), tensor([0.5, 0.1])
        adam.step()
        adamw.step()
    assert a.tolist() == b.tolist()


@pytest.mark.parametrize("name", EASY)
def test_not_a_number_is_not_hidden(name: str) -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.get_optimizer(name)([w])
    w.grad = tensor([float("nan"), 1.0])
    for _ in range(2):  # some only look in the first step
        optimizer.step()
    seen, spread = np.isnan(host(w)).tolist()
    assert seen and not (spread and name in ELEMENTWISE)
