"""SparseAdam: the rows that a batch has seen, and no others."""

from __future__ import annotations

import copy
import pathlib
import pickle
import re
import runpy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Device, Tensor, nn, optim, tensor
from tinygrad_opt.optim import Adam, SparseAdam
from tinygrad_opt.rows import RowGradient

ORACLE = SimpleNamespace(
    **runpy.run_path(str(pathlib.Path(__file__).parents[1] / "oracles" / "record_optimizers.py"))
)
ARRAYS = dict(np.load(ORACLE.ARRAYS))
INPUTS = ARRAYS["table"], ARRAYS["rows"], ARRAYS["row_values"]
every_case = pytest.mark.parametrize("index", range(len(ORACLE.SPARSE)))


class Ours:
    """This library in the oracle's loop."""

    optim = optim

    def parameter(self, array: Any) -> Tensor:
        return tensor(array, requires_grad=True)

    def give_rows(self, p: Tensor, rows: Any, values: Any) -> None:
        p.grad = rows_of(p, rows, values)

    def value(self, p: Tensor) -> Any:
        return host(p).copy()


def rows_of(p: Tensor, rows: Any, values: Any) -> RowGradient:
    """A gradient on the device of its table."""
    upload = p.device.from_host
    return RowGradient(upload(rows), upload(values), p.shape, p.device)


def table(shape: Any = (5, 2), dtype: Any = np.float32) -> Tensor:
    return tensor(np.ones(shape, dtype), requires_grad=True)


def see(p: Tensor, *rows: int, value: float = 1.0) -> None:
    values = np.full((len(rows), *p.shape[1:]), value, p.dtype)
    p.grad = rows_of(p, np.array(rows, int), values)


# ---- PyTorch ----------------------------------------------------------------------------------


@every_case
def test_tables_and_state_are_those_of_pytorch(index: int) -> None:
    found, optimizer = ORACLE.trace_rows(Ours(), ORACLE.SPARSE[index], *INPUTS)
    np.testing.assert_allclose(found, ARRAYS["tables"][index], rtol=0, atol=1e-12)
    state = ORACLE.flat_state(optimizer)
    np.testing.assert_allclose(state, ARRAYS["table_states"][index], rtol=1e-12, atol=1e-12)
    entry = optimizer.state_dict()["state"][0]
    assert entry["step"] == ORACLE.STEPS and type(entry["step"]) is int


@pytest.mark.oracle
@every_case
def test_pytorch_as_installed_agrees_and_checkpoints_cross_both_ways(index: int) -> None:
    import torch

    before = torch.get_default_dtype()
    library, options = ORACLE.torch_library(), ORACLE.SPARSE[index]
    _, rows, values = INPUTS
    try:
        found, theirs = ORACLE.trace_rows(library, options, *INPUTS)
        np.testing.assert_allclose(found, ARRAYS["tables"][index], rtol=0, atol=1e-12)
        p = Ours().parameter(found[-1])
        ours = SparseAdam([p])
        ours.load_state_dict(theirs.state_dict())
        (q,) = theirs.param_groups[0]["params"]
        saved = ours.state_dict()
        saved["state"][0] = {
            key: torch.tensor(v) if hasattr(v, "shape") else v
            for key, v in saved["state"][0].items()
        }
        twin = library.parameter(found[-1])
        back = torch.optim.SparseAdam([twin])
        back.load_state_dict(saved)
        for step in range(5):
            Ours().give_rows(p, rows[step], values[step])
            library.give_rows(q, rows[step], values[step])
            library.give_rows(twin, rows[step], values[step])
            for optimizer in (ours, theirs, back):
                optimizer.step()
        for other in (q, twin):
            np.testing.assert_allclose(host(p), library.value(other), rtol=0, atol=1e-12)
    finally:
        torch.set_default_dtype(before)


# ---- rules that take whole gradients ----------------------------------------------------------


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.Adagrad, optim.Muon])
def test_other_rules_name_sparseadam_and_change_nothing(make: Any) -> None:
    other, p = table(), table()
    optimizer = make([other, p], lr=0.1)
    other.grad = tg.ones(*other.shape)
    see(p, 1, 3)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"parameter 1 is one of rows, which SparseAdam takes"):
            optimizer.step()
    assert (host(other) == 1).all() and (host(p) == 1).all()
    assert p.grad.is_sparse and optimizer.step_count == 0


# ---- rows -------------------------------------------------------------------------------------


def test_rows_that_are_not_seen_do_not_change() -> None:
    p = table()
    optimizer = SparseAdam([p], lr=0.1)
    see(p, 1, 3)
    optimizer.step()
    see(p, 3)
    optimizer.step()
    state = optimizer.state_of(p)
    assert (host(p)[:, 0] == 1).tolist() == [True, False, True, False, True]
    assert "_dense" not in vars(p.grad), "no zeros were made"
    assert state["m"].any(axis=1).tolist() == [False, True, False, True, False]
    assert state["t"] == 2, "one count for the whole table"
    assert state["m"][1].tolist() == pytest.approx([0.1, 0.1]), "row 1 did not decay"


def test_a_row_that_is_named_twice_gets_both_gradients_at_once() -> None:
    twice, once = table(), table()
    for p, rows, value in ((twice, (2, 2), 1.0), (once, (2,), 2.0)):
        see(p, *rows, value=value)
        SparseAdam([p]).step()
    assert twice.tolist() == once.tolist()


def test_where_every_row_is_seen_it_is_adam() -> None:
    rng = np.random.default_rng(0)
    sparse, dense = table((4, 3)), table((4, 3))
    ours, adam = SparseAdam([sparse], lr=0.1), Adam([dense], lr=0.1)
    for _ in range(20):
        rows = rng.permutation(4)
        g = rng.standard_normal((4, 3)).astype(np.float32)
        sparse.grad = rows_of(sparse, rows, g[rows])
        dense.grad = tensor(g)
        ours.step()
        adam.step()
    np.testing.assert_allclose(host(sparse), host(dense), atol=5e-6)


def test_a_batch_without_rows_only_counts() -> None:
    p = table()
    optimizer = SparseAdam([p])
    see(p)
    optimizer.step()
    assert (host(p) == 1).all() and optimizer.state_of(p)["t"] == 1


def test_it_trains_an_embedding() -> None:
    tg.manual_seed(0)
    model = nn.Embedding(50, 4, padding_idx=0, sparse=True)
    optimizer = SparseAdam(model.parameters(), lr=0.1)
    words, target = tensor(np.array([[1, 7, 7], [0, 3, 1]])), tensor(np.ones((2, 3, 4), "float32"))
    before = host(model.weight).copy()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(words), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]
    changed = (host(model.weight) != before).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [1, 3, 7], "the padding row stays"


def test_other_optimizers_meet_an_ordinary_gradient() -> None:
    results = []
    for sparse in (False, True):
        tg.manual_seed(0)
        model = nn.Embedding(5, 2, sparse=sparse)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            (model(tensor(np.array([1, 1, 4]))) ** 2).sum().backward()
            optim.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
        results.append(model.weight.tolist())
    assert results[0] == results[1]


# ---- edges ------------------------------------------------------------------------------------


def test_another_gradient_is_told_before_anything_moves() -> None:
    p, q = table(), table()
    q.name = "words.weight"
    optimizer = SparseAdam([p, q])
    see(p, 1)
    q.grad = tensor(np.ones((5, 2), np.float32))
    text = (
        'SparseAdam: the gradient of parameter 1 ("words.weight") is not one of rows. Make the '
        "layer Embedding(…, sparse=True), or take Adam."
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        optimizer.step()
    assert (host(p) == 1).all() and optimizer.step_count == 0


@pytest.mark.parametrize("option", ["lr", "eps"])
def test_rates_are_above_zero(option: str) -> None:
    with pytest.raises(ValueError, match=f"SparseAdam: {option} is 0; it has to be above 0"):
        SparseAdam([table()], **{option: 0})


def test_arrays_of_the_user_are_left_alone_and_rebound_ones_taken_in(on_device: Device) -> None:
    array = on_device.from_host(np.ones((5, 2), np.float32))
    p = Tensor(array, requires_grad=True)
    optimizer = SparseAdam([p], lr=0.5)
    see(p, 1)
    optimizer.step()
    theirs = on_device.from_host(np.full((5, 2), 3.0))
    p.data = theirs
    see(p, 1)
    optimizer.step()
    assert (array == 1).all() and (theirs == 3).all()
    assert host(p)[1].tolist() == pytest.approx([2.5, 2.5]) and p.dtype == np.float64
    assert optimizer.state_of(p)["m"].dtype == np.float64
    p.data = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"parameter 0 has shape \(2, 2\) now and had \(5, 2\)"):
        optimizer.step()


def test_without_a_gradient_nothing_changes() -> None:
    p, q = table(), table()
    optimizer = SparseAdam([p, q])
    see(q, 1)
    optimizer.step()
    assert list(optimizer.state_dict()["state"]) == [1]
    optimizer.zero_grad()
    optimizer.step()
    assert optimizer.state_of(q)["t"] == 1


@pytest.mark.parametrize(
    "twin_of",
    [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
)
def test_copies_and_checkpoints_go_on_exactly(twin_of: Any) -> None:
    p = table()
    optimizer = SparseAdam([p], lr=0.1)
    see(p, 1, 2)
    optimizer.step()
    saved = optimizer.state_dict()
    twin, other = twin_of((p, optimizer))
    third = tensor(p, requires_grad=True)
    resumed = SparseAdam([third])
    resumed.load_state_dict(saved)
    for q, one in ((p, optimizer), (twin, other), (third, resumed)):
        for _ in range(20):
            see(q, 2, 4, value=0.5)
            one.step()
    assert p.tolist() == twin.tolist() == third.tolist()
    assert saved["state"][0]["exp_avg"][4].tolist() == [0, 0]


def test_a_graph_older_than_the_step_is_not_trusted() -> None:
    p = table()
    loss = (p * p).sum()
    see(p, 1)
    SparseAdam([p]).step()
    with pytest.raises(RuntimeError, match=r"has been changed since, by SparseAdam\.step\(\)"):
        loss.backward()
