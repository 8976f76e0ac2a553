"""One rule, several engines: the tracer, the programs it writes, blocks against the reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.optim.family import ELEMENTWISE, ENTRIES
from tinygrad_opt import Tensor, optim
from tinygrad_opt.optim import Optimizer
from tinygrad_opt.optim.engine import blocks
from tinygrad_opt.optim.engine.trace import program_for, trace
from tinygrad_opt.optim.rule import rule_of

VARIANTS: dict[str, tuple[type[Optimizer], dict[str, Any], int, int]] = {
    # options, array calls with factors carried outward and as written
    "SGD": (optim.SGD, {}, 2, 2),
    "momentum": (optim.SGD, {"momentum": 0.9}, 4, 4),
    "dampening": (optim.SGD, {"momentum": 0.9, "dampening": 0.1}, 5, 5),
    "nesterov": (optim.SGD, {"momentum": 0.9, "nesterov": True}, 6, 6),
    "SGD decay": (optim.SGD, {"weight_decay": 0.1}, 4, 4),
    "SGD maximize": (optim.SGD, {"maximize": True}, 2, 3),
    "Adagrad": (optim.Adagrad, {"lr_decay": 0.1}, 7, 7),
    "RMSprop": (optim.RMSprop, {}, 9, 9),
    "RMSprop centered": (optim.RMSprop, {"momentum": 0.9, "centered": True}, 17, 17),
    "Adadelta": (optim.Adadelta, {}, 15, 15),
    "Adam": (optim.Adam, {}, 12, 14),
    "Adam maximize": (optim.Adam, {"maximize": True}, 12, 15),
    "Adam amsgrad": (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}, 15, 17),
    "AdamW": (optim.AdamW, {}, 13, 15),
    "ASGD": (optim.ASGD, {"t0": 2}, 4, 4),
    "Rprop": (optim.Rprop, {}, 12, 12),
    "Adamax": (optim.Adamax, {}, 10, 10),
    "NAdam": (optim.NAdam, {}, 14, 15),
    "RAdam": (optim.RAdam, {}, 9, 10),
}

pytestmark = pytest.mark.on("cpu")  # what engines on the CPU share is seen there

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(params=["blocks", pytest.param("numba", marks=pytest.mark.fast)])
def traced(request: pytest.FixtureRequest) -> str:
    """The engines that run a program on the CPU."""
    return str(request.param)


def program_of(optimizer: Optimizer, carry: bool, t: int = 3, first: bool = False) -> Any:
    group = optimizer.param_groups[0]
    rule = rule_of(type(optimizer), tuple(optimizer.defaults))
    options = tuple(group[name] for name in rule.options)
    scalars = tuple(rule.begin(letter, None, None, group) for letter in rule.scalars)
    return program_for(rule, t, first, scalars, options, carry)[0]


def weights(seed: int = 0, dtype: str = "float64") -> list[Tensor]:
    rng = np.random.default_rng(seed)
    shapes = [(7, 5), (5,), (), (3, 1, 4)]
    return [Tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes]


def walk(make: Any, engine: str, dtype: str, steps: int = 7, **options: Any) -> Iterator[list[Any]]:
    """Parameters and state after each step; one parameter is frozen for a while, once all are."""
    params = weights(dtype=dtype)
    optimizer = make(params, engine=engine, **options)
    rng = np.random.default_rng(1)
    for step in range(steps):
        for i, p in enumerate(params):
            g = rng.standard_normal(p.shape).astype(dtype)
            frozen = step == 1 or (i == 1 and step in (2, 3, 4))
            p.grad = None if frozen else Tensor(g)
        optimizer.step()
        states = [optimizer.state_of(p) for p in params]
        yield [np.array(p.data) for p in params] + [np.array(a) for s in states for a in s.values()]


class Plain(Optimizer):
    """A base for rules that are written in these tests."""

    def __init__(
        self, params: Any, lr: float = 0.1, limit: float = 2.0, engine: Any = None
    ) -> None:
        super().__init__(params, {"lr": lr, "limit": limit}, {"engine": engine})


# ---- blocks against the reference -------------------------------------------------------------


@every_variant
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_as_written_blocks_equal_the_reference_to_the_bit(
    variant: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.Blocks, "carry", False)
    monkeypatch.setattr(blocks, "BLOCK", 16 * np.dtype(dtype).itemsize)  # several blocks
    make, options, *_ = VARIANTS[variant]
    if dtype == "float16" and "eps" in inspect.signature(make).parameters:
        options = {"eps": 1e-3, **options}
    pairs = zip(walk(make, "blocks", dtype, **options), walk(make, "reference", dtype, **options))
    for ours, truth in pairs:
        for a, b in zip(ours, truth, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@every_variant
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_with_factors_carried_outward_one_step_is_within_four_units(
    variant: str, dtype: str
) -> None:
    make, options, *_ = VARIANTS[variant]
    rng = np.random.default_rng(2)
    values, gradient = (rng.standard_normal(500).astype(dtype) for _ in range(2))
    results = []
    for engine in ("blocks", "reference"):
        w = Tensor(values.copy(), requires_grad=True)
        optimizer = make([w], engine=engine, lr=0.1, **options)
        state = optimizer.state_dict()
        kept = optimizer._rule.kept(optimizer.param_groups[0])
        some = {s: 0.5 if s in make.scalars else np.abs(values[::-1]) + 0.5 for s in kept}
        named = {make.state[letter]: value for letter, value in some.items()}
        state["state"] = {0: {"step": 3, **named}} if kept else {}
        optimizer.load_state_dict(state)
        w.grad = Tensor(gradient)
        optimizer.step()
        results.append([w.data, *(a for s, a in optimizer.state_of(w).items() if s != "t")])
    for ours, truth in zip(*results, strict=True):
        scale = np.maximum(np.abs(truth), np.abs(values))  # p − step may cancel
        assert (np.abs(ours - truth) <= 4 * np.spacing(scale)).all()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 65_535, 65_536, 131_071, 131_072, 150_001])
def test_every_element_moves_once(size: int, traced: str) -> None:
    w = Tensor(np.arange(size, dtype=np.float32), requires_grad=True)
    w.grad = Tensor(np.ones(size, np.float32))
    optim.SGD([w], lr=1.0, engine=traced).step()
    np.testing.assert_array_equal(w.data, np.arange(size) - 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["adam", "rprop"])
def test_threads_and_blocks_change_no_bit(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "SHARED_BLOCK", 16 * np.dtype(dtype).itemsize)
    found = []
    for shared, count in ((10**9, 1), (0, 1), (0, 2), (0, 3)):
        monkeypatch.setattr(blocks, "SHARED", shared)
        monkeypatch.setenv("TINYGRAD_OPT_THREADS", str(count))
        *_, last = walk(ENTRIES[name], "blocks", dtype)
        found.append(last)
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_number_of_threads_that_is_none_is_told_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", "abc")
    w = Tensor(np.zeros(blocks.SHARED, np.float32), requires_grad=True)
    w.grad = Tensor(np.ones(blocks.SHARED, np.float32))
    optimizer = optim.SGD([w], lr=1.0, engine="blocks")
    for _ in range(2):
        with pytest.raises(ValueError, match="TINYGRAD_OPT_THREADS is 'abc'; it has to be a numb"):
            optimizer.step()
    assert optimizer.state_of(w)["t"] == optimizer.step_count == 0
    monkeypatch.setenv("TINYGRAD_OPT_THREADS", "1")
    optimizer.step()
    assert (w.data == -1).all() and optimizer.state_of(w)["t"] == 1


class Choice(Plain):
    @staticmethod
    def rule(xp, p, g, *, lr, limit):  # type: ignore
        both = xp.where(g > 0, xp.where(p > 0, p, g), xp.where(p == 0, limit, -p))
        return p + xp.where(g == g, both, lr)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_choice_takes_either_number_as_it_is(dtype: str, traced: str) -> None:
    special = [0.0, -0.0, 1e-40, 3e38, np.inf, -np.inf, np.nan, 0.5, -1.0]
    found = []
    for engine in (traced, "reference"):
        w = Tensor(np.repeat(np.array(special, dtype), len(special)), requires_grad=True)
        w.grad = Tensor(np.tile(np.array(special, dtype), len(special)))
        with np.errstate(all="ignore"):
            Choice([w], engine=engine).step()
        found.append(w.data)
    np.testing.assert_array_equal(*found)


# ---- programs ---------------------------------------------------------------------------------


@every_variant
def test_every_rule_costs_its_number_of_array_calls(variant: str) -> None:
    make, options, carried, written = VARIANTS[variant]
    optimizer = make(weights(), **options)
    assert len(program_of(optimizer, carry=True).steps) == carried
    assert len(program_of(optimizer, carry=False).steps) == written


COSTS = {  # array calls of a step, once started, with factors carried outward
    "sgd": 2,
    "momentum": 4,
    "nesterov": 6,
    "asgd": 4,
    "qhm": 8,
    "aggmo": 10,
    "optimisticgd": 5,
    "rprop": 12,
    "signsgd": 3,
    "signum": 6,
    "tiger": 7,
    "lion": 9,
    "adagrad": 7,
    "rmsprop": 9,
    "adadelta": 15,
    "ftrl": 15,
    "adam": 12,
    "adamw": 13,
    "adamax": 10,
    "nadam": 15,
    "radam": 12,
    "adabelief": 14,
    "yogi": 14,
    "adopt": 13,
    "adan": 22,
    "ademamix": 21,
    "sgdschedulefree": 6,
    "adamwschedulefree": 17,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_rule_of_the_registry_has_its_cost(name: str) -> None:
    w = Tensor(np.ones(3), requires_grad=True)
    optimizer = ENTRIES[name]([w], engine="blocks")
    for _ in range(8):
        w.grad = Tensor(np.ones(3))
        optimizer.step()
    engine = optimizer._storages[0].flats[0].runs[0].engine
    assert len(engine.program.steps) == COSTS[name]


def test_the_program_of_adam_prints_as_a_reader_would_write_it() -> None:
    assert str(program_of(optim.Adam(weights()), carry=False)).splitlines() == [
        "s0 = betas[0]",
        "s1 = (1 - betas[0])",
        "s2 = betas[1]",
        "s3 = (1 - betas[1])",
        "s4 = lr",
        "s5 = eps",
        "s6 = (1 - (betas[0] ** t))",
        "s7 = (1 - (betas[1] ** t))",
        "t0 = multiply(m, s0)",
        "t1 = multiply(g, s1)",
        "m = add(t0, t1)",
        "t3 = multiply(v, s2)",
        "t4 = multiply(g, s3)",
        "t5 = multiply(t4, g)",
        "v = add(t3, t5)",
        "t7 = divide(m, s6)",
        "t8 = divide(v, s7)",
        "t9 = multiply(t7, s4)",
        "t10 = sqrt(t8)",
        "t11 = add(t10, s5)",
        "t12 = divide(t9, t11)",
        "p = subtract(p, t12)",
    ]


def test_numbers_that_depend_on_options_are_apart_from_those_of_the_step() -> None:
    program = program_of(optim.SGD(weights(), momentum=0.9, dampening=0.1), carry=True)
    early, late = program.settle(
        lr=0.5, momentum=0.9, dampening=0.25, weight_decay=0, nesterov=False, maximize=False
    )
    assert early == (0.9, 0.75, 0.5)
    assert late(7, False, ()) == ()
    assert late(1, True, ()) is None, "this program is not for a first step"
    assert program.settle(0.5, 0.0, 0.25, 0, False, False) is None, "nor for no momentum"


def test_a_rule_is_traced_once_for_all_optimizers_of_its_class(traced: str) -> None:
    traced = []

    class Once(optim.SGD):
        @staticmethod
        def rule(xp, p, g, b, *, t, lr):  # type: ignore
            traced.append(t)
            return p - lr * g, b

    for _ in range(2):
        params = weights()
        optimizer = Once(params)
        for step in range(5):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            for p in params:
                p.grad = Tensor(np.ones(p.shape))
            optimizer.step()
    assert traced == [1]


# ---- rules that ask more of the tracer --------------------------------------------------------


def agree(kind: type[Plain], traced: str, steps: int = 8, start: Any = None, **options: Any) -> Any:
    """The last parameters; both engines must reach them, to a rounding."""
    found = []
    for engine in ("reference", traced):
        w = Tensor(np.array([0.5, -1.0, 2.0, 0.0]) if start is None else start, requires_grad=True)
        optimizer = kind([w], engine=engine, **options)
        rng = np.random.default_rng(3)
        for _ in range(steps):
            w.grad = Tensor(rng.standard_normal(w.shape))
            optimizer.step()
        states = [a for s, a in optimizer.state_of(w).items() if s != "t"]
        found.append([np.array(w.data), *map(np.array, states)])
    for ours, truth in zip(*found, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-13)
    return found[0][0]


def test_branches_on_the_step_give_one_program_for_each_answer(traced: str) -> None:
    class Rectified(Plain):
        state = {"m": "m"}

        @staticmethod
        def rule(xp, p, g, m, *, t, lr, limit):  # type: ignore
            m = 0.9 * m + g
            if t > 5 and lr != 0:
                return p - lr * m / (1 - 0.9**t), m
            return p - min(lr, limit) * g, m

    agree(Rectified, traced)
    rule = rule_of(Rectified, tuple(Rectified(weights()).defaults))
    assert len(rule.programs[True]) == 2


def test_old_state_may_be_read_after_the_new_one_is_known(traced: str) -> None:
    class Lion(Plain):
        state = {"m": "exp_avg"}

        @staticmethod
        def rule(xp, p, g, m, *, lr):  # type: ignore
            new = 0.99 * m + 0.01 * g
            return p - lr * xp.sign(0.9 * m + 0.1 * g), new

    agree(Lion, traced)


def test_state_may_change_places_and_be_the_gradient(traced: str) -> None:
    class Previous(Plain):
        state = {"a": "a", "b": "b", "c": "c", "d": "d"}

        @staticmethod
        def rule(xp, p, g, a, b, c, d, *, lr):  # type: ignore
            return p - lr * (a + 2 * b + g), b + 1, a, g, g

    agree(Previous, traced)


def test_choices_between_arrays_are_made_element_by_element(traced: str) -> None:
    class Choosy(Plain):
        state = {"s": "s"}

        @staticmethod
        def rule(xp, p, g, s, *, lr, limit):  # type: ignore
            up, down = g * s > 0, (s <= 0) & (g < 1)
            s = xp.clip(xp.where(up, s * 1.2, xp.where(down, g, 0.5)), -limit, limit)
            step = xp.minimum(xp.abs(g), 3 - s) * (g != 0) + (p >= -g) * 2 - 1 / (4 + s**2)
            return p - lr * step * xp.square(s) ** 0.5 + 2.0**-s * 0 * -xp.maximum(g, 0), s

    agree(Choosy, traced)


def test_powers_are_the_faster_functions_that_numpy_takes(traced: str) -> None:
    class Powers(Plain):
        @staticmethod
        def rule(xp, p, g, *, lr, limit):  # type: ignore
            q = p * p + 1
            return lr * (q**limit + q**1 + q**0.5 + q**-1 + q**1.5) + g

    agree(Powers, traced, steps=1, limit=2)
    operations = [s.operation for s in program_of(Powers(weights(), limit=2), True).steps]
    assert operations.count("square") == 2
    assert [o for o in operations if o in ("sqrt", "reciprocal", "power")] == [
        "sqrt",
        "reciprocal",
        "power",
    ]


def test_factors_are_carried_only_where_they_are_positive(traced: str) -> None:
    class Signed(Plain):
        @staticmethod
        def rule(xp, p, g, *, lr, limit):  # type: ignore
            q = limit * (p * p + 1)
            return p + lr * (xp.sqrt(-limit * -q) + g / q + (limit * g - 1) + (lr * g - 1))

    agree(Signed, traced, limit=2.0)
    agree(Signed, traced, limit=-2.0)
    agree(Signed, traced, lr=0.0)


def test_what_is_computed_twice_is_called_once_and_what_is_unused_never() -> None:
    class Wasteful(Plain):
        @staticmethod
        def rule(xp, p, g, *, lr):  # type: ignore
            xp.sqrt(p + 17)
            return p - lr * (xp.sqrt(g * g) + xp.sqrt(g * g))

    program = program_of(Wasteful(weights()), carry=True)
    assert [step.operation for step in program.steps] == [
        "square",
        "sqrt",
        "add",
        "multiply",
        "subtract",
    ]


def test_what_does_not_change_costs_nothing(traced: str) -> None:
    class Still(Plain):
        state = {"m": "m"}

        @staticmethod
        def rule(xp, p, g, m):  # type: ignore
            return p, m

    optimizer = Still(weights())
    assert program_of(optimizer, carry=True).steps == []
    assert agree(Still, traced).tolist() == [0.5, -1.0, 2.0, 0.0]


def test_options_that_may_be_none_or_a_number_have_a_program_for_each() -> None:
    class Clipped(Plain):
        @staticmethod
        def rule(xp, p, g, *, lr, limit):  # type: ignore
            return p - lr * (g if limit is None else xp.clip(g, -limit, limit))

    for limit, expected in [(0.5, -0.05), (None, -0.2), (0.25, -0.025)]:
        w = Tensor([0.0], requires_grad=True)
        optimizer = Clipped([w], limit=limit)
        w.grad = Tensor([2.0])
        optimizer.step()
        assert w.item() == pytest.approx(expected)


def test_a_rule_that_asks_for_weight_decay_decays_in_its_own_way() -> None:
    class Late(Optimizer):
        def __init__(self, params: Any, lr: float, weight_decay: float, engine: str) -> None:
            options = {"lr": lr, "weight_decay": weight_decay}
            super().__init__(params, options, {"engine": engine, "maximize": True})

        @staticmethod
        def rule(xp, p, g, *, lr, weight_decay):  # type: ignore
            return (p - lr * g) / (1 + lr * weight_decay)

    for engine in ("reference", "blocks"):
        w = Tensor([1.0], requires_grad=True)
        w.grad = Tensor([-2.0])
        Late([w], lr=0.5, weight_decay=2.0, engine=engine).step()
        assert w.item() == (1.0 - 0.5 * 2.0) / 2.0


def test_halves_are_computed_as_written() -> None:
    w = Tensor(np.ones(4, np.float16), requires_grad=True)
    optimizer = optim.Adam([w], eps=1e-4)
    w.grad = Tensor(np.full(4, 0.01, np.float16))
    optimizer.step()
    engine = optimizer._storages[0].flats[0].runs[0].engine  # type: ignore[union-attr]
    assert len(engine.calls) == 14


# ---- rules that are wrong ---------------------------------------------------------------------


def step_with(body: Any, kept: dict[str, str] | None = None, engine: str | None = None) -> None:
    class Wrong(Plain):
        state = kept or {}
        rule = staticmethod(body)

    w = Tensor([1.0], requires_grad=True)
    optimizer = Wrong([w], engine=engine)
    w.grad = Tensor([1.0])
    optimizer.step()


def test_a_branch_on_an_array_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"cannot branch on an array.*xp\.where"):
        step_with(lambda xp, p, g: p if g > 0 else g)


def test_a_root_of_a_number_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"xp\.sqrt with a number.*x \*\* 0\.5"):
        step_with(lambda xp, p, g, *, lr: p - xp.sqrt(lr) * g)


def test_a_function_of_arrays_called_with_numbers_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"xp\.maximum with numbers.*Python's own"):
        step_with(lambda xp, p, g, *, lr: p - xp.maximum(lr, 1.0) * g)


def test_a_function_of_whole_tensors_says_which_scope_it_needs() -> None:
    with pytest.raises(AttributeError, match=r'xp\.mean.*scope = "tensor"'):
        step_with(lambda xp, p, g: p - xp.mean(g))


@pytest.mark.parametrize("engine", ["reference", "blocks"])
def test_a_rule_that_forgets_its_state_is_told(engine: str) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.rule returned 1 value\(s\).*return p, m\."):
        step_with(lambda xp, p, g, m: p - g, {"m": "m"}, engine)


def test_a_rule_of_whole_tensors_gets_them_in_shape() -> None:
    shapes = []

    class Normalized(Plain):
        scope = "tensor"

        @staticmethod
        def rule(xp, p, g, *, lr):  # type: ignore
            shapes.append(p.shape)
            return p - lr * g / xp.sqrt(xp.sum(g * g))

    params = weights()
    for p in params:
        p.grad = Tensor(np.ones(p.shape))
    before = params[0].data.copy()
    Normalized(params).step()
    assert shapes == [(7, 5), (5,), (), (3, 1, 4)]
    np.testing.assert_allclose(params[0].data, before - 0.1 / np.sqrt(35))


def test_tracing_needs_no_arrays() -> None:
    optimizer = optim.Adam(weights())
    rule = rule_of(optim.Adam, tuple(optimizer.defaults))
    options = tuple(optimizer.defaults[name] for name in rule.options)
    assert trace(rule, 1, True, (), options).outputs.keys() == {"p", "m", "v"}
