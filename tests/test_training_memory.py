"""How much memory training takes: what its arrays need, and never more and more."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

import tinygrad_opt as tg
from benchmarks import memory
from benchmarks.workloads import Network, stepper

pytestmark = pytest.mark.on("cpu")


def training(sizes: tuple[int, ...], batch: int, warm: int) -> Callable[[], tg.Tensor]:
    """The training step of a network, after some of them."""
    step = stepper(tg, "cpu", Network(sizes, batch, "CrossEntropyLoss", "Adam"), 1e-3)
    for _ in range(warm):
        step()
    return step


@pytest.fixture
def traced() -> Iterator[None]:
    """Python and NumPy write down what they allocate."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("depth", [2, 6])
def test_a_step_needs_its_activations_and_a_few_that_are_on_their_way(
    traced: None, depth: int
) -> None:
    width, batch = 32, 2048
    step = training((width,) * (depth + 1), batch, warm=3)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    step()
    after, peak = tracemalloc.get_traced_memory()
    activation = batch * width * 4
    # Each layer keeps one. Besides: the gradient that the loss keeps, that of a layer's output, of
    # the same before its ReLU, and a mask.
    assert depth <= (peak - before) / activation < depth + 3.5
    assert after - before < activation / 10


def test_ten_thousand_steps_take_no_more_memory_than_a_few() -> None:
    step = training((2, 16, 16, 3), 8, warm=500)
    gc.collect()
    blocks, bytes_before = sys.getallocatedblocks(), memory.COUNTED and memory.resident("VmRSS")
    for _ in range(10_000):
        step()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 100
    if memory.COUNTED:
        assert memory.resident("VmRSS") - bytes_before < 2**20


@pytest.mark.oracle
@pytest.mark.skipif(not memory.COUNTED, reason="only Linux counts the memory of a process")
def test_training_takes_at_most_1_3_times_what_it_takes_in_pytorch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    assert memory.main(["--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio"] == found["tinygrad_opt"] / found["torch"] <= 1.3
    parameters = 1024 * 2048 + 2048 * 2048 + 2048 * 10 + 2048 + 2048 + 10
    four = 4 * 4 * parameters  # each has its gradient and Adam's two averages
    assert four < found["tinygrad_opt"] < 1.5 * four


@pytest.mark.host
def test_what_is_missing_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "COUNTED", False)
    with pytest.raises(SystemExit) as end:
        memory.main([])
    assert end.value.code == 2
    assert "Only Linux counts the most memory that a process held." in capsys.readouterr().err
    monkeypatch.setattr(memory, "COUNTED", True)
    monkeypatch.setattr(memory, "PEERS", ("tinygrad_opt", "pytorch_that_is_not_here"))
    with pytest.raises(SystemExit):
        memory.main([])
    assert "pytorch_that_is_not_here is not installed." in capsys.readouterr().err
