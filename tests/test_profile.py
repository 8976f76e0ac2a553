"""Where the time goes: exact counts, times that add up, and nothing that stays behind."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.standin import strict_cupy
from tinygrad_opt import Device, default_device, nn, use_device
from tinygrad_opt.profile import EVERYTHING_ELSE, Profile, Row


def training(learning_rate: float = 0.01) -> tuple[nn.Sequential, Callable[[], None]]:
    """A network, and a function that trains it for a step."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = tg.optim.Adam(model.parameters(), lr=learning_rate)
    x, labels = tg.randn(5, 4), tg.randint(0, 3, (5,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return model, step


def calls(profile: Profile) -> dict[str, tuple[int, int]]:
    """Forward and backward calls by name, without the last row."""
    *rows, rest = profile.rows
    assert rest.name == EVERYTHING_ELSE
    return {row.name: (row.calls, row.backward_calls) for row in rows}


# ---- what is counted --------------------------------------------------------------------------


def test_every_call_of_a_training_is_counted() -> None:
    _, step = training()
    with tg.profile(show=False) as p:
        for _ in range(3):
            step()
    assert calls(p) == {
        "linear_relu": (3, 9),  # weight, bias, and the mask that both need; the data want none
        "linear": (3, 12),  # the layer below as well
        "cross_entropy": (3, 3),
        "Adam.step()": (3, 0),
    }


def test_without_gradients_there_is_nothing_backward() -> None:
    model, _ = training()
    with tg.profile(show=False) as p, tg.no_grad():
        model(tg.ones(2, 4))
    assert calls(p) == {"linear_relu": (1, 0), "linear": (1, 0)}
    assert all(row.backward == 0 for row in p.rows)


def test_a_backward_pass_alone_has_no_forward_calls() -> None:
    w = tg.ones(3, requires_grad=True)
    loss = tg.exp(w).sum()
    with tg.profile(show=False) as p:
        loss.backward()
    assert calls(p) == {"sum": (0, 1), "exp": (0, 1)}
    assert all(row.forward == 0 for row in p.rows)


def test_gradients_of_gradients_are_made_of_forward_calls() -> None:
    w = tg.ones(3, requires_grad=True)
    loss = tg.exp(w).sum()
    with tg.profile(show=False) as p:
        loss.backward(create_graph=True)
    assert calls(p)["multiply"] == (1, 0)  # the derivative of exp: g · y


def test_an_operation_of_ones_own_is_seen() -> None:
    @tg.op(lambda xp, g, y, x: g * 3 * x**2)
    def cube(xp, x):
        return x**3

    w = tg.ones(3, requires_grad=True)
    with tg.profile(show=False) as p:
        cube(w).sum().backward()
    assert calls(p)["cube"] == (1, 1)


def test_a_closure_is_no_part_of_its_step() -> None:
    w = tg.ones(3, requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.1)

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        time.sleep(0.03)
        loss = tg.exp(w).sum()
        loss.backward()
        return loss

    with tg.profile(show=False) as p:
        optimizer.step(closure)
    assert calls(p) == {"exp": (1, 1), "sum": (1, 1), "SGD.step()": (1, 0)}
    rows = {row.name: row.seconds for row in p.rows}
    assert rows["SGD.step()"] < 0.03 <= rows[EVERYTHING_ELSE]


def test_what_an_optimizer_computes_by_operations_is_its_own() -> None:
    w = tg.ones(3, requires_grad=True)
    optimizer = tg.optim.Newton([w], lr=0.1)
    with tg.profile(show=False) as p:
        optimizer.step(lambda: tg.exp(w).sum())
    assert calls(p) == {"exp": (1, 0), "sum": (1, 0), "Newton.step()": (1, 0)}


def test_other_threads_are_not_counted() -> None:
    _, step = training()
    with tg.profile(show=False) as p:
        other = threading.Thread(target=step)
        other.start()
        other.join()
        tg.ones(3).exp()
    assert calls(p) == {"exp": (1, 0)}


@pytest.mark.on("standin", "kernels", "cuda")
def test_all_devices_share_a_table() -> None:
    here, there = tg.ones(3, device="cpu"), tg.ones(3)
    with tg.profile(show=False) as p:
        here.exp(), there.exp(), there.exp()
    assert calls(p) == {"exp": (3, 0)}


@pytest.mark.on("standin")
def test_a_device_that_comes_in_later_is_named() -> None:
    Device.forget()
    with use_device("cpu"), tg.profile(show=False) as p:
        tg.ones(3, device="cuda").exp()
    assert calls(p) == {}
    assert str(p).endswith("Not seen: what ran on cuda:0, first used inside the block.")


@pytest.mark.on("standin")
def test_a_gpu_is_waited_for_before_and_after_each_operation() -> None:
    x = tg.ones(3)
    with tg.profile(show=False), strict_cupy.watch() as traffic:
        x.exp()
    assert traffic.syncs[:2] == ["Device.synchronize()"] * 2


# ---- times ------------------------------------------------------------------------------------


def test_times_add_up_to_that_of_the_block() -> None:
    _, step = training()
    began = time.perf_counter()
    with tg.profile(show=False) as p:
        step()
        time.sleep(0.01)
    around = time.perf_counter() - began
    *rows, rest = p.rows
    assert sum(row.seconds for row in p.rows) == pytest.approx(p.seconds)
    assert 0.01 <= rest.seconds < p.seconds <= around
    for row in rows:
        assert row.seconds > 0
        assert row.seconds == row.forward + row.backward or row.name == "Adam.step()"
    assert rows == sorted(rows, key=lambda row: -row.seconds)


def test_a_slow_operation_has_its_time_in_its_row() -> None:
    @tg.op(lambda xp, g, y, x: (time.sleep(0.02), g)[1])
    def slow(xp, x):
        time.sleep(0.01)
        return x * 1

    w = tg.ones(3, requires_grad=True)
    with tg.profile(show=False) as p:
        slow(w).sum().backward()
    first = p.rows[0]
    assert first.name == "slow"
    assert first.forward >= 0.01 and first.backward >= 0.02


def test_the_clock_runs_inside_the_block_and_stands_behind_it() -> None:
    with tg.profile(show=False) as p:
        tg.ones(3).exp()
        assert p.rows[0].name == "exp"
        before = p.seconds
    assert before < p.seconds == p.seconds


# ---- what is left behind ----------------------------------------------------------------------


def test_results_are_the_same_to_the_bit() -> None:
    found = []
    for show in (True, False):
        tg.manual_seed(0)
        model, step = training()
        if show:
            with tg.profile(show=False):
                step(), step()
        else:
            step(), step()
        found.append([host(p) for p in model.parameters()])
    assert all(map(np.array_equal, *found))


def test_a_network_trains_on_after_the_block() -> None:
    _, step = training()
    with tg.profile(show=False) as p:
        step()
    counted = calls(p)
    step()
    assert calls(p) == counted


def test_an_exception_ends_the_block_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    xp = default_device().xp
    with pytest.raises(ZeroDivisionError), tg.profile() as p:
        tg.ones(3).exp()
        raise ZeroDivisionError
    assert default_device().xp is xp
    assert calls(p) == {"exp": (1, 0)}
    assert "exp" in capsys.readouterr().out


def test_an_exception_in_a_closure_leaves_nothing_behind() -> None:
    xp = default_device().xp
    optimizer = tg.optim.SGD([tg.ones(3, requires_grad=True)], lr=0.1)
    with pytest.raises(ZeroDivisionError), tg.profile(show=False):
        optimizer.step(lambda: 1 / 0)
    assert default_device().xp is xp


def test_errors_of_operations_read_as_they_do_without() -> None:
    with tg.profile(show=False), pytest.raises(ValueError, match=r"\(3,\) and \(2,\) do not broa"):
        tg.ones(3) + tg.ones(2)


def test_one_inside_another_is_an_error_and_the_outer_one_goes_on() -> None:
    with tg.profile(show=False) as p:
        tg.ones(3).exp()
        sentence = "profile: cpu is watched already, by another profile"
        with pytest.raises(RuntimeError, match=sentence), tg.profile():
            raise AssertionError
        tg.ones(3).exp()
    assert calls(p) == {"exp": (2, 0)}
    with tg.profile(show=False):
        pass


# ---- what is shown ----------------------------------------------------------------------------


def test_the_table_is_printed_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    _, step = training()
    with tg.profile() as p:
        step()
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{p}\n", "")
    above, header, *lines = str(p).splitlines()
    assert above.split() == ["forward", "backward"]
    assert header.split() == ["operation", "calls", "ms", "calls", "ms", "ms", "share"]
    assert len(lines) == len(p.rows) + 1
    assert max(map(len, lines)) <= 78 and not any(line.endswith(" ") for line in lines)
    linear = next(line for line in lines if line.startswith("linear "))
    assert re.fullmatch(r"linear +1 +[\d.]+ +4( +[\d.]+){3}%", linear)
    adam = next(line for line in lines if line.startswith("Adam"))
    assert re.fullmatch(r"Adam.step\(\) +1 +[\d.]+ +[\d.]+%", adam)
    assert re.fullmatch(r"everything else +[\d.]+ +[\d.]+%", lines[-2])
    assert re.fullmatch(r"total +[\d.]+ +100.0%", lines[-1])


def test_nothing_is_printed_where_nobody_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    with tg.profile(show=False):
        tg.ones(3).exp()
    assert capsys.readouterr().out == ""


def test_json_holds_the_rows() -> None:
    with tg.profile(show=False) as p:
        tg.ones(3).exp()
    data = json.loads(p.to_json())
    assert [Row(**row) for row in data["rows"]] == p.rows
    assert data["seconds"] == pytest.approx(p.seconds)


def test_a_function_can_be_profiled_by_a_decorator(capsys: pytest.CaptureFixture[str]) -> None:
    @tg.profile()
    def compute() -> None:
        tg.ones(3).exp()

    compute()
    compute()
    assert capsys.readouterr().out.count("exp ") == 2
