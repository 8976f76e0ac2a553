"""Compiled loops: equal to the rule and to the bit to the blocks, cached, and never in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.optim.family import ELEMENTWISE, ENTRIES, accepted
from tinygrad_opt import Tensor, optim
from tinygrad_opt.optim.engine import PAYS, Compiled, blocks, compiled, default_engine
from tinygrad_opt.tracing.loop import EXPRESSIONS
from tinygrad_opt.tracing.symbols import CALLS

fast = pytest.mark.fast

pytestmark = pytest.mark.on("cpu")

SHAPES = [(7, 5), (5,), (), (3, 1, 4), (0,)]

# Options that take other branches of a rule.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dampening": ("sgd", {"momentum": 0.9, "dampening": 0.1}),
    "nesterov decay": ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "maximize": ("adam", {"maximize": True}),
    "amsgrad": ("adam", {"amsgrad": True, "weight_decay": 0.1}),
    "centered": ("rmsprop", {"momentum": 0.9, "centered": True}),
    **{name: (name, {}) for name in ELEMENTWISE},
}

# What NumPy and the compiler's library of functions round differently, in the last places.
ROUNDED_APART = {"power", "exp", "expm1", "log", "log1p", "logaddexp"}
ROUNDED_APART |= {"sin", "cos", "sinh", "cosh", "tanh"}

SPECIAL = [0.0, -0.0, 1e-40, -1e-42, 1e-30, 3e38, np.inf, -np.inf, np.nan]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, in which nothing is compiled yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.compiled.cache_clear()
    compiled.log_once.cache_clear()
    yield tmp_path / "tinygrad_opt" / "loops"
    compiled.compiled.cache_clear()
    compiled.log_once.cache_clear()


def walk(name: str, engine: str, dtype: str, special: bool, **options: Any) -> Iterator[list[Any]]:
    """Parameters and state after each step: some are frozen for a while, and the rate changes."""
    rng = np.random.default_rng(0)
    params = [tg.tensor(rng.standard_normal(s), dtype=dtype, requires_grad=True) for s in SHAPES]
    optimizer = ENTRIES[name](params, **accepted(name, **options), engine=engine)
    for step in range(9):
        for i, p in enumerate(params):
            g = rng.standard_normal(p.shape).astype(dtype)
            if special and i == 0 and step > 3:
                g.reshape(-1)[: len(SPECIAL)] = SPECIAL
            p.grad = None if step == 1 or (i == 1 and step in (2, 3, 4)) else Tensor(g)
        if step == 6 and "lr" in optimizer.param_groups[0]:
            optimizer.param_groups[0]["lr"] = 0.5 * optimizer.param_groups[0]["lr"]
        with np.errstate(all="ignore"):
            optimizer.step()
        yield [*(p.detach().numpy().copy() for p in params), *state_of(optimizer, params)]


def state_of(optimizer: Any, params: list[Tensor]) -> list[Any]:
    states = [optimizer.state_of(p) for p in params]
    return [np.array(a) for state in states for s, a in state.items() if s != "t"]


def operations(optimizer: Any) -> set[str]:
    """What the programs that an optimizer's rule has by now are made of."""
    programs = [*optimizer._rule.programs[True], *optimizer._rule.programs[False]]
    return {step.operation for program in programs for step in program.steps}


# ---- the same numbers -------------------------------------------------------------------------


@fast
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("other", "dtype"), [("blocks", "float32"), ("reference", "float32"), ("reference", "float64")]
)
def test_a_loop_is_the_program_to_the_bit(
    variant: str, dtype: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the blocks, and as written, the rule itself; NaN and denormals as well."""
    name, options = VARIANTS[variant]
    monkeypatch.setattr(blocks.Blocks, "carry", other == "blocks")
    optimizer = ENTRIES[name]([tg.ones(1, requires_grad=True)], **accepted(name, **options))
    pairs = zip(
        walk(name, "numba", dtype, True, **options), walk(name, other, dtype, True, **options)
    )
    for ours, truth in pairs:
        close = 64 * np.finfo(dtype).eps if operations(optimizer) & ROUNDED_APART else 0
        for a, b in zip(ours, truth, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=close, atol=close)
    assert runs_a_loop(ENTRIES[name], **accepted(name, **options))


def runs_a_loop(make: Any, **options: Any) -> bool:
    """Whether an optimizer like this gets a compiled loop, and not the blocks that stand in."""
    w = tg.ones(4, requires_grad=True)
    optimizer = make([w], engine="numba", **options)
    w.grad = tg.ones(4)
    optimizer.step()
    return engine_of(optimizer).calls[0].func.__name__ == "loop"


def engine_of(optimizer: Any) -> Any:
    return optimizer._storages[0].flats[0].runs[0].engine


@fast
@pytest.mark.parametrize(
    "variant", sorted(VARIANTS.keys() - {"centered"})
)  # v − ḡ² cancels: digits go
def test_each_step_is_within_four_units_of_the_rule(variant: str) -> None:
    name, options = VARIANTS[variant]
    rng = np.random.default_rng(0)
    start = rng.standard_normal(100).astype(np.float32)
    ours, truth = (tg.tensor(start, requires_grad=True) for _ in range(2))
    loops = ENTRIES[name]([ours], **accepted(name, **options), engine="numba")
    rule = ENTRIES[name]([truth], **accepted(name, **options), engine="reference")
    for _ in range(6):
        before = truth.tolist()
        ours.data = truth.data.copy()
        loops.load_state_dict(rule.state_dict())
        ours.grad = truth.grad = tg.tensor(rng.standard_normal(100), dtype="float32")
        loops.step()
        rule.step()
        for a, b in zip(
            [ours.data, *state_of(loops, [ours])], [truth.data, *state_of(rule, [truth])]
        ):
            scale = np.maximum(np.abs(b), np.abs(before))  # p − step may cancel
            assert (np.abs(a - b) <= 4 * np.spacing(scale.astype(np.float32))).all()


UNARY = sorted(CALLS - {"maximum", "minimum", "clip", "where", "logaddexp"})


class Everything(optim.Optimizer):
    """Each function that a rule may call has a letter, by its own name."""

    state = {name: name for name in [*UNARY, "maximum", "minimum", "clip", "where", "logaddexp"]}
    state |= {"power": "power", "T": "T"}

    def __init__(self, params: Any, engine: str) -> None:
        super().__init__(params, {"lr": 0.1}, {"engine": engine})

    @staticmethod
    def rule(xp, p, g, *state, lr):  # type: ignore
        both = (p > 0) & (g <= p)
        logs = xp.logaddexp(g, p) + (p == g) * 0.5 + (p != g) * 0.25 + (g >= 1) * 2.0
        chosen = xp.where(both, xp.where(g < 0, p, 2.0), g), logs
        several = xp.maximum(p, g), xp.minimum(g, p), xp.clip(g, -0.5, 2.0), *chosen
        return p, *(getattr(xp, name)(g) for name in UNARY), *several, xp.abs(g) ** 1.7, -(1 / g)


@fast
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_of_rules_has_its_text(dtype: str) -> None:
    assert CALLS | {"sqrt", "square"} <= EXPRESSIONS.keys()
    values = np.array([*SPECIAL, 0.3, -0.7, 1.0, -1.5, 2.5, 30.0, -30.0], dtype)
    found = []
    for engine in ("numba", "reference"):
        w = Tensor(np.repeat(values, values.size), requires_grad=True)
        w.grad = Tensor(np.tile(values, values.size))
        optimizer = Everything([w], engine)
        with np.errstate(all="ignore"):
            optimizer.step()
        found.append(optimizer.state_of(w))
    assert engine_of(optimizer).rule.programs[True]
    for letter, truth in found[1].items():
        ours = found[0][letter]
        np.testing.assert_allclose(ours, truth, rtol=4 * np.finfo(dtype).eps, err_msg=letter)


@fast
def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for count, shared in ((1, 10**9), (3, 0)):
        monkeypatch.setenv("TINYGRAD_OPT_THREADS", str(count))
        monkeypatch.setattr(blocks, "SHARED", shared)
        found += list(walk("adamw", "numba", "float32", True))
    for one, several in zip(found[:9], found[9:], strict=True):
        for a, b in zip(one, several, strict=True):
            np.testing.assert_array_equal(a, b)


@fast
def test_a_steady_step_allocates_nothing() -> None:
    w = tg.ones(1000, requires_grad=True)
    optimizer = optim.Adam([w], engine="numba")
    w.grad = tg.ones(1000)
    for _ in range(3):
        optimizer.step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 3000, "a temporary array would take 4,000 bytes"


# ---- which engine -----------------------------------------------------------------------------


def kind_of(size: int, dtype: str = "float32") -> str:
    return default_engine(tg.Device("cpu"), np.dtype(dtype), size)


def test_long_buffers_take_numba_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, name in ((True, "numba"), (False, "blocks")):
        monkeypatch.setattr("tinygrad_opt.optim.engine.installed", lambda there=there: there)
        assert kind_of(PAYS) == kind_of(PAYS, "float64") == name
        assert kind_of(PAYS - 1) == kind_of(PAYS, "float16") == "blocks"


@fast
def test_it_is_the_default_of_long_buffers() -> None:
    optimizer = optim.Adam([tg.zeros(PAYS, requires_grad=True)])
    assert optimizer._storages[0].flats[0].kind is Compiled  # type: ignore[union-attr]
    assert kind_of(PAYS - 1) == "blocks"


@fast
@pytest.mark.parametrize(("size", "loaded"), [(PAYS - 1, "False"), (PAYS, "True")])
def test_a_small_network_never_waits_for_numba(size: int, loaded: str) -> None:
    program = (
        "import sys, tinygrad_opt as tg\n"
        f"w = tg.zeros({size}, requires_grad=True)\n"
        f"w.grad = tg.ones({size})\n"
        "tg.optim.Adam([w]).step()\n"
        "print('numba' in sys.modules)"
    )
    assert run(program) == loaded


@fast
def test_halves_stay_with_numpy() -> None:
    w = tg.ones(4, dtype="float16", requires_grad=True)
    optimizer = optim.Adam([w], eps=1e-4, engine="numba")
    w.grad = tg.ones(4, dtype="float16")
    optimizer.step()
    assert len(engine_of(optimizer).calls) == 14


# ---- when it does not work --------------------------------------------------------------------


def steps(engine: str) -> list[float]:
    """The parameters after steps of two rules."""
    found: list[float] = []
    for make in (optim.Adam, optim.Adagrad):
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = make([w], lr=0.1, engine=engine)
        for value in (1.0, -2.0):
            w.grad = tg.full(3, value)
            optimizer.step()
        found += w.tolist()
    return found


def test_without_numba_numpy_does_the_work_and_one_line_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with caplog.at_level(logging.WARNING, "tinygrad_opt"):
        assert steps("numba") == steps("blocks")
    assert caplog.messages == [
        'engine "numba": import of numba halted; None in sys.modules. NumPy does the work, with '
        'engine "blocks".'
    ]


@fast
def test_where_numba_fails_numpy_does_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*signature: Any, **options: Any) -> Any:
        raise RuntimeError("no processor")

    monkeypatch.setattr("numba.njit", broken)
    assert steps("numba") == steps("blocks")
    assert caplog.messages == [
        'engine "numba": no processor. NumPy does the work, with engine "blocks".'
    ]


@fast
def test_without_its_compiler_numba_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert steps("numba") == steps("blocks")
    assert caplog.messages == [
        'engine "numba": NUMBA_DISABLE_JIT is set. NumPy does the work, with engine "blocks".'
    ]


# ---- the cache --------------------------------------------------------------------------------


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


LEARN = (
    "import tinygrad_opt as tg, numba\n"
    "from tinygrad_opt.optim.engine import compiled\n"
    "w = tg.ones(8, requires_grad=True)\n"
    "w.grad = tg.ones(8)\n"
    "optimizer = tg.optim.SGD([w], lr=0.25, engine='numba')\n"
    "optimizer.step()\n"
    "call, = optimizer._storages[0].flats[0].runs[0].engine.calls\n"
    "print(w.tolist()[0], sum(call.func.stats.cache_hits.values()))"
)


@fast
def test_processes_meet_a_rule_at_once_and_the_next_finds_its_machine_code(folder: Path) -> None:
    line = [sys.executable, "-W", "error", "-c", LEARN]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.communicate()[0].split()[0] for process in both} == {"0.75"}
    assert run(LEARN) == "0.75 1"
    assert [file.suffix for file in folder.iterdir() if file.is_file()] == [".py"]


def test_a_damaged_text_is_written_anew(folder: Path) -> None:
    file = compiled.stored("loop = 1")
    file.write_text("raise SystemExit")
    assert compiled.stored("loop = 1") == file and file.read_text() == "loop = 1"
    assert list(folder.iterdir()) == [file]


@fast
def test_damaged_machine_code_is_no_end(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert runs_a_loop(optim.SGD)
    (code,) = folder.glob("__pycache__/*.nbc")
    code.write_bytes(b"no machine code")
    compiled.compiled.cache_clear()
    assert runs_a_loop(optim.SGD)
    assert caplog.messages == []


@fast
def test_a_folder_that_cannot_be_written_costs_the_cache_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file stands where the folder should")
    assert runs_a_loop(optim.SGD, lr=0.5)
    assert caplog.messages == []
