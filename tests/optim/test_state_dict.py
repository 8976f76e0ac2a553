"""Checkpoints: PyTorch's layout, both ways; nothing shared, nothing half loaded."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tests.optim.family import EASY, ENTRIES, PYTORCH
from tinygrad_opt import Tensor, optim, tensor
from tinygrad_opt.optim import SGD, Adam, AdamW

PYTORCHS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adadelta", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"maximize": True}),
    ("ASGD", {"t0": 3, "lambd": 0.1}),
    ("Rprop", {"etas": (0.4, 1.3)}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("RAdam", {}),
    ("Adafactor", {"d": 2.0}),
    ("Muon", {"adjust_lr_fn": "match_rms_adamw"}),
]
OTHERS = {ENTRIES[name].kind for name in EASY} - PYTORCH
CASES = PYTORCHS + [(kind.__name__, {}) for kind in sorted(OTHERS, key=lambda kind: kind.__name__)]
SHAPES = [(3, 2), (2,), (), (4,)]
every_case = pytest.mark.parametrize(("name", "options"), CASES)


def parameters(seed: int = 0, shapes: Any = SHAPES) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]


def start(name: str) -> list[Tensor]:
    """Parameters that this optimizer can move."""
    return parameters(shapes=[(3, 2), (1, 2), (1, 1), (4, 1)] if name == "Muon" else SHAPES)


def gradient(step: int, i: int, shape: Any) -> Any:
    """Some gradient, or None: the third parameter starts late, the last never moves."""
    if i == 3 or (i == 2 and step < 3):
        return None
    return np.random.default_rng([step, i]).standard_normal(shape)


def build(name: str, params: list[Any], library: Any = optim, **options: Any) -> Any:
    kind = getattr(library, name)
    shared = getattr(kind, "scope", None) == "global"  # one rate for all groups
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.05 if shared else 0.02}]
    return kind(groups, **({"lr": 0.05} | options))


def train(optimizer: Any, start: int, stop: int, wrap: Any = tensor) -> list[Any]:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for step in range(start, stop):
        for i, p in enumerate(params):
            g = gradient(step, i, tuple(p.shape))
            p.grad = None if g is None else wrap(g)
        optimizer.step()
    return [p.detach().cpu().numpy().copy() for p in params]


# ---- layout -----------------------------------------------------------------------------------


def test_the_layout_is_pytorchs() -> None:
    params = parameters()
    optimizer = build("Adam", params)
    train(optimizer, 0, 4)
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups"]
    assert list(saved["state"]) == [0, 1, 2], "one that never moved has no entry"
    assert list(saved["state"][2]) == ["step", "exp_avg", "exp_avg_sq"]
    step = saved["state"][2]["step"]
    assert (step.shape, step.dtype, step.item()) == ((), np.float32, 1.0)
    assert saved["state"][0]["exp_avg"].shape == (3, 2)
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1, 2, 3]]
    assert saved["param_groups"][1]["lr"] == 0.02
    assert saved["param_groups"][0]["betas"] == (0.9, 0.999)


def test_adagrad_has_state_from_the_start_and_plain_sgd_never() -> None:
    adagrad = optim.Adagrad(parameters(), initial_accumulator_value=0.5)
    saved = adagrad.state_dict()["state"]
    assert [entry["step"].item() for entry in saved.values()] == [0.0] * 4
    assert saved[0]["sum"].tolist() == [[0.5] * 2] * 3
    sgd = SGD(parameters())
    train(sgd, 0, 4)
    assert sgd.state_dict()["state"] == {}


def test_hyperparameters_in_arrays_are_saved_as_numbers() -> None:
    optimizer = Adam(parameters(), lr=np.array(0.5), betas=[tensor(0.5), 0.75])
    group = optimizer.state_dict()["param_groups"][0]
    assert group["lr"] == 0.5 and type(group["lr"]) is float
    assert group["betas"] == (0.5, 0.75)


def test_a_checkpoint_shares_nothing() -> None:
    optimizer = build("Adam", parameters())
    train(optimizer, 0, 4)
    saved = optimizer.state_dict()
    frozen = copy.deepcopy(saved)
    train(optimizer, 4, 6)
    np.testing.assert_equal(saved, frozen)
    other = build("Adam", parameters())
    other.load_state_dict(saved)
    train(other, 4, 6)
    other.param_groups[0]["lr"] = 7.0
    np.testing.assert_equal(saved, frozen)


# ---- resuming ---------------------------------------------------------------------------------


@every_case
def test_a_resumed_run_has_the_same_bits(name: str, options: dict[str, Any]) -> None:
    whole = build(name, start(name), **options)
    middle = train(whole, 0, 7)
    saved = whole.state_dict()
    end = train(whole, 7, 27)
    resumed = build(name, [tensor(a, requires_grad=True) for a in middle], lr=9.0)
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["lr"] == 0.05
    for a, b in zip(train(resumed, 7, 27), end, strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
def test_a_checkpoint_survives_json(name: str, options: dict[str, Any]) -> None:
    optimizer = build(name, start(name), **options)
    middle = train(optimizer, 0, 5)
    text = json.dumps(optimizer.state_dict(), default=lambda array: array.tolist())
    end = train(optimizer, 5, 9)
    resumed = build(name, [tensor(a, requires_grad=True) for a in middle])
    resumed.load_state_dict(json.loads(text))
    for a, b in zip(train(resumed, 5, 9), end, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_dict_of_a_group_stays_the_same_object() -> None:
    optimizer = build("Adam", parameters())
    group, params = optimizer.param_groups[0], optimizer.param_groups[0]["params"]
    saved = optimizer.state_dict()
    saved["param_groups"][0] |= {"lr": 0.5, "tag": "first"}
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0] is group and group["params"] is params
    assert group["lr"] == 0.5 and group["tag"] == "first"


def test_state_takes_the_dtype_of_the_parameter() -> None:
    double = build("Adam", parameters())
    train(double, 0, 3)
    single = build(
        "Adam", [tensor(host(p).astype("float32"), requires_grad=True) for p in parameters()]
    )
    single.load_state_dict(double.state_dict())
    state = single.state_of(single.param_groups[0]["params"][0])
    assert state["m"].dtype == np.float32 and state["t"] == 3


@pytest.mark.parametrize("step", [3, 3.0, np.array(3.0), tensor(3.0)])
def test_a_step_count_may_be_any_number(step: Any) -> None:
    optimizer = build("Adam", parameters())
    train(optimizer, 0, 1)
    saved = optimizer.state_dict()
    saved["state"][0]["step"] = step
    optimizer.load_state_dict(saved)
    assert optimizer.state_of(optimizer.param_groups[0]["params"][0])["t"] == 3


def test_options_missing_in_an_older_file_are_the_defaults() -> None:
    optimizer = build("Adam", parameters(), amsgrad=True)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        del group["amsgrad"], group["fused"]
    optimizer.load_state_dict(saved)
    assert [group["amsgrad"] for group in optimizer.param_groups] == [True, True]


def test_an_old_file_of_sgd_without_buffers() -> None:
    optimizer = build("SGD", parameters(), momentum=0.9)
    saved = optimizer.state_dict()
    saved["state"] = {i: {"momentum_buffer": None} for i in range(4)}
    optimizer.load_state_dict(saved)
    train(optimizer, 0, 1)
    p = optimizer.param_groups[0]["params"][0]
    np.testing.assert_array_equal(host(optimizer.state_of(p)["b"]), gradient(0, 0, (3, 2)))


def test_adamw_stays_decoupled_and_adam_becomes_it() -> None:
    adam, adamw = build("Adam", parameters(), weight_decay=0.3), build("AdamW", parameters())
    files = adam.state_dict(), adamw.state_dict()
    adamw.load_state_dict(files[0])
    adam.load_state_dict(files[1])
    for optimizer, decay in ((adamw, 0.3), (adam, 0.01)):
        group = optimizer.param_groups[0]
        assert (group["decoupled_weight_decay"], group["weight_decay"]) == (True, decay)


def test_recorded_steps_are_saved_and_resumed() -> None:
    optimizer = build("Adam", parameters(), differentiable=True)
    middle = train(optimizer, 0, 5)
    saved = optimizer.state_dict()
    end = train(optimizer, 5, 9)
    resumed = build("Adam", [tensor(a, requires_grad=True) for a in middle])
    saved["param_groups"] = resumed.state_dict()["param_groups"]
    resumed.load_state_dict(saved)
    for a, b in zip(train(resumed, 5, 9), end, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---- PyTorch ----------------------------------------------------------------------------------


@pytest.fixture
def double() -> Iterator[None]:
    """PyTorch's default dtype, in which it counts steps, is float64 for a while."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_every_class_of_pytorchs_is_tried() -> None:
    apart = {"LBFGS", "SparseAdam"}  # have files of their own
    assert {name for name, _ in PYTORCHS} == {kind.__name__ for kind in PYTORCH} - apart


@pytest.mark.oracle
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("name", "options"), PYTORCHS)
def test_checkpoints_cross_both_ways_in_the_middle_of_training(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # Muon in full precision
    theirs = build(
        name,
        [torch.tensor(host(p), requires_grad=True) for p in start(name)],
        torch.optim,
        **options,
    )
    middle = train(theirs, 0, 6, torch.tensor)
    ours = build(name, [tensor(a, requires_grad=True) for a in middle])
    ours.load_state_dict(theirs.state_dict())
    ours_middle, theirs_middle = train(ours, 6, 11), train(theirs, 6, 11, torch.tensor)
    for a, b in zip(ours_middle, theirs_middle, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)

    saved = ours.state_dict()
    saved["state"] = {
        i: {key: torch.tensor(value) for key, value in entry.items()}
        for i, entry in saved["state"].items()
    }
    back = build(name, [torch.tensor(a, requires_grad=True) for a in ours_middle], torch.optim)
    back.load_state_dict(saved)
    for a, b in zip(train(back, 11, 16, torch.tensor), train(ours, 11, 16), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# ---- by name ----------------------------------------------------------------------------------


def named(names: str, **options: Any) -> tuple[Adam, dict[str, Tensor]]:
    model = {n: tensor(np.array([float(ord(n))]), requires_grad=True) for n in names}
    return Adam(list(model.items()), **options), model


def trained(names: str, **options: Any) -> Adam:
    optimizer, model = named(names, **options)
    for n, p in model.items():
        p.grad = tensor(np.array([float(ord(n))]))
    optimizer.step()
    return optimizer


def test_by_name_the_order_does_not_matter() -> None:
    saved = trained("abc", lr=0.5).state_dict()
    assert saved["param_groups"][0]["param_names"] == ["a", "b", "c"]
    optimizer, model = named("cab")
    optimizer.load_state_dict(saved, by_name=True)
    for n, p in model.items():
        assert optimizer.state_of(p)["m"].item() == pytest.approx(0.1 * ord(n))
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.5 and group["param_names"] == ["c", "a", "b"]


def test_names_that_differ_are_reported_or_left_alone() -> None:
    saved = trained("abx").state_dict()
    optimizer, model = named("abcd")
    text = "Adam.load_state_dict: the names differ. Missing: c, d. Not expected: x."
    with pytest.raises(ValueError, match=re.escape(text)):
        optimizer.load_state_dict(saved, by_name=True)
    model["c"].grad = tensor(np.array([1.0]))
    optimizer.step()
    optimizer.load_state_dict(saved, by_name=True, strict=False)
    assert [optimizer.state_of(p)["t"] for p in model.values()] == [1, 1, 1, 0]
    assert optimizer.state_of(model["c"])["m"].item() == pytest.approx(0.1)


def test_names_of_the_parameters_themselves_will_do() -> None:
    saved = trained("ab").state_dict()
    model = parameters(shapes=[(1,), (1,)])
    model[0].name, model[1].name = "b", "a"
    optimizer = Adam(model)
    optimizer.load_state_dict(saved, by_name=True)
    assert optimizer.state_of(model[0])["m"].item() == pytest.approx(9.8)


def test_without_names_by_name_says_who_lacks_them() -> None:
    nameless = Adam(parameters(shapes=[(1,)]))
    with pytest.raises(ValueError, match="this optimizer knows no names"):
        nameless.load_state_dict(trained("a").state_dict(), by_name=True)
    with pytest.raises(ValueError, match="the file knows no names"):
        named("a")[0].load_state_dict(nameless.state_dict(), by_name=True)


def test_by_position_names_are_kept_or_taken_from_the_file() -> None:
    optimizer, _ = named("xyz")
    optimizer.load_state_dict(trained("abc").state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["x", "y", "z"]
    nameless = Adam(parameters(shapes=[(1,)] * 3))
    nameless.load_state_dict(trained("abc").state_dict())
    assert nameless.param_groups[0]["param_names"] == ["a", "b", "c"]


# ---- files that do not fit --------------------------------------------------------------------


def spoil(change: Any) -> Any:
    saved = build("Adam", parameters())
    train(saved, 0, 4)
    state = saved.state_dict()
    change(state)
    return state


WRONG: list[tuple[Any, str]] = [
    (
        lambda s: s["param_groups"].pop(),
        "Adam.load_state_dict: the file has groups of [1] parameters, this optimizer has groups of "
        "[1, 3]. Build the same groups first.",
    ),
    (
        lambda s: s["param_groups"][1]["params"].pop(),
        "the file has groups of [1, 2] parameters, this optimizer has groups of [1, 3].",
    ),
    (
        lambda s: s["state"][1].update(exp_avg=np.ones(3)),
        'Adam.load_state_dict: exp_avg of parameter 0 ("0.bias") is (3,) in the file and (2,) '
        "here.",
    ),
    (
        lambda s: s["state"][2].pop("exp_avg"),
        "Adam.load_state_dict: the state of parameter 1 lacks exp_avg, and Adam keeps exp_avg, "
        "exp_avg_sq, max_exp_avg_sq. Was it saved by another optimizer?",
    ),
    (
        lambda s: s["state"][2].update(momentum_buffer=np.ones(())),
        "the state of parameter 1 has momentum_buffer, and Adam keeps exp_avg, exp_avg_sq,",
    ),
    (lambda s: s["param_groups"][1].update(lr=-1.0), "Adam: lr is -1.0; it has to be at least 0."),
]


@pytest.mark.parametrize(("change", "text"), WRONG)
def test_a_file_that_does_not_fit_is_told_and_changes_nothing(change: Any, text: str) -> None:
    params = parameters()
    params[1].name = "0.bias"
    optimizer = build("Adam", params, lr=0.07)
    train(optimizer, 0, 4)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=re.escape(text)):
        optimizer.load_state_dict(spoil(change))
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_another_optimizers_file_is_refused() -> None:
    with pytest.raises(ValueError, match="Was it saved by another optimizer"):
        SGD(parameters(shapes=[(1,)])).load_state_dict(trained("a").state_dict())
    with pytest.raises(ValueError, match="Was it saved by another optimizer"):
        momentum = SGD(parameters(shapes=[(1,)]), momentum=0.9)
        momentum.load_state_dict(trained("a").state_dict())


def test_amsgrad_turned_on_in_the_middle_starts_at_zero() -> None:
    optimizer = AdamW(parameters())
    train(optimizer, 0, 2)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["amsgrad"] = True
    optimizer.load_state_dict(saved)
    train(optimizer, 2, 3)
    p = optimizer.param_groups[0]["params"][0]
    state = optimizer.state_of(p)
    np.testing.assert_array_equal(host(state["v_max"]), host(state["v"]))
