"""Gradients by their rows: made by looking up, added up, and ordinary for whoever asks."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, nn
from tinygrad_opt.rows import RowGradient, lookup


def table() -> Tensor:
    return tg.tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)


def indices() -> Tensor:
    return tg.tensor([[1, 3], [1, 0]])


def gradient(loss_of: Any, sparse: bool) -> Any:
    w = table()
    loss_of(w, sparse).backward()
    return w.grad


LOSSES = {
    "one lookup": lambda w, s: (lookup(w, indices(), sparse=s) ** 2).sum(),
    "two lookups": lambda w, s: sum((lookup(w, indices(), sparse=s) ** k).sum() for k in (2, 3)),
    "a lookup and the table": lambda w, s: (lookup(w, indices(), sparse=s) ** 2).sum() + w.sum(),
    "the table and a lookup": lambda w, s: (w * w).sum() + lookup(w, indices(), sparse=s).sum(),
    "by turns": lambda w, s: (
        lookup(w, indices(), sparse=s).sum()
        + (w * w).sum()
        + lookup(w, indices(), sparse=s).sum()
        + (w * 2).sum()
    ),
    "of a result": lambda w, s: (lookup(w * 2, indices(), sparse=s) ** 2).sum(),
    "with padding": lambda w, s: (lookup(w, indices(), 1, s) ** 2).sum(),
    "one number": lambda w, s: (lookup(w, tg.tensor(np.array(2)), sparse=s) ** 2).sum(),
    "no number": lambda w, s: lookup(w, tg.tensor(np.zeros((0, 2), "int64")), sparse=s).sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_numbers_are_those_of_the_ordinary_gradient(name: str) -> None:
    sparse, dense = (gradient(LOSSES[name], s) for s in (True, False))
    np.testing.assert_array_equal(host(sparse), host(dense))
    assert not dense.is_sparse and sparse.is_sparse == (
        name in ("one lookup", "two lookups", "with padding", "one number", "no number")
    )


def test_a_row_gradient_holds_the_rows_and_no_zeros() -> None:
    g = gradient(LOSSES["one lookup"], True)
    assert isinstance(g, RowGradient)
    assert g.indices.tolist() == [1, 3, 1, 0] and g.values.shape == (4, 3)
    assert (g.shape, g.ndim, g.size, g.dtype) == ((4, 3), 2, 12, np.float64)
    assert repr(g) == "RowGradient(4 rows of (4, 3))"
    together = g.coalesce()
    assert together.indices.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(host(together), host(g))
    assert gradient(LOSSES["with padding"], True).indices.tolist() == [3, 0]


def test_two_backward_passes_add_up() -> None:
    w = table()
    for _ in range(2):
        lookup(w, indices(), sparse=True).sum().backward()
    assert w.grad.is_sparse and host(w.grad)[1].tolist() == [4, 4, 4]
    w.sum().backward()
    assert not w.grad.is_sparse and host(w.grad)[1].tolist() == [5, 5, 5]
    lookup(w, indices(), sparse=True).sum().backward()
    assert host(w.grad)[1].tolist() == [7, 7, 7]


def test_it_computes_as_any_tensor_does() -> None:
    g = gradient(LOSSES["one lookup"], True)
    dense = host(g).copy()
    assert (g * 2).tolist() == (dense * 2).tolist()
    assert g.sum().item() == dense.sum()
    for twin in (copy.deepcopy(g), pickle.loads(pickle.dumps(g)), g.clone()):
        np.testing.assert_array_equal(host(twin), dense)


@pytest.mark.on("cpu")  # CuPy has no read-only arrays
def test_its_numbers_are_not_written_into() -> None:
    with pytest.raises(ValueError, match="read-only"):
        gradient(LOSSES["one lookup"], True).data[...] = 0


def test_hooks_see_it_and_may_replace_it() -> None:
    w = table()
    w.register_hook(lambda g: g * 0.5)
    lookup(w, indices(), sparse=True).sum().backward()
    assert host(w.grad)[1].tolist() == [1, 1, 1]


def test_gradients_of_gradients_are_right() -> None:
    def second(sparse: bool) -> Any:
        w = table()
        first = tg.grad((lookup(w, indices(), 0, sparse) ** 3).sum(), w, create_graph=True)
        return host(tg.grad((first * first).sum(), w))

    np.testing.assert_array_equal(second(True), second(False))


def test_the_layer_makes_row_gradients_if_asked() -> None:
    for sparse in (False, True):
        layer = nn.Embedding(6, 2, padding_idx=-1, sparse=sparse)
        layer(tg.tensor(np.array([5, 2, 2]))).sum().backward()
        assert layer.weight.grad.is_sparse == sparse
        assert host(layer.weight.grad)[[2, 5]].tolist() == [[2, 2], [0, 0]]
        assert ("sparse=True" in repr(layer)) == sparse


def test_a_row_gradient_becomes_an_ordinary_one_where_its_layer_is_converted() -> None:
    layer = nn.Embedding(6, 2, sparse=True)
    layer(tg.tensor([2])).sum().backward()
    grad = layer.to("float64").weight.grad
    assert not grad.is_sparse and grad.dtype == np.float64 and host(grad)[2].tolist() == [1, 1]


def test_parameters_with_a_row_gradient_can_be_copied() -> None:
    layer = nn.Embedding(6, 2, sparse=True)
    layer(tg.tensor(np.array([2]))).sum().backward()
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(host(twin.weight.grad), host(layer.weight.grad))
