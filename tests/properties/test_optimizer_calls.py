"""Calls in any order: whatever happens to an optimizer, it steps as one to which nothing happened.

Hypothesis makes up sequences of calls. After each, parameters, state and options are those of a
`PlainOptimizer`, which is the rule alone, to the bit, or for classes that do more than their rule
those of a twin that is never saved, copied, moved or wrapped. A sequence that fails is printed as a
program, as it was drawn.

Order: models and losses · the calls · the tests.
"""

from __future__ import annotations

import copy
import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import tinygrad_opt as tg
from tests.helpers import host
from tests.properties.plain_optimizer import PlainOptimizer, Undisturbed, options_of
from tinygrad_opt import Device, Tensor, nn, optim
from tinygrad_opt.nn import functional as F
from tinygrad_opt.optim import Optimizer, lr_scheduler
from tinygrad_opt.optim.engine import blocks
from tinygrad_opt.optim.options import plain
from tinygrad_opt.optim.schedules import cosine, warmup
from tinygrad_opt.random_numbers import generator

ENTRIES = optim.OPTIMIZERS
SHAPES = [(3, 4), (4,), (2, 3)]
LATER = [(2, 2), ()]  # of the group that is added
SEED = st.integers(0, 999)

# ---- models and losses --------------------------------------------------------------------------


class Weights(nn.Module):
    """Some parameters, by name."""

    def add(self, shapes: list[tuple[int, ...]], rng: np.random.Generator, dtype: Any) -> list[Any]:
        """Parameters of these shapes, with their names."""
        count = len(list(self.parameters()))
        for i, shape in enumerate(shapes, count):
            setattr(
                self, f"w{i}", nn.Parameter(tg.tensor(rng.standard_normal(shape).astype(dtype)))
            )
        return list(self.named_parameters())[count:]


def curved(params: list[Tensor], moving: list[bool], seed: int, kind: type[Optimizer]) -> Any:
    """A loss that is a bowl, with its gradients; also what the class wants to know besides."""
    rng, loss = np.random.default_rng(seed), None
    for p, moves in zip(params, moving):
        p.grad = None
        if kind.scope == "rows":
            rows, numbers = rng.integers(0, p.shape[0], 3), rng.standard_normal((3, p.shape[1]))
            found = F.embedding(on(p, rows), p, sparse=True) * on(p, numbers)
        else:
            steep, centre = rng.uniform(0.5, 2.0, p.shape), rng.standard_normal(p.shape)
            found = on(p, steep) * (p - on(p, centre)) ** 2
        if moves:
            loss = found.sum() if loss is None else loss + found.sum()
    loss.backward()
    logits = params[0] * 0.5
    return (loss, logits) if kind is optim.SophiaG else loss


def on(p: Tensor, array: Any) -> Tensor:
    """Numbers beside a parameter, floats in its dtype."""
    array = np.asarray(array)
    return tg.tensor(array.astype(p.dtype) if array.dtype.kind == "f" else array, device=p.device)


WRAPPERS: dict[str, Callable[[Any], Any]] = {  # each does nothing, so the steps stay the same
    "Lookahead": lambda o: optim.Lookahead(o, k=1, alpha=1.0),
    "Accumulate": lambda o: optim.Accumulate(o, k=1),
    "SkipNonFinite": lambda o: optim.SkipNonFinite(o, max_consecutive=1000),
}

SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 7, 1e-3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, 0.1, 200, cycle_momentum=len(o.param_groups[0].get("betas", ())) == 2
    ),
    "ScheduleLR": lambda o: lr_scheduler.ScheduleLR(o, warmup(3) >> cosine(300)),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 3), lr_scheduler.ExponentialLR(o, 0.95)], [3]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1),
}


def through_json(state: Any) -> Any:
    """As it comes back from a file of text: lists for arrays, text for the numbers of keys."""
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


def through_pickle(objects: Any) -> Any:
    """As it comes back from another process."""
    return pickle.loads(pickle.dumps(objects))


COPIES = {"deepcopy": copy.deepcopy, "pickle": through_pickle}
FILES: dict[str, Callable[[Any], Any]] = {"as it is": lambda state: state, "JSON": through_json}


# ---- the calls ----------------------------------------------------------------------------------


class Calls(RuleBasedStateMachine):
    """An optimizer, and the twin that it is held to."""

    name = "sgd"
    engine: str | None = None
    moves = False  # between the devices at hand
    rounds = False  # the engine may round otherwise than the rule: a few units in each step

    @initialize(seed=SEED, dtype=st.sampled_from(["float32", "float64"]))
    def begin(self, seed: int, dtype: str) -> None:
        self.entry, self.kind = ENTRIES[self.name], ENTRIES[self.name].kind
        self.model, rng = Weights(), np.random.default_rng(seed)
        self.named = [self.model.add(self.shapes(SHAPES), rng, dtype)]
        tg.manual_seed(seed)
        self.inner = self.optimizer = self.made([{"params": self.named[0]}])
        alone = self.kind._step is Optimizer._step and self.kind._advance is Optimizer._advance
        self.by_rule = alone and self.kind.scope not in ("closure", "rows", "global")
        self.by_closure = self.kind.scope in ("closure", "rows")
        self.twin: Any = PlainOptimizer(self.inner) if self.by_rule else Undisturbed(self.inner)
        self.wrapping: list[str] = []
        self.hooks: list[Any] = []
        self.schedulers: tuple[Any, Any] | None = None
        self.scheduled = ""
        self.left: list[tuple[Any, Any]] = []  # what copies were made of, and how it was

    def shapes(self, shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        flat = self.kind.scope == "rows" or self.name == "muon"
        return [shape for shape in shapes if len(shape) == 2 or not flat]

    def made(self, groups: list[dict[str, Any]]) -> Any:
        engine = {} if self.engine is None else {"engine": self.engine}
        return self.entry(groups, **engine)

    @property
    def params(self) -> list[Tensor]:
        return list(self.model.parameters())

    @property
    def frozen(self) -> list[bool]:
        return [not p.requires_grad for p in self.params]

    # ---- steps ----

    @rule(
        seed=SEED,
        chosen=st.integers(1, 63),
        how=st.sampled_from(["assigned", "turned", "backward", "kept"]),
    )
    def step(self, seed: int, chosen: int, how: str) -> None:
        moving = [bool(chosen >> i & 1) and p.requires_grad for i, p in enumerate(self.params)]
        if self.by_closure:
            self.step_with_closure(seed, moving)
        else:
            if how != "kept":
                self.give(seed, moving, how)
            self.move()
        self.schedule()

    def step_with_closure(self, seed: int, moving: list[bool]) -> None:
        moving[0] = True
        state = generator().bit_generator.state
        self.optimizer.step(lambda: curved(self.params, moving, seed, self.kind))
        generator().bit_generator.state = state
        self.twin.step([None] * len(moving), lambda params: curved(params, moving, seed, self.kind))

    def give(self, seed: int, moving: list[bool], how: str = "assigned") -> None:
        rng = np.random.default_rng(seed)
        for p, moves in zip(self.params, moving):
            g = rng.standard_normal(p.shape).astype(p.dtype) * (rng.random(p.shape) < 0.9)
            p.grad = None
            if moves and how == "backward":
                (p * on(p, g)).sum().backward()
            elif moves:
                p.grad = Tensor(laid_out(p.device, g, how == "turned"))

    def move(self) -> None:
        """One step of both with the gradients that are there."""
        state = generator().bit_generator.state
        gradients = [None if p.grad is None else host(p.grad).copy() for p in self.params]
        self.optimizer.step()
        generator().bit_generator.state = state
        self.follow(gradients)

    def follow(self, gradients: list[Any]) -> None:
        """The step of the twin; each hook doubles gradients."""
        self.twin.step([None if g is None else g * 2 ** len(self.hooks) for g in gradients])

    def schedule(self) -> None:
        for scheduler in self.schedulers or ():
            if self.scheduled == "ReduceLROnPlateau":
                scheduler.step(1.0)
            else:
                scheduler.step()

    @precondition(lambda self: not self.by_closure)
    @rule(set_to_none=st.booleans())
    def zero_grad(self, set_to_none: bool) -> None:
        there = [p.grad is not None for p in self.params]
        self.optimizer.zero_grad(set_to_none)
        for p, was in zip(self.params, there):
            assert (p.grad is None) is (set_to_none or not was)
            assert p.grad is None or not host(p.grad).any()

    @precondition(lambda self: not self.by_closure)
    @rule()
    def step_without_gradients(self) -> None:
        self.optimizer.zero_grad()
        self.move()

    @precondition(lambda self: "SkipNonFinite" in self.wrapping)
    @rule(seed=SEED, bad=st.sampled_from([np.nan, np.inf]))
    def step_that_is_skipped(self, seed: int, bad: float) -> None:
        self.give(seed, [True] * len(self.params))
        self.params[0].grad[...] = bad  # type: ignore[index]
        self.optimizer.step()
        self.optimizer.zero_grad()

    @precondition(lambda self: not self.by_closure and self.name != "sgld")
    @rule(seed=SEED)
    def captured_steps(self, seed: int) -> None:
        params = [p for p in self.params if p.requires_grad]
        optimizer = self.optimizer

        @tg.capture
        def step(*gradients: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = sum(((p * g).sum() for p, g in zip(params, gradients)), 0 * params[0].sum())
            loss.backward()
            optimizer.step()
            return loss

        rng = np.random.default_rng(seed)
        for _ in range(3):  # the third is a replay
            given = [rng.standard_normal(p.shape).astype(p.dtype) for p in params]
            step(*(on(p, g) for p, g in zip(params, given)))
            kept = iter(given)
            self.follow([next(kept) if p.requires_grad else None for p in self.params])

    # ---- parameters ----

    @rule(i=st.integers(1, 5), frozen=st.booleans())
    def freeze(self, i: int, frozen: bool) -> None:
        p = self.params[i % len(self.params)]
        if p is not self.params[0]:
            p.requires_grad_(not frozen)
            p.grad = None

    @rule(
        i=st.integers(0, 5),
        seed=SEED,
        how=st.sampled_from(["rebound", "turned", "written", "in place"]),
    )
    def change(self, i: int, seed: int, how: str) -> None:
        i %= len(self.params)
        p = self.params[i]
        array = np.random.default_rng(seed).standard_normal(p.shape).astype(p.dtype)
        if how == "written":
            p.data[...] = p.device.from_host(array)
        elif how == "in place":
            array = host(p) * p.dtype.type(0.5) + array
            with tg.no_grad():
                p *= 0.5
                p += tg.tensor(array - host(p), device=p.device)
            array = host(p)
        else:
            p.data = laid_out(p.device, array, how == "turned")
        self.twin.write(i, array)

    @rule(dtype=st.sampled_from(["float32", "float64"]), seed=SEED)
    def convert(self, dtype: str, seed: int) -> None:
        for i, p in enumerate(self.model.to(dtype).parameters()):
            self.twin.write(i, host(p))
        self.step(seed, 63, "assigned")  # when optimizers notice

    @precondition(lambda self: self.moves)
    @rule()
    def take_to_another_device(self) -> None:
        here = self.params[0].device.kind == "cpu"
        self.model.to(tg.default_device() if here else "cpu")

    # ---- options ----

    @precondition(lambda self: self.kind is not optim.LBFGS and len(self.named) == 1)
    @rule(seed=SEED)
    def add_param_group(self, seed: int) -> None:
        rng, p = np.random.default_rng(seed), self.params[0]
        with tg.use_device(p.device):
            named = self.model.add(self.shapes(LATER), rng, p.dtype)
        whole = self.kind.scope in ("closure", "global")  # one lr for all
        first = self.optimizer.param_groups[0]
        others = {"lr": first["lr"] if whole else 0.02} if "lr" in first else {}
        self.optimizer.add_param_group({"params": named, **others})
        self.named.append(named)
        self.twin.add(self.inner)
        self.step(seed, 63, "assigned")  # when schedulers take it in

    @rule(
        option=st.sampled_from(["lr", "betas", "momentum", "weight_decay", "maximize", "gate"]),
        size=st.sampled_from([0.0, 0.5, 0.9]),
        k=st.integers(0, 1),
    )
    def set_option(self, option: str, size: float, k: int) -> None:
        group = self.optimizer.param_groups[0]
        gates = [gate for gate in self.kind.state_if.values() if isinstance(group[gate], bool)]
        option = gates[0] if option == "gate" and gates and not self.rounds else option
        if option not in group or (option == "maximize" and self.by_closure):
            return
        value: Any = size > 0.6 if isinstance(group[option], bool) else size / 10
        if option == "betas":
            value = tuple(b * (1 - size / 100) for b in plain(self.entry.defaults["betas"]))
        elif option == "momentum":
            value = max(
                size, 0.5 if self.kind.allowed.get("momentum") or group.get("nesterov") else 0
            )
        elif option == "lr" and size == 0:
            return  # some divide by it
        whole = self.kind.scope in ("closure", "global")
        for groups in (self.optimizer.param_groups, self.twin.param_groups):
            for one in groups if whole else groups[k : k + 1]:
                one[option] = value

    # ---- files and copies ----

    @rule(file=st.sampled_from(sorted(FILES)), by_name=st.booleans())
    def save_and_load(self, file: str, by_name: bool) -> None:
        state = FILES[file](self.optimizer.state_dict())
        names = {"by_name": True} if by_name and not self.wrapping else {}
        self.optimizer.load_state_dict(state, **names)

    @precondition(lambda self: not any(self.frozen))
    @rule(file=st.sampled_from(sorted(FILES)), scheduler_first=st.booleans())
    def resume(self, file: str, scheduler_first: bool) -> None:
        state = FILES[file](self.optimizer.state_dict())
        self.inner = self.optimizer = self.made([{"params": named} for named in self.named])
        for name in self.wrapping:
            self.optimizer = WRAPPERS[name](self.optimizer)
        self.hooks = []
        loads = [(self.optimizer, state)]
        if self.schedulers:
            ours, twin = self.schedulers
            resumed = SCHEDULERS[self.scheduled](self.optimizer)
            loads.insert(0 if scheduler_first else 1, (resumed, FILES[file](ours.state_dict())))
            self.schedulers = resumed, twin
        for one, saved in loads:
            one.load_state_dict(saved)

    @rule(how=st.sampled_from(sorted(COPIES)))
    def go_on_with_a_copy(self, how: str) -> None:
        before = [host(p).copy() for p in self.params]
        ours = self.schedulers[0] if self.schedulers else None
        self.left = [(self.params, before)]
        self.model, self.optimizer, ours = COPIES[how]((self.model, self.optimizer, ours))
        self.inner = self.optimizer
        for _ in self.wrapping:
            self.inner = self.inner.optimizer
        self.schedulers = (ours, self.schedulers[1]) if self.schedulers else None
        every, start = list(self.model.named_parameters()), 0
        for k, named in enumerate(self.named):
            self.named[k] = every[start : start + len(named)]
            start += len(named)
        self.hooks = []

    # ---- around the step ----

    @precondition(lambda self: not self.by_closure and len(self.hooks) < 3)
    @rule()
    def add_hook(self) -> None:
        def double(optimizer: Any, args: Any, kwargs: Any) -> None:
            for p in optimizer.parameters():
                if p.grad is not None:
                    p.grad = p.grad * 2

        self.hooks.append(self.optimizer.register_step_pre_hook(double))

    @precondition(lambda self: self.hooks)
    @rule()
    def remove_hook(self) -> None:
        self.hooks.pop(0).remove()

    @precondition(lambda self: not self.by_closure and not self.schedulers)
    @rule(name=st.sampled_from(sorted(WRAPPERS)))
    def wrap(self, name: str) -> None:
        self.optimizer = WRAPPERS[name](self.optimizer)
        self.wrapping.append(name)

    @precondition(lambda self: self.wrapping and not self.schedulers)
    @rule()
    def unwrap(self) -> None:
        self.optimizer = self.optimizer.optimizer
        self.wrapping.pop()

    @precondition(lambda self: not self.schedulers and self.kind.scope not in ("closure", "global"))
    @rule(name=st.sampled_from(sorted(SCHEDULERS)))
    def attach(self, name: str) -> None:
        if "lr" in self.inner.param_groups[0]:
            self.scheduled = name
            self.schedulers = SCHEDULERS[name](self.optimizer), SCHEDULERS[name](self.twin)

    @precondition(lambda self: self.schedulers)
    @rule()
    def detach(self) -> None:
        self.schedulers = None

    # ---- what holds after each ----

    @invariant()
    def nothing_differs_from_the_twin(self) -> None:
        found = [host(p) for p in self.params]
        if self.rounds:
            close(found, self.twin.values)
            close(self.twin.state_in(self.inner), self.twin.state())
            self.twin.adopt(self.inner)
            return
        same(found, self.twin.values, "parameters")
        same(self.twin.state_in(self.inner), self.twin.state(), "state")
        for k, (group, twin) in enumerate(zip(self.inner.param_groups, self.twin.param_groups)):
            same(plain_of(group), plain_of(twin), f"group {k}")

    @invariant()
    def what_was_copied_stands_still(self) -> None:
        for params, before in self.left:
            same([host(p) for p in params], before, "the original")


def laid_out(device: Device, array: Any, turned: bool) -> Any:
    """An array on a device, contiguous or in the order of columns."""
    return device.from_host(array.T.copy(order="C")).T if turned else device.from_host(array)


def plain_of(group: dict[str, Any]) -> dict[str, Any]:
    """Its options, without what schedulers write where they are built."""
    unseen = ["foreach", "initial_lr"]
    unseen += [f"{end}_{name}" for end in ("min", "max", "base") for name in ("lr", "momentum")]
    return {name: plain(value) for name, value in options_of(group).items() if name not in unseen}


def same(found: Any, expected: Any, where: str) -> None:
    """Equal to the bit, dtypes too; step counts where the class saves them."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            same(found[key], expected[key], f"{where}, {key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected)):
            same(one, other, f"{where} {i}")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert found == expected or found != found, where


def close(found: Any, expected: Any) -> None:
    """Equal but for the rounding of one step."""
    if isinstance(expected, dict):
        found, expected = [[one[key] for key in expected] for one in (found, expected)]
    if isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    elif isinstance(expected, np.ndarray | np.floating):
        assert found.dtype == expected.dtype
        units = 64 * np.finfo(expected.dtype).eps
        np.testing.assert_allclose(found, expected, rtol=units, atol=units)
    else:
        assert found == pytest.approx(expected, rel=1e-12)


pytestmark = [
    pytest.mark.on("cpu"),
    pytest.mark.filterwarnings("ignore:ScheduleLR. the state to load"),  # of fewer groups
    pytest.mark.filterwarnings("ignore:capture. step runs as it is on a GPU"),
]


# ---- the tests ----------------------------------------------------------------------------------

ELEMENTWISE = [
    name
    for name, entry in ENTRIES.items()
    if entry.kind.scope == "elementwise"
    and entry.kind._advance is Optimizer._advance
    and entry.kind._step is Optimizer._step
]


def play(name: str, examples: int, calls: int, **others: Any) -> None:
    """Sequences of calls of one optimizer, the same in every run."""
    machine = type(f"Calls_{name}", (Calls,), {"name": name, **others})
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=calls,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(
        hypothesis.seed(zlib.crc32(name.encode()))(machine),  # others for each
        settings=settings,
    )


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs make the calls of the rule, and round as it does."""
    with monkeypatch.context() as change, np.errstate(all="ignore"):
        change.setattr(blocks.Blocks, "carry", False)
        yield


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("name", ENTRIES)
def test_no_call_disturbs_an_optimizer(name: str) -> None:
    play(name, 4, 25)


@pytest.mark.slow
@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("name", ENTRIES)
def test_no_call_disturbs_an_optimizer_at_length(name: str) -> None:
    play(name, 16, 40)


@pytest.mark.on("standin")
@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("name", ENTRIES)
def test_nor_a_move_between_devices(name: str) -> None:
    play(name, 3, 25, moves=True)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nor_where_factors_are_carried_outward(name: str) -> None:
    play(name, 2, 25, rounds=True)


@pytest.mark.fast
@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_call_disturbs_a_compiled_loop(name: str) -> None:
    play(name, 4, 25, engine="numba", rounds=True)
