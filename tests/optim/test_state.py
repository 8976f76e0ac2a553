"""What a rule may keep besides arrays like p: numbers, arrays of other shapes, lists of them."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import Tensor, optim, tensor
from tinygrad_opt.optim import Optimizer
from tinygrad_opt.optim.rule import rule_of


def parameter(*values: float, dtype: Any = np.float64) -> Tensor:
    return tensor(np.array(values, dtype), requires_grad=True)


def give(*params: Tensor, value: float = 1.0) -> None:
    for p in params:
        p.grad = tensor(np.full(p.shape, value, p.dtype))


class Base(Optimizer):
    """A base for rules that are written in these tests."""

    def __init__(self, params: Any, lr: float = 0.5, start: float = 3.0, **flags: Any) -> None:
        super().__init__(params, {"lr": lr, "start": start}, flags)  # type: ignore[arg-type]


# ---- numbers ----------------------------------------------------------------------------------


class Counting(Base):
    """Moves by a number that doubles, and by another that an option starts."""

    state = {"a": "doubled", "m": "sum", "b": "halved"}
    scalars = ("a", "b")
    start = {"a": 1.0, "b": "start"}

    @staticmethod
    def rule(xp, p, g, a, m, b, *, t):  # type: ignore
        m = m + a * g
        return p - b * g, 2 * a, m, b / 2 if b > 1 else b


def test_numbers_go_from_step_to_step(engine: str) -> None:
    w = parameter(10.0)
    optimizer = Counting([w], engine=engine)
    path = []
    for _ in range(4):
        give(w)
        optimizer.step()
        path.append(w.item())
    assert path == [7.0, 5.5, 4.75, 4.0], "by 3, 1.5, 0.75, 0.75"
    state = optimizer.state_of(w)
    assert (state["a"], state["b"], state["m"].tolist()) == (16.0, 0.75, [15.0])
    assert type(state["a"]) is float


def test_numbers_are_each_parameters_own(engine: str) -> None:
    params = [parameter(10.0) for _ in range(4)]
    optimizer = Counting(params, engine=engine)
    for moving in (params, params[:2], params[1:3], params[:1], params):
        optimizer.zero_grad()
        give(*moving)
        optimizer.step()
    assert [optimizer.state_of(p)["a"] for p in params] == [2.0**n for n in (4, 4, 3, 2)]
    assert [optimizer.state_of(p)["t"] for p in params] == [4, 4, 3, 2]


def test_parameters_that_stepped_equally_often_may_differ_in_their_numbers() -> None:
    params = [parameter(10.0) for _ in range(3)]
    optimizer = Counting(params)
    give(*params)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][1]["halved"] = np.array(8.0)
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert [p.item() for p in params] == [5.5, -1.0, 5.5]


def test_numbers_cost_no_array_call_and_one_program_for_each_branch() -> None:
    w = parameter(10.0, 20.0)
    optimizer = Counting([w], engine="blocks")
    for _ in range(6):
        give(w)
        optimizer.step()
    programs = rule_of(Counting, tuple(optimizer.defaults)).programs[True]
    assert len(programs) == 3, "a = 1, which multiplies nothing; b > 1; and not"
    assert str(programs[1]).splitlines() == [
        "s0 = a",
        "s1 = b",
        "t0 = multiply(g, s0)",
        "m = add(m, t0)",
        "t2 = multiply(g, s1)",
        "p = subtract(p, t2)",
    ]


def test_numbers_are_saved_whole_and_resumed_to_the_bit() -> None:
    for dtype in (np.float32, np.float64):
        w = parameter(10.0, dtype=dtype)
        optimizer = Counting([w], start=1 / 3)
        give(w)
        optimizer.step()
        saved = optimizer.state_dict()
        entry = saved["state"][0]
        assert list(entry) == ["step", "doubled", "sum", "halved"]
        assert entry["halved"].shape == () and entry["halved"].item() == 1 / 3
        for through in (
            copy.deepcopy,
            lambda s: json.loads(json.dumps(s, default=np.ndarray.tolist)),
        ):
            twin = Counting([parameter(0.0, dtype=dtype)])
            twin.load_state_dict(through(saved))
            state = twin.state_of(twin.param_groups[0]["params"][0])
            assert (state["a"], state["b"]) == (2.0, 1 / 3)


def test_numbers_are_recorded_too() -> None:
    results = []
    for differentiable in (False, True):
        w = parameter(10.0, 20.0)
        optimizer = Counting([w], differentiable=differentiable)
        for _ in range(4):
            give(w)
            optimizer.step()
        state = optimizer.state_of(w)
        results.append([*w.tolist(), state["a"], state["b"], *state["m"].tolist()])
        optimizer.load_state_dict(optimizer.state_dict())
        assert optimizer.state_of(w)["a"] == 16.0
    assert results[0] == results[1]


# ---- where arrays begin -----------------------------------------------------------------------


class Beginning(Base):
    """Keeps where p was at first, and two arrays that begin at numbers."""

    state = {"z": "z", "c": "c", "o": "o"}
    start = {"z": "p", "c": 0.25, "o": "start"}

    @staticmethod
    def rule(xp, p, g, z, c, o, *, lr):  # type: ignore
        return p - lr * g, z, c + 1, o


def test_state_begins_at_a_number_an_option_or_the_parameter(engine: str) -> None:
    w, late = parameter(1.0, 2.0), parameter(5.0)
    optimizer = Beginning([w, late], engine=engine)
    give(w)
    for _ in range(2):
        optimizer.step()
    late.data = np.array([7.0])
    give(w, late)
    optimizer.step()
    state, other = optimizer.state_of(w), optimizer.state_of(late)
    assert state["z"].tolist() == [1.0, 2.0] and w.tolist() == [-0.5, 0.5]
    assert other["z"].tolist() == [7.0], "its value when it first moved"
    assert (state["c"].tolist(), other["c"].tolist()) == ([3.25] * 2, [1.25])
    assert state["o"].tolist() == [3.0] * 2


def test_where_steps_are_recorded_state_begins_the_same() -> None:
    w = parameter(1.0, 2.0)
    optimizer = Beginning([w], differentiable=True)
    give(w)
    for _ in range(2):
        optimizer.step()
    state = optimizer.state_of(w)
    assert (state["z"].tolist(), state["c"].tolist()) == ([1.0, 2.0], [2.25] * 2)


# ---- other shapes -----------------------------------------------------------------------------


class Shaped(Base):
    """Keeps a number for each row of a matrix, a matrix for each axis, and for vectors nothing."""

    state = {"r": "rows", "L": "axis_{}", "Q": "all"}
    start = {
        "r": lambda xp, p, *, start: start + xp.zeros(len(p), p.dtype) if p.ndim > 1 else None,
        "L": lambda xp, p: [xp.eye(n, dtype=p.dtype) for n in p.shape],
        "Q": lambda xp, p: [xp.zeros_like(p), None],
    }
    scope = "tensor"

    @staticmethod
    def rule(xp, p, g, r, L, Q, *, lr, first):  # type: ignore
        if r is not None:
            r = r + xp.sum(g, axis=1)
        return p - lr * g, r, [2 * one for one in L], [g, None] if first else Q


def shaped(**options: Any) -> tuple[list[Tensor], Shaped]:
    params = [tensor(np.ones(s), requires_grad=True) for s in [(2, 3), (4,), (2, 0)]]
    return params, Shaped(params, **options)


def test_state_of_any_shape_goes_from_step_to_step() -> None:
    (matrix, vector, empty), optimizer = shaped()
    for value in (1.0, 2.0):
        give(matrix, vector, empty, value=value)
        optimizer.step()
    state = optimizer.state_of(matrix)
    assert state["r"].tolist() == [12.0, 12.0]
    assert [one.tolist() for one in state["L"]] == [(4 * np.eye(n)).tolist() for n in (2, 3)]
    assert state["Q"][0].tolist() == [[1.0] * 3] * 2 and state["Q"][1] is None
    assert "r" not in optimizer.state_of(vector)
    assert optimizer.state_of(empty)["t"] == 2


def test_lists_are_saved_by_number_or_as_lists_and_resumed() -> None:
    (matrix, vector, _), optimizer = shaped()
    give(matrix, vector)
    optimizer.step()
    saved = optimizer.state_dict()
    assert list(saved["state"][0]) == ["step", "rows", "axis_0", "axis_1", "all"]
    assert list(saved["state"][1]) == ["step", "axis_0", "all"]
    for through in (copy.deepcopy, lambda s: json.loads(json.dumps(s, default=np.ndarray.tolist))):
        others, twin = shaped()
        for p, q in zip(others, (matrix, vector), strict=False):
            p.data = host(q).copy()
        twin.load_state_dict(through(saved))
        np.testing.assert_equal(twin.state_dict(), saved)
        give(*others[:2], value=2.0)
        twin.step()
        assert twin.state_of(others[0])["r"].tolist() == [12.0, 12.0]
        assert twin.state_of(others[0])["Q"][0].tolist() == [[1.0] * 3] * 2, "it was no first step"
    assert optimizer.state_of(matrix)["r"].tolist() == [6.0, 6.0], "nothing is shared"


def test_state_of_other_shapes_follows_the_dtype() -> None:
    (matrix, *_), optimizer = shaped()
    give(matrix)
    optimizer.step()
    matrix.data = host(matrix).astype(np.float32)
    give(matrix)
    optimizer.step()
    state = optimizer.state_of(matrix)
    assert state["r"].dtype == state["L"][0].dtype == np.float32
    assert state["r"].tolist() == [9.0, 9.0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.update(rows=np.ones(3)), r"rows of parameter 0 is \(3,\) in the file and"),
        (lambda s: s.pop("axis_1"), "the state of parameter 0 lacks axis_1, and Shaped keeps"),
        (lambda s: s.update(axis_2=np.ones(3)), "the state of parameter 0 has axis_2"),
    ],
)
def test_files_that_do_not_fit_are_told(change: Any, text: str) -> None:
    (matrix, *_), optimizer = shaped()
    give(matrix)
    optimizer.step()
    saved = optimizer.state_dict()
    change(saved["state"][0])
    with pytest.raises(ValueError, match=text):
        optimizer.load_state_dict(saved)


def test_counts_kept_in_the_group_are_read() -> None:
    w = parameter(1.0)
    optimizer = optim.Adam([w])
    give(w)
    optimizer.step()
    saved = optimizer.state_dict()
    del saved["state"][0]["step"]
    saved["param_groups"][0]["step"] = 7
    optimizer.load_state_dict(saved)
    assert optimizer.state_of(w)["t"] == 7
