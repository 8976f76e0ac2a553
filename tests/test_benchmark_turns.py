"""The benchmarks on the CPU with made-up peers: who takes part, what is refused, what is kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from benchmarks import ops, optimizer, program, report, step, turns, worker
from benchmarks.operations import OPERATIONS, Operating
from benchmarks.peers import bare_numpy, ours, textbook
from benchmarks.program import Benchmark
from benchmarks.report import Target
from benchmarks.turns import Case
from benchmarks.worker import Hands, Peer
from benchmarks.workloads import NETWORKS, Network, Training, Update

pytestmark = pytest.mark.host

TINY = Training(NETWORKS["tiny1"], 1e-2)
HONEST = Peer("tinygrad_opt, made up", "tests.benchmark_peer")


def peer(**options: Any) -> Peer:
    return replace(HONEST, title="another", options=options)


def benchmark(*targets: Target, **peers: Peer) -> Benchmark:
    """One of two cases, with an honest peer first."""
    peers = {"honest": HONEST, **peers}
    cases = [Case(name, "made up", TINY, TINY, tuple(peers), burst=0.0) for name in ("one", "two")]
    return Benchmark("turns", "Made up.", tuple(cases), peers, ("honest",), targets, rounds=2)


def run(made: Benchmark, *words: str) -> int:
    return program.main(made, ["--cases", "one", *words])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE", 0.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")


# ---- a run ------------------------------------------------------------------------------------


def test_a_run_prints_a_table_and_keeps_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results" / "cpu.json"
    assert run(benchmark(other=peer(slow=1e-3)), "--json", str(path)) == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    part = document["parts"]["turns"]
    assert set(part) == {
        "absent", "date", "failed", "lines", "peers", "python", "rounds", "settings", "system",
        "unit",
    }  # fmt: skip
    (line,) = part["lines"]
    assert (line["name"], part["unit"], part["rounds"]) == ("one", "µs", 2)
    np.testing.assert_allclose(line["shown"], [1e-2 / n for n in range(1, 13)])
    for known in line["peers"].values():
        assert 0 < known["minimum"] <= known["p25"] <= known["median"] <= known["p75"]
        assert known["bursts"] == 2 <= known["blocks"]
    assert line["peers"]["other"]["minimum"] > 1000
    medians = [line["peers"][name]["median"] for name in ("other", "honest")]
    assert line["ratios"]["honest"]["other"]["median"] == pytest.approx(medians[0] / medians[1])
    assert part["peers"]["other"]["versions"] == {"made_up": "1.0"}
    printed = capsys.readouterr().out
    assert "honest: made_up 1.0 (threads: BLAS 7)" in printed
    assert "another" in printed and "/ tinygrad_opt, made up" in printed


def test_results_of_other_benchmarks_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json"
    assert run(benchmark(), "--json", str(path)) == 0
    assert run(replace(benchmark(), name="others"), "--json", str(path)) == 0
    assert list(json.loads(path.read_text(encoding="utf-8"))["parts"]) == ["turns", "others"]


def test_json_alone_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(benchmark(), "--json") == 0
    assert json.loads(capsys.readouterr().out)["parts"]["turns"]["lines"]


def test_many_cases_get_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(replace(benchmark(other=peer()), many=True), ["--rounds", "1"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[-3:]] == ["median", "one", "two"]
    assert rows[-1].count("(") == 1  # the ratio


def test_threads_hold_for_the_processes_of_a_run_only(capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    assert run(benchmark(), "--threads", "1") == 0
    assert "threads: BLAS 1" in capsys.readouterr().out
    assert dict(os.environ) == before


def test_peers_begin_in_turn() -> None:
    asked: list[str] = []
    team = SimpleNamespace(
        workers={"a": None, "b": None}, ask=lambda name, *_: asked.append(name) or [1.0]
    )
    times = turns.by_turns(team, ["a", "b"], 0.0, rounds=3)  # type: ignore[arg-type]
    assert "".join(asked) == "abbaab"
    assert times == {"a": [[1.0]] * 3, "b": [[1.0]] * 3}


# ---- peers that are not as they should be -----------------------------------------------------


def test_a_peer_that_computes_other_numbers_fails_the_run_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cpu.json"
    made = benchmark(other=peer(), liar=peer(lie=1.001))
    assert run(made, "--json", str(path)) == 1
    assert "one: liar computes other numbers than the rest." in capsys.readouterr().err
    assert not path.exists()


def test_of_two_that_differ_both_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(benchmark(other=peer(lie=1.001))) == 1
    assert "one: honest and other compute other numbers than the rest." in capsys.readouterr().err


def test_numbers_may_differ_a_little_and_must_not_be_nan() -> None:
    def far(*numbers: float) -> list[str]:
        return turns.strangers({f"{i}": [n] for i, n in enumerate(numbers)}, 5e-4)

    assert far(1.0, 1.0004) == far(1.0, 1.0004, 1.0) == []
    assert far(1.0, 1.0006, 1.0) == ["1"]
    assert far(1.0, float("nan"), 1.0) == ["1"]
    assert far(float("nan"), float("nan")) == ["0", "1"]


def test_a_peer_that_is_not_installed_is_left_out_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = benchmark(other=replace(HONEST, needs=("no_such_library",)))
    path = tmp_path / "cpu.json"
    assert run(made, "--json", str(path)) == 0
    word = "no_such_library is not installed: pip install no_such_library."
    assert f"Without other: {word}" in capsys.readouterr().err
    part = json.loads(path.read_text(encoding="utf-8"))["parts"]["turns"]
    assert part["absent"] == {"other": word}
    assert list(part["lines"][0]["peers"]) == ["honest"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"breaks": "at once"}, "ValueError: it does not know how"),
        ({"breaks": "later"}, "ValueError: it is tired"),
        ({"dies": True}, "Its process ended, exit code 3."),
    ],
)
def test_a_peer_that_fails_is_reported_and_the_others_go_on(
    options: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cpu.json"
    assert run(benchmark(other=peer(**options)), "--json", str(path)) == 1
    said = capsys.readouterr().err
    assert "other failed." in said and words in said
    part = json.loads(path.read_text(encoding="utf-8"))["parts"]["turns"]
    assert words in part["failed"]["other"]
    assert list(part["lines"][0]["peers"]) == ["honest"]


def test_a_peer_that_does_not_answer_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = benchmark(other=peer(sleeps=60.0))
    with turns.Team(made.peers) as team:
        monkeypatch.setattr(worker, "PATIENCE", 0.1)
        assert team.ask("other", "prepare", TINY) is None
        assert list(team.workers) == ["honest"]
    assert "It gave no answer in 0 seconds." in capsys.readouterr().err


def test_an_interrupt_ends_all_processes_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: Any) -> None:
        assert multiprocessing.active_children()
        raise KeyboardInterrupt

    monkeypatch.setattr(turns, "by_turns", interrupt)
    path = tmp_path / "cpu.json"
    assert run(benchmark(), "--json", str(path)) == 130
    assert not multiprocessing.active_children()
    assert not path.exists()


ORPHAN = """
import os, time
from benchmarks.turns import Team
from benchmarks.worker import Peer
if __name__ == "__main__":
    team = Team({"honest": Peer("", "tests.benchmark_peer")})
    print(team.workers["honest"].process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for a process in /proc")
def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    status = Path("/proc", done.stdout.strip(), "status")
    until = time.monotonic() + 10
    while status.exists() and "State:\tZ" not in status.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert not status.exists() or "State:\tZ" in status.read_text()


# ---- what is asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--rounds", "0"], ["--peers", "nobody"], ["--cases", "three"], ["--threads", "x"]]
)
def test_words_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(benchmark(), words)


def test_a_file_about_another_machine_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cpu.json"
    path.write_text('{"device": "Other", "parts": {}}')
    with pytest.raises(SystemExit):
        run(benchmark(), "--json", str(path))
    assert "is about Other" in capsys.readouterr().err


def taking_part(made: Benchmark, *words: str) -> tuple[list[str], list[str]]:
    cases, peers = made.chosen(program.command_line(made).parse_args(words))
    return [case.name for case in cases], list(peers)


def test_peers_of_a_run_are_the_named_ones_or_the_usual_ones_or_those_of_the_targets() -> None:
    made = benchmark(
        Target("two", "other", "honest", 1.0), other=peer(), rare=replace(HONEST, asked=True)
    )
    assert taking_part(made) == (["one", "two"], ["honest", "other"])
    assert taking_part(made, "--peers", "rare") == (["one", "two"], ["rare"])
    assert taking_part(made, "--check") == (["two"], ["honest", "other"])
    assert taking_part(made, "--check", "--cases", "one")[0] == ["one"]


# ---- targets and remarks, on made-up numbers --------------------------------------------------

TITLES = {"ours": "tinygrad_opt", "torch": "PyTorch", "jax": "JAX"}


def line(others: float | None = 0.0, **times: tuple[float, float]) -> dict[str, Any]:
    peers = {
        name: {"median": median, "p25": p25, "minimum": p25}
        for name, (median, p25) in times.items()
    }
    made = {"name": "one", "about": "", "others": others, "peers": peers}
    return report.with_ratios(made, ("torch",))


def test_targets_are_met_or_missed() -> None:
    lines = [line(ours=(14.0, 14.0), torch=(100.0, 100.0))]
    for target, word, met in (
        (Target("one", "ours", "torch", 0.14), "pass", True),
        (Target("one", "ours", "torch", 0.139), "MISS", False),
        (Target("one", "torch", "ours", at_least=7.0), "pass", True),
        (Target("one", "torch", "ours", at_least=7.2), "MISS", False),
        (Target("one", "ours", "jax", 0.5), "not measured", False),
        (Target("two", "ours", "torch", 0.5), "not measured", False),
    ):
        text, fine = report.check([target], lines, TITLES)
        assert fine is met
        assert text.splitlines()[-1].endswith(word), text
    text, fine = report.check([Target("one", "ours", "torch", b) for b in (1, 0.1)], lines, TITLES)
    assert not fine
    assert "tinygrad_opt / PyTorch" in text and "≤ 0.10    0.140  MISS" in text


def test_a_missed_target_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    slow = peer(slow=2e-3)
    assert run(benchmark(Target("one", "other", "honest", 1.0), other=slow), "--check") == 1
    assert "MISS" in capsys.readouterr().out
    assert run(benchmark(Target("one", "honest", "other", 1.0), other=slow), "--check") == 0
    assert "pass" in capsys.readouterr().out


def test_what_was_not_quiet_is_said() -> None:
    quiet = line(ours=(10.0, 9.0), torch=(100.0, 95.0))
    assert report.remarks([quiet]) == []
    shaky = line(ours=(10.0, 9.0), torch=(100.0, 70.0))
    assert "measure again" in report.remarks([quiet, shaky])[0]
    assert "~0.100" in report.table(shaky, TITLES, ("torch",))
    busy = line(others=0.06, ours=(1.0, 1.0))
    (remark,) = report.remarks([busy])
    assert remark == "Other programs used the machine: nothing is decided about one (6%)."
    (remark,) = report.remarks([line(others=None, ours=(1.0, 1.0))])
    assert remark == "This system does not tell how much time other programs used."


def test_verdicts_of_a_run_that_was_not_quiet_say_so() -> None:
    target = Target("one", "ours", "torch", 0.5)
    for made in (
        line(others=0.3, ours=(1.0, 1.0), torch=(9.0, 9.0)),
        line(ours=(1.0, 1.0), torch=(9.0, 7.0)),
    ):
        assert report.check([target], [made], TITLES)[0].endswith("pass, not quiet")


def test_time_of_the_machine_is_read_from_linux(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_text("cpu  100 20 30 400 50 6 7 8 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    total, busy = turns.machine_time(path)
    tick = os.sysconf("SC_CLK_TCK")
    assert (total * tick, busy * tick) == (621, 171)
    assert turns.machine_time(tmp_path / "none") == (0, 0)


@pytest.mark.parametrize("made", [step.BENCHMARK, optimizer.BENCHMARK, ops.BENCHMARK])
def test_targets_are_about_peers_that_take_part(made: Benchmark) -> None:
    cases = {case.name: case for case in made.cases}
    assert len(cases) == len(made.cases)
    for target in made.targets:
        assert {target.peer, target.against} <= set(cases[target.case].peers) <= set(made.peers)
        assert (target.at_most is None) != (target.at_least is None)
    assert set(made.references) | made.odd <= set(made.peers)


# ---- the work ---------------------------------------------------------------------------------


def test_ours_takes_part_in_processes_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    network = Network((3, 4, 2), 5, "CrossEntropyLoss", "Adam")
    peers = {
        "ours": Peer("blocks", step.OURS),
        "slow": Peer("reference", step.OURS, {"engine": "reference"}),
    }
    case = Case("net", "small", Training(network, 1e-2), Training(network, 1e-7), tuple(peers), 0.0)
    update = Case("sgd", "alone", Update("momentum", 60, 3, 1e-2), Update("Adam", 60, 3, 1e-7),
                  tuple(peers), 0.0)  # fmt: skip
    made = Benchmark("net", "", (case, update), peers, ("ours",), rounds=1)
    assert program.main(made, []) == 0
    assert capsys.readouterr().out.count("reference") == 2


def test_a_worker_finds_how_many_steps_fill_a_block() -> None:
    hands = Hands(peer(compiles=0.2))
    hands.prepare(TINY)
    hands.warm_up(0.1)
    assert hands.calls > 50
    assert all(0 < each < worker.BLOCK for each in hands.burst(0.0))
    assert hands.spent() > 0


def test_a_step_longer_than_a_block_is_a_block() -> None:
    hands = Hands(peer(slow=2 * worker.BLOCK))
    hands.prepare(TINY)
    assert hands.first(2) == [1e-2, 5e-3]
    hands.warm_up(0.0)
    assert hands.calls == 1


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_bare_operations_give_what_ours_give(name: str, backward: bool) -> None:
    task = Operating(name, 4, backward)
    found = [work.read(work.step()) for work in (bare_numpy.operate(task), ours.operate(task))]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] > 0


@pytest.mark.parametrize("name", textbook.OPTIMIZERS)
def test_the_textbooks_optimizers_are_ours(name: str) -> None:
    start = np.linspace(-1, 1, 5)
    p, w = start.copy(), tg.tensor(start, requires_grad=True)
    move, optim = textbook.OPTIMIZERS[name]([p], 0.1), getattr(tg.optim, name)([w], lr=0.1)
    for t in range(3):
        g = np.cos(t + np.arange(5.0))
        w.grad = tg.tensor(g)
        move([g])
        optim.step()
    np.testing.assert_allclose(p, w.data, rtol=1e-12)


# ---- with other libraries ---------------------------------------------------------------------


@pytest.mark.oracle
def test_pytorch_and_jax_compute_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    peers = {name: step.PEERS[name] for name in ("ours", "torch", "torch-fused", "jax")}
    cases = []
    for loss, rule in (("MSELoss", "SGD"), ("CrossEntropyLoss", "Adam")):
        task = Training(Network((3, 8, 4), 6, loss, rule), 1e-2)
        cases.append(Case(loss, "", task, task, tuple(peers), 0.0))
    for rule in ("momentum", "Adam"):
        shown, timed = (Update(rule, 50, 3, lr) for lr in (1e-2, 1e-7))
        cases.append(Case(rule, "", shown, timed, tuple(peers), 0.0))
    made = Benchmark("oracle", "", tuple(cases), peers, ("torch",), rounds=1)
    assert program.main(made, []) == 0
    assert capsys.readouterr().out.count("JAX + optax") == len(cases)


@pytest.mark.oracle
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_pytorch_give_what_ours_give(name: str, backward: bool) -> None:
    from benchmarks.peers import pytorch

    task = Operating(name, 4, backward)
    found = [work.read(work.step()) for work in (pytorch.operate(task), ours.operate(task))]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.oracle
def test_a_picture_is_drawn_without_a_display(tmp_path: Path) -> None:
    path = tmp_path / "turns.png"
    assert run(benchmark(other=peer(slow=1e-3)), "--png", str(path)) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


# ---- with Numba -------------------------------------------------------------------------------


@pytest.mark.fast
def test_an_engine_that_another_replaces_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    network = Network((3, 4, 2), 5, "CrossEntropyLoss", "Adam")
    task = Training(network, 1e-2)
    peers = {name: step.PEERS[name] for name in ("ours", "fast")}
    made = Benchmark("net", "", (Case("net", "", task, task, tuple(peers), 0.0),), peers, ("ours",))
    assert program.main(made, ["--rounds", "1"]) == 1
    said = capsys.readouterr().err
    assert "fast failed." in said and "NUMBA_DISABLE_JIT is set" in said


@pytest.mark.fast
@pytest.mark.parametrize("rule", ["Adam", "momentum"])
def test_the_roof_reads_and_writes_every_number(rule: str) -> None:
    from benchmarks.peers import bandwidth

    loop, count = bandwidth.LOOPS[rule]
    arrays = [bandwidth.staggered(10, i) for i in range(count)]
    assert all(array.ctypes.data % 64 == i * 832 % 64 for i, array in enumerate(arrays))
    for i, array in enumerate(arrays):
        array[:] = 2**i
    bandwidth.shared(loop, arrays, threads=2)()
    p, g, *state = (set(array.tolist()) for array in arrays)
    assert (p, g, state) == ({4}, {2}, [{8}, {3}] if count == 4 else [{3}])
