"""Every rule that is not PyTorch's against recorded runs of other packages, and what must be equal.

Each class has its defaults, every option and every pair of options among the cases.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pathlib
import re
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.optim.family import EASY, PYTORCH, accepted
from tinygrad_opt import Tensor, optim, tensor
from tinygrad_opt.optim import layerwise

ORACLE = SimpleNamespace(
    **runpy.run_path(str(pathlib.Path(__file__).parents[1] / "oracles" / "record_modern.py"))
)
CASES = json.loads(ORACLE.CASES.read_text())["cases"]
ARRAYS = dict(np.load(ORACLE.ARRAYS))
MODERN = {entry.kind for entry in optim.OPTIMIZERS.values()} - PYTORCH

# No package has their numbers; what they must do is tested in files of their own.
PROVEN = {optim.SGLD, optim.Newton, optim.ConjugateGradient}


class Ours:
    """This library in the oracle's loop."""

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = dtype

    def array(self, array: Any) -> Tensor:
        return tensor(np.asarray(array, self.dtype))

    def parameter(self, array: Any) -> Tensor:
        return tensor(array.astype(self.dtype), requires_grad=True)

    def give(self, p: Tensor, gradient: Any) -> None:
        p.grad = tensor(gradient.astype(self.dtype))

    def value(self, p: Tensor) -> Any:
        return host(p).copy()


def trace(case: dict[str, Any], dtype: str = "float64", **flags: Any) -> tuple[Any, Any]:
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}
    kind = getattr(optim, case["class"])

    def make(params: Any, **options: Any) -> Any:
        return kind(params, **options, **flags)

    return ORACLE.trace(Ours(dtype), make, case | {"options": options}, ARRAYS)  # type: ignore[no-any-return]


def length(case: dict[str, Any]) -> int:
    """How many rows were recorded; one more where the parameters are switched at the end."""
    seen = sum(step < ORACLE.steps(case) for step in ORACLE.SEEN)
    return seen + ("ScheduleFree" in case["class"])


ENDS = np.cumsum([length(case) for case in CASES])
ROWS = np.split(ARRAYS["rows"], ENDS[:-1])
WITH_STATE = [case for case in CASES if case.get("state")]
SIZES = [sum(size for _, _, size in case["state"]) for case in WITH_STATE]
STATES = np.split(ARRAYS["states"], np.cumsum(SIZES)[:-1])

PAIRS = [i for i, case in enumerate(CASES) if len(case["options"]) > 2]  # lr and two more
SINGLE = sorted({*range(len(CASES))} - {*PAIRS})
few_options = pytest.mark.parametrize("index", SINGLE, ids=[CASES[i]["id"] for i in SINGLE])
more_options = pytest.mark.parametrize("index", PAIRS, ids=[CASES[i]["id"] for i in PAIRS])


# ---- the packages -----------------------------------------------------------------------------


@few_options
def test_parameters_are_those_of_the_package(index: int, engine: str) -> None:
    rows, _ = trace(CASES[index], engine=engine)
    tolerance = ORACLE.TOLERANCE.get(CASES[index]["class"], 1e-12)
    np.testing.assert_allclose(rows, ROWS[index], rtol=0, atol=tolerance)


@pytest.mark.on("cpu", "kernels", "cuda")  # nothing is called that one option alone does not call
@more_options
def test_options_go_together_as_in_the_package(index: int) -> None:
    rows, _ = trace(CASES[index])
    tolerance = ORACLE.TOLERANCE.get(CASES[index]["class"], 1e-12)
    np.testing.assert_allclose(rows, ROWS[index], rtol=0, atol=tolerance)


@pytest.mark.parametrize("index", range(len(WITH_STATE)), ids=[c["class"] for c in WITH_STATE])
def test_state_has_the_names_and_the_numbers_of_the_package(index: int) -> None:
    case = WITH_STATE[index]
    _, optimizer = trace(case)
    ours = optimizer.state_dict()["state"]
    theirs = np.split(STATES[index], np.cumsum([size for *_, size in case["state"]])[:-1])
    compared = set()
    for (i, key, _), row in zip(case["state"], theirs, strict=True):
        if key in ours[i]:
            tolerance = ORACLE.TOLERANCE.get(case["class"], 1e-12)
            np.testing.assert_allclose(ours[i][key].ravel(), row, rtol=1e-10, atol=tolerance)
            compared.add(key)
    arrays = {k for entry in ours.values() for k, v in entry.items() if isinstance(v, np.ndarray)}
    assert compared == arrays - {"step"}


@pytest.mark.parametrize("case", [c for c in CASES if c["options"].keys() == {"lr"}], ids=str)
def test_single_precision_follows_and_stays_single(case: dict[str, Any]) -> None:
    rows, optimizer = trace(case, "float32")
    assert rows.dtype == np.float32
    amplifies = case["class"] in ORACLE.TOLERANCE  # what rounding leaves, in both packages
    expected = ROWS[CASES.index(case)]
    if not amplifies:
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    for entry in optimizer.state_dict()["state"].values():
        kinds = {a.dtype for value in entry.values() for a in each_array(value)}
        assert kinds <= {np.dtype("float32")}


def each_array(value: Any) -> list[Any]:
    return [one for one in value if one is not None] if isinstance(value, list) else [value]


def test_every_class_and_every_option_has_a_case() -> None:
    assert {case["class"] for case in CASES} == {kind.__name__ for kind in MODERN - PROVEN}
    for kind in MODERN - PROVEN - {optim.SophiaG}:
        mine = [case for case in CASES if case["class"] == kind.__name__]
        seen = {name for case in mine for name in case["options"]}
        own = set(inspect.signature(kind).parameters) - {"params", "flags"}
        assert own <= seen, kind


def test_packages_that_know_a_rule_agree_on_it() -> None:
    alone = {case["class"] for case in CASES} - {case["class"] for case in CASES if case["agree"]}
    assert {"Lion", "AdaBelief", "ADOPT", "LAMB", "Prodigy"}.isdisjoint(alone)


# ---- their files ------------------------------------------------------------------------------

OTHERWISE = {  # packages that save under other names, or count otherwise, than the rule's authors
    ("AdamWScheduleFree", "pytorch_optimizer"),
    ("Adan", "timm"),
    ("AggMo", "pytorch_optimizer"),
    ("NovoGrad", "pytorch_optimizer"),
}


APART = {"FTRL", "PolyakStep", "SophiaG", "SophiaH"}  # no file, or other names


@pytest.mark.oracle
@pytest.mark.parametrize("name", [name for name in ORACLE.OPTIONS if name not in APART])
def test_training_goes_on_from_a_file_of_the_package(name: str) -> None:
    importlib.import_module("pytorch_optimizer")
    case = {"class": name, "options": {"lr": ORACLE.OPTIONS[name][0]}}
    for package, make in ORACLE.oracles()[name]:
        if package == "optax" or (name, package) in OTHERWISE:
            continue
        theirs, mine = ORACLE.Torch(), Ours()
        params = [theirs.parameter(array) for array in ORACLE.apart(ARRAYS["start"])]
        optimizer = make(params, **case["options"])
        if hasattr(optimizer, "train"):
            optimizer.train()
        for step in range(5):
            optimizer.step(**ORACLE.feed(theirs, params, case, ARRAYS, step))
        twins = [mine.parameter(theirs.value(p)) for p in params]
        twin = getattr(optim, name)(twins)
        twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for step in range(5, 12):
            optimizer.step(**ORACLE.feed(theirs, params, case, ARRAYS, step))
            twin.step(**ORACLE.feed(mine, twins, case, ARRAYS, step))
        for p, q in zip(params, twins, strict=True):
            np.testing.assert_allclose(host(q), theirs.value(p), rtol=1e-12, atol=1e-13)


# ---- identities -------------------------------------------------------------------------------

GRADIENTS = np.random.default_rng(3).standard_normal((12, 4, 3))


def path(kind: Callable[..., Any], scale: float = 1.0, **options: Any) -> Any:
    """Where a matrix goes under some gradients."""
    w = tensor(np.linspace(-1, 2, 12).reshape(4, 3), requires_grad=True)
    optimizer = kind([w], **options)
    places = []
    for g in GRADIENTS:
        w.grad = tensor(scale * g)
        optimizer.step()
        places.append(host(w).copy())
    return np.array(places)


EQUAL: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "signum without momentum is sign descent": (
        *(optim.Signum, {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.1}),
        *(optim.SignSGD, {"lr": 0.1, "weight_decay": 0.1}),
    ),
    "tiger is signum": (
        *(optim.Tiger, {"lr": 0.1, "beta": 0.8, "weight_decay": 0.1}),
        *(optim.Signum, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1}),
    ),
    "lion with equal betas is signum": (
        *(optim.Lion, {"lr": 0.1, "betas": (0.9, 0.9)}),
        *(optim.Signum, {"lr": 0.1}),
    ),
    "qhm with nu 0 is gradient descent": (
        *(optim.QHM, {"lr": 0.1, "nu": 0.0, "weight_decay": 0.1}),
        *(optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    ),
    "qhm with nu 1 is momentum": (
        *(optim.QHM, {"lr": 1.0, "momentum": 0.9, "nu": 1.0}),
        *(optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    ),
    "qhm with nu = mu is nesterov's": (
        *(optim.QHM, {"lr": 1.0, "momentum": 0.9, "nu": 0.9}),
        *(optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ),
    "aggmo with equal betas is momentum": (
        *(optim.AggMo, {"lr": 0.1, "betas": (0.8, 0.8, 0.8)}),
        *(optim.SGD, {"lr": 0.1, "momentum": 0.8}),
    ),
    "optimistic descent without beta is gradient descent": (
        *(optim.OptimisticGD, {"lr": 0.1, "beta": 0.0}),
        *(optim.SGD, {"lr": 0.1}),
    ),
    "ademamix without the slow mean is adam": (
        *(optim.AdEMAMix, {"lr": 0.1, "alpha": 0.0}),
        *(optim.Adam, {"lr": 0.1}),
    ),
    "ademamix warms up to what it is": (
        *(optim.AdEMAMix, {"lr": 0.1, "t_alpha_beta3": 1e-9}),
        *(optim.AdEMAMix, {"lr": 0.1}),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_one_rule_contains_another(name: str) -> None:
    kind, options, other, other_options = EQUAL[name]
    np.testing.assert_allclose(path(kind, **options), path(other, **other_options), atol=1e-14)


def test_mars_without_gamma_is_adam_for_gradients_shorter_than_1() -> None:
    betas = (0.9, 0.99)
    ours = path(optim.MARS, 0.1, lr=0.1, gamma=0.0, betas=betas)
    np.testing.assert_allclose(ours, path(optim.Adam, 0.1, lr=0.1, betas=betas), atol=1e-14)


def test_lamb_whose_ratio_is_1_is_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layerwise, "ratio", lambda xp, a, b: 1)
    ours = path(optim.LAMB, lr=0.1, eps=1e-8, weight_decay=0.1)
    np.testing.assert_allclose(ours, path(optim.AdamW, lr=0.1, weight_decay=0.1), atol=1e-14)


@pytest.mark.parametrize("kind", [optim.LARS, optim.LAMB, optim.NovoGrad, optim.Adam, optim.Lion])
def test_seven_times_the_gradient_changes_nothing(kind: Any) -> None:
    options = {} if kind is optim.Lion else {"eps": 0}
    np.testing.assert_allclose(path(kind, **options), path(kind, 7.0, **options), rtol=1e-12)


def test_a_step_of_lamb_and_of_lars_is_as_long_as_its_share_of_the_weights() -> None:
    start = np.linalg.norm(np.linspace(-1, 2, 12))
    origin = np.linspace(-1, 2, 12).reshape(4, 3)
    for kind, options, share in (
        (optim.LAMB, {"lr": 0.25}, 0.25),
        (optim.LARS, {"lr": 2.0, "trust_coefficient": 0.01}, 0.02),
    ):
        first = path(kind, **options)[0]
        assert np.linalg.norm(first - origin) == pytest.approx(share * start)


def test_zero_weights_and_zero_gradients_have_a_ratio() -> None:
    for kind in (optim.LARS, optim.LAMB):
        w, v = (tensor(np.array(x), requires_grad=True) for x in ([0.0, 0.0], [1.0, 2.0]))
        optimizer = kind([w, v], lr=0.1)
        w.grad, v.grad = tensor(np.array([3.0, -4.0])), tensor(np.zeros(2))
        optimizer.step()
        assert np.isfinite(host(w)).all() and host(w)[0] < 0 < host(w)[1]
        assert v.tolist() == [1.0, 2.0]
    w = tensor(np.zeros(2), requires_grad=True)
    w.grad = tensor(np.array([3.0, -4.0]))
    optim.LARS([w], lr=0.1).step()
    np.testing.assert_allclose(host(w), [-0.3, 0.4])  # plain gradient descent


def test_shampoo_of_one_number_is_adagrad() -> None:
    for shape in ((1,), (1, 1), (1, 1, 1)):
        a, b = (tensor(np.ones(shape), requires_grad=True) for _ in range(2))
        shampoo = optim.Shampoo([a], lr=0.1, eps=0.01)
        adagrad = optim.Adagrad([b], lr=0.1, initial_accumulator_value=0.01, eps=0)
        for g in GRADIENTS[:, 0, 0]:
            a.grad = b.grad = tensor(np.full(shape, g))
            shampoo.step()
            adagrad.step()
        assert a.item() == pytest.approx(b.item(), rel=1e-13)


def test_soap_of_a_vector_is_adam_one_step_later() -> None:
    a, b = (tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True) for _ in range(2))
    betas = (0.9, 0.99)
    soap = optim.SOAP([a], lr=0.1, betas=betas, eps=1e-30, weight_decay=0)
    adam = optim.Adam([b], lr=0.1, betas=betas, eps=1e-30)
    for step, g in enumerate(GRADIENTS[:, 0]):
        a.grad = b.grad = tensor(g)
        soap.step()
        if step:
            adam.step()
    np.testing.assert_allclose(host(a), host(b), rtol=1e-13)


def test_soap_does_not_mind_how_a_matrix_is_turned() -> None:
    """Adam does: its steps depend on the axes in which a weight is written."""
    rng = np.random.default_rng(5)
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (4, 3))

    def end(kind: Any, turn: Any) -> Any:
        w = tensor(turn(np.ones((4, 3))), requires_grad=True)
        optimizer = kind([w], lr=0.1, eps=1e-12)
        for g in GRADIENTS[:6]:
            w.grad = tensor(turn(g))
            optimizer.step()
        return host(w)

    def turned(x: Any) -> Any:
        return left @ x @ right.T

    for kind, same in ((optim.SOAP, True), (optim.Shampoo, True), (optim.Adam, False)):
        assert np.allclose(end(kind, turned), turned(end(kind, lambda x: x)), atol=1e-6) == same


def test_ftrl_without_penalties_is_adagrad_from_zero() -> None:
    a, b = (tensor(np.zeros((4, 3)), requires_grad=True) for _ in range(2))
    ftrl = optim.FTRL([a], lr=0.1, initial_accumulator_value=0.2)
    adagrad = optim.Adagrad([b], lr=0.1, initial_accumulator_value=0.2, eps=0)
    for g in GRADIENTS:
        a.grad = b.grad = tensor(g)
        ftrl.step()
        adagrad.step()
    np.testing.assert_allclose(host(a), host(b), rtol=1e-12)


# ---- what each is for -------------------------------------------------------------------------


def test_ftrl_at_a_rate_of_zero_rests() -> None:
    w = tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.FTRL([w], lr=0)
    w.grad = tensor([1.0, 1.0])
    optimizer.step()
    assert w.tolist() == [1.0, -2.0]


def test_ftrl_leaves_weights_that_do_not_matter_at_exactly_zero() -> None:
    rng = np.random.default_rng(0)
    x = 8 * np.linalg.qr(rng.standard_normal((64, 6)))[0]  # features that have nothing in common
    y = x[:, :2] @ [2.0, -3.0]
    w = tensor(np.zeros(6), requires_grad=True)
    optimizer = optim.FTRL([w], lr=0.5, l1=2.0)
    for _ in range(100):
        w.grad = tensor(x.T @ (x @ host(w) - y) / 64)
        optimizer.step()
    assert (host(w)[2:] == 0).all() and (abs(host(w)[:2]) > 1).all()


def test_adopt_converges_where_adam_goes_the_wrong_way() -> None:
    """Reddi et al. 2018: 3 x once, −x twice, on [−1, 1]: the mean slope is positive."""

    def end(kind: Any, **options: Any) -> float:
        w = tensor(np.array(0.0), requires_grad=True)
        optimizer = kind([w], lr=0.02, betas=(0.0, 0.1), **options)
        for step in range(300):
            w.grad = tensor(np.array(3.0 if step % 3 == 0 else -1.0))
            optimizer.step()
            w.data = np.clip(host(w), -1, 1)
        return float(w.item())

    assert end(optim.Adam) > 0.9
    assert end(optim.ADOPT, clip_exp=None) < -0.9


def test_optimistic_descent_finds_the_equilibrium_of_a_game() -> None:
    """x descends x y, y ascends it: plain steps spiral outward."""

    def distance(kind: Any) -> float:
        x, y = (tensor(np.array(1.0), requires_grad=True) for _ in range(2))
        players = kind([x], lr=0.2), kind([y], lr=0.2, maximize=True)
        for _ in range(300):
            x.grad, y.grad = tensor(y), tensor(x)
            for player in players:
                player.step()
        return float(np.hypot(x.item(), y.item()))

    assert distance(optim.SGD) > 100
    assert distance(optim.OptimisticGD) < 0.01


def test_langevin_samples_have_the_variance_of_the_theory() -> None:
    a, lr, temperature = 2.0, 0.1, 0.5
    w = tensor(np.zeros(20000), requires_grad=True)
    optimizer = optim.SGLD([w], lr=lr, temperature=temperature)
    for _ in range(60):
        w.grad = tensor(a * host(w))
        optimizer.step()
    assert host(w).var() == pytest.approx(temperature / (a * (1 - lr * a / 2)), rel=0.04)
    assert abs(host(w).mean()) < 0.02


def test_langevin_noise_follows_the_seed_and_vanishes_in_the_cold(engine: str) -> None:
    def end(seed: int, **options: Any) -> list[float]:
        tg.manual_seed(seed)
        w = tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = optim.SGLD([w], lr=0.1, engine=engine, **options)
        for _ in range(3):
            w.grad = tensor([0.5, 0.5, 0.5])
            optimizer.step()
        return w.tolist()  # type: ignore[no-any-return]

    assert end(1) == end(1) != end(2)
    np.testing.assert_allclose(end(1, temperature=0.0), [0.85, 1.85, 2.85], rtol=1e-6)


def test_adabelief_strides_on_a_steady_slope_where_adam_does_not() -> None:
    steady = {kind: np.abs(np.diff(path_on_a_slope(kind))).mean() for kind in STEADY}
    assert steady[optim.AdaBelief] > 2 * steady[optim.Adam]


STEADY = (optim.AdaBelief, optim.Adam)


def path_on_a_slope(kind: Any) -> list[float]:
    w = tensor(np.array(0.0), requires_grad=True)
    optimizer = kind([w], lr=0.01)
    places = []
    for step in range(50):
        w.grad = tensor(np.array(1.0 + 0.01 * (-1) ** step))
        optimizer.step()
        places.append(w.item())
    return places[20:]


# ---- any parameters ---------------------------------------------------------------------------

THEIRS = [name for name in EASY if optim.OPTIMIZERS[name].kind in MODERN]


def walk(name: str, engine: str | None, dtype: str = "float64") -> tuple[list[Tensor], Any]:
    """A matrix, a number, nothing, and a vector that waits for a while; one step is for nobody."""
    rng = np.random.default_rng(9)
    shapes = [(3, 2), (), (0, 4), (5,)]
    params = [tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes]
    options = accepted(name, eps=1e-3, d0=0.01) if dtype == "float16" else {}
    optimizer = optim.get_optimizer(name)(params, engine=engine, **options)
    for step in range(9):
        for i, p in enumerate(params):
            g = rng.standard_normal(p.shape).astype(dtype)
            waits = step == 2 or (i == 3 and 4 <= step < 7)
            p.grad = None if waits else tensor(g)
        given = [(p, p.grad, p.grad is not None and p.grad.tolist()) for p in params]
        optimizer.step()
        assert all(p.grad is g and (g is None or g.tolist() == values) for p, g, values in given)
    return params, optimizer


@pytest.mark.parametrize("name", THEIRS)
def test_engines_agree_while_one_parameter_waits(name: str, fast_engine: str) -> None:
    (one, first), (two, second) = walk(name, "reference"), walk(name, fast_engine)
    for p, q in zip(one, two, strict=True):
        assert p.shape == q.shape
        np.testing.assert_allclose(host(p), host(q), rtol=1e-11, atol=1e-13)
        assert first.state_of(p)["t"] == second.state_of(q)["t"]
    assert first.state_of(one[3])["t"] == 5


@pytest.mark.parametrize("name", THEIRS)
def test_half_precision_stays_half(name: str) -> None:
    params, optimizer = walk(name, None, "float16")
    assert all(p.dtype == np.float16 and np.isfinite(host(p)).all() for p in params)
    for entry in optimizer.state_dict()["state"].values():
        kinds = {a.dtype for k, value in entry.items() if k != "step" for a in each_array(value)}
        assert kinds <= {np.dtype("float16")}


# ---- options ----------------------------------------------------------------------------------

WRONG = [
    (optim.Tiger, {"beta": 1.0}, "Tiger: beta is 1.0; it has to be at least 0 and below 1."),
    (optim.Yogi, {"initial_accumulator": -1}, "Yogi: initial_accumulator is -1; it has to be at"),
    (optim.ADOPT, {"clip_exp": -0.5}, "ADOPT: clip_exp is -0.5; it has to be None or at least 0."),
    (optim.Adan, {"betas": (0.9, 0.9)}, "Adan: betas is (0.9, 0.9); it has to be 3 numbers."),
    (
        optim.AdEMAMix,
        {"betas": (0.0, 0.9, 0.99), "t_alpha_beta3": 10},
        "AdEMAMix: t_alpha_beta3 is 10; it has to be None, or above 0 with betas[0] and betas[2] "
        "above 0.",
    ),
    (
        optim.LARS,
        {"momentum": 0.0, "nesterov": True},
        "LARS: nesterov is True; it has to be False unless momentum is above 0.",
    ),
    (optim.QHM, {"nu": 1.5}, "QHM: nu is 1.5; it has to be between 0 and 1."),
    (optim.FTRL, {"lr_power": 0.5}, "FTRL: lr_power is 0.5; it has to be at most 0."),
    (
        optim.FTRL,
        {"initial_accumulator_value": 0},
        "FTRL: initial_accumulator_value is 0; it has to be above 0, or 0 with beta above 0.",
    ),
    (optim.SOAP, {"precondition_frequency": 0}, "SOAP: precondition_frequency is 0; it has to be"),
    (optim.SGLD, {"temperature": -1}, "SGLD: temperature is -1; it has to be at least 0."),
    (optim.Lion, {"lr": float("nan")}, "Lion: lr is nan; it has to be at least 0."),
]


@pytest.mark.parametrize(("kind", "options", "text"), WRONG)
def test_options_out_of_range_are_told(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        kind([tensor([1.0], requires_grad=True)], **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.ADOPT, {"clip_exp": None}),
        (optim.FTRL, {"initial_accumulator_value": 0, "beta": 1.0}),
    ],
)
def test_what_may_be_left_out(kind: Any, options: dict[str, Any]) -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = kind([w], **options)
    w.grad = tensor([0.0])
    optimizer.step()
    assert np.isfinite(w.item())
