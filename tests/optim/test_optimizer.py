"""What every optimizer does around its rule: groups, options, hooks, closures, copies, errors."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import EASY, RECORDED, accepted
from tinygrad_opt import Device, Tensor, optim, tensor
from tinygrad_opt.optim import SGD, Adam, Optimizer, lr_scheduler
from tinygrad_opt.optim.engine import ENGINES, default_engine


def parameter(*values: float) -> Tensor:
    return tensor(np.array(values, np.float32), requires_grad=True)


def give(*params: Tensor, value: float = 1.0) -> None:
    for p in params:
        p.grad = tensor(np.full(p.shape, value, p.dtype))


# ---- what is handed in ------------------------------------------------------------------------


def test_parameters_come_as_a_list_a_generator_or_a_values_view() -> None:
    w, b = parameter(1.0), parameter(2.0)
    for params in ([w, b], (p for p in [w, b]), {"w": w, "b": b}.values()):
        group = SGD(params).param_groups[0]
        assert group["params"][0] is w and group["params"][1] is b
        assert "param_names" not in group


def test_pairs_keep_their_names() -> None:
    optimizer = SGD([("w", parameter(1.0)), ("b", parameter(2.0))])
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]


def test_groups_have_options_of_their_own_and_defaults_for_the_rest() -> None:
    a, b = parameter(1.0), parameter(1.0)
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": b, "name": "bias"}], lr=0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert optimizer.param_groups[1]["name"] == "bias"
    give(a, b)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.75)


def test_the_dicts_of_the_user_are_not_changed() -> None:
    group = {"params": [parameter(1.0)], "lr": 0.5}
    optimizer = SGD([group])
    optimizer.param_groups[0]["lr"] = 9.0
    assert group.keys() == {"params", "lr"} and group["lr"] == 0.5


def test_a_group_may_join_in_the_middle_of_training() -> None:
    a, b = parameter(1.0), parameter(1.0)
    optimizer = SGD([a], lr=0.5, momentum=0.5)
    give(a)
    optimizer.step()
    optimizer.add_param_group({"params": [b], "lr": 0.25})
    give(a, b)
    optimizer.step()
    assert (a.item(), b.item()) == (1 - 0.5 - 0.75, 0.75)


def test_a_group_may_be_empty() -> None:
    optimizer = Adam([{"params": [parameter(1.0)]}, {"params": []}])
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert [group["params"] for group in optimizer.param_groups][1] == []


W = parameter(1.0)
NAMED = parameter(1.0)
NAMED.name = "0.weight"
BAD_PARAMS: list[tuple[Any, type[Exception], str]] = [
    (W, TypeError, "Adam: params is a single Tensor. Pass a list: [w]."),
    (np.ones(3), TypeError, "Adam: params is a single ndarray. Pass a list: [w]."),
    (
        {W},
        TypeError,
        "Adam: params is a set; its order changes from run to run and saved state would meet the "
        "wrong weights. Pass a list.",
    ),
    (
        {"w": W},
        TypeError,
        "Adam: params is a dict. Pass list(params.items()), or a group: [dict].",
    ),
    ([], ValueError, "Adam: there are no parameters. Pass model.parameters() or a list."),
    (
        [W, np.ones(3)],
        TypeError,
        "Adam: parameter 1 is a ndarray, not a Tensor. "
        "Wrap an array: tensor(array, requires_grad=True).",
    ),
    (
        [W, tensor([1.0] * 10)],
        ValueError,
        "Adam: parameter 1, shape (10,), does not require a gradient; it would never move. Make it "
        "a Parameter or set requires_grad.",
    ),
    (
        [NAMED, NAMED * 2],
        ValueError,
        "Adam: parameter 1, shape (1,), was computed from other tensors and is not a leaf. "
        "Optimize the tensors that it was computed from.",
    ),
    (
        [("w", W), NAMED],
        ValueError,
        "Adam: some parameters have names and some have none. Name all, or none.",
    ),
    (
        [{"params": [W, NAMED]}, {"params": [NAMED]}],
        ValueError,
        'Adam: parameter 0 ("0.weight"), shape (1,), is in an earlier group already, as '
        "parameter 1 of group 0.",
    ),
    (
        [{"lr": 0.1}],
        TypeError,
        "Adam: a group is a dict with a list \"params\", not {'lr': 0.1}.",
    ),
    ([{"params": {W}}], TypeError, "Adam: params is a set;"),
]


@pytest.mark.parametrize(("params", "kind", "text"), BAD_PARAMS)
def test_what_cannot_be_optimized_is_told(params: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        Adam(params)


def test_a_parameter_given_twice_is_stepped_once() -> None:
    w = parameter(1.0)
    with pytest.warns(UserWarning, match=r"SGD: parameter 1, shape \(1,\), was given twice"):
        optimizer = SGD([w, w], lr=0.5)
    give(w)
    optimizer.step()
    assert w.item() == 0.5


def test_a_failed_group_leaves_the_optimizer_as_it_was() -> None:
    w = parameter(1.0)
    optimizer = SGD([w])
    for group in ({"params": [w]}, {"params": [parameter(2.0)], "lr": -1}):
        with pytest.raises(ValueError):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1
    optimizer.step()


# ---- options ----------------------------------------------------------------------------------

BAD_OPTIONS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("sgd", {"lr": -0.1}, ValueError, "SGD: lr is -0.1; it has to be at least 0."),
    ("sgd", {"lr": float("nan")}, ValueError, "SGD: lr is nan; it has to be at least 0."),
    ("sgd", {"lr": "fast"}, TypeError, "SGD: lr is 'fast'; it has to be a number."),
    ("sgd", {"lr": None}, TypeError, "SGD: lr is None; it has to be a number."),
    ("sgd", {"lr": np.ones(2)}, TypeError, "SGD: lr is (1.0, 1.0); it has to be a number."),
    ("sgd", {"lr": (0.1, 0.2)}, TypeError, "SGD: lr is (0.1, 0.2); it has to be a number."),
    ("sgd", {"momentum": -1}, ValueError, "SGD: momentum is -1; it has to be at least 0."),
    ("sgd", {"dampening": float("nan")}, ValueError, "SGD: dampening is nan;"),
    (
        "sgd",
        {"nesterov": True},
        ValueError,
        "SGD: nesterov is True; it has to be False unless momentum is above 0 and dampening is 0.",
    ),
    (
        "nesterov",
        {"dampening": 0.1},
        ValueError,
        "SGD: nesterov is True; it has to be False unless momentum is above 0 and dampening is 0.",
    ),
    ("adagrad", {"lr_decay": -1}, ValueError, "Adagrad: lr_decay is -1;"),
    ("adagrad", {"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value is -1;"),
    ("adadelta", {"rho": 1.5}, ValueError, "Adadelta: rho is 1.5; it has to be between 0 and 1."),
    ("rmsprop", {"alpha": -0.5}, ValueError, "RMSprop: alpha is -0.5; it has to be at least 0."),
    (
        "adam",
        {"betas": (0.9, 1.0)},
        ValueError,
        "Adam: betas[1] is 1.0; it has to be at least 0 and below 1.",
    ),
    ("adam", {"betas": (-0.1, 0.9)}, ValueError, "Adam: betas[0] is -0.1;"),
    ("adam", {"betas": (0.9,)}, ValueError, "Adam: betas is (0.9,); it has to be 2 numbers."),
    (
        "adam",
        {"betas": np.array([0.5, 0.75])},
        ValueError,
        "Adam: betas is array([0.5 , 0.75]); it has to be 2 numbers.",
    ),
    ("adam", {"betas": 0.9}, ValueError, "Adam: betas is 0.9; it has to be 2 numbers."),
    ("adam", {"eps": -1e-8}, ValueError, "Adam: eps is -1e-08; it has to be at least 0."),
    ("adamw", {"weight_decay": -1}, ValueError, "AdamW: weight_decay is -1;"),
    (
        "adam",
        {"engine": "warp"},
        ValueError,
        f"Adam: engine is 'warp'; it has to be one of {', '.join(ENGINES)}.",
    ),
    ("sgd", {"capturable": True}, TypeError, "SGD: there is no option 'capturable'."),
    ("rprop", {"etas": (0.5, 1.0)}, ValueError, "etas[1] is 1.0; it has to be above 1."),
    ("rprop", {"etas": (0.0, 1.2)}, ValueError, "etas[0] is 0.0; it has to be above 0 and below 1"),
    ("rprop", {"step_sizes": (-1, 50)}, ValueError, "step_sizes[0] is -1; it has to be at least 0"),
    ("asgd", {"lambd": float("nan")}, ValueError, "ASGD: lambd is nan; it has to be a number."),
    ("asgd", {"t0": "late"}, TypeError, "ASGD: t0 is 'late'; it has to be a number."),
    ("nadam", {"momentum_decay": -1}, ValueError, "NAdam: momentum_decay is -1;"),
    ("radam", {"betas": (0.9, 1.0)}, ValueError, "RAdam: betas[1] is 1.0;"),
    ("adamax", {"eps": -1}, ValueError, "Adamax: eps is -1; it has to be at least 0."),
    ("adafactor", {"beta2_decay": 0.1}, ValueError, "beta2_decay is 0.1; it has to be at most 0."),
    ("adafactor", {"d": 0.5}, ValueError, "Adafactor: d is 0.5; it has to be at least 1."),
    ("adafactor", {"eps": (None, -1)}, ValueError, "Adafactor: eps[1] is -1;"),
    ("adafactor", {"eps": (None, None)}, TypeError, "eps[1] is None; it has to be a number."),
    ("muon", {"ns_steps": 100}, ValueError, "Muon: ns_steps is 100; it has to be between 0 and 99"),
    ("muon", {"ns_coefficients": (1, 2)}, ValueError, "ns_coefficients is (1, 2); it has to be 3"),
    (
        "muon",
        {"adjust_lr_fn": "torch"},
        ValueError,
        "adjust_lr_fn is 'torch'; it has to be None or 'original' or 'match_rms_adamw'.",
    ),
    ("muon", {"foreach": True}, TypeError, "Muon: there is no option 'foreach'."),
]


@pytest.mark.parametrize(("name", "options", "kind", "text"), BAD_OPTIONS)
def test_options_out_of_range_are_told(
    name: str, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        optim.get_optimizer(name)([parameter(1.0)], **options)
    if options.keys() & {"engine", "capturable", "foreach"}:
        return
    with pytest.raises(kind, match=re.escape(text)):  # a group is no way around
        optim.get_optimizer(name)([{"params": [parameter(1.0)], **options}])


COUNTS = ("precondition_frequency", "max_precondition_dim")  # integers


@pytest.mark.parametrize(
    "one",
    [
        np.float64,
        np.float32,
        np.array,
        lambda x: np.array([x]),
        lambda x: tensor(x),
        lambda x: tensor([x]),
    ],
)
@pytest.mark.parametrize("name", EASY)
def test_a_number_may_come_in_an_array(name: str, one: Any) -> None:
    paths = []
    for number in (float, one):
        w = parameter(1.0, -2.0)
        entry = optim.get_optimizer(name)
        options = {
            option: tuple(v if v is None else number(np.float32(v)) for v in value)
            if isinstance(value, tuple)
            else number(np.float32(value or 0.125))
            for option, value in entry.defaults.items()
            if not isinstance(value, bool) and option not in ("dampening", *COUNTS)
        }
        optimizer = entry([w], **options)
        for _ in range(3):
            give(w, value=0.5)
            optimizer.step()
        paths.append(w.tolist())
        assert w.dtype == np.float32
    assert paths[0] == paths[1]


def test_an_array_that_is_written_into_is_read_at_every_step() -> None:
    w = parameter(1.0)
    for lr in (np.array(0.5), np.array([0.5]), tensor([0.5])):
        w.data = np.ones(1, np.float32)
        optimizer = SGD([w], lr=lr)
        give(w)
        optimizer.step()
        assert w.item() == 0.5
        lr[...] = 0.25
        optimizer.step()
        assert w.item() == 0.25


def test_an_eps_that_vanishes_in_half_precision_is_warned_of() -> None:
    w = tensor(np.ones(2, np.float16), requires_grad=True)
    text = "Adam: eps is 1e-08, which is 0 in float16, so a gradient of 0 gives 0/0. Take eps=6e-05"
    with pytest.warns(UserWarning, match=text):
        Adam([w])
    Adam([w], eps=1e-4)


def test_flags_stay_in_the_groups_as_pytorch_keeps_them() -> None:
    usual = Adam([parameter(1.0)]).param_groups[0]
    assert not any(usual[flag] for flag in ("maximize", "capturable", "differentiable"))
    assert usual["foreach"] is usual["fused"] is None
    group = Adam([parameter(1.0)], foreach=False, fused=True, capturable=True).param_groups[0]
    assert (group["foreach"], group["fused"], group["capturable"]) == (False, True, True)
    assert "engine" not in group


def test_foreach_false_runs_the_reference_and_an_engine_by_name_runs_that(
    engine: str, on_device: Device
) -> None:
    def engine_of(**options: Any) -> str:
        optimizer = SGD([parameter(1.0)], **options)
        return optimizer._storages[0].flats[0].kind.__name__  # type: ignore[union-attr]

    usual = default_engine(on_device, np.dtype(np.float32))
    assert engine_of() == engine_of(foreach=True) == usual.title()
    assert engine_of(foreach=False) == engine_of(engine="reference") == "Reference"
    assert engine_of(foreach=False, engine=engine) == engine.title()


# ---- an optimizer of one's own ----------------------------------------------------------------


def test_a_class_says_what_it_keeps_and_how_a_step_looks_and_nothing_else(engine: str) -> None:
    class Momentum(Optimizer):
        state = {"b": "momentum_buffer"}

        def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.9, **flags: Any):
            super().__init__(params, {"lr": lr, "momentum": momentum}, flags)  # type: ignore

        @staticmethod
        def rule(xp, p, g, b, *, lr, momentum):  # type: ignore
            b = momentum * b + g
            return p - lr * b, b

    w, twin = parameter(1.0, 2.0), parameter(1.0, 2.0)
    mine = Momentum([w], engine=engine, maximize=True)
    truth = SGD([twin], lr=0.1, momentum=0.9, maximize=True)
    for step in range(5):
        give(w, twin, value=step - 2.5)
        mine.step()
        truth.step()
    np.testing.assert_allclose(host(w), host(twin), rtol=1e-6)
    assert list(mine.state_dict()["state"][0]) == ["step", "momentum_buffer"]
    with pytest.raises(ValueError, match=re.escape("Momentum: lr is -1; it has to be at least 0.")):
        Momentum([w], lr=-1)


# ---- the step ---------------------------------------------------------------------------------


def test_a_closure_computes_the_loss_with_recording_on() -> None:
    w = parameter(3.0)
    optimizer = SGD([w], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert w.item() == pytest.approx(2.4)


def test_zero_grad_forgets_or_sets_to_zero() -> None:
    w, b = parameter(1.0), parameter(2.0)
    optimizer = SGD([w, b])
    give(w)
    held = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0] and b.grad is None
    assert held.tolist() == [1.0], "whoever holds the old gradient keeps it"
    optimizer.zero_grad()
    assert w.grad is None


def test_a_graph_older_than_the_step_is_not_trusted() -> None:
    w = parameter(3.0)
    optimizer = SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"has been changed since, by SGD\.step\(\)"):
        loss.backward()


def test_a_parameter_that_did_not_move_leaves_its_graph_valid() -> None:
    w, b = parameter(3.0), parameter(1.0)
    optimizer = SGD([w, b], lr=0.1)
    loss = (w * w).sum()
    give(b)
    optimizer.step()
    loss.backward()
    assert w.grad.item() == 6.0


def test_state_is_asked_for_by_the_letters_of_the_paper() -> None:
    w, stranger = parameter(1.0, 2.0), parameter(1.0)
    optimizer = Adam([w])
    assert optimizer.state_of(w) == {"t": 0}
    give(w)
    optimizer.step()
    state = optimizer.state_of(w)
    assert list(state) == ["t", "m", "v"] and state["m"].tolist() == pytest.approx([0.1, 0.1])
    with pytest.raises(KeyError, match="is not one of mine"):
        optimizer.state_of(stranger)


def test_steps_are_counted() -> None:
    optimizer = SGD([parameter(1.0)])
    assert optimizer.step_count == 0
    optimizer.step()
    optimizer.step()
    assert optimizer.step_count == 2


def test_a_schedule_drives_the_rate_of_every_group() -> None:
    a, b = parameter(0.0), parameter(0.0)
    optimizer = SGD([{"params": [a]}, {"params": [b], "lr": 2.0}], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(4):
        give(a, b)
        optimizer.step()
        scheduler.step()
    assert (a.item(), b.item()) == (-3.0, -6.0)
    assert scheduler.get_last_lr() == [0.25, 0.5]


def test_a_scheduler_writes_into_an_array_and_the_step_reads_it() -> None:
    w, lr = parameter(0.0), np.array(1.0)
    optimizer = SGD([w], lr=lr)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(3):
        give(w)
        optimizer.step()
        scheduler.step()
    assert w.item() == -1.75 and lr == 0.125


@pytest.mark.on("cpu", "cuda")
@pytest.mark.parametrize("name", EASY)
def test_every_optimizer_goes_down_into_a_ravine(name: str) -> None:
    scale = tensor([0.1, 2.0])
    w = parameter(-2.7, 1.0)
    rate = {"adadelta": 30.0, "lars": 20.0, "dadaptsgd": 1.0}.get(name, 0.05)
    optimizer = optim.get_optimizer(name)([w], lr=rate)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (scale * w * w).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


# ---- hooks ------------------------------------------------------------------------------------


def test_hooks_are_called_in_order_around_the_step_until_removed() -> None:
    w = parameter(1.0)
    optimizer = SGD([w], lr=0.5)
    seen: list[Any] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("before", w.item()))),
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("again", o is optimizer))),
        optimizer.register_step_post_hook(lambda o, a, k: seen.append(("after", w.item()))),
    ]
    give(w)
    optimizer.step()
    assert seen == [("before", 1.0), ("again", True), ("after", 0.5)]
    handles[0].remove()
    handles[0].remove()
    with handles[2]:
        optimizer.step()
    optimizer.step()
    assert seen[3:] == [("again", True), ("after", 0.0), ("again", True)]


def test_a_hook_may_replace_the_arguments() -> None:
    optimizer = SGD([parameter(1.0)])
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: "another"), kwargs))
    seen: list[Any] = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(args[1]()))
    assert optimizer.step(lambda: "this") == "another"
    assert seen == ["another"]


def test_a_hook_that_returns_something_else_is_told() -> None:
    optimizer = SGD([parameter(1.0)])
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(TypeError, match=r"SGD: a step hook returned 3\. It returns None, or"):
        optimizer.step()


# ---- printing and copies ----------------------------------------------------------------------


def test_an_optimizer_prints_in_one_line_a_group() -> None:
    w, b = parameter(1.0, 2.0), parameter(3.0)
    assert repr(SGD([w, b], lr=0.1, momentum=0.9, maximize=True)) == (
        "SGD(2 tensors, 3 numbers; lr=0.1, momentum=0.9, dampening=0, weight_decay=0, "
        "nesterov=False, maximize=True)"
    )
    two = Adam([{"params": [w]}, {"params": [b], "lr": 1e-4}], foreach=False)
    lines = repr(two).splitlines()
    assert lines[0] == "Adam(" and lines[-1] == ")"
    assert lines[2].startswith("  1 tensor, 1 number; lr=0.0001, betas=(0.9, 0.999)")
    assert "foreach=False" in lines[1]


@pytest.mark.parametrize("name", EASY)
@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_exactly_and_apart(name: str, twin_of: Any) -> None:
    model = {"w": parameter(1.0, -2.0), "b": parameter(0.5)}
    entry = optim.get_optimizer(name)
    rate = entry.defaults["lr"] if entry.kind.scope == "global" else 0.01  # one for all, or not
    groups = [{"params": [model["w"]]}, {"params": [model["b"]], "lr": rate}]
    optimizer = entry(groups, engine="reference")
    optimizer.note = "of the user"  # type: ignore[attr-defined]

    def run(optimizer: Any, model: dict[str, Tensor]) -> list[Any]:
        for step in range(4):
            give(model["w"], value=0.5 - step)
            model["b"].grad = tensor([0.25 * step]) if step % 2 else None
            optimizer.step()
        return [p.tolist() for p in model.values()]

    before = run(optimizer, model)
    other, twin = twin_of((model, optimizer))
    assert twin.param_groups[0]["params"][0] is other["w"]
    assert (twin.note, twin.step_count, twin.engine) == ("of the user", 4, "reference")
    after = run(optimizer, model)
    assert [p.tolist() for p in other.values()] == before != after
    assert run(twin, other) == after


# ---- differentiating through training ---------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_steps_are_the_same_steps(name: str) -> None:
    results = []
    for differentiable in (False, True):
        params = [parameter(1.0, -2.0), parameter(0.5)]
        options = accepted(name, lr=0.1, weight_decay=0.1)
        optimizer = optim.get_optimizer(name)(params, differentiable=differentiable, **options)
        for step in range(4):
            give(params[0], value=0.5 - step)
            params[1].grad = None if step == 2 else tensor([1.0 + step])
            optimizer.step()
        state = optimizer.state_dict()["state"]
        results.append([host(p) for p in params] + [a for e in state.values() for a in e.values()])
        assert optimizer.state_of(params[1])["t"] == 3
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {}),
        ("nesterov", {}),
        ("adam", {}),
        ("adamw", {"weight_decay": 0.2}),
        ("rmsprop", {}),
    ],
)
def test_the_final_loss_tells_how_the_rate_should_have_been(
    name: str, options: dict[str, Any]
) -> None:
    def final_loss(rate: Any) -> Tensor:
        w = tensor(np.array([1.5, -0.5]), requires_grad=True)
        optimizer = optim.get_optimizer(name)([w], lr=rate, differentiable=True, **options)
        for _ in range(3):
            w.grad = tg.grad((w * w * w * w + w).sum(), w, create_graph=True)
            optimizer.step()
        loss: Tensor = (w * w).sum()
        return loss

    lr = tensor(np.array(0.05), requires_grad=True)
    slope = tg.grad(final_loss(lr), lr).item()
    h = 1e-6
    difference = (final_loss(0.05 + h).item() - final_loss(0.05 - h).item()) / (2 * h)
    assert slope == pytest.approx(difference, rel=1e-6)


def test_a_result_may_be_trained_on_where_steps_are_recorded() -> None:
    start = tensor(np.array([3.0]), requires_grad=True)
    w = start * 2.0
    with pytest.raises(ValueError, match="is not a leaf"):
        SGD([w])
    optimizer = SGD([w], lr=0.1, differentiable=True)
    w.grad = tg.grad((w * w).sum(), w, create_graph=True)
    optimizer.step()
    assert tg.grad(w.sum(), start).item() == pytest.approx(2 * (1 - 0.2))


def test_training_can_be_differentiated_to_where_it_began() -> None:
    w = tensor(np.array([3.0]), requires_grad=True)
    start = w * 1.0
    optimizer = SGD([w], lr=0.1, differentiable=True)
    w.grad = tg.grad((w * w).sum(), w, create_graph=True)
    optimizer.step()
    (w * w).sum().backward()
    assert not w.is_leaf and start.item() == 3.0
    assert w.grad is not None


# ---- groups changed by hand, and other mistakes of newcomers ------------------------------------


def moved(*values: float) -> Tensor:
    w = tensor(np.array(values), requires_grad=True)
    w.grad = tensor(np.ones(len(values)))
    return w


def test_parameters_put_into_a_group_by_hand_are_noticed() -> None:
    for change in (
        lambda groups, v: groups[0]["params"].append(v),
        lambda groups, v: groups[0]["params"].__setitem__(0, v),
        lambda groups, v: groups.append({"params": [v], "lr": 1.0}),
    ):
        w, v = moved(1.0, 2.0), moved(3.0, 4.0)
        optimizer = optim.SGD([w], lr=1.0)
        change(optimizer.param_groups, v)
        with pytest.raises(RuntimeError, match="Use add_param_group"):
            optimizer.step()
        assert w.tolist() == [1, 2] and v.tolist() == [3, 4]


def test_a_misspelt_option_of_a_group_is_told() -> None:
    with pytest.warns(UserWarning, match="has 'learning_rate', which nothing here reads"):
        optim.Adam([{"params": [moved(1.0)], "learning_rate": 1.0}])


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda m: optim.Adam(m), TypeError, r"Write Adam\(model\.parameters\(\)\)"),
        (lambda m: optim.Adam(m.parameters), TypeError, r"Write Adam\(model\.parameters\(\)\)"),
        (lambda m: optim.Adam([{"params": []}]), ValueError, "no parameters in any group"),
        (lambda m: optim.Adam(m.parameters(), lr=np.inf), ValueError, "at least 0 and finite"),
        (
            lambda m: optim.Adam(m.parameters()).load_state_dict({}),
            ValueError,
            "this is no state of an optimizer",
        ),
        (lambda m: optim.clip_grad_norm_(m.parameters(), -1), ValueError, "max_norm is -1"),
        (lambda m: optim.Adam(m.parameters()).state_of(moved(1.0)), KeyError, "not one of mine"),
    ],
)
def test_mistakes_of_newcomers(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        make(tg.nn.Linear(2, 2))


def test_a_gradient_of_another_shape_is_no_gradient() -> None:
    w = tensor(np.ones((1, 3)), requires_grad=True)
    w.grad = tensor(np.ones(3))
    with pytest.raises(ValueError, match=r"has shape \(1, 3\), its gradient \(3,\)"):
        optim.SGD([w], lr=1.0).step()
